//! What does a namespace begin and end with?

use super::garbage;
use crate::state::{State, time_text};
use crate::store::Key;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Gives a new namespace what every namespace has; empties and ends one that is being deleted.
pub(super) fn reconcile(state: &mut State, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get("namespaces", "", &key.1).cloned() else {
        return;
    };
    if !record.deleting {
        if state.settings.namespace_defaults {
            furnish(state, &record.name, now);
        }
        return;
    }
    for (storage, content) in state.store.in_namespace(&record.name) {
        if !content.deleting {
            garbage::delete(state, &storage, &content.key(), now);
        }
    }
    if !state.store.in_namespace(&record.name).is_empty() {
        return;
    }
    let mut object = record.value();
    object["spec"] = json!({});
    let finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    if !finalizers {
        state.store.delete(&"namespaces".into(), object);
    } else if object != record.value() {
        state.store.put(&"namespaces".into(), object);
    }
}

fn furnish(state: &mut State, namespace: &str, now: Timestamp) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let root = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {
                "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when \
                 using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                 guaranteed across distributions of Kubernetes clusters.",
            },
        },
        "data": {"ca.crt": "simulated"},
    });
    for (storage, mut object) in [("serviceaccounts", account), ("configmaps", root)] {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if state.store.get(storage, namespace, &name).is_none() {
            stamp(state, &mut object, namespace, now);
            state.store.put(&storage.into(), object);
        }
    }
}

fn stamp(state: &mut State, object: &mut Value, namespace: &str, now: Timestamp) {
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["uid"] = json!(state.ids.uid());
    object["metadata"]["creationTimestamp"] = json!(time_text(now));
}
