//! How does a message reach its receiver?
//!
//! Each receiver has a loop of its own, so that one that is down or slow holds up no other. What it does not take is tried
//! again, later and later; what is to be told is asked anew each time, so that after an outage it is told how things are
//! and not how they were.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{RwLock, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    mail,
    message::{Message, signature},
    settings::{AlertSettings, Receiver, ReceiverKind},
};
use crate::{
    clock::{Clock, Now},
    commit::{Committer, Effects, Fleet},
    metrics::Metrics,
    tls::http_client,
};

/// How often is looked for something to tell.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time for one message.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after the first failure; it doubles with each one up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How long a note in the store may take.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// The receivers, and the way to them.
#[derive(Clone)]
pub(crate) struct Tellers {
    settings: Arc<AlertSettings>,
    client: reqwest::Client,
}

/// What tells receivers.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) tellers: Tellers,
    pub(crate) fleet: Arc<RwLock<Fleet>>,
    pub(crate) committer: Committer,
    pub(crate) clock: Clock,
    pub(crate) leader: watch::Receiver<bool>,
    pub(crate) metrics: Metrics,
}

/// A message of which it is not known that it was taken.
struct Failure {
    problem: String,
    /// When the receiver wants to be asked again.
    retry_after: Option<Duration>,
    /// It was not taken for certain.
    is_certain: bool,
}

/// How far a message has come.
#[derive(Clone, Debug)]
enum Note {
    /// It is about to be sent.
    Telling,
    /// It was taken; what the receiver calls it.
    Told(String),
    /// It was not taken.
    NotTold,
}

impl Tellers {
    /// # Errors
    /// When there can be no client, such as for want of certificates to trust.
    pub(crate) fn new(settings: Arc<AlertSettings>) -> reqwest::Result<Self> {
        let client = http_client().timeout(PATIENCE).build()?;
        Ok(Self { settings, client })
    }

    /// Names of the receivers.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &str> {
        self.settings.receivers.iter().map(|receiver| receiver.name.as_str())
    }

    /// Sends a test message to the receiver of that name, once; none when there is no such one.
    ///
    /// # Errors
    /// Why it did not take it.
    pub(crate) async fn test(&self, name: &str, now: Timestamp) -> Option<Result<(), String>> {
        let receiver = self.settings.receivers.iter().find(|receiver| receiver.name == name)?;
        let sent = self.send(receiver, &Message::test(name, now), now).await;
        Some(sent.map(drop).map_err(|failure| failure.problem))
    }

    /// What the receiver calls the message, where that matters.
    async fn send(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Result<String, Failure> {
        let link = self.settings.link.as_deref();
        let secret = receiver.secret.as_deref();
        let body = match &receiver.kind {
            ReceiverKind::Webhook => message.webhook(link),
            ReceiverKind::Slack => message.slack(link),
            ReceiverKind::Teams => message.teams(link),
            ReceiverKind::Alertmanager => {
                let repeat = self.settings.timing.repeat.try_into().unwrap_or_default();
                message.alertmanager(link, now, repeat)
            }
            ReceiverKind::PagerDuty => {
                let key = String::from_utf8_lossy(secret.unwrap_or_default());
                match message.pager_duty(&key, link) {
                    Some(event) => event,
                    None => return Ok(String::new()), // others are wrong still, so the incident goes on
                }
            }
            ReceiverKind::Mail(mail) => {
                let sent = mail::send(mail, secret, message, link).await;
                return match sent {
                    Ok(()) => Ok(String::new()),
                    Err(problem) => Err(Failure { problem, retry_after: None, is_certain: false }),
                };
            }
        };
        let body = body.to_string();
        let mut request =
            self.client.post(&receiver.url).header(http::header::CONTENT_TYPE, "application/json");
        if let (ReceiverKind::Webhook, Some(secret)) = (&receiver.kind, secret) {
            request = request.header("x-muster-signature", signature(secret, body.as_bytes()));
        }
        // Without the address in the error, which may be a secret.
        let failed = |error: reqwest::Error| Failure {
            is_certain: error.is_connect(),
            problem: error.without_url().to_string(),
            retry_after: None,
        };
        let response = request.header("x-muster-id", &message.id).body(body).send().await.map_err(failed)?;
        if response.status().is_success() {
            return Ok(String::new());
        }
        let retry_after = response.headers().get(http::header::RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let problem = format!("it answers {}", response.status());
        Err(Failure { problem, retry_after: seconds.map(Duration::from_secs), is_certain: true })
    }
}

impl Sender {
    /// Tells all receivers until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        for receiver in self.tellers.settings.receivers.clone() {
            loops.spawn(self.clone().tell(receiver));
        }
        stop.cancelled().await;
        loops.shutdown().await;
    }

    async fn tell(self, receiver: Receiver) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0_u32;
        loop {
            ticks.tick().await;
            if !*self.leader.borrow() {
                continue;
            }
            let now = self.clock.now().wall;
            let timing = self.tellers.settings.timing;
            let messages = self.fleet.read().await.alerts.outstanding(&receiver, timing, now);
            for message in messages {
                if !self.note(&receiver, &message, Note::Telling).await {
                    break;
                }
                let sent = self.tellers.send(&receiver, &message, now).await;
                self.metrics.told(&receiver.name, sent.is_ok());
                match sent {
                    Ok(reference) => {
                        failures = 0;
                        if !self.note(&receiver, &message, Note::Told(reference)).await {
                            break;
                        }
                        // Only now: what is in the log is kept.
                        tracing::info!(
                            receiver = receiver.name,
                            id = message.id,
                            title = message.title(),
                            "told"
                        );
                    }
                    Err(Failure { problem, retry_after, is_certain }) => {
                        if is_certain {
                            // Where even this is not kept, the receiver may hear the end of what it never heard.
                            self.note(&receiver, &message, Note::NotTold).await;
                        }
                        let backoff = BACKOFF.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
                        let wait = retry_after.map_or(backoff, |asked| asked.clamp(BACKOFF, RETRY_AFTER_MAX));
                        failures += 1;
                        tracing::warn!(
                            receiver = receiver.name,
                            id = message.id,
                            problem,
                            failures,
                            "not told; it is tried again"
                        );
                        sleep_until(Instant::now() + wait).await;
                        break;
                    }
                }
            }
        }
    }

    /// Keeps how far a message has come; false when that is not kept now.
    async fn note(&self, receiver: &Receiver, message: &Message, note: Note) -> bool {
        let (name, message) = (receiver.name.clone(), message.clone());
        let act = move |fleet: &mut Fleet, now: Now| {
            let records = match &note {
                Note::Telling => fleet.alerts.telling(&name, &message),
                Note::Told(reference) => fleet.alerts.told(&name, &message, reference, now.wall),
                Note::NotTold => fleet.alerts.not_told(&name, &message),
            };
            ((), Effects { records, as_leader: true, ..Effects::default() })
        };
        self.committer.ask(STORE_PATIENCE, act).await.is_ok()
    }
}
