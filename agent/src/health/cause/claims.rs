//! Why is a claim not bound to a volume?
use serde_json::Value;

use super::{Cause, events};
use crate::object::{at, text};

/// What is known of the StorageClass a claim names.
pub(super) enum Class {
    Missing,
    Found(Value),
    /// It may not be read.
    Hidden,
}

/// The class a claim names; none when it names none.
pub(super) fn class_of(claim: &Value) -> Option<&str> {
    Some(text(claim, &["spec", "storageClassName"])).filter(|name| !name.is_empty())
}

/// Why a claim is not bound; nothing when it is, or when no reason is to be seen.
pub(super) fn of_claim(claim: &Value, class: &Class, events: &[Value]) -> Option<Cause> {
    if text(claim, &["status", "phase"]) == "Bound" {
        return None;
    }
    let Some(name) = class_of(claim) else {
        // Admission has filled in the default class, so there is none.
        let none =
            "it names no StorageClass and there is no default one, so somebody has to make a volume for it";
        return Some(events::of_claim(events).unwrap_or_else(|| Cause::failing(none)));
    };
    match class {
        Class::Missing => Some(Cause::failing(format!("there is no StorageClass {name}"))),
        Class::Found(class) if waits_for_pod(class) && !has_pod(claim) => {
            Some(Cause::idle(format!("it is bound when the first Pod uses it, as StorageClass {name} says")))
        }
        Class::Found(class) => Some(events::of_claim(events).unwrap_or_else(|| {
            Cause::slow(format!("it waits for the provisioner {}", text(class, &["provisioner"])))
        })),
        Class::Hidden => events::of_claim(events),
    }
}

fn waits_for_pod(class: &Value) -> bool {
    text(class, &["volumeBindingMode"]) == "WaitForFirstConsumer"
}

/// The scheduler has chosen a node for a Pod that uses the claim.
fn has_pod(claim: &Value) -> bool {
    at(claim, &["metadata", "annotations", "volume.kubernetes.io/selected-node"]).is_some()
}
