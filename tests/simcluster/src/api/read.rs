//! What is there? (get and list)

use super::form::{self, Form};
use super::{Call, Reply, table};
use crate::kinds::Kind;
use crate::selector::{FieldSelector, LabelSelector};
use crate::state::State;
use crate::status::Failure;
use crate::store::{Key, Record};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which objects a list or a watch speaks of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) namespace: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Filter {
    /// Reads the selectors of a request; a name in the path is a field selector too.
    pub(super) fn of(call: &Call<'_>) -> Result<Filter, Failure> {
        let malformed = |error: crate::selector::Malformed| Failure::bad_request(error.to_string());
        let labels = LabelSelector::parse(call.request.query("labelSelector")).map_err(malformed)?;
        let mut text = call.request.query("fieldSelector").to_owned();
        if let Some(name) = &call.place.name {
            text = format!("{text},metadata.name={name}");
        }
        let fields = FieldSelector::parse(&text).map_err(malformed)?;
        let known = known_fields(call.kind());
        if let Some(path) = fields.paths().find(|path| !known.contains(path)) {
            return Err(Failure::bad_request(format!("field label not supported: {path}")));
        }
        Ok(Filter { namespace: call.place.namespace.clone(), labels, fields })
    }

    pub(crate) fn matches(&self, record: &Record) -> bool {
        let field = |path: &str| match path {
            "metadata.name" => record.name.clone(),
            "metadata.namespace" => record.namespace.clone(),
            path => {
                let value = record.value();
                let found =
                    value.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or(Value::Null);
                found.as_str().map_or_else(|| found.to_string(), str::to_owned)
            }
        };
        self.namespace.as_ref().is_none_or(|namespace| *namespace == record.namespace)
            && (self.labels.is_empty() || self.labels.matches(|key| record.label(key)))
            && (self.fields.is_empty() || self.fields.matches(field))
    }
}

fn known_fields(kind: &Kind) -> Vec<&'static str> {
    let mut known = vec!["metadata.name", "metadata.namespace"];
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => known.extend([
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
        ]),
        ("", "Event") => known.extend([
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        ]),
        ("", "Secret") => known.push("type"),
        ("", "Namespace") => known.push("status.phase"),
        ("", "Node") => known.push("spec.unschedulable"),
        _ => {}
    }
    known
}

/// Answers with one object.
pub(super) fn get(state: &State, call: &Call<'_>) -> Result<Reply, Failure> {
    let place = call.place;
    let record = state
        .store
        .get(&place.kind.storage, place.namespace(), place.name())
        .ok_or_else(|| place.not_found())?;
    let whole_rows = call.request.query("includeObject") == "Object";
    Ok(Reply::json(200, form::object(call.form, &place.kind, record, whole_rows, call.now)))
}

/// Where a list that came in pages goes on.
struct Continue {
    version: u64,
    after: Key,
}

impl Continue {
    fn parse(text: &str) -> Option<Continue> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let part = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Continue { version: value["rv"].as_u64()?, after: (part("namespace")?, part("name")?) })
    }

    fn text(&self) -> String {
        let (namespace, name) = &self.after;
        URL_SAFE_NO_PAD.encode(json!({"rv": self.version, "namespace": namespace, "name": name}).to_string())
    }
}

/// Answers with a list, or a page of it.
pub(super) fn list(state: &State, call: &Call<'_>) -> Result<Reply, Failure> {
    let (kind, request) = (call.kind(), call.request);
    let filter = Filter::of(call)?;
    let limit: usize = request.query("limit").parse().unwrap_or(0);
    let mut version = state.store.version();
    let mut after = None;
    match request.query("continue") {
        "" => check_version(state, request.query("resourceVersion"), request.query("resourceVersionMatch"))?,
        token => {
            let from =
                Continue::parse(token).ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
            if state.store.since(from.version).is_none() {
                return Err(Failure::gone(
                    "The provided continue parameter is too old to display a consistent list result. You must start \
                     a new list without the continue parameter.",
                ));
            }
            version = from.version;
            after = Some(from.after);
        }
    }
    let mut records: Vec<&Arc<Record>> = Vec::new();
    let mut remaining = 0_usize;
    for record in state.store.list(&kind.storage, filter.namespace.as_deref(), after) {
        if !filter.matches(record) {
            continue;
        }
        if limit > 0 && records.len() == limit {
            remaining += 1;
        } else {
            records.push(record);
        }
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (true, Some(last)) = (remaining > 0, records.last()) {
        metadata["continue"] = json!(Continue { version, after: last.key() }.text());
        if filter.labels.is_empty() && filter.fields.is_empty() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    if kind.schema.custom() && metadata["continue"].is_null() {
        metadata["continue"] = json!("");
    }
    Ok(Reply::json(200, written(call, &records, &metadata)))
}

/// A list cannot be newer than now, nor exactly as old as what is forgotten.
fn check_version(state: &State, version: &str, matching: &str) -> Result<(), Failure> {
    if version.is_empty() || version == "0" {
        return Ok(());
    }
    let version: u64 = version.parse().map_err(|_| Failure::not_a_version(version))?;
    let current = state.store.version();
    if version > current {
        return Err(Failure::too_new(version, current));
    }
    if matching == "Exact" && state.store.since(version).is_none() {
        return Err(Failure::gone(format!(
            "The resourceVersion for the provided list is too old: {version}"
        )));
    }
    Ok(())
}

fn written(call: &Call<'_>, records: &[&Arc<Record>], metadata: &Value) -> Vec<u8> {
    let kind = call.kind();
    let (api_version, list_kind) = match call.form {
        Form::Table => {
            let whole = call.request.query("includeObject") == "Object";
            let objects = records.iter().map(|record| record.value());
            return table::list(kind, objects, metadata, whole, call.now).to_string().into_bytes();
        }
        Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
        Form::Whole => (kind.api_version(), kind.list_kind.as_str()),
    };
    let head = format!(
        "{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
    );
    let mut text = head.into_bytes();
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        form::append_item(&mut text, call.form, kind, record);
    }
    text.extend_from_slice(b"]}");
    text
}
