//! Would deleting this take something with it that is not the app's?
//!
//! A Namespace takes all it holds, a CustomResourceDefinition all objects of its kind. Both are deleted only
//! when that is nothing but the app's own objects, none of which is to be kept, and what controllers made from
//! them.
use serde_json::Value;

use crate::APP_LABEL;
use crate::api::discovery::Discovery;
use crate::api::{Api, ApiError};
use crate::directives::{Directives, Prune};
use crate::object::{GroupKind, Gvk, ObjectKey, Resource, items, text};

/// Something in the cluster that is not the app's, if deleting `key` would take any with it.
pub(super) async fn taken_along(
    api: &Api,
    discovery: &Discovery,
    app: &str,
    key: &ObjectKey,
) -> Result<Option<ObjectKey>, ApiError> {
    if key.kind.is("", "Namespace") {
        for resource in discovery.namespaced().await? {
            if let Some(found) = first_foreign(api, app, &resource, &key.name).await? {
                return Ok(Some(found));
            }
        }
        return Ok(None);
    }
    if key.kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        let definitions = Resource {
            gvk: Gvk::of("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            plural: "customresourcedefinitions".to_owned(),
            namespaced: false,
        };
        let definition = match api.get(&definitions, "", &key.name).await {
            Err(ApiError::NotFound { .. }) => return Ok(None),
            definition => definition?,
        };
        return match served(&definition) {
            Some(resource) => first_foreign(api, app, &resource, "").await,
            None => Ok(None),
        };
    }
    Ok(None)
}

/// The kind a definition defines, at a version that is served.
fn served(definition: &Value) -> Option<Resource> {
    let version = items(definition, &["spec", "versions"])
        .iter()
        .find(|version| version.get("served").and_then(Value::as_bool) == Some(true))?;
    let group_kind =
        GroupKind::new(text(definition, &["spec", "group"]), text(definition, &["spec", "names", "kind"]));
    Some(Resource {
        gvk: Gvk { group_kind, version: text(version, &["name"]).into() },
        plural: text(definition, &["spec", "names", "plural"]).to_owned(),
        namespaced: text(definition, &["spec", "scope"]) == "Namespaced",
    })
}

async fn first_foreign(
    api: &Api,
    app: &str,
    resource: &Resource,
    namespace: &str,
) -> Result<Option<ObjectKey>, ApiError> {
    let mut next = String::new();
    loop {
        let page = match api.page(resource, namespace, "", &next).await {
            // The kind is gone, and its objects with it.
            Err(ApiError::NotFound { .. }) => return Ok(None),
            page => page?,
        };
        for item in page.items {
            let object: Value = serde_json::from_str(item.get()).unwrap_or_default();
            if is_foreign(app, &resource.gvk.group_kind, &object) {
                let place = text(&object, &["metadata", "namespace"]);
                let name = text(&object, &["metadata", "name"]);
                return Ok(Some(ObjectKey::new(resource.gvk.group_kind.clone(), place, name)));
            }
        }
        if page.next.is_empty() {
            return Ok(None);
        }
        next = page.next;
    }
}

/// Kinds that are only about other objects.
const DERIVED: &[(&str, &str)] =
    &[("", "Event"), ("events.k8s.io", "Event"), ("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")];

/// What every Namespace has.
const DEFAULTS: &[(&str, &str)] = &[("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")];

fn is_foreign(app: &str, kind: &GroupKind, object: &Value) -> bool {
    let name = text(object, &["metadata", "name"]);
    let derived = DERIVED.iter().any(|(group, derived)| kind.is(group, derived))
        || !items(object, &["metadata", "ownerReferences"]).is_empty();
    let default = DEFAULTS.iter().any(|(default, called)| kind.is("", default) && name == *called);
    let ours = text(object, &["metadata", "labels", APP_LABEL]) == app;
    let going = !text(object, &["metadata", "deletionTimestamp"]).is_empty();
    let kept = Directives::of(object).prune == Prune::Keep;
    !(derived || default || (ours && !kept) || going)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_nobody_else_would_miss_may_go_along() {
        let object = |extra: Value| {
            let mut object = json!({"metadata": {"name": "a"}});
            for (name, value) in extra.as_object().unwrap() {
                object["metadata"][name] = value.clone();
            }
            object
        };
        let cases = [
            ("Secret", object(json!({})), true),
            ("Secret", object(json!({"labels": {APP_LABEL: "other"}})), true),
            ("Secret", object(json!({"labels": {APP_LABEL: "web"}})), false),
            (
                "Secret",
                object(
                    json!({"labels": {APP_LABEL: "web"}, "annotations": {"muster.dev/prune": "disabled"}}),
                ),
                true,
            ),
            ("Pod", object(json!({"ownerReferences": [{"kind": "ReplicaSet"}]})), false),
            ("Secret", object(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})), false),
            ("ServiceAccount", object(json!({"name": "default"})), false),
            ("ServiceAccount", object(json!({"name": "deployer"})), true),
            ("Event", object(json!({})), false),
        ];
        for (kind, object, foreign) in cases {
            assert_eq!(is_foreign("web", &GroupKind::new("", kind), &object), foreign, "{kind} {object}");
        }
    }

    #[test]
    fn a_definition_says_where_its_objects_are() {
        let definition = json!({"spec": {
            "group": "example.org", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1beta1", "served": false}, {"name": "v1", "served": true}],
        }});
        let resource = served(&definition).unwrap();
        assert_eq!((resource.gvk.to_string().as_str(), resource.namespaced), ("Thing.example.org/v1", true));
    }
}
