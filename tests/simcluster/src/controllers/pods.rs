//! Which ReplicaSets and Pods stand for a workload? (made only where the settings ask for them)

use super::garbage;
use super::status::{self, Progress};
use super::workloads::{Outcome, Rollout, set_revision};
use super::write;
use crate::state::{State, time_text};
use crate::store::Key;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A number that is the same for the same template (FNV-1a over its text).
pub(super) fn hash(template: &Value) -> u64 {
    let bytes = template.to_string().into_bytes();
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The hash as names carry it: ten letters and digits.
pub(super) fn hash_text(mut hash: u64) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut letter = || {
        let index = usize::try_from(hash % 27).unwrap_or_default();
        hash /= 27;
        char::from(LETTERS[index])
    };
    (0..10).map(|_| letter()).collect()
}

/// Who owns the pods, and what they are made from.
struct Owner {
    object: Value,
    kind: &'static str,
    api_version: &'static str,
    extra_labels: Map<String, Value>,
}

/// Makes, updates and removes what stands for the workload.
pub(super) fn ensure(
    state: &mut State,
    storage: &Arc<str>,
    workload: &Value,
    hash: &str,
    progress: Progress,
    rollout: &Rollout,
    now: Timestamp,
) {
    let mut extra_labels = Map::new();
    let (kind, api_version) = match &**storage {
        "deployments.apps" => ("ReplicaSet", "apps/v1"),
        "replicasets.apps" => ("ReplicaSet", "apps/v1"),
        "statefulsets.apps" => ("StatefulSet", "apps/v1"),
        "daemonsets.apps" => ("DaemonSet", "apps/v1"),
        _ => ("Job", "batch/v1"),
    };
    let object = match &**storage {
        "deployments.apps" => {
            extra_labels.insert("pod-template-hash".to_owned(), json!(hash));
            replica_set(state, workload, hash, progress, rollout, now)
        }
        _ => workload.clone(),
    };
    let owner = Owner { object, kind, api_version, extra_labels };
    let names = wanted_names(state, &owner, progress.wanted);
    for (index, name) in names.iter().enumerate() {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let phase = if index < progress.ready { Phase::Up } else { Phase::of(rollout.outcome) };
        pod(state, &owner, name, phase, now);
    }
}

/// The ReplicaSet of a Deployment's current template; those of older templates are scaled to nothing.
fn replica_set(
    state: &mut State,
    deployment: &Value,
    hash: &str,
    progress: Progress,
    rollout: &Rollout,
    now: Timestamp,
) -> Value {
    let storage: Arc<str> = "replicasets.apps".into();
    let metadata = &deployment["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let name = format!("{}-{hash}", metadata["name"].as_str().unwrap_or_default());
    let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
    let others = state.store.dependents(&uid).into_iter().filter(|(_, key)| key.1 != name);
    let others: Vec<(Arc<str>, Key)> =
        others.filter(|(storage, _)| &**storage == "replicasets.apps").collect();
    let current_ready = progress.ready >= progress.wanted;
    for (storage, key) in others.into_iter().filter(|_| current_ready) {
        empty(state, &storage, &key, now);
    }
    let known = state.store.get(&storage, namespace, &name).map(|record| record.value());
    let mut set = match known {
        Some(set) => set,
        None => {
            let mut template = deployment["spec"]["template"].clone();
            let mut selector = deployment["spec"]["selector"].clone();
            for labels in [&mut template["metadata"]["labels"], &mut selector["matchLabels"]] {
                labels["pod-template-hash"] = json!(hash);
            }
            json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {
                    "name": name, "namespace": namespace, "uid": state.ids.uid(),
                    "creationTimestamp": time_text(now), "generation": 1,
                    "labels": template["metadata"]["labels"],
                    "annotations": {"deployment.kubernetes.io/desired-replicas": progress.wanted.to_string()},
                    "ownerReferences": [reference(deployment, "apps/v1", "Deployment")],
                },
                "spec": {"replicas": progress.wanted, "selector": selector, "template": template},
                "status": {"replicas": 0},
            })
        }
    };
    if set["spec"]["replicas"] != json!(progress.wanted) {
        set["spec"]["replicas"] = json!(progress.wanted);
        set["metadata"]["generation"] = json!(set["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
    }
    set["status"] = status::replica_set(&set, Progress { old_ready: 0, ..progress });
    set_revision(&mut set, rollout.revision);
    write(state, &storage, set.clone());
    set
}

/// Scales a ReplicaSet of an older template to nothing.
fn empty(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    let Some(record) = state.store.get(storage, &key.0, &key.1).cloned() else {
        return;
    };
    for (storage, key) in state.store.dependents(&record.uid) {
        garbage::delete(state, &storage, &key, now);
    }
    let mut set = record.value();
    if set["spec"]["replicas"] != json!(0) {
        set["spec"]["replicas"] = json!(0);
        set["metadata"]["generation"] = json!(set["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        set["status"] = json!({"replicas": 0, "observedGeneration": set["metadata"]["generation"]});
        write(state, storage, set);
    }
}

fn reference(owner: &Value, api_version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The names of the pods that are to be there. Surplus ones are deleted; where names are random, known ones are kept.
fn wanted_names(state: &mut State, owner: &Owner, wanted: i64) -> Vec<String> {
    let metadata = &owner.object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let known = state.store.dependents(uid).into_iter().filter(|(storage, _)| &**storage == "pods");
    let mut known: Vec<String> = known.map(|(_, key)| key.1).collect();
    if owner.kind == "StatefulSet" {
        let names: Vec<String> = (0..wanted).map(|index| format!("{name}-{index}")).collect();
        remove(state, metadata, known.into_iter().filter(|known| !names.contains(known)));
        return names;
    }
    while known.len() < wanted {
        known.push(format!("{name}-{}", state.ids.suffix()));
    }
    let surplus = known.split_off(wanted);
    remove(state, metadata, surplus.into_iter());
    known
}

fn remove(state: &mut State, metadata: &Value, names: impl Iterator<Item = String>) {
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let storage: Arc<str> = "pods".into();
    for name in names {
        if let Some(record) = state.store.get(&storage, namespace, &name).cloned() {
            state.store.delete(&storage, record.value());
        }
    }
}

/// How a pod is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Running and ready, or succeeded for a job.
    Up,
    Starting,
    Crashing,
    Missing,
}

impl Phase {
    fn of(outcome: Outcome) -> Phase {
        match outcome {
            Outcome::Ready | Outcome::Slow => Phase::Starting,
            Outcome::Crashing => Phase::Crashing,
            Outcome::Missing => Phase::Missing,
        }
    }
}

fn pod(state: &mut State, owner: &Owner, name: &str, phase: Phase, now: Timestamp) {
    let storage: Arc<str> = "pods".into();
    let metadata = &owner.object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let template = &owner.object["spec"]["template"];
    let known = state.store.get(&storage, namespace, name).map(|record| record.value());
    let known =
        known.filter(|pod| pod["metadata"]["annotations"]["simulated/template"] == hash_text(hash(template)));
    let mut pod = match known {
        Some(pod) => pod,
        None => {
            let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            labels.extend(owner.extra_labels.clone());
            let mut annotations =
                template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
            annotations.insert("simulated/template".to_owned(), json!(hash_text(hash(template))));
            let mut spec = template["spec"].clone();
            spec["nodeName"] = json!("node-1");
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": name, "namespace": namespace, "uid": state.ids.uid(), "generation": 1,
                    "creationTimestamp": time_text(now), "labels": labels, "annotations": annotations,
                    "ownerReferences": [reference(&owner.object, owner.api_version, owner.kind)],
                },
                "spec": spec,
                "status": {},
            })
        }
    };
    pod["status"] = pod_status(&pod, phase, owner.kind == "Job", &time_text(now));
    write(state, &storage, pod);
}

fn pod_status(pod: &Value, phase: Phase, job: bool, now: &str) -> Value {
    let mut status = pod["status"].clone();
    let up = phase == Phase::Up;
    let succeeded = up && job;
    let (name, ready) = match phase {
        Phase::Up if job => ("Succeeded", false),
        Phase::Up => ("Running", true),
        Phase::Crashing => ("Running", false),
        Phase::Starting | Phase::Missing => ("Pending", false),
    };
    status["phase"] = json!(name);
    status["hostIP"] = json!("127.0.0.1");
    if status["startTime"].is_null() {
        status["startTime"] = json!(now);
    }
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({"type": kind, "status": if holds { "True" } else { "False" }});
        if !holds {
            let reason = if succeeded { "PodCompleted" } else { "ContainersNotReady" };
            condition["reason"] = json!(reason);
        }
        condition
    };
    for (kind, holds) in
        [("PodScheduled", true), ("Initialized", true), ("ContainersReady", ready), ("Ready", ready)]
    {
        super::set_condition(&mut status, condition(kind, holds), now);
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let before = status["containerStatuses"].as_array().cloned().unwrap_or_default();
    let statuses = containers.map(|container| {
        let image = container["image"].as_str().unwrap_or_default();
        let state = container_state(phase, image, succeeded, now);
        let known = before.iter().find(|known| known["name"] == container["name"]);
        // A state that goes on keeps the time it began.
        let same = |known: &&Value| {
            known["state"].as_object().map(|s| s.keys().next()) == state.as_object().map(|s| s.keys().next())
        };
        let kept = known.filter(same).filter(|_| up).map(|known| known["state"].clone());
        json!({
            "name": container["name"], "image": container["image"], "imageID": "",
            "ready": ready, "started": up && !job, "state": kept.unwrap_or(state),
            "restartCount": if phase == Phase::Crashing { 3 } else { 0 }, "lastState": {},
        })
    });
    status["containerStatuses"] = statuses.collect();
    status
}

fn container_state(phase: Phase, image: &str, succeeded: bool, now: &str) -> Value {
    match phase {
        Phase::Up if succeeded => {
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}})
        }
        Phase::Up => json!({"running": {"startedAt": now}}),
        Phase::Starting => json!({"waiting": {"reason": "ContainerCreating"}}),
        Phase::Crashing => {
            let message = "back-off 1m20s restarting failed container";
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        }
        Phase::Missing => {
            let message = format!("Back-off pulling image {image:?}");
            json!({"waiting": {"reason": "ImagePullBackOff", "message": message}})
        }
    }
}
