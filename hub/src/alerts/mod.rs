//! What is to be told, to whom, and when?
//!
//! ```text
//! fleet --State::conditions--> what is wrong now --Table::step--> alerts: pending, firing, resolved
//!                                                     ^               |
//! Git --Reading--> Scheme: who is told of what -------'               |
//!                                                                     |
//!              receivers <--send, again and again until taken-- Table::outstanding: one message a group
//! ```
//! What is decided is plain code with the time passed in. Alerts, and who was told of them, are kept like everything
//! else, so that a restart neither loses nor repeats a message. The hub that leads does all of it; when it fails
//! between a message and the note that it was taken, the next one sends the same message again with the same id, or
//! the end of it: that something is about to be told is noted first.

mod commit_status;
mod course;
mod deliver;
mod forms;
mod key;
mod mail;
mod message;
pub(crate) mod promotion;
mod receivers;
mod scheme;
mod send;
mod settings;
mod silence;
mod slack;
mod table;
mod template;
#[cfg(test)]
mod tests;

pub use self::{
    commit_status::CommitStatuses,
    key::{AlertKey, NotAnAlert, Subject},
    mail::{MailSettings, MailTls},
    receivers::{Receiver, ReceiverKind},
    scheme::{AlertRules, Mute, Policy},
    settings::{AlertSettings, Timing},
    silence::{Matcher, Silence, SilenceId},
    template::Template,
};
pub(crate) use self::{
    course::AlertState,
    deliver::Tellers,
    scheme::Reading,
    send::Sender,
    settings::AlertsFile,
    table::{Count, Table},
};

pub use muster_spec::{AlertKind, AlertSeverity as Severity};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use muster_spec::ClusterName;

/// Something that is wrong, or was, and who was told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub key: AlertKey,
    /// Why, as the agent says.
    pub cause: String,
    /// The commit that the app has; empty where there is none.
    pub revision: String,
    /// Who made that commit; empty where that is not known.
    pub author: String,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// When it had lasted long enough to be told.
    pub fired_at: Option<Timestamp>,
    /// Since when it is no longer seen, while it may come back.
    pub well_since: Option<Timestamp>,
    /// When it was gone for long enough.
    pub resolved_at: Option<Timestamp>,
    /// When it was last over and all had heard that; since then it is kept only in case it comes back.
    pub ended_at: Option<Timestamp>,
    /// How often it came back soon after it was over.
    pub flaps: u32,
    /// How it is told.
    pub policy: Policy,
    /// What each receiver was last told, and when.
    pub told: BTreeMap<String, Told>,
    /// Receivers that are being told that it is wrong, of which it is not known whether they took it.
    pub telling: BTreeSet<String>,
}

/// What a receiver was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it took it.
    pub at: Timestamp,
    /// That it is over; otherwise that it is wrong.
    pub resolved: bool,
    /// With which commit.
    pub revision: String,
    /// What the receiver calls the message, where it is to be changed later; otherwise empty.
    pub reference: String,
}

/// What is wrong now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Cause and revision of each.
    pub seen: BTreeMap<AlertKey, (String, String)>,
    /// Clusters of which nothing is known now: what was wrong there is neither worse nor better.
    pub unknown: BTreeSet<ClusterName>,
    /// Nothing is known of the waves.
    pub waves_unknown: bool,
    /// The fleet repository has yet to be looked at for the first time.
    pub is_early: bool,
    /// What the fleet repository says about alerts; none while it could not be read.
    pub(crate) reading: Option<Arc<Reading>>,
}

impl Conditions {
    /// Whether nothing is known now of what an alert is about.
    fn is_unknown(&self, key: &AlertKey) -> bool {
        let of_waves = matches!(key.subject, Subject::Stage(..)) && self.waves_unknown;
        of_waves || key.cluster().is_some_and(|cluster| self.unknown.contains(cluster))
    }
}
