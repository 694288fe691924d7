//! Which values does the API server fill in where a manifest says nothing?

mod pod;
mod rest;
mod workload;

use crate::kinds::Kind;
use serde_json::{Value, json};

/// Fills in the defaults of a built-in kind. Custom kinds are defaulted while they are decoded.
pub(crate) fn fill(kind: &Kind, object: &mut Value) {
    if kind.schema.custom() {
        return;
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::pod(object),
        ("", "PodTemplate") => pod::template(&mut object["template"]),
        ("", "ReplicationController") => workload::replication_controller(object),
        ("apps", "Deployment") => workload::deployment(&mut object["spec"]),
        ("apps", "StatefulSet") => workload::stateful_set(&mut object["spec"]),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("apps", "ReplicaSet") => workload::replica_set(&mut object["spec"]),
        ("batch", "Job") => workload::job(&mut object["spec"]),
        ("batch", "CronJob") => workload::cron_job(&mut object["spec"]),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(&mut object["spec"]),
        ("", "Service") => rest::service(&mut object["spec"]),
        _ => rest::fill(kind, object),
    }
}

/// Sets a field that is not there.
fn default(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        let slot = fields.entry(field).or_insert(Value::Null);
        if slot.is_null() {
            *slot = value;
        }
    }
}

/// As [`default`], for text that is also absent when empty.
fn default_text(object: &mut Value, field: &str, value: &str) {
    if object[field].as_str() == Some("") && object.is_object() {
        object[field] = Value::Null;
    }
    default(object, field, json!(value));
}

/// The elements of a list field, if there is one.
fn each<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}
