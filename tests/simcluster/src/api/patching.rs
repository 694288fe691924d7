//! What becomes of an object that is patched or applied?

use super::incoming::{STRICT, check_type, clear_system_fields, read_object, settle_namespace};
use super::options::{Options, Validation};
use super::write::{find, finish_create, ignored, other_name, replace, reply, store_update, with_version};
use super::{Call, Reply};
use crate::decode::zero;
use crate::kinds::Kind;
use crate::managed::{self, ApplyError, Managed, Operation, Write, Writer, track_update};
use crate::patch;
use crate::state::{State, time_text};
use crate::status::Failure;
use serde_json::{Value, json};

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
            patch::json_patch(&target, &body).map_err(|_| Failure::unprocessable_patch())?
        }
        "application/merge-patch+json" => patch::merge(&target, &body),
        "application/strategic-merge-patch+json" if !kind.schema.custom() => {
            patch::strategic(&kind.schema, &target, &body).map_err(Failure::bad_request)?
        }
        _ if kind.schema.custom() => {
            let accepted =
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(Failure::unsupported_media_type(accepted));
        }
        _ => return Err(Failure::unsupported_patch()),
    };
    check_type(kind, &patched)?;
    check_renamed(&target, &patched)?;
    let (object, warnings) =
        read_object(kind, &patched, options.validation).map_err(|failure| {
            match failure.message.find(STRICT) {
                Some(at) => Failure::strict_patch(&patched, &failure.message[at..]),
                None => failure,
            }
        })?;
    let record = replace(state, call, &live, object, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

fn check_renamed(target: &Value, patched: &Value) -> Result<(), Failure> {
    let text =
        |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (before, after) = (text(target, "name"), text(patched, "name"));
    if before != after {
        return Err(other_name(&after, &before));
    }
    if text(target, "namespace") != text(patched, "namespace") {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
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
    let given = |field: &str| config[field].as_str().unwrap_or_default().to_owned();
    if given("apiVersion") != kind.api_version() || given("kind") != kind.kind {
        let given = format!("{}, Kind={}", given("apiVersion"), given("kind"));
        return Err(Failure::bad_request(format!("invalid object type: {given}")));
    }
    let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default().to_owned();
    let shown =
        format!("({}/{}; {}, Kind={})", text("namespace"), text("name"), kind.api_version(), kind.kind);
    settle_namespace(call, &mut config)?;
    match config["metadata"]["name"].as_str() {
        None => config["metadata"]["name"] = json!(call.place.name()),
        Some(name) if name != call.place.name() => {
            return Err(other_name(name, call.place.name()));
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
    let live = match &found {
        Some(record) => with_version(kind, record),
        None => zero(&kind.schema, &kind.api_version(), &kind.kind),
    };
    let ignored = ignored(kind, call.place.subresource.as_deref());
    let now = time_text(call.now);
    let mut before = Managed::of(&live).unwrap_or_default();
    if found.is_some() && before.is_empty() {
        before = before_first_apply(kind, &live, &now);
    }
    let write = Write { schema: &kind.schema, writer: &options.writer, ignored: &ignored, now: &now };
    let applied = managed::apply(&write, &live, &config, before, options.force)
        .map_err(|error| refuse_apply(&shown, error))?;
    let (object, warnings) = read_object(kind, &applied.object, Validation::Ignore)?;
    let Some(live) = found else {
        // A version without an object is no conflict, unlike a uid: the object is created.
        if let Some(uid) = wanted_uid {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Failure::conflict(&kind.group, &kind.resource, call.place.name(), &why));
        }
        let mut object = object;
        clear_system_fields(&mut object);
        let record = finish_create(state, call, object, &applied.managed, &options)?;
        return Ok(reply(call, 201, &record, warnings));
    };
    let record = store_update(state, call, &live, object, &applied.managed, &options)?;
    Ok(reply(call, 200, &record, warnings))
}

/// Whoever wrote an object that has no managers owns all of it, under this name.
fn before_first_apply(kind: &Kind, live: &Value, now: &str) -> Managed {
    let writer = Writer {
        operation: Operation::Update,
        name: "before-first-apply".to_owned(),
        api_version: kind.api_version(),
        subresource: String::new(),
    };
    let zero = zero(&kind.schema, &kind.api_version(), &kind.kind);
    let ignored = ignored(kind, None);
    let write = Write { schema: &kind.schema, writer: &writer, ignored: &ignored, now };
    track_update(&write, &zero, live, Managed::default())
}

fn refuse_apply(shown: &str, error: ApplyError) -> Failure {
    match error {
        ApplyError::Schema(why) => {
            Failure::internal(format!("failed to create typed patch object {shown}: {why}"))
        }
        ApplyError::Conflicts(conflicts) => {
            let pairs: Vec<(String, String)> = conflicts.into_iter().map(|c| (c.manager, c.field)).collect();
            Failure::apply_conflict(&pairs)
        }
    }
}
