//! Health of what extends the API or holds other objects: definitions, aggregated APIs, Namespaces.
use serde_json::Value;

use super::{Condition, Health, condition};

/// Conditions that say why a Namespace does not go.
const STUCK_NAMESPACE: &[&str] = &[
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
];

/// Why a Namespace that is being deleted does not go, as its controller says.
pub(super) fn stuck_namespace(object: &Value) -> Option<String> {
    let stuck = STUCK_NAMESPACE.iter().filter_map(|name| condition(object, name)).find(Condition::is_true);
    stuck.map(|stuck| stuck.explain())
}

pub(super) fn definition(object: &Value) -> Health {
    if let Some(names) = condition(object, "NamesAccepted").filter(Condition::is_false) {
        return Health::degraded(names.explain());
    }
    match condition(object, "Established") {
        Some(established) if established.is_true() => Health::healthy(),
        Some(established) if established.is_false() && established.reason != "Installing" => {
            Health::degraded(established.explain())
        }
        _ => Health::progressing("The kind is not served yet."),
    }
}

pub(super) fn api_service(object: &Value) -> Health {
    match condition(object, "Available") {
        Some(available) if available.is_true() => Health::healthy(),
        Some(available) => Health::progressing(available.explain()),
        None => Health::progressing("The API server has not tried it yet."),
    }
}
