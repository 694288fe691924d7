//! Who else writes objects, and by which marks are they known?
//!
//! Names of field managers and marks of ownership, as each tool's documentation or source gives them.
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::object::{at, text};

/// Managers of tools by which people deploy: what they hold may be taken over. A `*` stands for any ending.
const KNOWN: &[&str] = &[
    // kubectl, and every subcommand of it.
    "kubectl",
    "kubectl-*",
    // What the API server calls whoever wrote before it kept track.
    "before-first-apply",
    "helm",
    "helm-controller",
    "kustomize-controller",
    "flux",
    "flux-*",
    "gotk-*",
    "argocd-controller",
    "argocd-application-controller",
    "argocd-server",
    "fleetagent",
    "fleet-agent",
    "fleetcontroller",
    "kapp",
    "kapp-controller",
    "pulumi-*",
    "Terraform",
    "HashiCorp",
    // The ways in which people change objects by hand, other than kubectl.
    "k9s",
    "rancher",
    "Mozilla",
    // This agent, by requests other than apply.
    FIELD_MANAGER,
];

/// Managers that hold whatever the API server did not keep track of, or an older kubectl, which did not say
/// whether it applied or edited: only what `last-applied-configuration` names was applied.
const VAGUE: &[&str] = &["before-first-apply", "kubectl"];

/// Tools by which people change single fields by hand: that is not all that they mean the object to be.
const BY_HAND: &[&str] = &["k9s", "rancher", "Mozilla"];

/// Whether what this manager holds may be taken over without asking.
pub(super) fn is_known(manager: &str) -> bool {
    KNOWN.iter().any(|known| match known.strip_suffix('*') {
        Some(start) => manager.starts_with(start),
        None => manager == *known,
    })
}

/// How much of what a manager holds it wanted the object to be, so that it is ours from the adoption on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Nothing: it changed single fields, or is no tool for deploying.
    None,
    /// What its last-applied annotation names.
    LastApplied,
    All,
}

/// Decides by the manager's name and the operation of its entry in `managedFields`.
pub(super) fn applied_by(manager: &str, operation: &str) -> Share {
    let applies = operation == "Apply";
    if manager == FIELD_MANAGER || !is_known(manager) || BY_HAND.contains(&manager) {
        Share::None
    } else if applies {
        Share::All
    } else if VAGUE.contains(&manager) {
        Share::LastApplied
    } else if manager.starts_with("kubectl-") && manager != "kubectl-client-side-apply" {
        Share::None
    } else {
        Share::All
    }
}

/// Marks by which a tool knows its objects: the tool, where its mark is, and what the mark names.
const MARKS: &[(&str, &str, &[&str])] = &[
    ("Argo CD", "annotations", &["argocd.argoproj.io/tracking-id"]),
    ("Argo CD", "labels", &["argocd.argoproj.io/instance"]),
    ("Flux", "labels", &["kustomize.toolkit.fluxcd.io/namespace", "kustomize.toolkit.fluxcd.io/name"]),
    ("Flux", "labels", &["helm.toolkit.fluxcd.io/namespace", "helm.toolkit.fluxcd.io/name"]),
    ("Helm", "annotations", &["meta.helm.sh/release-namespace", "meta.helm.sh/release-name"]),
    ("Rancher Fleet", "annotations", &["objectset.rio.cattle.io/id"]),
    ("kapp", "labels", &["kapp.k14s.io/app"]),
];

/// The tool that has the object, such as `Helm (shop/web)`, by the marks it left.
pub(super) fn tool_of(object: &Value) -> Option<String> {
    MARKS.iter().find_map(|(tool, place, names)| {
        let last = names.last()?;
        at(object, &["metadata", place, last])?;
        let named: Vec<_> = names
            .iter()
            .map(|name| text(object, &["metadata", place, name]))
            .filter(|name| !name.is_empty())
            .collect();
        Some(format!("{tool} ({})", named.join("/")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_may_be_taken_over_and_what_they_applied() {
        let cases = [
            ("kubectl-client-side-apply", "Update", true, Share::All),
            ("kubectl", "Apply", true, Share::All),
            ("kubectl", "Update", true, Share::LastApplied),
            ("before-first-apply", "Update", true, Share::LastApplied),
            ("kubectl-edit", "Update", true, Share::None),
            ("kubectl-scale", "Update", true, Share::None),
            ("helm", "Update", true, Share::All),
            ("argocd-controller", "Apply", true, Share::All),
            ("kustomize-controller", "Apply", true, Share::All),
            ("flux-client-side-apply", "Update", true, Share::All),
            ("kube-controller-manager", "Update", false, Share::None),
            ("my-operator", "Apply", false, Share::None),
            ("kubectlish", "Apply", false, Share::None),
            (FIELD_MANAGER, "Apply", true, Share::None),
            (FIELD_MANAGER, "Update", true, Share::None),
            ("Mozilla", "Update", true, Share::None),
        ];
        for (manager, operation, known, applied) in cases {
            assert_eq!(is_known(manager), known, "{manager}");
            assert_eq!(applied_by(manager, operation), applied, "{manager} {operation}");
        }
    }

    #[test]
    fn tools_are_known_by_their_marks() {
        let labels = |labels: Value| json!({"metadata": {"labels": labels}});
        let annotations = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        let cases = [
            (
                annotations(json!({"argocd.argoproj.io/tracking-id": "web:apps/Deployment:demo/web"})),
                Some("Argo CD (web:apps/Deployment:demo/web)"),
            ),
            (
                labels(json!({
                    "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                })),
                Some("Flux (flux-system/apps)"),
            ),
            (
                annotations(
                    json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}),
                ),
                Some("Helm (shop/web)"),
            ),
            (labels(json!({"app.kubernetes.io/instance": "web"})), None),
        ];
        for (object, tool) in cases {
            assert_eq!(tool_of(&object).as_deref(), tool, "{object}");
        }
    }
}
