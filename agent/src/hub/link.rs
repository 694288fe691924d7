//! What must the agent tell the hub next, on one stream after another?
//!
//! ```text
//!            Connected           Welcome
//!  Offline ------------> Greeting -------> Live
//!     ^--- the stream ends --+--------------'
//! ```
//!
//! `decide` is the whole of it: a state and an input give a new state and what to do. Values stay on
//! the board of reports; the state knows only names and marks, so a change while an earlier one is on
//! its way costs a mark, not a copy, and only the last state of an app is ever sent. What the hub did
//! not acknowledge need not be remembered over a reconnect: the digests in Hello find it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use muster_wire::v1::{Ack, Welcome};

/// Reports of apps sent and not acknowledged. Enough to keep a distant hub busy; each is at most one
/// message, so this also bounds what waits in memory for a slow one.
pub(super) const REPORTS_IN_FLIGHT_MAX: usize = 32;
/// Events sent and not acknowledged; counted apart, so that neither waits behind the other.
pub(super) const EVENTS_IN_FLIGHT_MAX: usize = 32;
/// Messages that can be under way at once: Hello, the cluster, a heartbeat, reports and events.
pub(super) const MESSAGES_MAX: usize = 3 + REPORTS_IN_FLIGHT_MAX + EVENTS_IN_FLIGHT_MAX;

/// A hub that does not answer Hello in this time, or is silent for so long while something waits for
/// its acknowledgement, is given up; the next stream may reach a better one.
pub(super) const HUB_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Heartbeats of a hub that names no interval.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest interval a hub may ask for.
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// A stream is open; these are the apps on the board, whether it has a status of the cluster, and
    /// nothing changed since unnoticed.
    Connected { apps: Vec<String>, cluster: bool },
    /// The app was set, or removed.
    App { name: String, exists: bool },
    /// The status of the cluster was set.
    Cluster,
    /// The board has events that were not there before.
    EventsWaiting,
    /// The answer to [`Action::OfferEvents`]: numbers and ids.
    Events(Vec<(u64, String)>),
    /// The hub answered Hello.
    Welcome(Welcome),
    /// The hub has something for good.
    Ack(Ack),
    /// Time went by.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send Hello with the digests of the apps named at [`Input::Connected`].
    SendHello,
    /// Send the status of the cluster as it is now.
    SendCluster,
    /// Send the app's status as it is now; or that it is gone, if it is.
    SendApp {
        name: String,
        sequence: u64,
    },
    /// Send this event.
    SendEvent {
        number: u64,
    },
    SendHeartbeat,
    /// Answer with [`Input::Events`]: the oldest events numbered above `after`.
    OfferEvents {
        after: u64,
        count_max: usize,
    },
    /// These need not be kept.
    ForgetEvents(BTreeSet<String>),
    /// End the stream: the hub does not do its part.
    Close(&'static str),
}

/// What is known of the hub, on this stream. With the stream it ends: the next one begins with a new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    phase: Phase,
    apps: BTreeMap<String, App>,
    /// Names of the apps marked as queued, each once: the longest waiting is sent first.
    queue: VecDeque<String>,
    reports_in_flight: usize,
    sequence: u64,
    cluster: Mark,
    events: Events,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Offline,
    /// Hello was sent.
    Greeting { since: Instant },
    /// The hub has said Welcome.
    Live {
        heartbeat: Duration,
        sent_at: Instant,
        /// Since when something waits for an acknowledgement and none came.
        waiting_since: Option<Instant>,
    },
}

#[derive(Clone, Debug)]
struct App {
    mark: Mark,
    exists: bool,
}

/// How far the last state of an app, or of the cluster, got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    /// The hub has it, as far as this side knows.
    #[default]
    Known,
    /// To be sent.
    Queued,
    /// Sent, and not acknowledged.
    InFlight { sequence: u64 },
    /// Sent, not acknowledged, and no longer the last state.
    Outdated { sequence: u64 },
}

#[derive(Clone, Debug, Default)]
struct Events {
    /// Highest number sent on this stream.
    sent: u64,
    in_flight: BTreeSet<String>,
    /// There may be events above `sent`.
    more: bool,
    /// The offer that was not answered yet.
    offered: Option<usize>,
}

impl Mark {
    /// There is a newer state.
    fn changed(self) -> Self {
        match self {
            Self::Known | Self::Queued => Self::Queued,
            Self::InFlight { sequence } | Self::Outdated { sequence } => Self::Outdated { sequence },
        }
    }

    /// The hub has everything up to `acked`.
    fn acknowledged(self, acked: u64) -> Self {
        match self {
            Self::InFlight { sequence } if sequence <= acked => Self::Known,
            Self::Outdated { sequence } if sequence <= acked => Self::Queued,
            other => other,
        }
    }

    fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight { .. } | Self::Outdated { .. })
    }
}

impl Action {
    /// True for what goes over the wire.
    fn is_message(&self) -> bool {
        match self {
            Self::SendHello
            | Self::SendCluster
            | Self::SendApp { .. }
            | Self::SendEvent { .. }
            | Self::SendHeartbeat => true,
            Self::OfferEvents { .. } | Self::ForgetEvents(_) | Self::Close(_) => false,
        }
    }
}

impl Link {
    /// What to do now that `input` happened.
    #[must_use]
    pub(super) fn decide(mut self, input: Input, now: Instant) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        match input {
            Input::Connected { apps, cluster } => {
                self = Self::greeting(apps, cluster, now);
                actions.push(Action::SendHello);
            }
            _ if matches!(self.phase, Phase::Offline) => {}
            Input::App { name, exists } => self.app_changed(name, exists),
            Input::Cluster => self.cluster = self.cluster.changed(),
            Input::EventsWaiting => self.events.more = true,
            Input::Events(events) => self.send_events(events, &mut actions),
            Input::Welcome(welcome) => self.welcomed(&welcome, now),
            Input::Ack(ack) => self.acknowledged(ack, &mut actions),
            Input::Tick => self.tick(now, &mut actions),
        }
        self.send_what_fits(&mut actions);
        let waits = self.waits();
        if let Phase::Live { sent_at, waiting_since, .. } = &mut self.phase {
            if actions.iter().any(Action::is_message) {
                *sent_at = now;
            }
            *waiting_since = if waits { waiting_since.or(Some(now)) } else { None };
        }
        (self, actions)
    }

    /// When to give [`Input::Tick`] if nothing happens before.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        match self.phase {
            Phase::Offline => None,
            Phase::Greeting { since } => Some(since + HUB_SILENCE_MAX),
            Phase::Live { heartbeat, sent_at, waiting_since } => {
                let beat = sent_at + heartbeat;
                Some(waiting_since.map_or(beat, |since| beat.min(since + HUB_SILENCE_MAX)))
            }
        }
    }

    fn greeting(apps: Vec<String>, cluster: bool, now: Instant) -> Self {
        let known = |name| (name, App { mark: Mark::Known, exists: true });
        Self {
            phase: Phase::Greeting { since: now },
            apps: apps.into_iter().map(known).collect(),
            // It has no digest in Hello, so the hub gets it with each stream.
            cluster: if cluster { Mark::Queued } else { Mark::Known },
            events: Events { more: true, ..Events::default() },
            ..Self::default()
        }
    }

    fn app_changed(&mut self, name: String, exists: bool) {
        let app = self.apps.entry(name.clone()).or_insert(App { mark: Mark::Known, exists });
        app.exists = exists;
        let before = app.mark;
        app.mark = before.changed();
        if before == Mark::Known {
            self.queue.push_back(name);
        }
    }

    fn welcomed(&mut self, welcome: &Welcome, now: Instant) {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return;
        }
        let heartbeat = match welcome.heartbeat_seconds {
            0 => HEARTBEAT_DEFAULT,
            seconds => Duration::from_secs(seconds.into()).min(HEARTBEAT_MAX),
        };
        self.phase = Phase::Live { heartbeat, sent_at: now, waiting_since: None };
        for name in &welcome.send_apps {
            // Names that are not on the board are none of the hub's business any more.
            if let Some(app) = self.apps.get_mut(name)
                && app.mark == Mark::Known
            {
                app.mark = Mark::Queued;
                self.queue.push_back(name.clone());
            }
        }
    }

    fn acknowledged(&mut self, ack: Ack, actions: &mut Vec<Action>) {
        if let Phase::Live { waiting_since, .. } = &mut self.phase {
            *waiting_since = None;
        }
        if ack.cluster {
            self.cluster = self.cluster.acknowledged(u64::MAX);
        }
        for acked in ack.apps {
            let Some(app) = self.apps.get_mut(&acked.app) else { continue };
            let before = app.mark;
            app.mark = before.acknowledged(acked.sequence);
            if before == app.mark {
                continue;
            }
            self.reports_in_flight -= 1;
            match (app.mark, app.exists) {
                (Mark::Queued, _) => self.queue.push_back(acked.app),
                (_, false) => drop(self.apps.remove(&acked.app)),
                (_, true) => {}
            }
        }
        let forgotten: BTreeSet<String> = ack.event_ids.into_iter().collect();
        if !forgotten.is_empty() {
            self.events.in_flight.retain(|id| !forgotten.contains(id));
            actions.push(Action::ForgetEvents(forgotten));
        }
    }

    fn tick(&self, now: Instant, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Greeting { since } if now >= since + HUB_SILENCE_MAX => {
                actions.push(Action::Close("it did not answer the agent's hello"));
            }
            Phase::Live { waiting_since: Some(since), .. } if now >= since + HUB_SILENCE_MAX => {
                actions.push(Action::Close("it does not acknowledge what it is sent"));
            }
            Phase::Live { heartbeat, sent_at, .. } if now >= sent_at + heartbeat => {
                actions.push(Action::SendHeartbeat);
            }
            _ => {}
        }
    }

    /// True while an acknowledgement is due.
    fn waits(&self) -> bool {
        self.reports_in_flight > 0 || !self.events.in_flight.is_empty() || self.cluster.is_in_flight()
    }

    fn send_what_fits(&mut self, actions: &mut Vec<Action>) {
        let Phase::Live { .. } = self.phase else { return };
        if self.cluster == Mark::Queued {
            self.cluster = Mark::InFlight { sequence: 0 };
            actions.push(Action::SendCluster);
        }
        while self.reports_in_flight < REPORTS_IN_FLIGHT_MAX
            && let Some(name) = self.queue.pop_front()
        {
            let Some(app) = self.apps.get_mut(&name) else { continue };
            self.sequence += 1;
            app.mark = Mark::InFlight { sequence: self.sequence };
            self.reports_in_flight += 1;
            actions.push(Action::SendApp { name, sequence: self.sequence });
        }
        let room = EVENTS_IN_FLIGHT_MAX.saturating_sub(self.events.in_flight.len());
        if self.events.more && self.events.offered.is_none() && room > 0 {
            self.events.offered = Some(room);
            actions.push(Action::OfferEvents { after: self.events.sent, count_max: room });
        }
    }

    fn send_events(&mut self, events: Vec<(u64, String)>, actions: &mut Vec<Action>) {
        let Some(room) = self.events.offered.take() else { return };
        self.events.more = events.len() >= room;
        for (number, id) in events.into_iter().take(room) {
            self.events.sent = number;
            self.events.in_flight.insert(id);
            actions.push(Action::SendEvent { number });
        }
    }
}

#[cfg(test)]
mod tests;
