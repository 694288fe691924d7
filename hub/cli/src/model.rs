//! The fleet as the CLI shows it: the data of its tables, and its JSON and YAML documents.
//!
//! These documents are a promise to scripts, so they are types of their own and not the protocol's:
//! names in camelCase, times in RFC 3339, states as the words people use, every key always there.

mod from_wire;

pub(crate) use from_wire::time;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a cluster holds what Git says.
#[allow(clippy::enum_variant_names, reason = "OutOfSync is the word people know")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Sync {
    Synced,
    OutOfSync,
    Unknown,
}

/// How the objects themselves fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Health {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
    Missing,
    Unknown,
}

/// Whether an agent is heard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Connection {
    Connected,
    Unreachable,
    /// Enrolled, and not connected yet.
    NeverConnected,
}

macro_rules! words {
    ($kind:ty: $($variant:ident),+) => {
        impl $kind {
            /// The word for it, in tables and documents alike.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}
words!(Sync: Synced, OutOfSync, Unknown);
words!(Health: Healthy, Progressing, Degraded, Suspended, Missing, Unknown);
words!(Connection: Connected, Unreachable, NeverConnected);

/// How many apps are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) synced: usize,
    pub(crate) out_of_sync: usize,
    pub(crate) sync_unknown: usize,
    pub(crate) healthy: usize,
    pub(crate) progressing: usize,
    pub(crate) degraded: usize,
    pub(crate) suspended: usize,
    pub(crate) missing: usize,
    pub(crate) health_unknown: usize,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) connection: Connection,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) apps: Counts,
    pub(crate) repository: String,
    pub(crate) head_revision: String,
    pub(crate) fetched_at: Option<Timestamp>,
    pub(crate) errors: Vec<StatusError>,
    pub(crate) kubernetes_version: String,
    pub(crate) agent_version: String,
    pub(crate) leader: String,
    pub(crate) enrolled_at: Option<Timestamp>,
    pub(crate) certificate_expires_at: Option<Timestamp>,
    /// Since when none of its certificates is taken.
    pub(crate) revoked_at: Option<Timestamp>,
    /// How far its agent's clock is ahead of the hub's.
    pub(crate) clock_skew_milliseconds: Option<i64>,
}

/// One app in one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct App {
    pub(crate) app: String,
    pub(crate) cluster: String,
    pub(crate) connection: Connection,
    /// When its cluster was last heard from.
    pub(crate) last_seen: Option<Timestamp>,
    /// `Unknown` for a cluster that is not connected, whatever it said last.
    pub(crate) sync: Sync,
    /// `Unknown` for a cluster that is not connected, whatever it said last.
    pub(crate) health: Health,
    pub(crate) reported_sync: Sync,
    pub(crate) reported_health: Health,
    pub(crate) reported_at: Option<Timestamp>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) message: String,
    pub(crate) revision: String,
    pub(crate) wanted_revision: String,
    pub(crate) path: String,
    pub(crate) syncing: bool,
    pub(crate) synced_at: Option<Timestamp>,
    pub(crate) object_count: usize,
    pub(crate) errors: Vec<StatusError>,
    /// Only `muster app NAME` asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<Vec<Object>>,
    /// Only `muster app NAME` asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drifts: Option<Vec<Drift>>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusError {
    /// `Git`, `Document`, `Render`, `Apply`, `Prune` or `Other`.
    pub(crate) kind: &'static str,
    pub(crate) place: String,
    pub(crate) message: String,
    pub(crate) since: Option<Timestamp>,
}

/// An object as Kubernetes identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectRef {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One object of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    #[serde(flatten)]
    pub(crate) object: ObjectRef,
    pub(crate) sync: Sync,
    pub(crate) health: Health,
    pub(crate) message: String,
}

/// An object somebody else changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drift {
    pub(crate) object: ObjectRef,
    pub(crate) deleted: bool,
    pub(crate) fields: Vec<FieldDrift>,
    pub(crate) field_manager: String,
    pub(crate) detected_at: Option<Timestamp>,
    /// Null while it differs.
    pub(crate) corrected_at: Option<Timestamp>,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldDrift {
    pub(crate) path: String,
    /// JSON; empty where Git does not have the field.
    pub(crate) wanted: String,
    /// JSON; empty where it is gone from the cluster.
    pub(crate) found: String,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) time: Option<Timestamp>,
    pub(crate) kind: &'static str,
    pub(crate) cluster: String,
    pub(crate) app: String,
    pub(crate) revision: String,
    pub(crate) message: String,
}

/// An enrolment token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) cluster: String,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) uses_left: u32,
    pub(crate) revoked: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created_by: String,
}

/// One entry of the audit log; times are exact and hashes hexadecimal, so that an export can be verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AuditRow {
    pub(crate) number: u64,
    pub(crate) time: Option<Timestamp>,
    pub(crate) actor: String,
    pub(crate) source: String,
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) result: String,
    pub(crate) detail: String,
    pub(crate) count: u32,
    pub(crate) previous: String,
    pub(crate) hash: String,
}

/// Who the hub takes the caller for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhoAmI {
    pub(crate) actor: String,
    /// `Certificate`, `Token`, `OIDC` or `Unknown`.
    pub(crate) proof: &'static str,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) groups: Vec<String>,
    pub(crate) roles: Vec<Role>,
    pub(crate) hub_version: String,
}

/// A role, and where it counts; empty parts take everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Role {
    pub(crate) role: String,
    pub(crate) clusters: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) apps: Vec<String>,
    pub(crate) waves: Vec<String>,
}

/// A CA of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateAuthority {
    /// SHA-256 of the certificate, hexadecimal.
    pub(crate) fingerprint: String,
    pub(crate) expires_at: Option<Timestamp>,
    /// Connected clusters whose agents do not trust it.
    pub(crate) not_trusted_by: Vec<String>,
    /// PEM.
    pub(crate) certificate: String,
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes written as hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

impl Counts {
    /// True when every app is Synced, and Healthy or Suspended on purpose.
    pub(crate) fn well(&self) -> bool {
        self.synced == self.total && self.healthy + self.suspended == self.total
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.synced += other.synced;
        self.out_of_sync += other.out_of_sync;
        self.sync_unknown += other.sync_unknown;
        self.healthy += other.healthy;
        self.progressing += other.progressing;
        self.degraded += other.degraded;
        self.suspended += other.suspended;
        self.missing += other.missing;
        self.health_unknown += other.health_unknown;
    }
}

impl Cluster {
    /// True when it is connected, has no error of its own, and every app of it is well.
    pub(crate) fn well(&self) -> bool {
        self.connection == Connection::Connected && self.errors.is_empty() && self.apps.well()
    }
}

impl App {
    /// True when it is Synced, and Healthy or Suspended on purpose, and its cluster says so now.
    pub(crate) fn well(&self) -> bool {
        self.sync == Sync::Synced && matches!(self.health, Health::Healthy | Health::Suspended)
    }

    /// Why it is not well, in the agent's words; what is known of a cluster out of reach is only what
    /// it said last.
    pub(crate) fn cause(&self) -> String {
        let said = if self.message.is_empty() {
            self.errors.first().map(|error| error.message.clone()).unwrap_or_default()
        } else {
            self.message.clone()
        };
        if self.connection == Connection::Connected {
            return said;
        }
        let last = format!("last known {} and {}", self.reported_sync.word(), self.reported_health.word());
        if said.is_empty() { last } else { format!("{last}: {said}") }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(formatter, "{}/", self.namespace)?;
        }
        write!(formatter, "{}", self.name)
    }
}

/// First characters of a commit, as many as Git shows; `-` when there is none.
pub(crate) fn short(revision: &str) -> String {
    if revision.is_empty() { "-".to_owned() } else { revision.chars().take(7).collect() }
}
