use muster_yaml::{Limits, Reading, ScalarType};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tree::Style;
use super::*;

fn yaml(text: &str) -> Value {
    let limits = Limits::default();
    let part = muster_yaml::parts(text.as_bytes(), &limits).remove(0).expect("YAML");
    part.read(Reading::AsKubectl, &limits).expect("YAML").expect("not empty").into_json()
}

/// Merges into an object of a built-in kind, all scalars written plainly.
fn strategic_merge(target: &mut Value, patch: &Value) -> Result<Merged, PatchError> {
    merge(Schema::built_in(), target, &mut Spelling::Plain, patch, &Spelling::Plain)
}

fn pod(spec: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": yaml(spec)})
}

/// Object, patch, and what `kubectl kustomize` 1.32 makes of them, all of them the spec of a pod.
const MERGED: &[(&str, &str, &str)] = &[
    ("{a: 1, b: 2}", "{b: 3, c: 4}", "{a: 1, b: 3, c: 4}"),
    ("{a: 1, b: 2}", "{b: null}", "{a: 1}"),
    ("{m: {a: 1, b: 2}}", "{m: {$patch: replace, c: 1}}", "{m: {c: 1}}"),
    ("{m: {a: 1}, n: 1}", "{m: {$patch: delete}}", "{n: 1}"),
    (
        "{containers: [{name: a, image: x}, {name: b}]}",
        "{containers: [{name: c}, {name: b, image: y}]}",
        "{containers: [{name: c}, {name: b, image: y}, {name: a, image: x}]}",
    ),
    (
        "{containers: [{name: a}, {name: b}]}",
        "{containers: [{name: a, $patch: delete}]}",
        "{containers: [{name: b}]}",
    ),
    (
        "{containers: [{name: a}]}",
        "{containers: [{$patch: replace}, {name: b}]}",
        "{containers: [{name: b}]}",
    ),
    (
        "{containers: [{name: a, ports: [{containerPort: 80}, {containerPort: 81}]}]}",
        "{containers: [{name: a, ports: [{containerPort: 81, protocol: UDP}]}]}",
        // A port without a protocol swallows what the patch says of it.
        "{containers: [{name: a, ports: [{containerPort: 80}, {containerPort: 81}]}]}",
    ),
    (
        "{containers: [{name: a, ports: [{containerPort: 80, protocol: TCP}]}]}",
        "{containers: [{name: a, ports: [{containerPort: 80, protocol: UDP}]}]}",
        "{containers: [{name: a, ports: [{containerPort: 80, protocol: UDP}, {containerPort: 80, protocol: TCP}]}]}",
    ),
    // An element without its key takes all others with it.
    ("{containers: [{name: a}]}", "{containers: [{image: x}]}", "{containers: []}"),
    ("{containers: [{name: a}]}", "{containers: [x]}", "{containers: []}"),
    ("{tolerations: [{key: a}]}", "{tolerations: [{key: b}]}", "{tolerations: [{key: b}]}"),
    (
        "{volumes: [{name: a, emptyDir: {}}]}",
        "{volumes: [{name: a, emptyDir: null, configMap: {name: c}}]}",
        "{volumes: [{name: a, configMap: {name: c}}]}",
    ),
];

#[test]
fn objects_are_merged_as_kustomize_does() {
    for (target, patch, expected) in MERGED {
        let mut object = pod(target);
        let merged = strategic_merge(&mut object, &pod(patch)).expect("merges");
        assert_eq!((merged, object), (Merged::Kept, pod(expected)), "{patch}");
    }
}

#[test]
fn scalars_keep_their_quotes() {
    let mut target = json!({"a": "x", "b": "x", "gone": null, "kept": null});
    let quoted = |key: &str| (key.to_owned(), Spelling::Quoted);
    let mut spelling = Spelling::mapping([quoted("a"), ("gone".to_owned(), Spelling::Empty)]);
    let patch = json!({"a": 5, "b": 16});
    let patch_spelling = Spelling::mapping([("b".to_owned(), Spelling::Text("0x10".to_owned()))]);
    let merged = merge(Schema::built_in(), &mut target, &mut spelling, &patch, &patch_spelling);
    assert_eq!(merged, Ok(Merged::Kept));
    assert_eq!(target, json!({"a": "5", "b": 16, "kept": null}));
    let text = ("b".to_owned(), Spelling::Text("0x10".to_owned()));
    let still_a_number = ("a".to_owned(), Spelling::Retyped(Style::Quoted, ScalarType::Int));
    assert_eq!(spelling, Spelling::mapping([still_a_number, text]));
}

#[test]
fn what_was_json_is_spelt_as_kustomize_prints_it() {
    for plain in ["a", "a b", "a#b", "a:b", "-a", "1a", "a, b", "https://x/y?z", "x=[1]", "$(A)", "ä", "a'b"]
    {
        assert_eq!(Spelling::printed(&json!(plain)), Spelling::Plain, "{plain}");
    }
    for quoted in [
        "", "5", "yes", "n", "~", "a: b", "a #b", "- a", "a:", " a", "a ", "[a", "*a", "%a", "a\nb", "1:30",
        "0x1", "@a", "\ta",
    ] {
        assert_eq!(Spelling::printed(&json!(quoted)), Spelling::Quoted, "{quoted}");
    }
    let quoted = Spelling::mapping([("b".to_owned(), Spelling::list([Spelling::Plain, Spelling::Quoted]))]);
    assert_eq!(Spelling::printed(&json!({"a": "x", "b": [1, "1"], "c": null})), quoted);
}

#[test]
fn a_whole_object_can_be_deleted() {
    let mut object = pod("{}");
    assert_eq!(strategic_merge(&mut object, &json!({"$patch": "delete"})), Ok(Merged::Deleted));
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (target, patch, expected) in [
        (
            "{a: {b: 1}}",
            "{a: {b: [1]}}",
            "spec.a.b: wrong node kind: the patch has a list where the object has a scalar",
        ),
        ("{a: {b: 1}}", "{a: {$patch: remove}}", "spec.a: unknown patch strategy"),
        ("{containers: [x]}", "{containers: [{name: a}]}", "spec.containers"),
    ] {
        let mut object = pod(target);
        let error = strategic_merge(&mut object, &pod(patch)).expect_err(patch).to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(object, pod(target));
    }
}

#[test]
fn every_line_of_the_table_is_read() {
    let schema = Schema::built_in();
    assert_eq!(schema.scope("apps/v1", "Deployment"), Some(Scope::Namespaced));
    assert_eq!(schema.scope("v1", "Namespace"), Some(Scope::Cluster));
    assert_eq!(schema.scope("example.org/v1", "Thing"), None);
    schema.check();
}

#[test]
fn a_schema_can_come_from_an_openapi_document() {
    let schema = Schema::from_openapi(
        &yaml(
            "definitions:\n  t:\n    properties:\n      items:\n        type: array\n        \
         items: {properties: {id: {type: string}}}\n        x-kubernetes-patch-merge-key: id\n        \
         x-kubernetes-patch-strategy: merge\n    x-kubernetes-group-version-kind:\n    \
         - {group: example.org, version: v1, kind: Thing}\n",
        ),
        None,
    )
    .expect("a schema");
    let thing = |items: Value| json!({"apiVersion": "example.org/v1", "kind": "Thing", "items": items});
    let mut object = thing(json!([{"id": "a", "x": 1}]));
    let patch = thing(json!([{"id": "a", "y": 2}]));
    let plain = Spelling::Plain;
    assert_eq!(merge(&schema, &mut object, &mut plain.clone(), &patch, &plain), Ok(Merged::Kept));
    assert_eq!(object, thing(json!([{"id": "a", "x": 1, "y": 2}])));
}

/// Object, operations, and the result or a part of the error.
const OPERATIONS: &[(&str, &str, Result<&str, &str>)] = &[
    ("{a: 1}", "[{op: add, path: /b, value: 2}]", Ok("{a: 1, b: 2}")),
    ("{a: [1, 2]}", "[{op: add, path: /a/-, value: 3}]", Ok("{a: [1, 2, 3]}")),
    ("{a: [1, 2]}", "[{op: add, path: /a/0, value: 3}]", Ok("{a: [3, 1, 2]}")),
    ("{a: [1, 2]}", "[{op: add, path: /a/2, value: 3}]", Ok("{a: [1, 2, 3]}")),
    ("{a: [1, 2]}", "[{op: add, path: /a/3, value: 3}]", Err("Unable to access invalid index")),
    ("{a: [1, 2]}", "[{op: replace, path: /a/-1, value: 3}]", Ok("{a: [1, 3]}")),
    ("{a: {x/y: 1}}", "[{op: remove, path: /a/x~1y}]", Ok("{a: {}}")),
    ("{a: {x~y: 1}}", "[{op: replace, path: /a/x~0y, value: 2}]", Ok("{a: {x~y: 2}}")),
    ("{a: 1}", "[{op: move, from: /a, path: /b}]", Ok("{b: 1}")),
    ("{a: 1}", "[{op: copy, from: /a, path: /b}]", Ok("{a: 1, b: 1}")),
    ("{a: 1}", "[{op: test, path: /a, value: 1}, {op: remove, path: /a}]", Ok("{}")),
    ("{a: 1}", "[{op: test, path: /a, value: 2}]", Err("testing value /a failed")),
    ("{a: 1}", "[{op: remove, path: /b}]", Err("Unable to remove nonexistent key: b")),
    ("{a: 1}", "[{op: add, path: /b/c, value: 2}]", Err("doc is missing path: /b/c")),
    ("{a: 1}", "[{op: add, path: /a/c, value: 2}]", Err("doc is missing path: /a/c")),
    ("{a: 1}", "[{op: frob, path: /a}]", Err("Unexpected kind")),
    ("{a: 1}", "[{op: remove}]", Err("no path")),
];

#[test]
fn operations_apply_in_order() {
    for (target, operations, expected) in OPERATIONS {
        let mut object = yaml(target);
        let flow = format!("\n{operations}");
        let operations = Operations::parse(&flow, &Limits::default()).expect("operations");
        match (operations.apply(&mut object), expected) {
            (Ok(()), Ok(expected)) => assert_eq!(object, yaml(expected), "{flow}"),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
                assert_eq!(object, yaml(target));
            }
            (result, _) => panic!("{flow}: {result:?} {object}"),
        }
    }
}

#[test]
fn a_patch_that_grows_without_end_is_stopped() {
    let step = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let text = format!("[{}]", [step; 64].join(","));
    let mut object = json!({"a": [1]});
    let error = Operations::parse(&text, &Limits::default()).expect("JSON").apply(&mut object);
    assert!(error.expect_err("too much").to_string().contains("copies too much"));
}

#[test]
fn selectors_are_patterns_of_the_whole_text() {
    let labels =
        [("app", "web"), ("tier", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let object = Candidate {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        names: ["web", "dev-web"],
        namespaces: ["default", "dev"],
        labels: &labels,
        annotations: &labels,
    };
    let fields = |kind: &str, name: &str, label_selector: &str| SelectorFields {
        kind: kind.to_owned(),
        name: name.to_owned(),
        label_selector: label_selector.to_owned(),
        ..SelectorFields::default()
    };
    for (kind, name, label_selector, expected) in [
        ("", "", "", true),
        ("Deploy", "", "", false),
        ("Deploy.*", "", "", true),
        ("Deployment|Service", "web", "", true),
        ("", "dev-.*", "", true),
        ("", "eb", "", false),
        ("", "", "app=web,tier in (1, 2)", true),
        ("", "", "app!=web", false),
        ("", "", "app notin (x),!none,tier>1,tier<3", true),
        ("", "", "app=,tier", false),
    ] {
        let selector = Selector::new(&fields(kind, name, label_selector)).expect("a selector");
        assert_eq!(selector.matches(&object), expected, "{kind} {name} {label_selector}");
    }
    for wrong in ["app=a=b", "app in", "app in (a", "=a", "a,,b", "a b"] {
        assert!(Selector::new(&fields("", "", wrong)).is_err(), "{wrong}");
    }
    assert!(Selector::new(&fields("(", "", "")).is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "name",
        "a",
        "$patch",
        "containers",
        "env",
        "ports",
        "spec",
        "containerPort",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "delete", "replace", ""]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

fn any_pod() -> impl Strategy<Value = Value> {
    any_value()
        .prop_map(|spec| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}))
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| key == "$patch" || has_directive(value)),
        Value::Array(items) => items.iter().any(has_directive),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merging_never_panics_and_fails_without_a_trace(target in any_pod(), patch in any_pod()) {
        let mut merged = target.clone();
        if strategic_merge(&mut merged, &patch).is_err() {
            prop_assert_eq!(merged, target);
        }
    }

    #[test]
    fn a_patch_without_fields_changes_no_mapping(target in any_value()) {
        let mut merged = json!({"kind": "Unknown", "x": target});
        let before = merged.clone();
        prop_assert_eq!(strategic_merge(&mut merged, &json!({})), Ok(Merged::Kept));
        prop_assert_eq!(merged, before);
    }

    #[test]
    fn merging_twice_is_merging_once_where_nothing_is_deleted(target in any_value(), patch in any_value()) {
        prop_assume!(!has_directive(&target) && !has_directive(&patch));
        let wrap = |value: &Value| json!({"kind": "Unknown", "x": value});
        let mut once = wrap(&target);
        prop_assume!(strategic_merge(&mut once, &wrap(&patch)).is_ok());
        let mut twice = once.clone();
        prop_assert_eq!(strategic_merge(&mut twice, &wrap(&patch)), Ok(Merged::Kept));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn operations_never_panic(target in any_value(), path in "(/[a-c0-9~-]{0,2}){0,3}", value in any_value()) {
        let mut document = json!({"a": target});
        for op in ["add", "remove", "replace", "move", "copy", "test"] {
            let text = json!([{"op": op, "path": path, "from": "/a", "value": value}]).to_string();
            let operations = Operations::parse(&text, &Limits::default()).expect("operations");
            let _ = operations.apply(&mut document);
        }
    }

    #[test]
    fn selectors_never_panic(text in "[a-c =!<>(),/.-]{0,20}") {
        let fields = SelectorFields { label_selector: text.clone(), name: text, ..SelectorFields::default() };
        let _ = Selector::new(&fields);
    }
}
