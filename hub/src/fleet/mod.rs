//! What does the fleet look like?
//!
//! ```text
//! Input (enrolled, connected, reported, silent) --State::apply--> Changes
//!        |                                                          | records: to be kept first
//!     now passed in                                                 | touched: then told to watchers
//!                                                                   | answer:  then said to the agent
//! ```
//! All of it is plain data and functions: no I/O, no async, no clock.

mod conditions;
mod count;
mod enrolment;
mod history;
mod limits;
mod news;
mod state;
mod view;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use muster_spec::{AppName, ClusterName};
use muster_wire::v1;

use crate::record::{Change, Digest, Enrolment};

#[cfg(test)]
pub(crate) use self::limits::digest_of;
pub(crate) use self::view::Detail;
pub use self::{
    count::Counts,
    limits::{APPS_MAX, EVENTS_LISTED_DEFAULT, EVENTS_LISTED_MAX, Excess, admit_hello, admit_report},
    state::State,
    view::{AppFilter, EventFilter},
};

/// One connection of an agent, unique for ever: random, made when the stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Something that happened to the fleet.
#[derive(Clone, Debug)]
pub enum Input {
    /// A cluster got a certificate.
    Certified {
        /// Whose and which; `enrolled_at` counts only for a cluster that is new.
        enrolment: Enrolment,
        /// In place of one it had, over the connection of that one.
        renewed: bool,
    },
    /// From now on no certificate the cluster has is taken.
    Revoked {
        /// Whose.
        cluster: ClusterName,
    },
    /// An agent said Hello.
    Connected {
        /// Whose agent, from the certificate.
        cluster: ClusterName,
        /// On which stream.
        stream: StreamId,
        /// When the certificate of this connection ends.
        certificate_expires_at: Timestamp,
        /// Generation of that certificate.
        generation: u32,
        /// Every app it has.
        apps: BTreeMap<AppName, Digest>,
    },
    /// An agent said something else.
    Reported {
        /// Whose agent.
        cluster: ClusterName,
        /// On which stream.
        stream: StreamId,
        /// What.
        report: Box<Report>,
    },
    /// A stream is over.
    Disconnected {
        /// Whose agent.
        cluster: ClusterName,
        /// Which stream.
        stream: StreamId,
        /// True when it is the hub that stops, which says nothing about the agent.
        hub_stops: bool,
    },
    /// Time has passed: at least once a second.
    Tick {
        /// Whether this hub says for all that share the store that a cluster did not come back.
        leads: bool,
    },
}

/// What an agent says after Hello, within the hub's limits (see [`admit_report`]).
#[derive(Clone, Debug)]
pub enum Report {
    /// The cluster as a whole.
    Cluster(v1::ClusterStatus),
    /// One app.
    App {
        /// Which.
        app: AppName,
        /// Upwards within a stream.
        sequence: u64,
        /// Of the status as it was sent.
        digest: Digest,
        /// What to keep of it.
        status: v1::AppStatus,
    },
    /// An app is gone.
    Removed {
        /// Which.
        app: AppName,
        /// As for reports of the app.
        sequence: u64,
    },
    /// Something to remember.
    Event(v1::Event),
    /// The agent lives.
    Heartbeat {
        /// What the agent's clock said.
        sent_at: Option<Timestamp>,
    },
}

/// What the agent is to be told once the records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    None,
    /// Hello is answered: these apps are to be sent.
    Welcome(Vec<AppName>),
    /// The last cluster status is kept.
    Cluster,
    /// All reports of this app up to this number are kept.
    App(AppName, u64),
    /// The event with this id is kept.
    Event(String),
    /// Not taken, for this reason; the agent is told nothing and the log is.
    Refused(Excess),
    /// The certificate was revoked meanwhile: nothing was done.
    Revoked,
}

/// Why the hub ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The same cluster has a newer one.
    Superseded,
    /// Three heartbeats were missed.
    Silent,
    /// Another hub knows better: what this stream said is not kept.
    Outrun,
    /// The cluster's certificates were revoked.
    Revoked,
}

/// Something watchers are to look at again.
#[derive(Clone, Debug, PartialEq)]
pub enum Touched {
    /// A cluster: connection, status, counts.
    Cluster(ClusterName),
    /// An app in a cluster: changed or gone.
    App(ClusterName, AppName),
    /// Something new in the history.
    Event(Arc<v1::Event>),
}

/// What follows from an [`Input`].
#[derive(Debug)]
pub struct Changes {
    /// To be kept before anything else.
    pub records: Vec<Change>,
    /// Then to be told to watchers.
    pub touched: Vec<Touched>,
    /// Then to be said to the agent.
    pub answer: Answer,
    /// Streams the hub ends.
    pub ended: Vec<(StreamId, Ended)>,
}

impl Changes {
    fn none() -> Self {
        Self { records: Vec::new(), touched: Vec::new(), answer: Answer::None, ended: Vec::new() }
    }
}

/// What of the hub's settings matters here.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How often agents say something; three of these in silence make a cluster unreachable.
    pub heartbeat: Duration,
}

impl Rules {
    fn silence_max(&self) -> Duration {
        self.heartbeat * 3
    }
}

#[cfg(test)]
mod tests;
