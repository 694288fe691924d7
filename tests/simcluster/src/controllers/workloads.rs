//! How do workloads become ready, or fail?
//!
//! A change of a workload's template or number of replicas starts a rollout that is ready after the delay the
//! settings give, if its images allow it (see [`Outcome`]) and nobody asked for it to fail.

use super::status::{self, Progress};
use super::{pods, write_status};
use crate::state::{State, time_text};
use crate::store::Key;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// What becomes of the pods of a template, by the words in its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ready,
    /// An image containing `slow`: ready after ten times the delay.
    Slow,
    /// An image containing `fail`: its container ends at once, again and again.
    Crashing,
    /// An image containing `missing`: it cannot be pulled.
    Missing,
}

/// A workload on its way to its current specification.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    template: u64,
    wanted: i64,
    started: Timestamp,
    due: Timestamp,
    /// Ready pods of this template when it was last scaled, and of the template before.
    ready_before: i64,
    old_ready: i64,
    pub(super) outcome: Outcome,
    /// Which template of a Deployment this is, counted from 1.
    pub(super) revision: i64,
}

impl Rollout {
    fn is_ready(&self, now: Timestamp) -> bool {
        matches!(self.outcome, Outcome::Ready | Outcome::Slow) && now >= self.due
    }

    fn progress(&self, now: Timestamp, deadline: Option<Timestamp>) -> Progress {
        let ready = self.is_ready(now);
        Progress {
            wanted: self.wanted,
            ready: if ready { self.wanted } else { self.ready_before.min(self.wanted) },
            old_ready: if ready { 0 } else { self.old_ready },
            stalled: !ready && deadline.is_some_and(|deadline| now >= deadline),
        }
    }
}

/// Brings the status of a workload, its ReplicaSet and Pods to where its rollout is.
pub(super) fn reconcile(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(storage, &key.0, &key.1).cloned().filter(|record| !record.deleting)
    else {
        return;
    };
    let object = record.value();
    // A ReplicaSet is kept by its Deployment.
    if &**storage == "replicasets.apps"
        && let Some((storage, key)) =
            record.owners.first().and_then(|owner| state.store.place(owner)).cloned()
    {
        if &*storage == "deployments.apps" {
            reconcile(state, &storage, &key, now);
        }
        return;
    }
    let rollout = advance(state, storage, key, &record.uid, &object, now);
    let spec = &object["spec"];
    let deadline =
        spec["progressDeadlineSeconds"].as_i64().map(|s| rollout.started + SignedDuration::from_secs(s));
    let progress = rollout.progress(now, deadline);
    if !rollout.is_ready(now) {
        let ready_at = matches!(rollout.outcome, Outcome::Ready | Outcome::Slow).then_some(rollout.due);
        for due in [ready_at, deadline.filter(|deadline| *deadline > now)].into_iter().flatten() {
            state.control.at(due, storage, key);
        }
    }
    let hash = pods::hash_text(rollout.template);
    let set_name = format!("{}-{hash}", key.1);
    let text = time_text(now);
    let status = match &**storage {
        "deployments.apps" => status::deployment(&object, progress, &set_name, &text),
        "replicasets.apps" => status::replica_set(&object, progress),
        "statefulsets.apps" => status::stateful_set(&object, progress, &set_name),
        "daemonsets.apps" => status::daemon_set(&object, progress),
        _ => {
            // Jobs that crash fail after the delay.
            let failed = rollout.outcome == Outcome::Crashing && now >= rollout.due;
            if rollout.outcome == Outcome::Crashing && !failed {
                state.control.at(rollout.due, storage, key);
            }
            status::job(&object, rollout.is_ready(now), failed, &text)
        }
    };
    let mut after = object.clone();
    after["status"] = status;
    if &**storage == "deployments.apps" {
        set_revision(&mut after, rollout.revision);
    }
    if after != object {
        write_status(state, storage, "kube-controller-manager", &object, after, &text);
    }
    if state.settings.pods && spec["suspend"] != json!(true) {
        pods::ensure(state, storage, &object, &hash, progress, &rollout, now);
    }
}

/// Deployments count their revisions in an annotation, which the generation does not count.
pub(super) fn set_revision(object: &mut Value, revision: i64) {
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations["deployment.kubernetes.io/revision"] = json!(revision.to_string());
}

/// Starts or continues the rollout of the workload.
fn advance(
    state: &mut State,
    storage: &Arc<str>,
    key: &Key,
    uid: &str,
    object: &Value,
    now: Timestamp,
) -> Rollout {
    let spec = &object["spec"];
    let template = pods::hash(&spec["template"]);
    let wanted = match &**storage {
        "daemonsets.apps" => i64::from(state.settings.nodes),
        "jobs.batch" => spec["completions"].as_i64().unwrap_or(1),
        _ => spec["replicas"].as_i64().unwrap_or(1),
    };
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let asked_to_fail = state.control.failing.contains(&(kind, key.0.clone(), key.1.clone()));
    let outcome = if asked_to_fail { Outcome::Crashing } else { outcome(&spec["template"]["spec"]) };
    let delay = SignedDuration::try_from(state.settings.ready_after).unwrap_or(SignedDuration::ZERO);
    let delay = if outcome == Outcome::Slow { delay * 10 } else { delay };
    let fresh = |ready_before, old_ready, due, revision| Rollout {
        template,
        wanted,
        started: now,
        due,
        ready_before,
        old_ready,
        outcome,
        revision,
    };
    let next = match state.control.rollouts.get(uid) {
        None => fresh(0, 0, now + delay, 1),
        Some(before) if before.template != template || before.outcome != outcome => {
            let done = before.progress(now, None);
            let old = if before.template == template { 0 } else { done.ready + done.old_ready };
            fresh(0, old, now + delay, before.revision + i64::from(before.template != template))
        }
        Some(before) if before.wanted != wanted => {
            let done = before.progress(now, None);
            let due = if wanted > done.ready { now + delay } else { before.due };
            fresh(done.ready.min(wanted), done.old_ready.min(wanted), due, before.revision)
        }
        Some(before) => before.clone(),
    };
    state.control.rollouts.insert(uid.to_owned(), next.clone());
    next
}

/// What the images of a pod say will become of it.
fn outcome(pod: &Value) -> Outcome {
    let lists = ["initContainers", "containers"].into_iter();
    let containers = lists.flat_map(|list| pod[list].as_array().into_iter().flatten());
    let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
    let any = |word: &str| images.iter().any(|image| image.contains(word));
    if any("missing") {
        Outcome::Missing
    } else if any("fail") {
        Outcome::Crashing
    } else if any("slow") {
        Outcome::Slow
    } else {
        Outcome::Ready
    }
}
