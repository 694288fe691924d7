//! Does a kind live in a namespace?
//!
//! An agent asks its API server. Without one: the built-in kinds are known, definitions in the repository
//! say it of theirs, and an OpenAPI document of a cluster says it of all. Any other kind is taken to be in
//! a namespace, as most are.

use std::collections::BTreeMap;

/// Built-in kinds that live in no namespace, by group (Kubernetes 1.36).
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    ("authorization.k8s.io", &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// What is known of where kinds live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scopes {
    /// Group and kind to whether it lives in a namespace.
    told: BTreeMap<(String, String), bool>,
}

impl Scopes {
    /// Takes the word of a definition or a cluster, which goes before what is built in.
    pub(crate) fn tell(&mut self, group: &str, kind: &str, is_namespaced: bool) {
        self.told.insert((group.to_owned(), kind.to_owned()), is_namespaced);
    }

    /// Whether objects of a kind live in a namespace.
    pub(crate) fn is_namespaced(&self, group: &str, kind: &str) -> bool {
        // A key of borrowed texts would need a type of its own; a fleet has few kinds of its own.
        if let Some(told) =
            (!self.told.is_empty()).then(|| self.told.get(&(group.to_owned(), kind.to_owned()))).flatten()
        {
            return *told;
        }
        !CLUSTER_SCOPED.iter().any(|(of, kinds)| *of == group && kinds.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_goes_before_what_is_built_in() {
        let mut scopes = Scopes::default();
        assert!(scopes.is_namespaced("apps", "Deployment"));
        assert!(!scopes.is_namespaced("", "Namespace"));
        assert!(scopes.is_namespaced("example.com", "Namespace"));
        scopes.tell("example.com", "Zone", false);
        assert!(!scopes.is_namespaced("example.com", "Zone"));
    }
}
