//! What must be there before what?
//!
//! One table from kind to tier. An agent applies tiers upwards, each at once, and prunes them downwards.

use serde_json::{Map, Value};

/// Position in the order; lower is applied earlier.
pub type Tier = u8;

/// Position among the waves of an app's sync, from the lowest number to the highest; each waits until the one
/// before is healthy.
pub type Wave = i32;

/// Annotations that say the wave. Argo CD's means the same as Muster's, and Helm's weight of a hook too.
const WAVE_ANNOTATIONS: &[&str] =
    &["muster.dev/sync-wave", "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"];

/// Tier of definitions, after which kinds may exist that did not before.
pub const DEFINITIONS: Tier = 1;

/// Tier of what judges other objects: webhooks, and what puts policies into force.
pub const JUDGES: Tier = 10;

/// Kinds without a row: mostly custom resources, which may need anything before them.
const OTHERS: Tier = 7;

const TIERS: &[(&str, &str, Tier)] = &[
    ("", "Namespace", 0),
    ("apiextensions.k8s.io", "CustomResourceDefinition", DEFINITIONS),
    ("scheduling.k8s.io", "PriorityClass", 2),
    ("storage.k8s.io", "StorageClass", 2),
    ("networking.k8s.io", "IngressClass", 2),
    ("", "ResourceQuota", 2),
    ("", "LimitRange", 2),
    ("", "ServiceAccount", 3),
    ("rbac.authorization.k8s.io", "ClusterRole", 3),
    ("rbac.authorization.k8s.io", "Role", 3),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", 4),
    ("rbac.authorization.k8s.io", "RoleBinding", 4),
    ("", "ConfigMap", 5),
    ("", "Secret", 5),
    ("", "PersistentVolume", 5),
    ("", "PersistentVolumeClaim", 5),
    ("networking.k8s.io", "NetworkPolicy", 5),
    ("", "Service", 5),
    ("apps", "Deployment", 6),
    ("apps", "StatefulSet", 6),
    ("apps", "DaemonSet", 6),
    ("apps", "ReplicaSet", 6),
    ("", "ReplicationController", 6),
    ("", "Pod", 6),
    ("batch", "Job", 6),
    ("batch", "CronJob", 6),
    ("policy", "PodDisruptionBudget", 6),
    ("autoscaling", "HorizontalPodAutoscaler", 8),
    ("networking.k8s.io", "Ingress", 8),
    ("apiregistration.k8s.io", "APIService", 9),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", 9),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", 10),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", 10),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", 10),
];

/// Tier of a kind; `group` is empty for the core group.
pub fn tier(group: &str, kind: &str) -> Tier {
    let row = TIERS.iter().find(|(of, name, _)| *of == group && *name == kind);
    row.map_or(OTHERS, |(_, _, tier)| *tier)
}

/// Reads the wave from an object's annotations; without one of them it is wave 0.
///
/// # Errors
/// A value that is no whole number, as a sentence that names the annotation.
pub fn wave(annotations: Option<&Map<String, Value>>) -> Result<Wave, String> {
    let found = WAVE_ANNOTATIONS.iter().find_map(|name| Some((name, annotations?.get(*name)?)));
    let Some((name, value)) = found else { return Ok(0) };
    let text = value.as_str().unwrap_or_default();
    text.trim().parse().map_err(|_| {
        format!("The annotation {name} is not a whole number in quotes, such as \"-1\", but {value}.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn waves_are_whole_numbers_in_any_of_the_spellings() {
        let cases = [
            (json!({}), Ok(0)),
            (json!({"argocd.argoproj.io/sync-wave": "5"}), Ok(5)),
            (json!({"muster.dev/sync-wave": "-3", "argocd.argoproj.io/sync-wave": "5"}), Ok(-3)),
            (json!({"helm.sh/hook-weight": "10"}), Ok(10)),
        ];
        for (annotations, expected) in cases {
            assert_eq!(wave(annotations.as_object()), expected, "{annotations}");
        }
        assert_eq!(wave(None), Ok(0));
        for wrong in [json!("first"), json!("1.5"), json!(""), json!("99999999999"), json!(2)] {
            let annotations = json!({"muster.dev/sync-wave": wrong});
            assert!(wave(annotations.as_object()).unwrap_err().contains("muster.dev/sync-wave"), "{wrong}");
        }
    }

    #[test]
    fn what_others_need_comes_first() {
        let order = [
            ("", "Namespace"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("", "ServiceAccount"),
            ("rbac.authorization.k8s.io", "RoleBinding"),
            ("", "ConfigMap"),
            ("apps", "Deployment"),
            ("cert-manager.io", "Certificate"),
            ("networking.k8s.io", "Ingress"),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ];
        let tiers: Vec<_> = order.iter().map(|(group, kind)| tier(group, kind)).collect();
        assert!(tiers.windows(2).all(|pair| pair[0] < pair[1]), "{tiers:?}");
    }
}
