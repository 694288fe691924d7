//! Health of Pods and of the claims they wait for.
use serde_json::Value;

use super::{Condition, Health, condition};
use crate::object::{at, items, number, text};

/// Reasons for waiting that do not go away by waiting.
const STUCK: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

pub(super) fn pod(object: &Value) -> Health {
    match text(object, &["status", "phase"]) {
        "Succeeded" => return Health::healthy(),
        "Failed" => return Health::degraded(failure(object)),
        _ => {}
    }
    if let Some(stuck) = stuck_container(object) {
        return Health::degraded(stuck);
    }
    if condition(object, "Ready").is_some_and(|condition| condition.is_true()) {
        return Health::healthy();
    }
    if let Some(scheduled) = condition(object, "PodScheduled").filter(Condition::is_false) {
        return Health::progressing(format!("{}: {}", scheduled.reason, scheduled.explain()));
    }
    match condition(object, "Ready") {
        Some(ready) => Health::progressing(ready.explain()),
        None => Health::progressing("It has not started yet."),
    }
}

fn failure(object: &Value) -> String {
    let said = [text(object, &["status", "message"]), text(object, &["status", "reason"])];
    if let Some(said) = said.into_iter().find(|said| !said.is_empty()) {
        return said.to_owned();
    }
    containers(object)
        .find_map(|container| {
            let code = number(container, &["state", "terminated", "exitCode"]).filter(|code| *code != 0)?;
            Some(format!("Container {} ended with exit code {code}.", text(container, &["name"])))
        })
        .unwrap_or_else(|| "The Pod failed.".to_owned())
}

fn stuck_container(object: &Value) -> Option<String> {
    containers(object).find_map(|container| {
        let reason = text(container, &["state", "waiting", "reason"]);
        STUCK.contains(&reason).then(|| {
            let name = text(container, &["name"]);
            match text(container, &["state", "waiting", "message"]) {
                "" => format!("Container {name}: {reason}."),
                message => format!("Container {name}: {reason}: {message}"),
            }
        })
    })
}

fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| items(object, &["status", list]))
}

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
