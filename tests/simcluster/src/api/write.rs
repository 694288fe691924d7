//! What becomes of the cluster when somebody writes? (create, update, patch, apply)

use super::form::{self, Form};
use super::{Call, Reply, admit, validate};
use crate::decode::{Problems, decode, zero};
use crate::defaults;
use crate::kinds::Kind;
use crate::managed::{self, ApplyError, Managed, Operation, Writer, track_update};
use crate::patch;
use crate::state::{State, time_text};
use crate::status::{Cause, Failure};
use crate::store::Record;
use crate::strategy;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a write is for, besides its object.
struct Options {
    writer: Writer,
    dry_run: bool,
    force: bool,
    validation: Validation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Validation {
    Ignore,
    Warn,
    Strict,
}

impl Options {
    fn of(call: &Call<'_>, operation: Operation) -> Result<Options, Failure> {
        let request = call.request;
        let options_kind = if request.method == "PATCH" { "PatchOptions" } else { "UpdateOptions" };
        let refuse = |cause: Cause| Failure::invalid("meta.k8s.io", options_kind, "", vec![cause]);
        let name = match (request.query("fieldManager"), operation) {
            ("", Operation::Apply) => {
                return Err(refuse(Cause::required("fieldManager", "is required for apply patch")));
            }
            ("", Operation::Update) => {
                let product = request.user_agent.split('/').next().unwrap_or_default();
                product.chars().filter(|c| !c.is_control()).take(128).collect()
            }
            (name, _) => name.to_owned(),
        };
        if name.len() > 128 {
            let why = "may not be more than 128 bytes";
            return Err(refuse(Cause::invalid("fieldManager", &json!(name), why)));
        }
        let dry_run = match request.query("dryRun") {
            "" => false,
            "All" => true,
            other => return Err(refuse(Cause::unsupported("dryRun", &json!(other), &["All"]))),
        };
        let validation = match request.query("fieldValidation") {
            "Strict" => Validation::Strict,
            "Ignore" => Validation::Ignore,
            "" | "Warn" => Validation::Warn,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                return Err(refuse(Cause::unsupported("fieldValidation", &json!(other), &supported)));
            }
        };
        if request.flag("force") && operation == Operation::Update && request.method == "PATCH" {
            return Err(refuse(Cause::forbidden("force", "may not be specified for non-apply patch")));
        }
        let subresource = call.place.subresource.clone().unwrap_or_default();
        let writer = Writer { operation, name, api_version: call.kind().api_version(), subresource };
        Ok(Options { writer, dry_run, force: request.flag("force"), validation })
    }
}

/// Creates the object in the body.
pub(super) fn create(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let options = Options::of(call, Operation::Update)?;
    let body = parse_body(call)?;
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
        return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let (mut object, warnings) = read_object(kind, &body, options.validation)?;
    name_object(state, &mut object);
    let now = time_text(call.now);
    let zero = zero(&kind.schema, &kind.api_version(), &kind.kind);
    let before = Managed::of(&object).unwrap_or_default();
    clear_system_fields(&mut object);
    let managed =
        track_update(&kind.schema, &zero, &object, before, &options.writer, &ignored(kind, None), &now);
    let record = finish_create(state, call, object, &managed, options)?;
    Ok(reply(call, 201, record.as_ref(), warnings))
}

/// Names, stamps, checks and stores a new object.
fn finish_create(
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
    let mut body = parse_body(call)?;
    check_type(kind, &body)?;
    settle_namespace(call, &mut body)?;
    let name = body["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.place.name() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.place.name()
        )));
    }
    let Some(live) = find(state, call) else {
        if kind.create_on_update && call.place.subresource.is_none() {
            return create_from(state, call, body, &options);
        }
        return Err(call.place.not_found());
    };
    let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() && !kind.unconditional_update {
        let why = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
        let cause = Cause { message: cause.message.replace("value: 0:", "value: 0x0:"), ..cause };
        return Err(Failure::invalid(&kind.group, &kind.kind, name, vec![cause]));
    }
    let (object, warnings) = read_object(kind, &body, options.validation)?;
    let record = replace(state, call, &live, object, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

/// Patches an object, or applies one.
pub(super) fn patch(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let kind = call.kind();
    let media_type = call.request.content_type.split(';').next().unwrap_or_default().trim();
    if matches!(media_type, "application/apply-patch+yaml" | "application/apply-patch+json") {
        return apply(state, call);
    }
    let options = Options::of(call, Operation::Update)?;
    let body: Value = serde_json::from_slice(&call.request.body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let live = find(state, call).ok_or_else(|| call.place.not_found())?;
    let target = with_version(kind, &live);
    let patched = match media_type {
        "application/json-patch+json" => {
            patch::json_patch(&target, &body).map_err(Failure::unprocessable_patch)?
        }
        "application/merge-patch+json" => patch::merge(&target, &body),
        "application/strategic-merge-patch+json" if !kind.schema.custom() => {
            patch::strategic(&kind.schema, &target, &body).map_err(Failure::bad_request)?
        }
        other => return Err(Failure::unsupported_media_type(other)),
    };
    check_type(kind, &patched)?;
    check_renamed(kind, &target, &patched)?;
    let (object, warnings) = read_object(kind, &patched, options.validation)?;
    let record = replace(state, call, &live, object, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

fn check_renamed(kind: &Kind, target: &Value, patched: &Value) -> Result<(), Failure> {
    for field in ["name", "namespace"] {
        let (before, after) = (&target["metadata"][field], &patched["metadata"][field]);
        if before != after {
            let name = target["metadata"]["name"].as_str().unwrap_or_default();
            let cause = Cause::invalid(format!("metadata.{field}"), after, "field is immutable");
            return Err(Failure::invalid(&kind.group, &kind.kind, name, vec![cause]));
        }
    }
    Ok(())
}

fn apply(state: &mut State, call: &Call<'_>) -> Result<Reply, Failure> {
    let options = Options::of(call, Operation::Apply)?;
    let kind = call.kind();
    let mut config: Value = serde_yaml::from_slice(&call.request.body)
        .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
    if !config.is_object() {
        return Err(Failure::bad_request("error decoding YAML: an apply patch is an object"));
    }
    check_type(kind, &config)?;
    settle_namespace(call, &mut config)?;
    match config["metadata"]["name"].as_str() {
        None => config["metadata"]["name"] = json!(call.place.name()),
        Some(name) if name != call.place.name() => {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.place.name()
            )));
        }
        Some(_) => {}
    }
    if config["metadata"]["managedFields"].as_array().is_some_and(|fields| !fields.is_empty()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(metadata) = config["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let found = find(state, call);
    if found.is_none() && call.place.subresource.is_some() {
        return Err(call.place.not_found());
    }
    let wanted_uid = config["metadata"]["uid"].as_str().map(str::to_owned);
    let wanted_version = config["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    let live = match &found {
        Some(record) => with_version(kind, record),
        None => zero(&kind.schema, &kind.api_version(), &kind.kind),
    };
    let ignored = ignored(kind, call.place.subresource.as_deref());
    let now = time_text(call.now);
    let before = Managed::of(&live).unwrap_or_default();
    let applied =
        managed::apply(&kind.schema, &live, &config, before, &options.writer, &ignored, options.force, &now)
            .map_err(|error| refuse_apply(kind, call, error))?;
    let (object, warnings) = read_object(kind, &applied.object, Validation::Ignore)?;
    let Some(live) = found else {
        if wanted_uid.is_some() || wanted_version.is_some_and(|version| !version.is_empty()) {
            return Err(Failure::stale(&kind.group, &kind.resource, call.place.name()));
        }
        let mut object = object;
        clear_system_fields(&mut object);
        let record = finish_create(state, call, object, &applied.managed, &options)?;
        return Ok(reply(call, 201, &record, warnings));
    };
    let record = store_update(state, call, &live, object, &applied.managed, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

fn refuse_apply(kind: &Kind, call: &Call<'_>, error: ApplyError) -> Failure {
    match error {
        ApplyError::Schema(why) => Failure::untyped_apply(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
            call.place.namespace(),
            call.place.name(),
            kind.api_version(),
            kind.kind
        )),
        ApplyError::Conflicts(conflicts) => {
            let pairs: Vec<(String, String)> = conflicts.into_iter().map(|c| (c.manager, c.field)).collect();
            Failure::apply_conflict(&pairs)
        }
    }
}

/// Records who changed what, then stores the new state of an object.
fn replace(
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
    let mut compared = before.clone();
    if let Some(metadata) = compared["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let managed = match reset {
        true => managed,
        false => {
            let now = time_text(call.now);
            track_update(&kind.schema, &compared, &object, managed, &options.writer, &ignored, &now)
        }
    };
    store_update(state, call, live, object, &managed, options)
}

/// Checks and stores the new state of an object, unless it is the old one.
fn store_update(
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
        Some("status" | "approval") => status_only(&before, object),
        Some("finalize") => finalize_only(&before, object),
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
        strategy::update(kind, &before, &mut object);
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

fn status_only(before: &Value, object: Value) -> Value {
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

fn finalize_only(before: &Value, object: Value) -> Value {
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
fn ignored(kind: &Kind, subresource: Option<&str>) -> Vec<&'static [&'static str]> {
    match subresource {
        Some(_) => vec![&["f:spec"], &["f:metadata"], &["f:data"]],
        None if kind.status_apart() => vec![&["f:status"]],
        None => Vec::new(),
    }
}

fn find(state: &State, call: &Call<'_>) -> Option<Arc<Record>> {
    state.store.get(&call.kind().storage, call.place.namespace(), call.place.name()).cloned()
}

/// The object in the version of the request.
fn with_version(kind: &Kind, record: &Record) -> Value {
    let mut object = record.value();
    object["apiVersion"] = json!(kind.api_version());
    object
}

fn parse_body(call: &Call<'_>) -> Result<Value, Failure> {
    let media_type = call.request.content_type.split(';').next().unwrap_or_default().trim();
    let value: Value = match media_type {
        "" | "application/json" | "*/*" => {
            serde_json::from_slice(&call.request.body).map_err(|e| e.to_string())
        }
        "application/yaml" => serde_yaml::from_slice(&call.request.body).map_err(|e| e.to_string()),
        other => return Err(Failure::unsupported_media_type(other)),
    }
    .map_err(|error| Failure::bad_request(format!("the object provided is unrecognized: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(Failure::bad_request("the object provided is unrecognized: it is no JSON object")),
    }
}

fn check_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let (api_version, name) = (&object["apiVersion"], &object["kind"]);
    if (api_version.is_null() && name.is_null()) && !kind.schema.custom() {
        return Ok(());
    }
    if name.as_str().is_none_or(str::is_empty) {
        return Err(Failure::bad_request("Object 'Kind' is missing in the request body"));
    }
    let expected = kind.api_version();
    if *name != kind.kind.as_str() || *api_version != expected.as_str() {
        let given = format!(
            "{}, Kind={}",
            api_version.as_str().unwrap_or_default(),
            name.as_str().unwrap_or_default()
        );
        return Err(Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: the object given is {given}, this path takes {expected}, Kind={}",
            name.as_str().unwrap_or_default(),
            api_version.as_str().unwrap_or_default(),
            kind.kind,
            kind.kind
        )));
    }
    Ok(())
}

/// The namespace in the object and the one in the path must agree.
fn settle_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let wanted = call.place.namespace();
    if !given.is_empty() && given != wanted {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        match wanted.is_empty() {
            true => metadata.remove("namespace"),
            false => metadata.insert("namespace".to_owned(), json!(wanted)),
        };
    }
    Ok(())
}

/// Decodes and defaults an object; unknown fields are refused, warned of or ignored.
fn read_object(kind: &Kind, value: &Value, validation: Validation) -> Result<(Value, Vec<String>), Failure> {
    let (mut object, problems) = decode(&kind.schema, value);
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    refuse_mistyped(kind, name, &problems)?;
    let unknown: Vec<String> =
        problems.unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    if validation == Validation::Strict && !unknown.is_empty() {
        return Err(Failure::bad_request(format!("strict decoding error: {}", unknown.join(", "))));
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    defaults::fill(kind, &mut object);
    Ok((object, if validation == Validation::Warn { unknown } else { Vec::new() }))
}

fn refuse_mistyped(kind: &Kind, name: &str, problems: &Problems) -> Result<(), Failure> {
    if kind.schema.custom() {
        let mut causes: Vec<Cause> = problems
            .mistyped
            .iter()
            .map(|wrong| {
                let why =
                    format!("{} in body must be of type {}: {:?}", wrong.path, wrong.expected, wrong.found);
                Cause {
                    reason: "FieldValueTypeInvalid",
                    ..Cause::invalid(&wrong.path, &json!(wrong.found), &why)
                }
            })
            .collect();
        causes.extend(problems.missing.iter().map(|path| Cause::required(path, "")));
        return match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid(&kind.group, &kind.kind, name, causes)),
        };
    }
    match problems.mistyped.first() {
        None => Ok(()),
        Some(wrong) => Err(Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal {} into Go struct field {}.{} of type {}",
            kind.kind, kind.version, kind.kind, wrong.found, kind.kind, wrong.path, wrong.expected
        ))),
    }
}

fn name_object(state: &mut State, object: &mut Value) {
    let metadata = &object["metadata"];
    if metadata["name"].as_str().is_none_or(str::is_empty)
        && let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty())
    {
        let kept: String = prefix.chars().take(58).collect();
        object["metadata"]["name"] = json!(format!("{kept}{}", state.ids.suffix()));
    }
}

/// What only the server sets.
fn clear_system_fields(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "resourceVersion",
            "selfLink",
            "managedFields",
        ] {
            metadata.remove(field);
        }
    }
}

fn reply(call: &Call<'_>, code: u16, record: &Record, warnings: Vec<String>) -> Reply {
    let form = if call.form == Form::Table { Form::Whole } else { call.form };
    Reply { warnings, ..Reply::json(code, form::object(form, call.kind(), record, false, call.now)) }
}

/// Writes through another endpoint of the same object, as /scale does.
pub(super) fn write_through(
    state: &mut State,
    call: &Call<'_>,
    live: &Arc<Record>,
    object: Value,
) -> Result<Arc<Record>, Failure> {
    let mut options = Options::of(call, Operation::Update)?;
    "scale".clone_into(&mut options.writer.subresource);
    let (object, _) = read_object(call.kind(), &object, Validation::Ignore)?;
    replace(state, call, live, object, &options)
}
