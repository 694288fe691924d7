//! Was an object changed by somebody else, in a field that Git decides?
//!
//! ```text
//! apply --server's answer--> Projection::of      the fields we own, and a hash of each value
//! watch event            --> Projection::differs  paths whose value is another one now
//! ```
//!
//! The server itself says which fields are ours (`managedFields` of our manager), and its own values,
//! after defaulting and normalising, are what later values are compared with. So a status update, a
//! field of another manager or `1000m` becoming `1` is no drift, without a dry run.
mod fields;
mod fight;
mod ignore;
mod proof;
mod rival;
mod who;

use std::borrow::Cow;

use serde_json::Value;

pub(crate) use fields::{Path, Projection, Shapes, step};
pub(crate) use fight::{Fight, Verdict};
pub(crate) use ignore::{Ignored, Ignores};
pub(crate) use proof::proven_in_sync;
pub(crate) use rival::{advice, autoscalers, may_be_scaled, scaler_of};
pub(crate) use who::last_writer;

use crate::FIELD_MANAGER;
use crate::object::{ObjectKey, items, text};
use crate::shorten::shorten;
use muster_wire::v1::FieldDrift;

/// Longest value in a report, in bytes of its JSON.
const VALUE_BYTES_MAX: usize = 256;

/// Most fields named in one report. The object is put back as a whole either way.
const FIELDS_MAX: usize = 20;

/// What stands in for a value that must not leave the cluster.
const MASK: &str = "\"***\"";

/// The fields that server-side apply holds for us, as `managedFields` lists them.
pub(crate) fn our_fields(object: &Value) -> Option<&Value> {
    items(object, &["metadata", "managedFields"])
        .iter()
        .find(|entry| {
            text(entry, &["manager"]) == FIELD_MANAGER
                && text(entry, &["operation"]) == "Apply"
                && text(entry, &["subresource"]).is_empty()
        })
        .and_then(|entry| entry.get("fieldsV1"))
}

/// The object as its fields are compared: without what is ignored.
pub(crate) fn regarded<'a>(object: &'a Value, ignored: Option<&Ignored>) -> Cow<'a, Value> {
    ignored.map_or(Cow::Borrowed(object), |ignored| Cow::Owned(ignored.strip(object)))
}

/// The fields of a live object that are not as they were remembered, and that are not ignored.
pub(crate) fn differences(projection: &Projection, live: &Value, ignored: Option<&Ignored>) -> Vec<Path> {
    let mut paths = projection.differs(&regarded(live, ignored));
    if let Some(ignored) = ignored {
        paths.retain(|path| !ignored.is_managed(live, path));
    }
    paths
}

/// Says in the protocol's words what differs. Values of Secrets are masked.
pub(crate) fn describe(key: &ObjectKey, paths: &[Path], wanted: &Value, found: &Value) -> Vec<FieldDrift> {
    let secret = key.kind.is("", "Secret");
    let show = |value: Option<&Value>| match value {
        None => String::new(),
        Some(_) if secret => MASK.to_owned(),
        Some(value) => shorten(value.to_string(), VALUE_BYTES_MAX),
    };
    paths
        .iter()
        .take(FIELDS_MAX)
        .map(|path| FieldDrift {
            path: path.to_string(),
            wanted: show(path.find(wanted)),
            found: show(path.find(found)),
        })
        .collect()
}

#[cfg(test)]
mod tests;
