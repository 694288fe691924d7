use serde_json::{Value, json};

use super::*;
use crate::object::GroupKind;

fn desired() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}},
        "spec": {"replicas": 2, "template": {"spec": {
            "securityContext": {},
            "containers": [{"name": "nginx", "image": "nginx:1.24", "ports": [{"containerPort": 80}]}]
        }}}
    })
}

fn fields() -> Value {
    json!({
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {
            "f:securityContext": {},
            "f:containers": {"k:{\"name\":\"nginx\"}": {
                ".": {}, "f:image": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}
            }}
        }}}
    })
}

fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}, "resourceVersion": "7",
            "managedFields": [
                {"manager": "muster-agent", "operation": "Apply", "fieldsV1": fields(), "time": "2026-01-01T00:00:00Z"},
                {"manager": "kubelet", "operation": "Update", "time": "2026-01-03T00:00:00Z",
                 "fieldsV1": {"f:status": {}}, "subresource": "status"},
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-02T00:00:00Z",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale"},
            ]},
        "spec": {"replicas": 2, "revisionHistoryLimit": 10, "template": {"spec": {
            "securityContext": {},
            "containers": [{"name": "nginx", "image": "nginx:1.24",
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "imagePullPolicy": "IfNotPresent"}]
        }}},
        "status": {"replicas": 2}
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

fn paths_of(projection: &Projection, object: &Value) -> Vec<String> {
    projection.differs(object).iter().map(ToString::to_string).collect()
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn only_our_own_fields_count_as_drift() {
    let projection = Projection::of(&fields(), &desired(), &live());
    let cases: &[(&str, Value, &[&str])] = &[
        ("nothing", live(), &[]),
        ("status", with(live(), "/status", json!({"replicas": 5})), &[]),
        ("another manager's field", with(live(), "/spec/revisionHistoryLimit", json!(3)), &[]),
        (
            "inside a map we applied empty",
            with(live(), "/spec/template/spec/securityContext", json!({"a": 1})),
            &[],
        ),
        (
            "defaulted sibling in a list item",
            with(live(), &format!("{CONTAINER}/imagePullPolicy"), json!("Always")),
            &[],
        ),
        ("replicas", with(live(), "/spec/replicas", json!(5)), &[".spec.replicas"]),
        ("label", with(live(), "/metadata/labels", json!({"app": "x"})), &[".metadata.labels.app"]),
        ("labels gone", with(live(), "/metadata/labels", json!({})), &[".metadata.labels.app"]),
        (
            "image",
            with(live(), &format!("{CONTAINER}/image"), json!("nginx:1.25")),
            &[".spec.template.spec.containers[name=\"nginx\"].image"],
        ),
    ];
    for (name, object, expected) in cases {
        assert_eq!(paths_of(&projection, object), *expected, "{name}");
    }
}

#[test]
fn a_list_item_put_before_ours_is_no_drift_and_its_removal_is() {
    let projection = Projection::of(&fields(), &desired(), &live());
    let mut more = live();
    fn containers(object: &mut Value) -> &mut Vec<Value> {
        object.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap()
    }
    containers(&mut more).insert(0, json!({"name": "sidecar", "image": "x"}));
    assert!(projection.differs(&more).is_empty());
    containers(&mut more).remove(1);
    assert!(
        paths_of(&projection, &more)
            .contains(&".spec.template.spec.containers[name=\"nginx\"].image".to_owned())
    );
}

#[test]
fn an_atomic_list_is_compared_whole_and_maps_without_order() {
    let fields = json!({"f:spec": {"f:args": {}, "f:blob": {}}});
    let desired = json!({"spec": {"args": ["a", "b"], "blob": {"x": 1, "y": [true, null, 2.5]}}});
    let projection = Projection::of(&fields, &desired, &desired);
    let text = r#"{"spec": {"blob": {"y": [true, null, 2.5], "x": 1}, "args": ["a", "b"]}}"#;
    assert!(projection.differs(&serde_json::from_str(text).unwrap()).is_empty());
    let text = r#"{"spec": {"blob": {"y": [true, null, 2.5], "x": 1}, "args": ["b", "a"]}}"#;
    assert_eq!(paths_of(&projection, &serde_json::from_str(text).unwrap()), [".spec.args"]);
}

#[test]
fn objects_of_one_shape_share_it_and_shapes_without_objects_go() {
    let mut shapes = Shapes::default();
    let mut projections: Vec<_> = (0..3).map(|_| Projection::of(&fields(), &desired(), &live())).collect();
    projections.iter_mut().for_each(|projection| shapes.share(projection));
    let debug = format!("{shapes:?}");
    assert_eq!(debug.matches("f:replicas").count(), 1, "{debug}");
    assert!(projections.iter().all(|projection| projection.differs(&live()).is_empty()));
    for number in 0..1_000 {
        let fields = json!({"f:spec": {format!("f:{number}"): {}}});
        shapes.share(&mut Projection::of(&fields, &desired(), &live()));
    }
    let debug = format!("{shapes:?}");
    assert!(debug.matches("f:spec").count() < 200, "they go when nothing uses them");
    assert_eq!(debug.matches("f:replicas").count(), 1, "what is used stays");
}

#[test]
fn the_writer_is_the_owner_of_the_changed_field() {
    let projection = Projection::of(&fields(), &desired(), &live());
    let changed = with(live(), "/spec/replicas", json!(5));
    assert_eq!(last_writer(&changed, &projection.differs(&changed)), "kubectl");
    let relabelled = with(live(), "/metadata/labels", json!({}));
    // Nobody owns what is gone: the last to write at all.
    assert_eq!(last_writer(&relabelled, &projection.differs(&relabelled)), "kubelet");
}

#[test]
fn a_report_gives_both_values_but_not_those_of_secrets() {
    let projection = Projection::of(&fields(), &desired(), &live());
    let changed = with(live(), "/spec/replicas", json!(5));
    let paths = projection.differs(&changed);
    let key = ObjectKey::new(GroupKind::new("apps", "Deployment"), "demo", "web");
    let drift = describe(&key, &paths, &desired(), &changed);
    assert_eq!((drift[0].wanted.as_str(), drift[0].found.as_str()), ("2", "5"));
    let key = ObjectKey::new(GroupKind::new("", "Secret"), "demo", "web");
    let drift = describe(&key, &paths, &desired(), &changed);
    assert_eq!((drift[0].wanted.as_str(), drift[0].found.as_str()), ("\"***\"", "\"***\""));
}

#[test]
fn a_live_object_with_exactly_our_fields_and_values_is_proven() {
    assert!(proven_in_sync(&desired(), &live(), &fields()));
    let cases = [
        ("a changed value", with(live(), "/spec/replicas", json!(5)), fields()),
        ("a field taken over by another", live(), {
            let mut fields = fields();
            fields["f:spec"].as_object_mut().unwrap().remove("f:replicas");
            fields
        }),
        ("a field that left Git", live(), {
            let mut fields = fields();
            fields["f:spec"]["f:paused"] = json!({});
            fields
        }),
        ("a list item that left Git", live(), {
            let mut fields = fields();
            fields["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"old\"}"] =
                json!({".": {}});
            fields
        }),
    ];
    for (name, live, fields) in cases {
        assert!(!proven_in_sync(&desired(), &live, &fields), "{name}");
    }
}

#[test]
fn a_quantity_the_server_rewrote_is_not_proven() {
    let desired = json!({"spec": {"cpu": "1000m"}});
    let live = json!({"spec": {"cpu": "1"}});
    assert!(!proven_in_sync(&desired, &live, &json!({"f:spec": {"f:cpu": {}}})));
}

#[test]
fn our_entry_is_the_apply_of_the_main_resource() {
    assert_eq!(our_fields(&live()), Some(&fields()));
    assert_eq!(our_fields(&json!({"metadata": {}})), None);
}
