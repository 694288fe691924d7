//! Sets of paths, and how values are compared, merged and cut.

use super::*;
use crate::schema::{Builtins, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn deployment() -> Schema {
    Builtins::load().schema("apps/v1", "Deployment").unwrap()
}

fn containers(items: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": items}}}})
}

#[test]
fn sets_are_written_as_managed_fields_write_them() {
    let text = json!({
        "f:spec": {
            "f:replicas": {},
            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}}},
        },
        "f:metadata": {"f:finalizers": {".": {}, "v:\"a/b\"": {}}},
    });
    let set = Set::from_json(&text).unwrap();
    assert_eq!(set.to_json(), text);
    let shown: Vec<String> = set.paths().iter().map(|path| display(path)).collect();
    assert!(shown.contains(&".spec.template.spec.containers[name=\"web\"].image".to_owned()), "{shown:?}");
    assert!(shown.contains(&".metadata.finalizers[=\"a/b\"]".to_owned()), "{shown:?}");
    for malformed in [json!([]), json!({"x:y": {}}), json!({"f:a": 1})] {
        assert_eq!(Set::from_json(&malformed), None, "{malformed}");
    }
}

#[test]
fn a_configuration_owns_its_leaves_and_elements() {
    let config = containers(&json!([{"name": "web", "ports": [{"containerPort": 80}], "args": ["a"]}]));
    let set = owned(&deployment(), deployment().root(), &config).unwrap();
    let element = json!({
        ".": {}, "f:name": {}, "f:args": {},
        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
    });
    assert_eq!(
        set.to_json(),
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": element}}}}})
    );
    let unknown = owned(&deployment(), deployment().root(), &json!({"spec": {"replica": 1}}));
    assert_eq!(unknown.unwrap_err(), ".spec.replica: field not declared in schema");
    let keyless = containers(&json!([{"image": "x"}]));
    assert!(owned(&deployment(), deployment().root(), &keyless).unwrap_err().contains("omits its key"));
}

/// Names of the containers after the second list is applied over the first.
fn merged(live: &[&str], applied: &[&str]) -> Vec<String> {
    let list = |names: &[&str]| containers(&names.iter().map(|name| json!({"name": name})).collect());
    let schema = deployment();
    let merged = merge(&schema, schema.root(), &list(live), &list(applied));
    let items = merged["spec"]["template"]["spec"]["containers"].as_array().unwrap().clone();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn merged_lists_keep_the_applied_order() {
    for (live, applied, expected) in [
        (vec!["a", "b"], vec!["b", "a"], vec!["b", "a"]),
        (vec!["a", "b", "c"], vec!["b"], vec!["a", "b", "c"]),
        (vec!["a"], vec!["x", "a"], vec!["x", "a"]),
        (vec!["a", "b"], vec!["x"], vec!["a", "b", "x"]),
        (vec!["a", "b"], vec!["b", "x"], vec!["a", "b", "x"]),
        (vec!["a", "b", "c", "d"], vec!["d", "x", "b"], vec!["a", "c", "d", "x", "b"]),
        (vec![], vec!["a", "b"], vec!["a", "b"]),
    ] {
        assert_eq!(merged(&live, &applied), expected, "{live:?} + {applied:?}");
    }
}

#[test]
fn comparison_tells_added_removed_and_modified() {
    let schema = deployment();
    let old = json!({"spec": {"replicas": 1, "paused": true, "selector": {"matchLabels": {"a": "b"}}}});
    let new = json!({"spec": {"replicas": 2, "minReadySeconds": 3, "selector": {"matchLabels": {"a": "c"}}}});
    let found = compare(&schema, schema.root(), &old, &new);
    assert_eq!(found.added.to_json(), json!({"f:spec": {"f:minReadySeconds": {}}}));
    assert_eq!(found.removed.to_json(), json!({"f:spec": {"f:paused": {}}}));
    assert_eq!(
        found.modified.to_json(),
        json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}),
        "a selector is atomic"
    );
    assert!(compare(&schema, schema.root(), &old, &old).is_same());
}

#[test]
fn what_loses_everything_becomes_null() {
    let schema = deployment();
    let object = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
    let mut paths = Set::default();
    paths.insert(&["f:metadata", "f:labels", "f:a"]);
    let left = remove(&schema, schema.root(), &object, &paths);
    assert_eq!(left, json!({"metadata": {"name": "x", "labels": null}}));
}

fn set() -> impl Strategy<Value = Set> {
    let path = proptest::collection::vec(prop_oneof!["f:[ab]", "v:[12]"], 1..4);
    proptest::collection::vec(path, 0..6).prop_map(|paths| {
        let mut set = Set::default();
        for path in &paths {
            set.insert(&path.iter().map(String::as_str).collect::<Vec<_>>());
        }
        set
    })
}

proptest! {
    #[test]
    fn sets_follow_the_laws_of_sets(one in set(), other in set()) {
        prop_assert_eq!(one.union(&other), other.union(&one));
        prop_assert_eq!(&one.union(&one), &one);
        prop_assert_eq!(one.intersection(&other), other.intersection(&one));
        prop_assert_eq!(&one.difference(&other).union(&one.intersection(&other)), &one);
        prop_assert!(one.difference(&other).intersection(&other).is_empty());
        prop_assert_eq!(Set::from_json(&one.to_json()), Some(one));
    }
}
