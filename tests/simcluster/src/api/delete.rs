//! What happens when an object is to go? (delete, deletecollection)

use super::incoming::parse_body;
use super::read::Filter;
use super::{Call, Reply, admit, form};
use crate::kinds::Kind;
use crate::state::{State, time_text};
use crate::status::Failure;
use crate::store::Record;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// How to delete.
struct Options {
    propagation: Option<String>,
    uid: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

impl Options {
    fn of(state: &State, call: &Call<'_>) -> Result<Options, Failure> {
        let body: Value = match call.request.body.is_empty() {
            true => json!({}),
            false => parse_body(state, call)?,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let query =
            |name: &str| Some(call.request.query(name)).filter(|text| !text.is_empty()).map(str::to_owned);
        let orphan = match body["orphanDependents"].as_bool() {
            Some(true) => Some("Orphan".to_owned()),
            _ => None,
        };
        let dry_run =
            body["dryRun"].as_array().is_some_and(|list| !list.is_empty()) || query("dryRun").is_some();
        Ok(Options {
            propagation: query("propagationPolicy").or(text(&body["propagationPolicy"])).or(orphan),
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            dry_run,
        })
    }
}

/// Deletes one object.
pub(super) fn delete(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let place = call.place;
    let kind = call.kind();
    let options = Options::of(state, call)?;
    admit::deletion(kind, place.name())?;
    let record = state.store.get(&kind.storage, place.namespace(), place.name()).cloned();
    let record = record.ok_or_else(|| place.not_found())?;
    check_preconditions(kind, &record, &options)?;
    let (last, gone) = begin(state, kind, &record, &options, call.now);
    if !gone || kind.returns_deleted {
        return Ok(Reply::json(200, form::object(call.form, kind, &last, false, call.now)));
    }
    Ok(Reply::value(
        200,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details(kind, &record),
        }),
    ))
}

fn details(kind: &Kind, record: &Record) -> Value {
    let mut details = json!({"name": record.name, "kind": kind.resource, "uid": record.uid});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    details
}

fn check_preconditions(kind: &Kind, record: &Record, options: &Options) -> Result<(), Failure> {
    let conflict = |what: &str, wanted: &str, found: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might \
             have been deleted and then recreated"
        );
        Err(Failure::conflict(&kind.group, &kind.kind, &record.name, &why))
    };
    if let Some(uid) = options.uid.as_ref().filter(|uid| **uid != record.uid) {
        return conflict("UID", uid, &record.uid);
    }
    let version = record.version.to_string();
    if let Some(wanted) = options.version.as_ref().filter(|wanted| **wanted != version) {
        return conflict("ResourceVersion", wanted, &version);
    }
    Ok(())
}

/// Removes the object, or marks it when finalizers hold it. Returns its last state and whether it is gone.
fn begin(
    state: &mut State,
    kind: &Kind,
    record: &Arc<Record>,
    options: &Options,
    now: Timestamp,
) -> (Arc<Record>, bool) {
    let mut object = record.value();
    let extra = match options.propagation.as_deref() {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        _ => None,
    };
    if let Some(extra) = extra.filter(|_| !record.deleting) {
        let finalizers = &mut object["metadata"]["finalizers"];
        if !finalizers.is_array() {
            *finalizers = json!([]);
        }
        if let Some(list) = finalizers.as_array_mut().filter(|list| !list.contains(&json!(extra))) {
            list.push(json!(extra));
        }
    }
    let definition = kind.kind == "CustomResourceDefinition";
    if definition && !options.dry_run && !record.deleting {
        crate::controllers::end_definition(&mut object, now);
    }
    let held = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let namespace = kind.storage.as_ref() == "namespaces";
    if options.dry_run {
        return (record.clone(), !held && !namespace);
    }
    if !held && !namespace {
        return (state.store.delete(&kind.storage, object), true);
    }
    if record.deleting {
        return (record.clone(), false);
    }
    object["metadata"]["deletionTimestamp"] = json!(time_text(now));
    if definition {
        return (state.store.put(&kind.storage, object), false);
    }
    object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = json!(generation + 1);
    }
    if namespace {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("deletionGracePeriodSeconds");
        }
        object["status"]["phase"] = json!("Terminating");
    }
    (state.store.put(&kind.storage, object), false)
}

/// Deletes everything a list with the same parameters would show.
pub(super) fn delete_collection(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let kind = call.kind().clone();
    let options = Options::of(state, call)?;
    let filter = Filter::of(call)?;
    let records = state.store.list(&kind.storage, filter.namespace.as_deref(), None);
    let records: Vec<Arc<Record>> = records.filter(|record| filter.matches(record)).cloned().collect();
    let mut text = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"{}\"}},\"items\":[",
        kind.list_kind,
        kind.api_version(),
        state.store.version()
    )
    .into_bytes();
    for (index, record) in records.iter().enumerate() {
        if admit::deletion(&kind, &record.name).is_err() {
            continue;
        }
        begin(state, &kind, record, &options, call.now);
        if index > 0 {
            text.push(b',');
        }
        form::append_item(&mut text, call.form, &kind, record);
    }
    text.extend_from_slice(b"]}");
    Ok(Reply::json(200, text))
}
