//! Health of what others connect through.
use serde_json::Value;

use super::Health;
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
