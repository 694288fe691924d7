//! Health of cert-manager's kinds.
use serde_json::Value;

use super::conditions::{brief, ready};
use super::{Condition, Health, condition};
use crate::object::text;

pub(super) fn certificate(object: &Value) -> Health {
    // A certificate that is still good and cannot be renewed will not be good for long.
    let issuing = condition(object, "Issuing");
    if let Some(failed) = issuing.filter(|issuing| issuing.is_false() && issuing.reason == "Failed") {
        return Health::degraded(failed.explain());
    }
    match condition(object, "Ready") {
        Some(ready) if ready.is_true() => Health::healthy(),
        Some(ready) => Health::progressing(issuing.filter(Condition::is_true).unwrap_or(ready).explain()),
        None => Health::progressing("cert-manager has not seen it yet."),
    }
}

pub(super) fn request(object: &Value) -> Health {
    for name in ["Denied", "InvalidRequest"] {
        if let Some(refused) = condition(object, name).filter(Condition::is_true) {
            return Health::degraded(refused.explain());
        }
    }
    match condition(object, "Ready") {
        Some(ready) if ready.is_true() => Health::healthy(),
        Some(ready) if matches!(ready.reason, "Failed" | "Denied") => Health::degraded(ready.explain()),
        Some(ready) => Health::progressing(ready.explain()),
        None => Health::progressing("No issuer has seen it yet."),
    }
}

pub(super) fn issuer(object: &Value) -> Health {
    ready(object, "cert-manager has not seen it yet.")
}

/// Orders and Challenges of the ACME protocol (RFC 8555, section 7.1.6).
pub(super) fn acme(object: &Value) -> Health {
    let state = text(object, &["status", "state"]);
    let reason = match text(object, &["status", "reason"]) {
        "" => format!("Its state is {state}."),
        reason => format!("Its state is {state}: {}", brief(reason)),
    };
    match state {
        "valid" => Health::healthy(),
        "invalid" | "expired" | "errored" => Health::degraded(reason),
        "" => Health::progressing("cert-manager has not begun with it yet."),
        _ => Health::progressing(reason),
    }
}
