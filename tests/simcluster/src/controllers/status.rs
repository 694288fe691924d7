//! What status does a workload have? Pure: from its specification and how far its rollout is.

use super::set_condition;
use serde_json::{Value, json};

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Pods wanted.
    pub(super) wanted: i64,
    /// Pods of the current template that are ready.
    pub(super) ready: i64,
    /// Ready pods of the template before, still serving.
    pub(super) old_ready: i64,
    /// No progress within the deadline.
    pub(super) stalled: bool,
}

impl Progress {
    fn complete(&self) -> bool {
        self.ready >= self.wanted && self.old_ready == 0
    }
}

/// A share or number of `wanted`, as in `maxUnavailable`.
fn amount(value: &Value, wanted: i64) -> i64 {
    match value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|share| share.parse::<i64>().ok()) {
        Some(share) => wanted * share / 100,
        None => value.as_i64().unwrap_or(0),
    }
}

/// Sets the fields given and takes away those that are zero, as the API server leaves them out.
fn counts(status: &mut Value, fields: &[(&str, i64)]) {
    if let Some(known) = status.as_object_mut() {
        for (field, number) in fields {
            match number {
                0 => known.remove(*field),
                number => known.insert((*field).to_owned(), json!(number)),
            };
        }
    }
}

/// The status of a Deployment. `replica_set` names its current ReplicaSet.
pub(super) fn deployment(object: &Value, progress: Progress, replica_set: &str, now: &str) -> Value {
    let (spec, name) = (&object["spec"], object["metadata"]["name"].as_str().unwrap_or_default());
    let mut status = object["status"].clone();
    status["observedGeneration"] = object["metadata"]["generation"].clone();
    let available = (progress.ready + progress.old_ready).min(progress.wanted.max(progress.old_ready));
    let surge = i64::from(progress.old_ready > 0 && progress.ready < progress.wanted);
    let replicas = progress.wanted.max(progress.old_ready) + surge;
    let updated = if surge > 0 { 1 } else { progress.wanted };
    let fields = [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", available),
        ("availableReplicas", available),
        ("unavailableReplicas", replicas - available),
    ];
    counts(&mut status, &fields);
    let allowed_missing = amount(&spec["strategy"]["rollingUpdate"]["maxUnavailable"], progress.wanted);
    let enough = available >= progress.wanted - allowed_missing;
    let (value, reason, message) = match enough {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    let progressing = if progress.stalled {
        let message = format!("ReplicaSet {replica_set:?} has timed out progressing.");
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message})
    } else if progress.complete() {
        let message = format!("ReplicaSet {replica_set:?} has successfully progressed.");
        json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": message})
    } else {
        let message = format!("ReplicaSet {replica_set:?} is progressing.");
        json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": message})
    };
    let availability = json!({"type": "Available", "status": value, "reason": reason, "message": message});
    for mut condition in [availability, progressing] {
        let changed =
            |known: &Value| known["reason"] != condition["reason"] || known["status"] != condition["status"];
        let known =
            status["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == condition["type"]);
        condition["lastUpdateTime"] = match known {
            Some(known) if !changed(known) => known["lastUpdateTime"].clone(),
            _ => json!(now),
        };
        set_condition(&mut status, condition, now);
    }
    debug_assert!(!name.is_empty(), "stored objects have names");
    status
}

/// The status of a ReplicaSet.
pub(super) fn replica_set(object: &Value, progress: Progress) -> Value {
    let mut status = object["status"].clone();
    status["observedGeneration"] = object["metadata"]["generation"].clone();
    status["replicas"] = json!(progress.wanted);
    let fields = [
        ("fullyLabeledReplicas", progress.wanted),
        ("readyReplicas", progress.ready),
        ("availableReplicas", progress.ready),
    ];
    counts(&mut status, &fields);
    status
}

/// The status of a StatefulSet; `revision` names its template.
pub(super) fn stateful_set(object: &Value, progress: Progress, revision: &str) -> Value {
    let mut status = object["status"].clone();
    status["observedGeneration"] = object["metadata"]["generation"].clone();
    let ready = (progress.ready + progress.old_ready).min(progress.wanted);
    let current = match (progress.complete(), status["currentRevision"].as_str()) {
        (false, Some(before)) if !before.is_empty() => before.to_owned(),
        _ => revision.to_owned(),
    };
    let updated = if progress.complete() || current == revision { progress.wanted } else { progress.ready };
    status["replicas"] = json!(progress.wanted);
    status["availableReplicas"] = json!(ready);
    let fields = [
        ("readyReplicas", ready),
        ("updatedReplicas", updated),
        ("currentReplicas", if current == revision { progress.wanted } else { progress.wanted - updated }),
    ];
    counts(&mut status, &fields);
    status["currentRevision"] = json!(current);
    status["updateRevision"] = json!(revision);
    status["collisionCount"] = json!(0);
    status
}

/// The status of a DaemonSet.
pub(super) fn daemon_set(object: &Value, progress: Progress) -> Value {
    let mut status = object["status"].clone();
    status["observedGeneration"] = object["metadata"]["generation"].clone();
    let ready = (progress.ready + progress.old_ready).min(progress.wanted);
    status["currentNumberScheduled"] = json!(progress.wanted);
    status["desiredNumberScheduled"] = json!(progress.wanted);
    status["numberMisscheduled"] = json!(0);
    status["numberReady"] = json!(ready);
    let updated = if progress.old_ready > 0 { progress.ready } else { progress.wanted };
    let fields = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", ready),
        ("numberUnavailable", progress.wanted - ready),
    ];
    counts(&mut status, &fields);
    status
}

/// The status of a Job.
pub(super) fn job(object: &Value, done: bool, failed: bool, now: &str) -> Value {
    let spec = &object["spec"];
    let mut status = object["status"].clone();
    if spec["suspend"] == json!(true) {
        let message = "Job suspended";
        let condition =
            json!({"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": message});
        set_condition(&mut status, condition, now);
        return status;
    }
    if status["startTime"].is_null() {
        status["startTime"] = json!(now);
    }
    if status["completionTime"].is_string() || status["failed"].is_number() {
        return status;
    }
    let completions = spec["completions"].as_i64().unwrap_or(1);
    status["ready"] = json!(0);
    status["terminating"] = json!(0);
    status["uncountedTerminatedPods"] = json!({});
    if failed {
        let attempts = spec["backoffLimit"].as_i64().unwrap_or(6) + 1;
        counts(&mut status, &[("failed", attempts), ("active", 0)]);
        let message = "Job has reached the specified backoff limit";
        for kind in ["FailureTarget", "Failed"] {
            let reason = "BackoffLimitExceeded";
            let condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
            set_condition(&mut status, probed(condition, now), now);
        }
    } else if done {
        counts(&mut status, &[("succeeded", completions), ("active", 0)]);
        status["completionTime"] = json!(now);
        let message = "Reached expected number of succeeded pods";
        for kind in ["SuccessCriteriaMet", "Complete"] {
            let reason = "CompletionsReached";
            let condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
            set_condition(&mut status, probed(condition, now), now);
        }
    } else {
        let active = spec["parallelism"].as_i64().unwrap_or(1).min(completions);
        counts(&mut status, &[("active", active)]);
        status["ready"] = json!(active);
    }
    status
}

fn probed(mut condition: Value, now: &str) -> Value {
    condition["lastProbeTime"] = json!(now);
    condition
}
