//! What comes next in the life of a Pod? A pure decision over the Pod, its age and the stages.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use serde_json::{Value, json};

use super::{NODE, Stages};

/// The node's address: from a range kept for documentation, since loopback is not allowed.
pub(super) const HOST_ADDRESS: &str = "192.0.2.1";
/// The word in an image's name that makes its container crash.
const FAILS: &str = "fail";
/// The word in an image's name that makes it impossible to pull.
const MISSING: &str = "missing";

/// The one thing to do for a Pod now.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing, until the Pod changes.
    Rest,
    /// Nothing, until this much time has passed or the Pod changes.
    Wait(Duration),
    /// Bind it to the node.
    Bind,
    /// Write this status.
    Status(Value),
    /// Delete it for good.
    Remove,
}

/// Decides. `bound` and `deleted` are how long the Pod has been bound and being deleted; `binds` tells
/// whether there is no scheduler.
pub(super) fn next(
    pod: &Pod,
    bound: Duration,
    deleted: Duration,
    stages: &Stages,
    binds: bool,
    now: Timestamp,
) -> Step {
    let Some(spec) = &pod.spec else { return Step::Rest };
    if pod.metadata.deletion_timestamp.is_some() {
        return removal(pod, deleted, stages);
    }
    match spec.node_name.as_deref() {
        None if binds && spec.scheduling_gates.is_none() => return Step::Bind,
        Some(NODE) => {}
        _ => return Step::Rest,
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Step::Rest;
    }
    let remaining = stages.ready_after.saturating_sub(bound);
    let wanted = if remaining.is_zero() { outcome(spec) } else { Outcome::Creating };
    if !shows(pod, spec, wanted) {
        return Step::Status(status(pod, spec, wanted, now));
    }
    if remaining.is_zero() { Step::Rest } else { Step::Wait(remaining) }
}

fn removal(pod: &Pod, deleted: Duration, stages: &Stages) -> Step {
    // With a grace period of zero the API server only waits for finalizers; asking again changes nothing.
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0).try_into().unwrap_or(0);
    if grace == 0 {
        return Step::Rest;
    }
    let remaining = stages.gone_after.min(Duration::from_secs(grace)).saturating_sub(deleted);
    if remaining.is_zero() { Step::Remove } else { Step::Wait(remaining) }
}

/// Where a Pod ends up, as its images and restart policy have it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Creating,
    CannotPull,
    Crashing,
    Running,
    Failed,
    Succeeded,
}

impl Outcome {
    fn phase(self) -> &'static str {
        match self {
            Outcome::Creating | Outcome::CannotPull => "Pending",
            Outcome::Crashing | Outcome::Running => "Running",
            Outcome::Failed => "Failed",
            Outcome::Succeeded => "Succeeded",
        }
    }

    /// Why its containers wait, if they do.
    fn waiting(self) -> Option<(&'static str, &'static str)> {
        match self {
            Outcome::Creating => Some(("ContainerCreating", "")),
            Outcome::CannotPull => Some(("ImagePullBackOff", "Back-off pulling image")),
            Outcome::Crashing => Some(("CrashLoopBackOff", "back-off 10s restarting failed container")),
            Outcome::Running | Outcome::Failed | Outcome::Succeeded => None,
        }
    }
}

fn outcome(spec: &PodSpec) -> Outcome {
    let initial = spec.init_containers.iter().flatten();
    let any = |word: &str| {
        let mut images =
            initial.clone().chain(&spec.containers).filter_map(|container| container.image.as_deref());
        images.any(|image| image.contains(word))
    };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    match policy {
        _ if any(MISSING) => Outcome::CannotPull,
        "Never" if any(FAILS) => Outcome::Failed,
        _ if any(FAILS) => Outcome::Crashing,
        "Always" => Outcome::Running,
        _ => Outcome::Succeeded,
    }
}

/// Whether the Pod's status says this already, for the images it has now.
fn shows(pod: &Pod, spec: &PodSpec, wanted: Outcome) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    status.phase.as_deref() == Some(wanted.phase())
        && containers.len() == spec.containers.len()
        && spec.containers.iter().zip(containers).all(|(container, status)| says(container, status, wanted))
}

fn says(container: &Container, status: &ContainerStatus, wanted: Outcome) -> bool {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref());
    status.image == container.image.as_deref().unwrap_or_default()
        && status.ready == (wanted == Outcome::Running)
        && waiting == wanted.waiting().map(|(reason, _)| reason)
}

fn status(pod: &Pod, spec: &PodSpec, wanted: Outcome, now: Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = wanted == Outcome::Running;
    let condition = |kind: &str, holds: bool, reason: Option<&str>| {
        json!({
            "type": kind, "status": if holds { "True" } else { "False" }, "reason": reason,
            "lastProbeTime": null, "lastTransitionTime": now,
        })
    };
    let unready = match wanted {
        Outcome::Running => None,
        Outcome::Succeeded => Some("PodCompleted"),
        Outcome::Failed => Some("PodFailed"),
        _ => Some("ContainersNotReady"),
    };
    let statuses = |containers: &[Container], wanted: Outcome| -> Vec<Value> {
        containers.iter().map(|container| container_status(container, wanted, &now)).collect()
    };
    let address = address(pod.metadata.uid.as_deref().unwrap_or_default());
    let initialised = if wanted == Outcome::Creating { Outcome::Creating } else { Outcome::Succeeded };
    json!({
        "phase": wanted.phase(),
        "startTime": pod.status.as_ref().and_then(|status| status.start_time.clone()).map_or(json!(now), |time| json!(time)),
        "hostIP": HOST_ADDRESS,
        "hostIPs": [{ "ip": HOST_ADDRESS }],
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": [
            condition("PodScheduled", true, None),
            condition("Initialized", initialised == Outcome::Succeeded, None),
            condition("ContainersReady", ready, unready),
            condition("Ready", ready, unready),
        ],
        "containerStatuses": statuses(&spec.containers, wanted),
        "initContainerStatuses": statuses(spec.init_containers.as_deref().unwrap_or_default(), initialised),
    })
}

fn container_status(container: &Container, wanted: Outcome, now: &str) -> Value {
    let image = container.image.as_deref().unwrap_or_default();
    let terminated = |code: i32, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now } });
    let state = match (wanted.waiting(), wanted) {
        (Some((reason, message)), _) => json!({ "waiting": { "reason": reason, "message": message } }),
        (None, Outcome::Succeeded) => terminated(0, "Completed"),
        (None, Outcome::Failed) => terminated(1, "Error"),
        (None, _) => json!({ "running": { "startedAt": now } }),
    };
    let crashing = wanted == Outcome::Crashing;
    json!({
        "name": container.name,
        "image": image,
        "imageID": if wanted.phase() == "Pending" { String::new() } else { format!("stand-in://{image}") },
        "ready": wanted == Outcome::Running,
        "started": wanted == Outcome::Running,
        "restartCount": if crashing { 3 } else { 0 },
        "state": state,
        "lastState": if crashing { terminated(1, "Error") } else { json!({}) },
    })
}

/// An address of the Pod network (10.244.0.0/16) that depends on the Pod's uid alone.
fn address(uid: &str) -> String {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let [high, low, ..] = hasher.finish().to_be_bytes();
    format!("10.244.{high}.{}", low.max(1))
}

#[cfg(test)]
mod tests;
