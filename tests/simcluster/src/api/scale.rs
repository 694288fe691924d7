//! How many replicas? (the /scale of workloads and custom kinds)

use super::route::Place;
use super::{Call, Reply, write};
use crate::kinds::Kind;
use crate::patch;
use crate::state::State;
use crate::status::{Cause, Failure};
use crate::store::Record;
use serde_json::{Value, json};

/// Answers get, update and patch of a Scale.
pub(super) fn handle(state: &mut State, call: &Call<'_>, verb: &str) -> Result<Reply, Failure> {
    let place = call.place;
    let record = state.store.get(&place.kind.storage, place.namespace(), place.name()).cloned();
    let record = record.ok_or_else(|| place.not_found())?;
    let before = scale_of(&place.kind, &record);
    let body = || -> Result<Value, Failure> {
        serde_json::from_slice(&call.request.body).map_err(|error| Failure::bad_request(error.to_string()))
    };
    let media_type = call.request.content_type.split(';').next().unwrap_or_default();
    let after = match (verb, media_type) {
        ("get", _) => return Ok(Reply::value(200, &before)),
        ("update", _) => body()?,
        ("patch", "application/json-patch+json") => {
            patch::json_patch(&before, &body()?).map_err(|_| Failure::unprocessable_patch())?
        }
        ("patch", "application/merge-patch+json" | "application/strategic-merge-patch+json") => {
            patch::merge(&before, &body()?)
        }
        ("patch", _) => return Err(Failure::unsupported_patch()),
        _ => return Err(Failure::method_not_allowed()),
    };
    let replicas = after["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &json!(replicas), why);
        return Err(Failure::invalid("autoscaling", "Scale", place.name(), vec![cause]));
    }
    let mut object = record.value();
    set(&mut object, spec_path(&place.kind), json!(replicas));
    object["apiVersion"] = json!(place.kind.api_version());
    object["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
    let plain = Place {
        kind: place.kind.clone(),
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        subresource: None,
    };
    let through = Call { request: call.request, place: &plain, form: call.form, now: call.now };
    let written = write::write_through(state, &through, &record, &object)?;
    Ok(Reply::value(200, &scale_of(&place.kind, &written)))
}

fn spec_path(kind: &Kind) -> &str {
    kind.scale.as_ref().map_or(".spec.replicas", |paths| paths.spec.as_str())
}

fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut slot = object;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        slot = &mut slot[name];
    }
    *slot = value;
}

fn scale_of(kind: &Kind, record: &Record) -> Value {
    let object = record.value();
    let number = |path: &str| object.pointer(&pointer(path)).and_then(Value::as_i64).unwrap_or(0);
    let status_path = kind.scale.as_ref().map_or(".status.replicas", |paths| paths.status.as_str());
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": record.name,
            "namespace": record.namespace,
            "uid": record.uid,
            "resourceVersion": record.version.to_string(),
            "creationTimestamp": object["metadata"]["creationTimestamp"],
        },
        "spec": {},
        "status": {"replicas": number(status_path)},
    });
    let wanted = number(spec_path(kind));
    if wanted != 0 {
        scale["spec"]["replicas"] = json!(wanted);
    }
    let selector = match &kind.scale {
        Some(paths) => paths
            .selector
            .as_ref()
            .and_then(|path| object.pointer(&pointer(path))?.as_str().map(str::to_owned)),
        None => Some(selector_text(&object["spec"]["selector"])),
    };
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = json!(selector);
    }
    scale
}

/// A label selector in the form of the `labelSelector` parameter.
fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let equal =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let mut terms: Vec<String> = equal.collect();
    for term in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = term["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match term["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}
