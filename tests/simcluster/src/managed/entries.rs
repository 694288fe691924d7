//! How are managers and their fields written in `metadata.managedFields`?

use crate::fields::Set;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Apply owns what it says; Update owns what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Who writes: together these tell managers apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer {
    pub(crate) operation: Operation,
    pub(crate) name: String,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Writer {
    /// An applier is the same one whichever version it applies.
    fn identity(&self) -> Writer {
        let mut identity = self.clone();
        if self.operation == Operation::Apply {
            identity.api_version.clear();
        }
        identity
    }
}

/// What one manager owns, in which version it said so, and when it last changed that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
    pub(crate) set: Set,
}

/// All managers of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    shares: BTreeMap<Writer, Share>,
}

impl Managed {
    /// Reads `metadata.managedFields` of the object; `None` when malformed.
    pub(crate) fn of(object: &Value) -> Option<Managed> {
        let mut managed = Managed::default();
        let entries = match &object["metadata"]["managedFields"] {
            Value::Null => return Some(managed),
            entries => entries.as_array()?,
        };
        for entry in entries {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str()? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let writer = Writer {
                operation,
                name: text("manager"),
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => Set::default(),
                Some(fields) => Set::from_json(fields)?,
            };
            let time = entry["time"].as_str().map(str::to_owned);
            managed.put(&writer, Share { api_version: writer.api_version.clone(), time, set });
        }
        Some(managed)
    }

    /// The value for `metadata.managedFields`, in the order the API server writes it.
    pub(crate) fn to_json(&self) -> Value {
        let mut shares: Vec<(&Writer, &Share)> = self.shares.iter().collect();
        shares.sort_by_key(|(writer, share)| {
            (writer.operation, &share.time, &writer.name, &share.api_version, &writer.subresource)
        });
        let entry = |(writer, share): (&Writer, &Share)| {
            let mut entry = json!({
                "manager": writer.name,
                "operation": match writer.operation { Operation::Apply => "Apply", Operation::Update => "Update" },
                "apiVersion": share.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": share.set.to_json(),
            });
            if let Some(time) = &share.time {
                entry["time"] = json!(time);
            }
            if !writer.subresource.is_empty() {
                entry["subresource"] = json!(writer.subresource);
            }
            entry
        };
        Value::Array(shares.into_iter().map(entry).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    pub(crate) fn get(&self, writer: &Writer) -> Option<&Share> {
        self.shares.get(&writer.identity())
    }

    /// Sets a manager's share; an empty one is forgotten.
    pub(crate) fn put(&mut self, writer: &Writer, share: Share) {
        match share.set.is_empty() {
            true => self.shares.remove(&writer.identity()),
            false => self.shares.insert(writer.identity(), share),
        };
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Writer, &Share)> {
        self.shares.iter()
    }

    /// Changes every share; those left empty are forgotten.
    pub(crate) fn change(&mut self, change: impl Fn(&Writer, &mut Set)) {
        self.shares.retain(|writer, share| {
            change(writer, &mut share.set);
            !share.set.is_empty()
        });
    }
}
