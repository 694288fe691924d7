//! Shapes of built-in and custom kinds.

use super::*;
use serde_json::json;

#[test]
fn every_built_in_kind_has_a_shape() {
    let builtins = Builtins::load();
    for (api_version, kind) in [
        ("v1", "Pod"),
        ("apps/v1", "Deployment"),
        ("batch/v1", "Job"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ] {
        assert!(builtins.schema(api_version, kind).is_some(), "{kind}");
    }
    assert!(builtins.schema("apps/v1", "Pod").is_none());
}

/// The shape of the list at a path of fields.
fn list(schema: &Schema, path: &str) -> ListKind {
    let mut shape = schema.root();
    for name in path.split('.') {
        shape = match shape {
            Shape::Struct { of, .. } => schema.structure(*of).shape(name).unwrap(),
            Shape::List { of, .. } => match &**of {
                Shape::Struct { of, .. } => schema.structure(*of).shape(name).unwrap(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
    }
    match shape {
        Shape::List { kind, .. } => kind.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn lists_are_told_apart_by_their_keys() {
    let builtins = Builtins::load();
    let schema = builtins.schema("apps/v1", "Deployment").unwrap();
    let keys = |path: &str| match list(&schema, path) {
        ListKind::Map(keys) => keys.into_iter().map(|key| key.name).collect(),
        other => vec![format!("{other:?}")],
    };
    let pod = "spec.template.spec";
    assert_eq!(keys(&format!("{pod}.containers")), ["name"]);
    assert_eq!(keys(&format!("{pod}.containers.ports")), ["containerPort", "protocol"]);
    assert_eq!(keys(&format!("{pod}.containers.env")), ["name"]);
    assert_eq!(keys(&format!("{pod}.containers.volumeMounts")), ["mountPath"]);
    assert_eq!(keys(&format!("{pod}.volumes")), ["name"]);
    assert_eq!(keys(&format!("{pod}.imagePullSecrets")), ["name"]);
    assert_eq!(keys("status.conditions"), ["type"]);
    assert_eq!(list(&schema, &format!("{pod}.tolerations")), ListKind::Atomic(None));
    assert_eq!(list(&schema, "metadata.finalizers"), ListKind::Set);
}

#[test]
fn a_custom_kind_takes_its_keys_from_its_definition() {
    let open_api = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "parts": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string", "default": "main"}}},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
    }}}});
    let schema = custom(&Builtins::load(), Some(&open_api));
    let key = Key { name: "name".to_owned(), default: Some("main".to_owned()) };
    assert_eq!(list(&schema, "spec.parts"), ListKind::Map(vec![key]));
    assert_eq!(list(&schema, "spec.tags"), ListKind::Atomic(None));
    assert_eq!(list(&schema, "metadata.finalizers"), ListKind::Set);
}
