//! One stream to the hub, from Hello to its end: does what [`Link`] decides.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::SystemTime,
    time::{Duration, Instant},
};

use muster_wire::{
    MESSAGE_BYTES_MAX, PROTOCOL,
    v1::{
        AgentMessage, AppDigest, AppRemoved, AppReport, AppStatus, Event, Heartbeat, Hello, HubMessage,
        Trusted, agent_message, agent_service_client::AgentServiceClient, hub_message,
    },
};
use prost::Message as _;
use ring::digest;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    link::{Action, Input, Link, MESSAGES_MAX},
    retry::chance,
    size,
};
use crate::report::{Changes, Reports};

/// Longest time for the hub to accept the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time a hint may wait.
const HINT_SPREAD_MAX: Duration = Duration::from_secs(60);
/// Bytes of an app's digest.
const DIGEST_BYTES: usize = 16;

/// An open stream, after Hello.
pub(super) struct Stream {
    link: Link,
    reports: Reports,
    hints: Arc<Notify>,
    /// When to pass on a hint, so that not all agents ask Git at once.
    hint_at: Option<Instant>,
    outgoing: mpsc::Sender<AgentMessage>,
    incoming: Streaming<HubMessage>,
    follower: crate::report::Follower,
    /// Events that were offered and are to be sent, so that they are there even if the board drops them.
    offered: Vec<(u64, Arc<Event>)>,
    /// What the hub said and was not told yet.
    said: VecDeque<Said>,
}

/// What the hub says that is not about what it knows of this cluster.
#[derive(Debug)]
pub(super) enum Said {
    /// Hello is answered.
    Welcome {
        /// Of the hub.
        version: String,
        /// Within which time to come back when the stream is lost.
        reconnect_within: Duration,
    },
    /// These CAs are to be trusted from now on, DER.
    TrustBundle(Vec<Vec<u8>>),
    /// The hub is about to end the stream: come back after this time.
    Reconnect(Duration),
}

/// Messages that can be under way at once: one more than those [`Link`] counts.
const OUTGOING_MAX: usize = MESSAGES_MAX + 1;

impl Stream {
    /// Opens the stream and says Hello.
    pub(super) async fn open(
        channel: Channel,
        cluster: &str,
        trusted: Vec<Vec<u8>>,
        reports: &Reports,
        hints: &Arc<Notify>,
    ) -> Result<Self, Status> {
        // Following begins before the board is read: what changes in between is sent again, not lost.
        let follower = reports.follow();
        let statuses = reports.statuses();
        let apps = statuses.iter().map(|status| status.app.clone()).collect();
        let connected = Input::Connected { apps, cluster: reports.cluster().is_some() };
        let (link, actions) = Link::default().decide(connected, Instant::now());
        debug_assert_eq!(actions, [Action::SendHello]);
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let hello = Hello {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: cluster.to_owned(),
            apps: statuses.iter().map(|status| digest(status)).collect(),
            protocol: PROTOCOL,
            capabilities: Vec::new(),
            trusted,
        };
        drop(statuses);
        let hello = agent_message::Body::Hello(hello);
        let sent = outgoing.try_send(AgentMessage { body: Some(hello) });
        sent.map_err(|_| Status::internal("the stream ended before it began"))?;
        let mut client = AgentServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let opened = tokio::time::timeout(OPEN_TIMEOUT, client.connect(ReceiverStream::new(messages))).await;
        let incoming = opened
            .map_err(|_| Status::deadline_exceeded("the stream was not accepted in time"))??
            .into_inner();
        Ok(Self {
            link,
            reports: reports.clone(),
            hints: Arc::clone(hints),
            hint_at: None,
            outgoing,
            incoming,
            follower,
            offered: Vec::new(),
            said: VecDeque::new(),
        })
    }

    /// Keeps the hub informed until it says something, or the stream ends; then why it did.
    pub(super) async fn run(&mut self) -> Result<Said, Status> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Ok(said);
            }
            for input in self.next().await? {
                self.feed(input)?;
            }
        }
    }

    /// Tells the hub which CAs are trusted now.
    pub(super) fn trusts(&self, trusted: Vec<Vec<u8>>) {
        let body = agent_message::Body::Trusted(Trusted { trusted });
        // One that does not fit is left out: the next Hello says it too.
        let _ = self.outgoing.try_send(AgentMessage { body: Some(body) });
    }

    /// Waits for something to happen. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Vec<Input>, Status> {
        let tick = self.link.next_tick();
        let tick = async {
            match tick {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let hint_at = self.hint_at;
        let hint = async {
            match hint_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.incoming.message() => match message? {
                Some(message) => Ok(self.heard(message).into_iter().collect()),
                None => Err(Status::unavailable("the hub ended the stream")),
            },
            () = hint => {
                self.hint_at = None;
                self.hints.notify_one();
                Ok(Vec::new())
            }
            changes = self.follower.changed() => Ok(changed(changes, &self.reports)),
            () = tick => Ok(vec![Input::Tick]),
        }
    }

    /// What is for [`Link`]; the rest is kept to be told.
    fn heard(&mut self, message: HubMessage) -> Option<Input> {
        let milliseconds = |count: u32| Duration::from_millis(count.into());
        // What a newer hub says and this agent does not know is passed over.
        match message.body? {
            hub_message::Body::Welcome(welcome) => {
                self.said.push_back(Said::Welcome {
                    version: welcome.hub_version.clone(),
                    reconnect_within: milliseconds(welcome.reconnect_within_milliseconds),
                });
                return Some(Input::Welcome(welcome));
            }
            hub_message::Body::Ack(ack) => return Some(Input::Ack(ack)),
            hub_message::Body::Fetch(fetch) => {
                let spread = milliseconds(fetch.spread_milliseconds).min(HINT_SPREAD_MAX);
                let at = Instant::now() + spread.mul_f64(chance());
                self.hint_at = Some(self.hint_at.map_or(at, |before| before.min(at)));
            }
            hub_message::Body::TrustBundle(bundle) => {
                self.said.push_back(Said::TrustBundle(bundle.ca_certificates));
            }
            hub_message::Body::Reconnect(reconnect) => {
                self.said.push_back(Said::Reconnect(milliseconds(reconnect.after_milliseconds)));
            }
        }
        None
    }

    fn feed(&mut self, input: Input) -> Result<(), Status> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (link, actions) = std::mem::take(&mut self.link).decide(input, Instant::now());
            self.link = link;
            for action in actions {
                inputs.extend(self.act(action)?);
            }
        }
        self.offered.clear();
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<Option<Input>, Status> {
        use agent_message::Body;
        let body = match action {
            // Sent when the stream was opened.
            Action::SendHello => return Ok(None),
            Action::SendCluster => Body::Cluster(size::cluster(self.reports.cluster().unwrap_or_default())),
            Action::SendApp { name, sequence } => match self.reports.status(&name) {
                Some(status) => {
                    Body::App(AppReport { sequence, status: Some(size::app(&status).into_owned()) })
                }
                None => Body::Removed(AppRemoved { sequence, app: name }),
            },
            Action::SendEvent { number } => match self.offered.iter().find(|(of, _)| *of == number) {
                Some((_, event)) => Body::Event(size::event(event)),
                None => return Ok(None),
            },
            Action::SendHeartbeat => Body::Heartbeat(Heartbeat { sent_at: Some(SystemTime::now().into()) }),
            Action::OfferEvents { after, count_max } => {
                self.offered = self.reports.events_after(after, count_max);
                let events = self.offered.iter().map(|(number, event)| (*number, event.id.clone()));
                return Ok(Some(Input::Events(events.collect())));
            }
            Action::ForgetEvents(ids) => {
                self.reports.forget_events(&ids);
                return Ok(None);
            }
            Action::Close(why) => return Err(Status::unavailable(why)),
        };
        let is_heartbeat = matches!(body, Body::Heartbeat(_));
        match self.outgoing.try_send(AgentMessage { body: Some(body) }) {
            // With so much on its way already a heartbeat says nothing more.
            Err(mpsc::error::TrySendError::Full(_)) if is_heartbeat => Ok(None),
            Err(mpsc::error::TrySendError::Full(_)) => {
                // The channel holds all that may be in flight, so this is a mistake in the bounds; a
                // new stream sends again whatever the hub lacks.
                Err(Status::internal("more messages were in flight than may be"))
            }
            // Why the stream ended is what its other half says.
            Err(mpsc::error::TrySendError::Closed(_)) | Ok(()) => Ok(None),
        }
    }
}

fn changed(changes: Changes, reports: &Reports) -> Vec<Input> {
    let apps = changes.apps.into_iter();
    let mut inputs: Vec<Input> = apps
        .map(|name| {
            let exists = reports.status(&name).is_some();
            Input::App { name, exists }
        })
        .collect();
    if changes.cluster {
        inputs.push(Input::Cluster);
    }
    if changes.events {
        inputs.push(Input::EventsWaiting);
    }
    inputs
}

/// The digest of the status as the hub would get it.
fn digest(status: &AppStatus) -> AppDigest {
    let encoded = size::app(status).encode_to_vec();
    let digest = digest::digest(&digest::SHA256, &encoded);
    let digest = digest.as_ref().iter().take(DIGEST_BYTES).copied().collect();
    AppDigest { app: status.app.clone(), digest }
}
