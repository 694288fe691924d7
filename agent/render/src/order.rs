//! What must be there before what?
//!
//! One table from kind to tier. An agent applies tiers upwards, each at once, and prunes them downwards.

/// Position in the order; lower is applied earlier.
pub type Tier = u8;

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

#[cfg(test)]
mod tests {
    use super::*;

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
