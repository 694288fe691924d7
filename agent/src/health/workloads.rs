//! Health of what runs Pods: Deployments and their like, Jobs, autoscalers.
use serde_json::Value;

use super::{Condition, Health, condition};
use crate::object::{at, number, text};

fn spec_replicas(object: &Value) -> i64 {
    number(object, &["spec", "replicas"]).unwrap_or(1)
}

fn status(object: &Value, name: &str) -> i64 {
    number(object, &["status", name]).unwrap_or(0)
}

/// Says which of the counts is short, or nothing.
fn shortfall(counts: &[(&str, i64)], wanted: i64) -> Option<Health> {
    counts
        .iter()
        .find(|(_, count)| *count < wanted)
        .map(|(name, count)| Health::progressing(format!("{name}: {count} of {wanted}.")))
}

/// More replicas than wanted: the last ones are about to go.
fn surplus(object: &Value, wanted: i64) -> Option<Health> {
    let running = status(object, "replicas");
    (running > wanted).then(|| Health::progressing(format!("Replicas running: {running}, wanted: {wanted}.")))
}

/// A controller that has not written any status yet.
fn unseen(object: &Value) -> Option<Health> {
    at(object, &["status", "observedGeneration"])
        .is_none()
        .then(|| Health::progressing("Its controller has not seen it yet."))
}

pub(super) fn deployment(object: &Value) -> Health {
    if let Some(condition) = condition(object, "Progressing").filter(Condition::is_false)
        && condition.reason == "ProgressDeadlineExceeded"
    {
        return Health::degraded(condition.explain());
    }
    if at(object, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        return Health::suspended("Its rollout is paused.");
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(Condition::is_true) {
        return Health::degraded(failure.explain());
    }
    let wanted = spec_replicas(object);
    if let Some(health) = unseen(object)
        .or_else(|| shortfall(&[("Replicas updated", status(object, "updatedReplicas"))], wanted))
    {
        return health;
    }
    let old = status(object, "replicas") - status(object, "updatedReplicas");
    if old > 0 {
        return Health::progressing(format!("Replicas of the old version still running: {old}."));
    }
    let counts = [
        ("Replicas available", status(object, "availableReplicas")),
        ("Replicas ready", status(object, "readyReplicas")),
    ];
    shortfall(&counts, wanted).or_else(|| unsettled(object)).unwrap_or_else(Health::healthy)
}

/// The counts are as wanted; its controller may still be about to say so.
fn unsettled(object: &Value) -> Option<Health> {
    let progressing = condition(object, "Progressing").filter(Condition::is_true);
    let waiting = progressing
        .filter(|condition| condition.reason != "NewReplicaSetAvailable")
        .or_else(|| condition(object, "Available").filter(Condition::is_false))?;
    Some(Health::progressing(waiting.explain()))
}

pub(super) fn stateful_set(object: &Value) -> Health {
    if let Some(health) = unseen(object) {
        return health;
    }
    let wanted = spec_replicas(object);
    let counts = [
        ("Replicas created", status(object, "replicas")),
        ("Replicas ready", status(object, "readyReplicas")),
    ];
    if let Some(health) = shortfall(&counts, wanted) {
        return health;
    }
    if let Some(health) = surplus(object, wanted) {
        return health;
    }
    // With OnDelete nothing moves until somebody deletes Pods: that is not progress.
    if text(object, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return Health::healthy();
    }
    let partition = number(object, &["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    if let Some(health) =
        shortfall(&[("Replicas updated", status(object, "updatedReplicas"))], wanted - partition)
    {
        return health;
    }
    let (current, update) =
        (text(object, &["status", "currentRevision"]), text(object, &["status", "updateRevision"]));
    if partition == 0 && current != update {
        return Health::progressing("Its update is not finished.");
    }
    Health::healthy()
}

pub(super) fn daemon_set(object: &Value) -> Health {
    if let Some(health) = unseen(object) {
        return health;
    }
    let wanted = status(object, "desiredNumberScheduled");
    let on_delete = text(object, &["spec", "updateStrategy", "type"]) == "OnDelete";
    let updated = if on_delete { wanted } else { status(object, "updatedNumberScheduled") };
    let counts = [
        ("Pods scheduled", status(object, "currentNumberScheduled")),
        ("Pods updated", updated),
        ("Pods available", status(object, "numberAvailable")),
        ("Pods ready", status(object, "numberReady")),
    ];
    shortfall(&counts, wanted).unwrap_or_else(Health::healthy)
}

pub(super) fn replica_set(object: &Value) -> Health {
    if let Some(failure) = condition(object, "ReplicaFailure").filter(Condition::is_true) {
        return Health::degraded(failure.explain());
    }
    let counts = [
        ("Replicas available", status(object, "availableReplicas")),
        ("Replicas ready", status(object, "readyReplicas")),
    ];
    let wanted = spec_replicas(object);
    shortfall(&counts, wanted).or_else(|| surplus(object, wanted)).unwrap_or_else(Health::healthy)
}

pub(super) fn job(object: &Value) -> Health {
    if let Some(failed) = condition(object, "Failed").filter(Condition::is_true) {
        return Health::degraded(match failed.reason {
            "" => failed.explain(),
            reason => format!("{reason}: {}", failed.explain()),
        });
    }
    if condition(object, "Complete").is_some_and(|condition| condition.is_true()) {
        return Health::healthy();
    }
    if at(object, &["spec", "suspend"]) == Some(&Value::Bool(true)) {
        return Health::suspended("The Job is suspended.");
    }
    let (active, failed) = (status(object, "active"), status(object, "failed"));
    let message = format!("Pods active: {active}, failed: {failed}.");
    // A Job may run for hours; what limits it is its own activeDeadlineSeconds.
    let runs = number(object, &["status", "ready"]).unwrap_or(active) > 0;
    if runs { Health::running(message) } else { Health::progressing(message) }
}

pub(super) fn cron_job(object: &Value) -> Health {
    if at(object, &["spec", "suspend"]) == Some(&Value::Bool(true)) {
        return Health::suspended("The CronJob is suspended.");
    }
    Health::healthy()
}

pub(super) fn autoscaler(object: &Value) -> Health {
    for name in ["AbleToScale", "ScalingActive"] {
        if let Some(condition) = condition(object, name).filter(Condition::is_false) {
            return match condition.reason {
                // Somebody scaled to zero by hand, which switches the autoscaler off.
                "ScalingDisabled" => Health::suspended(condition.explain()),
                // Metrics are missing for a while after every start.
                "FailedGetResourceMetric" | "FailedGetScale" if status(object, "currentReplicas") == 0 => {
                    Health::progressing(condition.explain())
                }
                _ => Health::degraded(condition.explain()),
            };
        }
    }
    Health::healthy()
}

/// Too few healthy Pods are the trouble of the workload that has them, which says so itself.
pub(super) fn disruption_budget(object: &Value) -> Health {
    match condition(object, "DisruptionAllowed").filter(Condition::is_false) {
        Some(failed) if failed.reason == "SyncFailed" => Health::degraded(failed.explain()),
        _ => Health::healthy(),
    }
}
