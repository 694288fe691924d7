//! When is a receiver told, and what is noted of that?
//!
//! Each receiver has a loop of its own, so that one that is down or slow holds up no other. What it does not take is tried
//! again, later and later; what is to be told is asked anew each time, so that after an outage it is told how things are
//! and not how they were.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{RwLock, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    AlertKey, Receiver,
    deliver::{Failure, Tellers},
    message::Message,
};
use crate::{
    clock::{Clock, Now},
    commit::{Committer, Effects, Fleet},
    metrics::Metrics,
    record::{Change, Record},
};

/// How often is looked for something to tell.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after the first failure; it doubles with each one up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How long a note in the store may take.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

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

/// How far a message has come.
#[derive(Clone, Debug)]
enum Note {
    /// It is about to be sent.
    Telling,
    /// It was taken; what the receiver calls it.
    Told(String),
    /// What it tells of these for the first time was not taken.
    NotTold(Vec<AlertKey>),
}

impl Sender {
    /// Tells all receivers until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        for receiver in self.tellers.all().to_vec() {
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
            let timing = self.tellers.timing();
            let messages = self.fleet.read().await.alerts.outstanding(&receiver, timing, now);
            for message in messages {
                let Some(first) = self.note(&receiver, &message, Note::Telling).await else { break };
                let sent = self.tellers.send(&receiver, &message, now).await;
                self.metrics.told(&receiver.name, sent.is_ok());
                match sent {
                    Ok(reference) => {
                        failures = 0;
                        if self.note(&receiver, &message, Note::Told(reference)).await.is_none() {
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
                            self.note(&receiver, &message, Note::NotTold(first)).await;
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

    /// Keeps how far a message has come. Gives the alerts of which that is new; none when it is not kept now.
    async fn note(&self, receiver: &Receiver, message: &Message, note: Note) -> Option<Vec<AlertKey>> {
        let (name, message) = (receiver.name.clone(), message.clone());
        let act = move |fleet: &mut Fleet, now: Now| {
            let records = match &note {
                Note::Telling => fleet.alerts.telling(&name, &message),
                Note::Told(reference) => fleet.alerts.told(&name, &message, reference, now.wall),
                Note::NotTold(first) => fleet.alerts.not_told(&name, first),
            };
            let key = |change: &Change| match change {
                Change::Put(Record::Alert(alert)) => Some(alert.key.clone()),
                _ => None,
            };
            let keys = records.iter().filter_map(key).collect();
            (keys, Effects { records, as_leader: true, ..Effects::default() })
        };
        self.committer.ask(STORE_PATIENCE, act).await.ok()
    }
}
