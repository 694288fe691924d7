//! What is to be told, to whom, and when?
//!
//! ```text
//! fleet --State::conditions--> what is wrong now --Table::step--> alerts: pending, firing, resolved
//!                                                                     |
//!              receivers <--send, again and again until taken-- Table::outstanding: one message a group
//! ```
//! What is decided is plain code with the time passed in. Alerts, and who was told of them, are kept like everything
//! else, so that a restart neither loses nor repeats a message. The hub that leads does all of it; when it fails
//! between a message and the note that it was taken, the next one sends the same message again with the same id.

mod message;
mod send;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use self::settings::{AlertSettings, Receiver, ReceiverKind, Timing};
pub(crate) use self::{
    send::Sender,
    settings::AlertsFile,
    table::{Count, Table},
};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use muster_spec::{AppName, ClusterName};

/// In which way something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// An app is not as Git says.
    OutOfSync,
    /// An app has failed, or what it should have is missing.
    Degraded,
    /// Nothing is heard of a cluster.
    Unreachable,
}

impl AlertKind {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OutOfSync => "OutOfSync",
            Self::Degraded => "Degraded",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// What an alert is about. There is at most one alert of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertKey {
    /// What is wrong.
    pub kind: AlertKind,
    /// Where.
    pub cluster: ClusterName,
    /// With which app; none for the cluster as a whole.
    pub app: Option<AppName>,
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app.as_ref().map_or("", AppName::as_str);
        write!(f, "{}/{}/{app}", self.kind.word(), self.cluster)
    }
}

/// Text that names no alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this names no alert")]
pub struct NotAnAlert;

impl FromStr for AlertKey {
    type Err = NotAnAlert;

    fn from_str(text: &str) -> Result<Self, NotAnAlert> {
        let mut parts = text.splitn(3, '/');
        let (Some(kind), Some(cluster), Some(app)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAnAlert);
        };
        let kinds = [AlertKind::OutOfSync, AlertKind::Degraded, AlertKind::Unreachable];
        let kind = kinds.into_iter().find(|known| known.word() == kind).ok_or(NotAnAlert)?;
        let app = if app.is_empty() { None } else { Some(app.parse().map_err(|_| NotAnAlert)?) };
        Ok(Self { kind, cluster: cluster.parse().map_err(|_| NotAnAlert)?, app })
    }
}

/// Something that is wrong, or was, and who was told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub key: AlertKey,
    /// Why, as the agent says.
    pub cause: String,
    /// The commit that the app has; empty where there is none.
    pub revision: String,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// When it had lasted long enough to be told.
    pub fired_at: Option<Timestamp>,
    /// Since when it is no longer seen, while it may come back.
    pub well_since: Option<Timestamp>,
    /// When it was gone for long enough.
    pub resolved_at: Option<Timestamp>,
    /// What each receiver was last told, and when.
    pub told: BTreeMap<String, Told>,
}

/// What a receiver was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it took it.
    pub at: Timestamp,
    /// That it is over; otherwise that it is wrong.
    pub resolved: bool,
}

/// What is wrong now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Cause and revision of each.
    pub seen: BTreeMap<AlertKey, (String, String)>,
    /// Clusters of which nothing is known now: what was wrong there is neither worse nor better.
    pub unknown: BTreeSet<ClusterName>,
}
