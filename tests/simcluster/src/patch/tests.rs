//! The three kinds of patches.

use super::*;
use crate::schema::Builtins;
use serde_json::json;

#[test]
fn json_patches_do_all_or_nothing() {
    let target = json!({"a": {"b": [1, 2]}, "c/d": 1});
    for (patch, expected) in [
        (json!([{"op": "add", "path": "/a/b/1", "value": 9}]), json!({"a": {"b": [1, 9, 2]}, "c/d": 1})),
        (json!([{"op": "add", "path": "/a/b/-", "value": 3}]), json!({"a": {"b": [1, 2, 3]}, "c/d": 1})),
        (json!([{"op": "remove", "path": "/c~1d"}]), json!({"a": {"b": [1, 2]}})),
        (json!([{"op": "replace", "path": "/a/b", "value": []}]), json!({"a": {"b": []}, "c/d": 1})),
        (json!([{"op": "move", "from": "/a/b", "path": "/e"}]), json!({"a": {}, "c/d": 1, "e": [1, 2]})),
        (
            json!([{"op": "copy", "from": "/a/b/0", "path": "/e"}]),
            json!({"a": {"b": [1, 2]}, "c/d": 1, "e": 1}),
        ),
        (json!([{"op": "test", "path": "/c~1d", "value": 1}]), target.clone()),
    ] {
        assert_eq!(json_patch(&target, &patch).unwrap(), expected, "{patch}");
    }
    for patch in [
        json!({"op": "add"}),
        json!([{"op": "test", "path": "/c~1d", "value": 2}]),
        json!([{"op": "remove", "path": "/x"}]),
        json!([{"op": "replace", "path": "/x", "value": 1}]),
        json!([{"op": "add", "path": "/a/b/7", "value": 1}]),
        json!([{"op": "add", "path": "/x/y", "value": 1}]),
        json!([{"op": "add", "path": "/x"}]),
        json!([{"op": "invent", "path": "/x"}]),
    ] {
        assert!(json_patch(&target, &patch).is_err(), "{patch}");
    }
}

#[test]
fn merge_patches_follow_rfc_7386() {
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": ["c", "d"]}), json!({"a": ["c", "d"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(merge(&target, &patch), expected);
    }
}

#[test]
fn strategic_patches_merge_lists_by_key() {
    let schema = Builtins::load().schema("v1", "Pod").unwrap();
    let pod = |spec: serde_json::Value| json!({"spec": spec});
    let target = pod(json!({
        "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
        "tolerations": [{"key": "x"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }));
    let patched =
        |patch: serde_json::Value| strategic(&schema, &target, &pod(patch)).unwrap()["spec"].clone();
    let images = patched(json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "1"}]}));
    assert_eq!(
        images["containers"],
        json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"}])
    );
    let deleted = patched(json!({"containers": [{"name": "a", "$patch": "delete"}]}));
    assert_eq!(deleted["containers"], json!([{"name": "b", "image": "1"}]));
    let ordered = patched(json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}));
    assert_eq!(ordered["containers"][0]["name"], "b");
    let replaced = patched(json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}));
    assert_eq!(replaced["containers"], json!([{"name": "z"}]));
    assert_eq!(
        patched(json!({"tolerations": [{"key": "y"}]}))["tolerations"],
        json!([{"key": "y"}]),
        "atomic"
    );
    let retained =
        patched(json!({"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {}}]}));
    assert_eq!(retained["volumes"], json!([{"name": "v", "secret": {}}]));
    let finalizers = json!({"metadata": {"finalizers": ["a", "b"]}});
    let added = strategic(&schema, &finalizers, &json!({"metadata": {"finalizers": ["b", "c"]}})).unwrap();
    assert_eq!(added["metadata"]["finalizers"], json!(["a", "b", "c"]));
    let directive = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
    let removed = strategic(&schema, &finalizers, &directive).unwrap();
    assert_eq!(removed["metadata"]["finalizers"], json!(["b"]));
    let keyless = pod(json!({"containers": [{"image": "2"}]}));
    assert!(strategic(&schema, &target, &keyless).unwrap_err().contains("merge key: name"));
    assert!(strategic(&schema, &target, &json!({"$patch": "invent"})).is_err());
}
