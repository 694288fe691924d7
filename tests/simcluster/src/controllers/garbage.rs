//! What goes when its owner goes? (ownerReferences, `orphan` and `foregroundDeletion`)

use super::write;
use crate::state::{State, time_text};
use crate::store::{Key, Record};
use crate::strategy::{CLAIM_PROTECTION, VOLUME_PROTECTION};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Deletes what has lost its last owner.
pub(super) fn owner_gone(state: &mut State, uid: &str, now: Timestamp) {
    for (storage, key) in state.store.dependents(uid) {
        collect(state, &storage, &key, now);
    }
}

/// Ends deletions that wait for dependents, and deletes objects that name owners nobody knows.
pub(super) fn reconcile(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(storage, &key.0, &key.1).cloned() else {
        return;
    };
    if !record.owners.is_empty() {
        collect(state, storage, key, now);
    }
    if !record.deleting {
        return;
    }
    let object = record.value();
    let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let dependents = state.store.dependents(&record.uid);
    for finalizer in [CLAIM_PROTECTION, VOLUME_PROTECTION] {
        if finalizers.contains(&json!(finalizer)) {
            release(state, storage, object, finalizer);
            return;
        }
    }
    if finalizers.contains(&json!("orphan")) {
        for (storage, key) in dependents {
            disown(state, &storage, &key, &record.uid);
        }
        release(state, storage, object, "orphan");
    } else if finalizers.contains(&json!("foregroundDeletion")) {
        for (storage, key) in &dependents {
            delete(state, storage, key, now);
        }
        if state.store.dependents(&record.uid).is_empty() {
            release(state, storage, object, "foregroundDeletion");
        }
    }
}

fn collect(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(storage, &key.0, &key.1) else {
        return;
    };
    let owned = record.owners.iter().any(|owner| state.store.has_uid(owner));
    if !owned && !record.owners.is_empty() {
        delete(state, storage, key, now);
    }
}

/// Deletes an object, or marks it when finalizers hold it.
pub(super) fn delete(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(storage, &key.0, &key.1).cloned() else {
        return;
    };
    let mut object = record.value();
    if !held(&object) {
        state.store.delete(storage, object);
        return;
    }
    if !record.deleting {
        object["metadata"]["deletionTimestamp"] = json!(time_text(now));
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        write(state, storage, object);
    }
}

fn held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

fn disown(state: &mut State, storage: &Arc<str>, key: &Key, uid: &str) {
    let Some(record) = state.store.get(storage, &key.0, &key.1).map(Arc::clone) else {
        return;
    };
    let mut object = Record::value(&record);
    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
        owners.retain(|owner| owner["uid"] != uid);
        if owners.is_empty()
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("ownerReferences");
        }
    }
    write(state, storage, object);
}

/// Takes a finalizer off; the object goes if it was the last.
fn release(state: &mut State, storage: &Arc<str>, mut object: Value, finalizer: &str) {
    if let Some(list) = object["metadata"]["finalizers"].as_array_mut() {
        list.retain(|one| one != finalizer);
    }
    if held(&object) {
        write(state, storage, object);
    } else {
        state.store.delete(storage, object);
    }
}
