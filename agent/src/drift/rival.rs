//! Is something made to change this field, so that Git and it will fight for ever?
//!
//! An autoscaler is no accident: putting its work back only makes it work again. So it is named, with the
//! two ways out. A HorizontalPodAutoscaler writes through the scale subresource as
//! `kube-controller-manager`, which names nobody: it is found by what it targets (KEDA makes one, too).
use serde_json::Value;

use crate::object::{Gvk, ObjectKey, Resource, text};
use muster_wire::v1::Drift;

/// The field that a HorizontalPodAutoscaler writes, as drifts name it.
const REPLICAS: &str = ".spec.replicas";

/// Parts of the names of field managers that set the resources of containers: the Vertical Pod Autoscaler
/// and tools that apply what it recommends.
const RESOURCE_MANAGERS: [&str; 3] = ["vpa", "vertical-pod-autoscaler", "goldilocks"];

/// Whether an autoscaler may be behind a drift, so that it is worth looking for one.
pub(crate) fn may_be_scaled(drift: &Drift) -> bool {
    drift.fields.iter().any(|field| field.path == REPLICAS)
}

/// Where HorizontalPodAutoscalers are.
pub(crate) fn autoscalers() -> Resource {
    Resource {
        gvk: Gvk::of("autoscaling/v2", "HorizontalPodAutoscaler"),
        plural: "horizontalpodautoscalers".to_owned(),
        namespaced: true,
    }
}

/// The name of an autoscaler, if it scales the object of that key in its own namespace.
pub(crate) fn scaler_of(key: &ObjectKey, autoscaler: &Value) -> Option<String> {
    let target = |field| text(autoscaler, &["spec", "scaleTargetRef", field]);
    let target_kind = Gvk::of(target("apiVersion"), target("kind")).group_kind;
    (target_kind == key.kind && *target("name") == *key.name)
        .then(|| format!("HorizontalPodAutoscaler {}", text(autoscaler, &["metadata", "name"])))
}

/// What ends a drift for good; empty when nobody is known to be made for it. `scaler` is what was found to
/// scale the object.
pub(crate) fn advice(key: &ObjectKey, drift: &Drift, scaler: Option<&str>) -> String {
    if let Some(scaler) = scaler.filter(|_| may_be_scaled(drift)) {
        return format!(
            "{scaler} scales {key}: remove spec.replicas from Git, or ignore it by spec.sync.ignoreDifferences with \
             the JSON pointer /spec/replicas."
        );
    }
    let manager = drift.field_manager.as_str();
    let sets_resources = RESOURCE_MANAGERS.iter().any(|name| manager.contains(name));
    if sets_resources && drift.fields.iter().any(|field| field.path.contains(".resources")) {
        return format!(
            "{manager} sets the resources of {key}: remove them from Git, or ignore them by \
             spec.sync.ignoreDifferences with the manager {manager}."
        );
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupKind;
    use muster_wire::v1::FieldDrift;
    use serde_json::json;

    fn drift(path: &str, manager: &str) -> Drift {
        let field = FieldDrift { path: path.to_owned(), ..FieldDrift::default() };
        Drift { fields: vec![field], field_manager: manager.to_owned(), ..Drift::default() }
    }

    #[test]
    fn an_autoscaler_is_found_by_what_it_targets() {
        let key = ObjectKey::new(GroupKind::new("apps", "Deployment"), "shop", "web");
        let autoscaler = |api_version: &str, kind: &str, name: &str| {
            json!({"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef":
                {"apiVersion": api_version, "kind": kind, "name": name}}})
        };
        let found = scaler_of(&key, &autoscaler("apps/v1", "Deployment", "web"));
        assert_eq!(found.as_deref(), Some("HorizontalPodAutoscaler hpa"));
        assert!(scaler_of(&key, &autoscaler("apps/v1beta1", "Deployment", "web")).is_some());
        assert!(scaler_of(&key, &autoscaler("apps/v1", "Deployment", "api")).is_none());
        assert!(scaler_of(&key, &autoscaler("apps/v1", "StatefulSet", "web")).is_none());
        assert!(scaler_of(&key, &autoscaler("argoproj.io/v1alpha1", "Deployment", "web")).is_none());
    }

    #[test]
    fn who_is_made_for_a_field_is_named_with_the_way_out() {
        let key = ObjectKey::new(GroupKind::new("apps", "Deployment"), "shop", "web");
        let replicas = drift(".spec.replicas", "kube-controller-manager");
        let said = advice(&key, &replicas, Some("HorizontalPodAutoscaler hpa"));
        assert!(
            said.starts_with("HorizontalPodAutoscaler hpa scales Deployment.apps/shop/web: remove"),
            "{said}"
        );
        assert_eq!(advice(&key, &replicas, None), "", "a person scaled it");
        assert_eq!(advice(&key, &drift(".spec.paused", "x"), Some("HorizontalPodAutoscaler hpa")), "");
        let path = ".spec.template.spec.containers[name=\"a\"].resources.requests.cpu";
        assert!(
            advice(&key, &drift(path, "vpa-updater"), None).starts_with("vpa-updater sets the resources")
        );
        assert_eq!(advice(&key, &drift(path, "kubectl-edit"), None), "");
    }
}
