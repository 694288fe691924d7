//! What do the documents in a fleet repository say?
//!
//! ```text
//! Fleet    one: how often agents look, and the waves a change goes through
//! Cluster  one a cluster: its labels and values
//! App      one an application: which clusters, which directory, how to sync
//! WavePin  one a wave and track: the revision that wave runs
//! ```
//!
//! Documents are plain YAML or JSON anywhere in the repository, found by `apiVersion` and `kind`.
//! [`Catalog::load`] reads a whole repository, [`parse_file`] one file. Reading is strict: an
//! unknown field, a wrong type, a key given twice or a value out of range is an error that names
//! file, line, column and field, says what was expected and, for a likely typo, what was meant.
//! A broken document yields errors for itself alone; the others remain usable.
//!
//! # Why not serde_yaml
//! serde_yaml reports a position only for the value that holds an error, passes keys that are
//! given twice, and reads `0644`, `on` and `1.0` unlike Kubernetes. Documents are therefore read
//! by `muster-yaml`, which gives the reading of `kubectl -f` with the place of every key and
//! value, and handed to the derived serde code by a small deserializer that keeps track of the
//! field it is in. The types, the JSON schema and the strictness stay in one place: the structs.
//!
//! Pure: no I/O, no clock.

#![forbid(unsafe_code)]

mod alerts;
mod amount;
mod app;
mod catalog;
mod cluster;
mod decode;
mod document;
mod duration;
mod error;
mod field_path;
mod fleet;
mod gates;
mod health;
mod names;
mod parse;
mod path;
mod pin;
mod schema;
mod selector;
mod suspend;
mod template;
mod tenancy;
mod text;
mod window;

pub use alerts::{AlertAbout, AlertKind, AlertRule, AlertSeverity};
pub use amount::{Amount, Percentage};
pub use app::{App, AppSpec, Backoff, Conflicts, IgnoreDifference, Retry, Source, Substitute, Sync};
pub use catalog::Catalog;
pub use cluster::{Cluster, ClusterMetadata, ClusterSpec};
pub use document::{Document, Kind, Located, Metadata};
pub use duration::Duration;
pub use error::SpecError;
pub use field_path::{FieldPath, FieldPathError, FieldPlace, PlaceStep, at_place, take_out};
pub use fleet::{Approval, Fleet, FleetSpec, OnFailure, Wave};
pub use gates::{CodeHost, CommitStatusGate, GateText, HttpGate, PrometheusGate, WaveGate};
pub use health::HealthRule;
pub use names::{
    AppName, ClusterName, FleetName, GateName, LabelKey, LabelValue, NameError, NamespaceName, PinName,
    ServiceAccountName, TrackName, VariableName, WaveName,
};
pub use parse::{Parsed, parse_file};
pub use pin::{Evidence, Judgement, Note, Verdict, WavePin, WavePinSpec};
pub use schema::schemas;
pub use selector::{Operator, Requirement, Selector};
pub use suspend::{Moment, Suspend, Suspension};
pub use template::{PathTemplate, TemplateError, ValueTemplate};
pub use tenancy::{Bounds, Pattern, Refusal, Tenant};
pub use text::{Expression, FieldPointer, GitReference, JqPath, RepositoryUrl, Revision};
pub use window::{Gate, Schedule, TimeZone, Window, WindowKind, gate};

/// The group of Muster's documents.
pub const GROUP: &str = "muster.dev";
/// The one version of the documents that this crate reads.
pub const API_VERSION: &str = "muster.dev/v1alpha1";
