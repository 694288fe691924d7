//! Health of what makes Secrets: Sealed Secrets and the External Secrets Operator.
use serde_json::Value;

use super::conditions::ready;
use super::{Condition, Health, condition};

pub(super) fn sealed(object: &Value) -> Health {
    match condition(object, "Synced").filter(Condition::is_false) {
        Some(failed) => Health::degraded(failed.explain()),
        // Older controllers write no status.
        None => Health::healthy(),
    }
}

pub(super) fn external(object: &Value) -> Health {
    ready(object, "The External Secrets Operator has not seen it yet.")
}
