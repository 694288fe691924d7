//! Health of volumes and of the claims on them.
use serde_json::Value;

use super::Health;
use super::conditions::brief;
use crate::object::{at, text};

pub(super) fn volume_claim(object: &Value) -> Health {
    match text(object, &["status", "phase"]) {
        "Bound" => Health::healthy(),
        "Lost" => Health::degraded("The volume of the claim is lost."),
        _ if at(object, &["spec", "volumeName"]).is_some() => {
            Health::progressing("The claim is being bound.")
        }
        _ => Health::progressing("The claim is not bound to a volume yet."),
    }
}

pub(super) fn volume(object: &Value) -> Health {
    match text(object, &["status", "phase"]) {
        "Failed" => Health::degraded(match text(object, &["status", "message"]) {
            "" => "The volume could not be reclaimed.".to_owned(),
            message => brief(message),
        }),
        "Pending" => Health::progressing("The volume is not available yet."),
        _ => Health::healthy(),
    }
}
