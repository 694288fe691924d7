//! What becomes of the cluster when somebody creates or replaces an object?

use super::form::{self, Form};
use super::incoming::{
    check_type, clear_system_fields, name_object, parse_body, read_object, settle_namespace,
};
use super::options::{Options, Validation};
use super::{Call, Reply, admit, validate};
use crate::decode::zero;
use crate::fields::Set;
use crate::kinds::Kind;
use crate::managed::{self, Managed, Operation, Write, track_update};
use crate::state::{State, time_text};
use crate::status::{Cause, Failure};
use crate::store::Record;
use crate::strategy;
use serde_json::{Value, json};
use std::sync::Arc;

/// Creates the object in the body.
pub(super) fn create(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let options = Options::of(call, Operation::Update)?;
    let body = parse_body(state, call)?;
    create_from(state, call, body, &options)
}

fn create_from(
    state: &mut State,
    call: &Call<'_>,
    mut body: Value,
    options: &Options,
) -> Result<Reply, Failure> {
    let kind = call.kind();
    check_type(kind, &body)?;
    settle_namespace(call, &mut body)?;
    if body["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
    }
    let (mut object, warnings) = read_object(kind, &body, options.validation)?;
    name_object(state, &mut object);
    let now = time_text(call.now);
    let zero = zero(&kind.schema, &kind.api_version(), &kind.kind);
    let before = Managed::of(&object).unwrap_or_default();
    clear_system_fields(&mut object);
    let ignored = ignored(kind, None);
    let write = Write { schema: &kind.schema, writer: &options.writer, ignored: &ignored, now: &now };
    let managed = track_update(&write, &zero, &object, before);
    let record = finish_create(state, call, object, &managed, options)?;
    Ok(reply(call, 201, record.as_ref(), warnings))
}

/// Names, stamps, checks and stores a new object.
pub(super) fn finish_create(
    state: &mut State,
    call: &Call<'_>,
    mut object: Value,
    managed: &Managed,
    options: &Options,
) -> Result<Arc<Record>, Failure> {
    let kind = call.kind();
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    admit::namespace(state, kind, call.place.namespace(), &name)?;
    object["metadata"]["uid"] = json!(state.ids.uid());
    object["metadata"]["creationTimestamp"] = json!(time_text(call.now));
    strategy::create(kind, &mut object, &mut state.addresses);
    validate::create(kind, &object)?;
    if state.store.get(&kind.storage, call.place.namespace(), &name).is_some() {
        return Err(Failure::already_exists(&kind.group, &kind.resource, &name));
    }
    if !managed.is_empty() {
        object["metadata"]["managedFields"] = managed.to_json();
    }
    Ok(keep(state, kind, object, options.dry_run))
}

/// Replaces an object by the one in the body.
pub(super) fn update(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let options = Options::of(call, Operation::Update)?;
    let kind = call.kind();
    let mut body = parse_body(state, call)?;
    check_type(kind, &body)?;
    settle_namespace(call, &mut body)?;
    let name = body["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.place.name() {
        return Err(other_name(name, call.place.name()));
    }
    let Some(live) = find(state, call) else {
        if kind.create_on_update && call.place.subresource.is_none() {
            return create_from(state, call, body, &options);
        }
        return Err(call.place.not_found());
    };
    let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() && !kind.unconditional_update {
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(Failure::invalid(&kind.group, &kind.resource, name, vec![cause]));
    }
    let (object, warnings) = read_object(kind, &body, options.validation)?;
    let record = replace(state, call, &live, object, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

/// Records who changed what, then stores the new state of an object.
pub(super) fn replace(
    state: &mut State,
    call: &Call<'_>,
    live: &Arc<Record>,
    mut object: Value,
    options: &Options,
) -> Result<Arc<Record>, Failure> {
    let kind = call.kind();
    let before = with_version(kind, live);
    let given = Managed::of(&object).filter(|_| call.place.subresource.is_none());
    let reset = object["metadata"]["managedFields"] == json!([{}]);
    let managed = match given {
        Some(given) if !given.is_empty() => given,
        _ if reset => Managed::default(),
        _ => Managed::of(&before).unwrap_or_default(),
    };
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let ignored = ignored(kind, call.place.subresource.as_deref());
    let mut compared = before;
    if let Some(metadata) = compared["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let managed = match reset {
        true => managed,
        // The scale of a custom kind takes replicas from its owners and has none itself.
        false if kind.scale.is_some() && options.writer.subresource == "scale" => {
            let now = time_text(call.now);
            let write = Write { schema: &kind.schema, writer: &options.writer, ignored: &ignored, now: &now };
            let mut managed = track_update(&write, &compared, &object, managed);
            managed.change(|writer, set| {
                if writer.subresource == "scale" {
                    *set = Set::default();
                }
            });
            managed
        }
        false => {
            let now = time_text(call.now);
            let write = Write { schema: &kind.schema, writer: &options.writer, ignored: &ignored, now: &now };
            track_update(&write, &compared, &object, managed)
        }
    };
    store_update(state, call, live, object, &managed, options)
}

/// Checks and stores the new state of an object, unless it is the old one.
pub(super) fn store_update(
    state: &mut State,
    call: &Call<'_>,
    live: &Arc<Record>,
    object: Value,
    managed: &Managed,
    options: &Options,
) -> Result<Arc<Record>, Failure> {
    let kind = call.kind();
    let before = with_version(kind, live);
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (version, uid) = (text("resourceVersion"), text("uid"));
    if !uid.is_empty() && uid != live.uid {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", live.uid);
        return Err(Failure::conflict(&kind.group, &kind.resource, &live.name, &why));
    }
    if !version.is_empty() && version != "0" && version != live.version.to_string() {
        return Err(Failure::stale(&kind.group, &kind.resource, &live.name));
    }
    let mut object = match call.place.subresource.as_deref() {
        Some("status" | "approval") => status_only(&before, &object),
        Some("finalize") => finalize_only(&before, &object),
        _ => object,
    };
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        restore(&before, &mut object, field);
    }
    for field in ["resourceVersion", "selfLink"] {
        restore(&before, &mut object, field);
    }
    if call.place.subresource.is_none() {
        strategy::update(kind, &before, &mut object, &mut state.addresses);
        validate::update(kind, &before, &object)?;
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        match managed.is_empty() {
            true => metadata.remove("managedFields"),
            false => metadata.insert("managedFields".to_owned(), managed.to_json()),
        };
    }
    if managed::same_but_times(&before, &object) {
        return Ok(live.clone());
    }
    let finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let namespace_ends = kind.storage.as_ref() == "namespaces"
        && object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    let held = finalizers || (kind.storage.as_ref() == "namespaces" && !namespace_ends);
    if live.deleting && !held && !options.dry_run {
        return Ok(state.store.delete(&kind.storage, object));
    }
    Ok(keep(state, kind, object, options.dry_run))
}

fn keep(state: &mut State, kind: &Kind, object: Value, dry_run: bool) -> Arc<Record> {
    match dry_run {
        true => Arc::new(Record::unversioned(&object)),
        false => state.store.put(&kind.storage, object),
    }
}

fn status_only(before: &Value, object: &Value) -> Value {
    let mut kept = before.clone();
    match object.get("status") {
        Some(status) => kept["status"] = status.clone(),
        None => {
            if let Some(fields) = kept.as_object_mut() {
                fields.remove("status");
            }
        }
    }
    kept
}

fn finalize_only(before: &Value, object: &Value) -> Value {
    let mut kept = before.clone();
    kept["spec"]["finalizers"] = object["spec"]["finalizers"].clone();
    kept
}

fn restore(before: &Value, object: &mut Value, field: &str) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        match before["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// What an endpoint leaves alone: status on the object itself, everything else on /status.
pub(super) fn ignored(kind: &Kind, subresource: Option<&str>) -> Vec<&'static [&'static str]> {
    match subresource {
        Some(_) => vec![&["f:spec"], &["f:metadata"], &["f:data"]],
        None if kind.status_apart() => vec![&["f:status"]],
        None => Vec::new(),
    }
}

/// The object the path names.
pub(super) fn find(state: &State, call: &Call<'_>) -> Option<Arc<Record>> {
    state.store.get(&call.kind().storage, call.place.namespace(), call.place.name()).cloned()
}

/// The object in the version of the request.
pub(super) fn with_version(kind: &Kind, record: &Record) -> Value {
    let mut object = record.value();
    object["apiVersion"] = json!(kind.api_version());
    object
}

/// The answer to a write.
pub(super) fn reply(call: &Call<'_>, code: u16, record: &Record, warnings: Vec<String>) -> Reply {
    let form = if call.form == Form::Table { Form::Whole } else { call.form };
    Reply { warnings, ..Reply::json(code, form::object(form, call.kind(), record, false, call.now)) }
}

/// Writes through another endpoint of the same object, as /scale does.
pub(super) fn write_through(
    state: &mut State,
    call: &Call<'_>,
    live: &Arc<Record>,
    object: &Value,
) -> Result<Arc<Record>, Failure> {
    let mut options = Options::of(call, Operation::Update)?;
    "scale".clone_into(&mut options.writer.subresource);
    let (object, _) = read_object(call.kind(), object, Validation::Ignore)?;
    replace(state, call, live, object, &options)
}

/// The object is called otherwise than its path says.
pub(super) fn other_name(given: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({wanted})"
    ))
}
