//! Health of what others connect through or live in: Services, Ingresses, Namespaces, API extensions.
use serde_json::Value;

use super::{Condition, Health, condition};
use crate::object::{items, text};

pub(super) fn service(object: &Value) -> Health {
    if text(object, &["spec", "type"]) == "LoadBalancer"
        && items(object, &["status", "loadBalancer", "ingress"]).is_empty()
    {
        return Health::progressing("The load balancer has no address yet.");
    }
    Health::healthy()
}

/// Many clusters have no controller that writes an Ingress' address, so its absence says nothing.
pub(super) fn ingress(_: &Value) -> Health {
    Health::healthy()
}

pub(super) fn namespace(object: &Value) -> Health {
    match text(object, &["status", "phase"]) {
        "Terminating" => Health::progressing("The Namespace is being deleted."),
        _ => Health::healthy(),
    }
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
