//! When is a custom kind served, and when does it go?

use super::{garbage, set_condition, write, write_status};
use crate::state::{State, time_text};
use crate::store::Key;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Serves what a definition defines; removes the objects of one that is being deleted.
pub(super) fn reconcile(state: &mut State, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(STORAGE, "", &key.1).cloned() else {
        return;
    };
    let mut object = record.value();
    if record.deleting {
        end(state, &object, now);
        return;
    }
    state.kinds.define(&object);
    let now = time_text(now);
    let before = object.clone();
    let mut names = object["spec"]["names"].clone();
    if let Some(fields) = names.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let status = &mut object["status"];
    status["acceptedNames"] = names;
    let conditions = [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ];
    for (kind, reason, message) in conditions {
        let condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
        set_condition(status, condition, &now);
    }
    if object != before {
        write_status(state, &STORAGE.into(), "kube-apiserver", &before, object, &now);
    }
}

/// Marks a definition whose deletion begins: its objects go before it does.
pub(crate) fn end_definition(object: &mut Value, now: Timestamp) {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let reason = "InstanceDeletionPending";
    let condition = json!({"type": "Terminating", "status": "True", "reason": reason, "message": message});
    set_condition(&mut object["status"], condition, &time_text(now));
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) => list.push(json!(FINALIZER)),
        None => *finalizers = json!([FINALIZER]),
    }
}

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

fn end(state: &mut State, definition: &Value, now: Timestamp) {
    let storage = storage_of(definition);
    let keys: Vec<Key> = state.store.list(&storage, None, None).map(|record| record.key()).collect();
    for key in &keys {
        garbage::delete(state, &storage, key, now);
    }
    if state.store.count(&storage) > 0 {
        return;
    }
    let mut object = definition.clone();
    let held = match object["metadata"]["finalizers"].as_array_mut() {
        Some(list) => {
            list.retain(|one| one != FINALIZER);
            !list.is_empty()
        }
        None => false,
    };
    match held {
        true => write(state, &STORAGE.into(), object),
        false => drop(state.store.delete(&STORAGE.into(), object)),
    }
}

fn storage_of(definition: &Value) -> Arc<str> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &definition["spec"];
    crate::status::qualified(&text(&spec["names"]["plural"]), &text(&spec["group"])).into()
}

/// The definition is gone: its kind is served no more.
pub(super) fn deleted(state: &mut State, definition: &Value) {
    state.kinds.forget(definition);
}

/// The last object of a custom kind may have gone, for which its definition waits.
pub(super) fn instance_gone(state: &mut State, storage: &str, now: Timestamp) {
    if let Some(record) = state.store.get(STORAGE, "", storage).filter(|record| record.deleting).cloned() {
        end(state, &record.value(), now);
    }
}
