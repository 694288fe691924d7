//! In which order do objects come out?

use super::{identity::Gvk, resource::Resource};

/// Kinds that come first, in this order.
pub(crate) const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that come last, in this order.
pub(crate) const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The place of a kind, and what decides among kinds of one place.
pub(crate) fn rank(gvk: &Gvk) -> (isize, String) {
    (place(&gvk.kind, &FIRST, &LAST), legacy(gvk))
}

fn place<S: AsRef<str>>(kind: &str, first: &[S], last: &[S]) -> isize {
    let find = |kinds: &[S]| kinds.iter().rposition(|known| known.as_ref() == kind);
    // Lists are short, so positions fit.
    let number = |position: usize| isize::try_from(position).unwrap_or(isize::MAX);
    match (find(last), find(first)) {
        (Some(position), _) => 1 + number(position),
        (None, Some(position)) => number(position) - number(first.len()),
        (None, None) => 0,
    }
}

fn legacy(gvk: &Gvk) -> String {
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    format!("{}_{}_{}", or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K"))
}

/// Sorts by kind, then by namespace and name.
pub(crate) fn by_kind<S: AsRef<str>>(list: &mut [Resource], first: &[S], last: &[S]) {
    list.sort_by_cached_key(|resource| {
        let gvk = resource.gvk();
        let namespace = resource.namespace();
        let namespace = if namespace.is_empty() { "~X".to_owned() } else { namespace };
        let name = resource.name();
        let name = if name.is_empty() { "~N".to_owned() } else { name };
        (place(&gvk.kind, first, last), legacy(&gvk), format!("{namespace}|{name}"))
    });
}
