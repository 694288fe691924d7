//! Ownership: what an apply takes, gives up, and leaves to others.

use super::entries::Writer;
use super::writes::Applied;
use super::*;
use crate::decode::zero;
use crate::schema::{Builtins, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn schema(api_version: &str, kind: &str) -> Schema {
    Builtins::load().schema(api_version, kind).unwrap()
}

fn writer(name: &str, operation: Operation) -> Writer {
    let (name, api_version) = (name.to_owned(), "v1".to_owned());
    Writer { operation, name, api_version, subresource: String::new() }
}

/// An object in the hands of several managers.
struct Story {
    schema: Schema,
    object: Value,
    managed: Managed,
}

impl Story {
    fn config_map() -> Story {
        let schema = schema("v1", "ConfigMap");
        let object = zero(&schema, "v1", "ConfigMap");
        Story { schema, object, managed: Managed::default() }
    }

    fn apply(&mut self, manager: &str, config: &Value, force: bool) -> Result<(), ApplyError> {
        let writer = writer(manager, Operation::Apply);
        let write =
            Write { schema: &self.schema, writer: &writer, ignored: &[], now: "2026-01-01T00:00:00Z" };
        let Applied { object, managed } = apply(&write, &self.object, config, self.managed.clone(), force)?;
        // As the API server does between writes.
        self.object = crate::decode::decode(&self.schema, &object).0;
        self.managed = managed;
        Ok(())
    }

    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) {
        let writer = writer(manager, Operation::Update);
        let write =
            Write { schema: &self.schema, writer: &writer, ignored: &[], now: "2026-01-01T00:00:00Z" };
        let mut object = self.object.clone();
        change(&mut object);
        self.managed = track_update(&write, &self.object, &object, self.managed.clone());
        self.object = object;
    }

    fn fields(&self, manager: &str) -> Value {
        let entries = self.managed.to_json();
        let mut entries = entries.as_array().unwrap().iter();
        entries
            .find(|entry| entry["manager"] == manager)
            .map_or(Value::Null, |entry| entry["fieldsV1"].clone())
    }
}

fn data(values: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": values})
}

#[test]
fn what_is_no_longer_applied_goes_unless_shared() {
    let mut story = Story::config_map();
    story.apply("a", &data(&json!({"x": "1", "y": "2"})), false).unwrap();
    story.apply("b", &data(&json!({"y": "2", "z": "3"})), false).unwrap();
    assert_eq!(story.fields("b"), json!({"f:data": {"f:y": {}, "f:z": {}}}));
    story.apply("a", &data(&json!({})), false).unwrap();
    assert_eq!(story.object["data"], json!({"y": "2", "z": "3"}));
    assert_eq!(story.object["metadata"]["name"], "m");
    story.apply("b", &data(&json!({"z": "3"})), false).unwrap();
    assert_eq!(story.object["data"], json!({"z": "3"}));
}

#[test]
fn conflicts_name_the_manager_and_the_field() {
    let mut story = Story::config_map();
    story.apply("a", &data(&json!({"x": "1"})), false).unwrap();
    story.update("hand", |object| object["data"]["x"] = json!("2"));
    assert_eq!(story.fields("a"), Value::Null, "an update takes what it changes");
    let ApplyError::Conflicts(conflicts) = story.apply("a", &data(&json!({"x": "1"})), false).unwrap_err()
    else {
        panic!("expected conflicts");
    };
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].manager, "\"hand\" using v1");
    assert_eq!(conflicts[0].field, ".data.x");
    story.apply("a", &data(&json!({"x": "1"})), true).unwrap();
    assert_eq!(story.object["data"]["x"], "1");
    assert_eq!(story.fields("hand"), Value::Null);
}

#[test]
fn the_same_value_is_shared_without_conflict() {
    let mut story = Story::config_map();
    story.update("hand", |object| object["data"] = json!({"x": "1"}));
    story.apply("a", &data(&json!({"x": "1"})), false).unwrap();
    assert_eq!(story.fields("hand"), json!({"f:data": {".": {}, "f:x": {}}}));
    assert_eq!(story.fields("a"), json!({"f:data": {"f:x": {}}}));
}

#[test]
fn malformed_entries_are_no_managers() {
    let object = |entry: Value| json!({"metadata": {"managedFields": [entry]}});
    assert_eq!(Managed::of(&json!({})), Some(Managed::default()));
    assert_eq!(Managed::of(&object(json!({}))), None);
    assert_eq!(Managed::of(&object(json!({"operation": "Steal"}))), None);
    assert_eq!(Managed::of(&object(json!({"operation": "Apply", "fieldsV1": {"bad": {}}}))), None);
}

/// Never empty: an empty map is owned as a value of its own, with surprises (`apply.yaml` of the differential tests).
fn values() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", "[12]", 1..4).prop_map(|map| json!(map))
}

proptest! {
    /// Applying the same twice changes nothing, neither the object nor who owns what.
    #[test]
    fn applying_twice_is_applying_once(first in values(), second in values(), mine in values()) {
        let mut story = Story::config_map();
        story.apply("a", &data(&first), true).unwrap();
        story.apply("b", &data(&second), true).unwrap();
        story.apply("a", &data(&mine), true).unwrap();
        let (object, managed) = (story.object.clone(), story.managed.clone());
        story.apply("a", &data(&mine), false).unwrap();
        prop_assert_eq!(&story.object, &object);
        prop_assert_eq!(&story.managed, &managed);
    }

    /// What an applier says is there, and what others own and it does not say stays as it was.
    #[test]
    fn fields_of_others_survive(theirs in values(), before in values(), mine in values()) {
        let mut story = Story::config_map();
        story.apply("a", &data(&before), true).unwrap();
        story.apply("b", &data(&theirs), true).unwrap();
        story.apply("a", &data(&mine), true).unwrap();
        for (name, value) in mine.as_object().unwrap() {
            prop_assert_eq!(&story.object["data"][name], value);
        }
        for (name, value) in theirs.as_object().unwrap() {
            if mine.get(name).is_none() {
                prop_assert_eq!(&story.object["data"][name], value);
            }
        }
        let expected = |name: &str| mine.get(name).is_some() || theirs.get(name).is_some();
        for name in story.object["data"].as_object().into_iter().flatten().map(|(name, _)| name) {
            prop_assert!(expected(name), "{} is nobody's", name);
        }
    }

    /// Updates give every changed field exactly one owner.
    #[test]
    fn a_changed_field_has_one_owner(first in values(), second in values()) {
        let mut story = Story::config_map();
        story.update("one", |object| object["data"] = first.clone());
        story.update("two", |object| object["data"] = second.clone());
        for name in second.as_object().unwrap().keys() {
            let owners = ["one", "two"].iter().filter(|who| !story.fields(who)["f:data"][format!("f:{name}")].is_null());
            prop_assert_eq!(owners.count(), 1);
        }
    }
}
