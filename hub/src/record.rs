//! What must survive a restart, as data?
//!
//! A [`Change`] is one entry of what is written before anything is acknowledged; [`Loaded`] is what a
//! store gives back at start.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use muster_spec::{AppName, ClusterName};
use muster_wire::v1;

use crate::{
    alerts::{Alert, AlertKey, AlertRules, Silence, SilenceId},
    fleet::StreamId,
    tokens::{Token, TokenId},
};

/// First 16 bytes of the SHA-256 of an encoded `AppStatus`, as the agent computed it.
pub type Digest = [u8; 16];

/// One run of one hub among those that share a store; 0 where a hub has its store for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// Who hears a cluster's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The hub.
    pub replica: ReplicaId,
    /// The agent's stream to it.
    pub stream: StreamId,
}

/// The last certificate a cluster was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Who.
    pub cluster: ClusterName,
    /// First time it enrolled with this hub.
    pub enrolled_at: Timestamp,
    /// End of its newest certificate.
    pub certificate_expires_at: Timestamp,
    /// Serial number of its newest certificate, hexadecimal.
    pub serial: String,
    /// Generation of that certificate; see [`crate::authority::Serial`].
    pub generation: u32,
    /// Labels the token it enrolled with binds it to, whatever its agent says.
    pub labels: BTreeMap<String, String>,
}

/// The last time a cluster's certificates were revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub cluster: ClusterName,
    /// Certificates of an earlier generation are not taken; see [`crate::authority::Serial`].
    pub generation: u32,
    /// When. A token made before does not let it enrol again.
    pub revoked_at: Timestamp,
}

/// A cluster as it was last heard of.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterRecord {
    /// Who.
    pub cluster: ClusterName,
    /// Last time anything was heard, when this was written.
    pub last_seen: Timestamp,
    /// Who heard its agent then, so that a restart of the hub is not taken for one of the agent.
    pub holder: Option<Holder>,
    /// What its agent said of it, if it has.
    pub status: Option<Arc<v1::ClusterStatus>>,
}

/// One app in one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRecord {
    /// Where.
    pub cluster: ClusterName,
    /// Which.
    pub app: AppName,
    /// Of the status as the agent sent it.
    pub digest: Digest,
    /// When it was received.
    pub reported_at: Timestamp,
    /// What was received, within the hub's limits.
    pub status: Arc<v1::AppStatus>,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// Upwards in the order of arrival.
    pub number: u64,
    /// With `cluster` set to a cluster's name.
    pub event: Arc<v1::Event>,
}

/// Something to be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An enrolment token.
    Token(Token),
    /// A cluster's enrolment.
    Enrolment(Enrolment),
    /// A cluster.
    Cluster(ClusterRecord),
    /// An app in a cluster.
    App(AppRecord),
    /// An entry of the history.
    Event(EventRecord),
    /// A revocation of a cluster's certificates.
    Revocation(Revocation),
    /// An entry of the audit log.
    Audit(Arc<v1::AuditRow>),
    /// Something that is wrong, and who was told.
    Alert(Box<Alert>),
    /// What nobody is to be told of.
    Silence(Box<Silence>),
    /// How alerts are told, as the fleet repository said last.
    AlertRules(Box<AlertRules>),
}

/// Name of something kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Of a token.
    Token(TokenId),
    /// Of an app in a cluster.
    App(ClusterName, AppName),
    /// Of an entry of the history.
    Event(u64),
    /// Of an entry of the audit log.
    Audit(u64),
    /// Of an alert.
    Alert(AlertKey),
    /// Of a silence.
    Silence(SilenceId),
}

/// One step of what is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Keep this in place of what had the same key.
    Put(Record),
    /// Keep this, whoever held the cluster before: its agent has just come to this hub. From then on what
    /// another hub still writes of the cluster is refused.
    Claim(ClusterRecord),
    /// Forget this.
    Delete(Key),
}

impl Change {
    /// The cluster whose status it is about.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Put(Record::Cluster(cluster)) | Self::Claim(cluster) => Some(&cluster.cluster),
            Self::Put(Record::App(app)) => Some(&app.cluster),
            Self::Delete(Key::App(cluster, _)) => Some(cluster),
            _ => None,
        }
    }
}

/// What another hub that shares the store has done.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It wrote this.
    Changed(Change),
    /// It is there.
    Joined(ReplicaId),
    /// It is gone, and so are the streams it held.
    Left(ReplicaId),
}

/// All a store could read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Enrolment tokens.
    pub tokens: Vec<Token>,
    /// Enrolments.
    pub enrolments: Vec<Enrolment>,
    /// Clusters.
    pub clusters: Vec<ClusterRecord>,
    /// Apps of all clusters.
    pub apps: Vec<AppRecord>,
    /// The history, by number.
    pub events: Vec<EventRecord>,
    /// Revocations.
    pub revocations: Vec<Revocation>,
    /// The audit log, by number.
    pub audit: Vec<Arc<v1::AuditRow>>,
    /// Alerts.
    pub alerts: Vec<Alert>,
    /// Silences.
    pub silences: Vec<Silence>,
    /// How alerts are told.
    pub alert_rules: Option<AlertRules>,
    /// This hub among those that share the store.
    pub replica: ReplicaId,
    /// Tells the events of this hub from those that others number at the same time; `None` where it is alone.
    pub slot: Option<u8>,
    /// The others that are there.
    pub others: BTreeSet<ReplicaId>,
    /// What was found damaged and what was done about it, each a full sentence.
    pub problems: Vec<String>,
}

impl Loaded {
    /// Adds one record.
    pub fn push(&mut self, record: Record) {
        match record {
            Record::Token(token) => self.tokens.push(token),
            Record::Enrolment(enrolment) => self.enrolments.push(enrolment),
            Record::Cluster(cluster) => self.clusters.push(cluster),
            Record::App(app) => self.apps.push(app),
            Record::Event(event) => self.events.push(event),
            Record::Revocation(revocation) => self.revocations.push(revocation),
            Record::Audit(row) => self.audit.push(row),
            Record::Alert(alert) => self.alerts.push(*alert),
            Record::Silence(silence) => self.silences.push(*silence),
            Record::AlertRules(rules) => self.alert_rules = Some(*rules),
        }
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
            + self.enrolments.len()
            + self.clusters.len()
            + self.apps.len()
            + self.events.len()
            + self.revocations.len()
            + self.audit.len()
            + self.alerts.len()
            + self.silences.len()
            + usize::from(self.alert_rules.is_some())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All records again, such as to write them to a new store.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let tokens = self.tokens.iter().cloned().map(Record::Token);
        let enrolments = self.enrolments.iter().cloned().map(Record::Enrolment);
        let clusters = self.clusters.iter().cloned().map(Record::Cluster);
        let apps = self.apps.iter().cloned().map(Record::App);
        let events = self.events.iter().cloned().map(Record::Event);
        let revocations = self.revocations.iter().cloned().map(Record::Revocation);
        let audit = self.audit.iter().cloned().map(Record::Audit);
        let alerts = self.alerts.iter().cloned().map(Box::new).map(Record::Alert);
        let silences = self.silences.iter().cloned().map(Box::new).map(Record::Silence);
        let fleet = tokens.chain(enrolments).chain(clusters).chain(apps).chain(events);
        let rules = self.alert_rules.iter().cloned().map(Box::new).map(Record::AlertRules);
        fleet.chain(revocations).chain(audit).chain(alerts).chain(silences).chain(rules)
    }
}
