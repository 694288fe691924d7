//! The cluster of these tests: what it does with what is applied to it, and whom it tells.
use serde_json::{Value, json};

use super::super::super::core::Input;
use super::super::names::is_slow;
use super::{HOME, World, key, resource};
use crate::apply::{Applied, Failure};
use crate::drift::{self, Projection};
use crate::object::ObjectKey;
use crate::plan::Desired;
use crate::source::{Kind, Problem};
use crate::watch::{Event, Observation, Scope, Sighting};
use crate::{APP_LABEL, FIELD_MANAGER, applyset};

impl World {
    pub(super) fn apply(&mut self, key: &ObjectKey, desired: &Desired) -> Result<Applied, Failure> {
        if self.failing > 0 {
            self.failing -= 1;
            let problem =
                Problem { kind: Kind::Apply, place: key.to_string(), message: "It is refused.".to_owned() };
            return Err(Failure { problem: Some(problem), may_have_happened: false });
        }
        self.writes.push(format!("apply {}", key.name));
        let wanted: Value = serde_json::from_slice(&desired.body).unwrap();
        let mut object = wanted.clone();
        let uid = self
            .cluster
            .get(key)
            .map_or(json!(format!("u{}", self.version)), |o| o["metadata"]["uid"].clone());
        let annotations: serde_json::Map<String, Value> = wanted["metadata"]["annotations"]
            .as_object()
            .into_iter()
            .flat_map(|annotations| annotations.keys().map(|name| (format!("f:{name}"), json!({}))))
            .collect();
        let fields = json!({
            "f:metadata": {
                "f:annotations": annotations,
                "f:labels": {format!("f:{APP_LABEL}"): {}, format!("f:{}", applyset::PART_OF): {}},
            },
            "f:data": {"f:key": {}},
        });
        let before = self.cluster.get(key);
        let same = before.is_some_and(|before| before["data"] == object["data"]);
        object["status"] = match before {
            Some(before) if same => before["status"].clone(),
            _ if is_slow(&key.name) => {
                json!({"conditions": [{"type": "Ready", "status": "False", "message": "Soon."}]})
            }
            _ => json!({}),
        };
        object["metadata"]["uid"] = uid;
        object["metadata"]["managedFields"] =
            json!([{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}]);
        let object = self.store(key, object);
        let seen = Observation::of(&desired.resource, object.clone()).seen;
        let projection = Projection::of(drift::our_fields(&object).unwrap(), &wanted, &object);
        Ok(Applied { seen, digest: desired.digest, projection, note: None })
    }

    /// Keeps an object at a new version and tells those that watch.
    pub(in super::super) fn store(&mut self, key: &ObjectKey, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.cluster.insert(key.clone(), object.clone());
        let was_seen = before.as_ref().is_some_and(is_labelled);
        match (is_labelled(&object), was_seen) {
            (true, _) => self.watch_event(Event::Exists(sighting(&object))),
            (false, true) => self.watch_event(Event::Gone { key: key.clone(), version: self.version }),
            (false, false) => {}
        }
        object
    }

    pub(in super::super) fn delete(&mut self, key: &ObjectKey) {
        if let Some(object) =
            self.cluster.get(key).filter(|object| object["metadata"].get("finalizers").is_some())
        {
            let mut object = object.clone();
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            self.store(key, object);
            return;
        }
        let Some(object) = self.cluster.remove(key) else { return };
        self.version += 1;
        if is_labelled(&object) {
            self.watch_event(Event::Gone { key: key.clone(), version: self.version });
        }
    }

    /// Somebody else changes a value.
    pub(in super::super) fn change(&mut self, name: &str, pointer: &str, value: Value) {
        let Some(mut object) = self.cluster.get(&key(name)).cloned() else { return };
        if let Some(place) = object.pointer_mut(pointer) {
            *place = value;
            self.store(&key(name), object);
        }
    }

    /// An object of somebody else's, labelled like ours.
    pub(in super::super) fn create_foreign(&mut self, name: &str) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "demo", "uid": name, "labels": {
                APP_LABEL: "web", applyset::PART_OF: applyset::id("web", HOME),
            }},
            "data": {"key": "foreign"},
        });
        self.store(&key(name), object);
    }

    pub(super) fn watch_event(&mut self, event: Event) {
        let scope = Scope { kind: resource().gvk.clone(), namespace: "".into() };
        if self.watching.contains(&scope) {
            self.queue.push_back(Input::Watch { scope, event });
        }
    }
}

/// An object as a watch gives it.
pub(super) fn sighting(object: &Value) -> Box<Sighting> {
    let text = serde_json::value::to_raw_value(object).unwrap();
    Box::new(Sighting::read(&resource(), &text).unwrap())
}

pub(super) fn is_labelled(object: &Value) -> bool {
    object["metadata"]["labels"].get(APP_LABEL).is_some()
}
