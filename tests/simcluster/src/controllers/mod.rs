//! What do the controllers of a cluster do when something changed or time passed?
//!
//! One step reads the changes since the last one and the timers that are due, and writes what the real controllers
//! would: statuses of workloads, their ReplicaSets and Pods, the end of namespaces, garbage, custom kinds.
//!
//! ```text
//! changes since last step -> touched objects -> definitions | namespaces | garbage | workloads -> writes, timers
//! ```

mod definitions;
mod garbage;
mod namespaces;
mod pods;
mod status;
#[cfg(test)]
mod tests;
mod workloads;

pub(crate) use definitions::end_definition;

use crate::managed::{Managed, Operation, Write, Writer, track_update};
use crate::state::State;
use crate::store::{Change, Event, Key};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes read in one step, so that a step holds the cluster only briefly.
const CHANGES_PER_STEP: usize = 500;

/// What the controllers remember between steps.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Changes up to this version have been seen.
    seen: u64,
    timers: BTreeSet<(Timestamp, Arc<str>, Key)>,
    /// Rollouts by the uid of their workload.
    rollouts: BTreeMap<String, workloads::Rollout>,
    /// Workloads told not to become ready, by kind, namespace and name.
    pub(crate) failing: BTreeSet<(String, String, String)>,
}

impl Control {
    fn at(&mut self, due: Timestamp, storage: &Arc<str>, key: &Key) {
        self.timers.insert((due, storage.clone(), key.clone()));
    }
}

/// Does everything there is to do at `now`; returns when to come back if nothing else happens.
pub(crate) fn step(state: &mut State, now: Timestamp) -> Option<Timestamp> {
    let mut touched: BTreeSet<(Arc<str>, Key)> = BTreeSet::new();
    let (seen, events) = match state.store.since(state.control.seen) {
        Some(events) => {
            let events: Vec<Event> = events.take(CHANGES_PER_STEP).cloned().collect();
            let full = events.len() == CHANGES_PER_STEP;
            (events.last().filter(|_| full).map_or(state.store.version(), |event| event.version), events)
        }
        None => {
            touched = everything(state);
            (state.store.version(), Vec::new())
        }
    };
    state.control.seen = seen;
    for event in events {
        if event.change == Change::Deleted {
            deleted(state, &event, now);
        } else {
            touched.insert((event.storage.clone(), event.record.key()));
        }
    }
    while let Some(first) = state.control.timers.first().filter(|(due, _, _)| *due <= now).cloned() {
        state.control.timers.remove(&first);
        touched.insert((first.1, first.2));
    }
    for (storage, key) in touched {
        reconcile(state, &storage, &key, now);
    }
    let more = state.store.version() != state.control.seen;
    if more { Some(now) } else { state.control.timers.first().map(|(due, _, _)| *due) }
}

fn everything(state: &State) -> BTreeSet<(Arc<str>, Key)> {
    let storages: Vec<Arc<str>> = state.kinds.preferred().map(|kind| kind.storage.clone()).collect();
    let mut all = BTreeSet::new();
    for storage in storages {
        all.extend(state.store.list(&storage, None, None).map(|record| (storage.clone(), record.key())));
    }
    all
}

fn deleted(state: &mut State, event: &Event, now: Timestamp) {
    state.control.rollouts.remove(&event.record.uid);
    if *event.storage == *"customresourcedefinitions.apiextensions.k8s.io" {
        definitions::deleted(state, &event.record.value());
    }
    garbage::owner_gone(state, &event.record.uid, now);
    // A namespace may be waiting for its last object.
    if !event.record.namespace.is_empty() {
        let key = (String::new(), event.record.namespace.clone());
        namespaces::reconcile(state, &key, now);
    }
    // An owner may be waiting for this to go, or make another one in its place.
    for owner in &event.record.owners {
        if let Some((storage, key)) = state.store.place(owner).cloned() {
            reconcile(state, &storage, &key, now);
        }
    }
    definitions::instance_gone(state, &event.storage, now);
}

fn reconcile(state: &mut State, storage: &Arc<str>, key: &Key, now: Timestamp) {
    match &**storage {
        "namespaces" => namespaces::reconcile(state, key, now),
        "customresourcedefinitions.apiextensions.k8s.io" => definitions::reconcile(state, key, now),
        "deployments.apps" | "statefulsets.apps" | "daemonsets.apps" | "replicasets.apps" | "jobs.batch" => {
            workloads::reconcile(state, storage, key, now);
        }
        _ => {}
    }
    garbage::reconcile(state, storage, key, now);
}

/// Stores the new state of an object as a controller would, unless nothing changed.
fn write(state: &mut State, storage: &Arc<str>, object: Value) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let before = state.store.get(storage, &text("namespace"), &text("name"));
    if before.is_none_or(|before| before.value() != object) {
        state.store.put(storage, object);
    }
}

/// Stores an object with a new status under the name of the controller that wrote it.
fn write_status(
    state: &mut State,
    storage: &Arc<str>,
    name: &str,
    before: &Value,
    mut after: Value,
    now: &str,
) {
    let Some(kind) = state.kinds.stored(storage).cloned() else {
        return;
    };
    let writer = Writer {
        operation: Operation::Update,
        name: name.to_owned(),
        api_version: kind.api_version(),
        subresource: "status".to_owned(),
    };
    let managed = Managed::of(before).unwrap_or_default();
    let tracked = Write { schema: &kind.schema, writer: &writer, ignored: &[], now };
    let managed = track_update(&tracked, before, &after, managed);
    after["metadata"]["managedFields"] = managed.to_json();
    write(state, storage, after);
}

/// Sets a condition, keeping the time of its last transition when its status is the same.
fn set_condition(status: &mut Value, mut condition: Value, now: &str) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    match conditions.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => {
            let same = ["status", "reason", "message"].iter().all(|field| known[*field] == condition[*field]);
            if same {
                return;
            }
            let transition = if known["status"] == condition["status"] {
                known["lastTransitionTime"].clone()
            } else {
                json!(now)
            };
            condition["lastTransitionTime"] = transition;
            *known = condition;
        }
        None => {
            condition["lastTransitionTime"] = json!(now);
            conditions.push(condition);
        }
    }
}

/// Makes a workload crash, or ends that.
pub(crate) fn set_failing(
    state: &mut State,
    kind: &str,
    namespace: &str,
    name: &str,
    failing: bool,
    now: Timestamp,
) {
    let workload = (kind.to_owned(), namespace.to_owned(), name.to_owned());
    match failing {
        true => state.control.failing.insert(workload),
        false => state.control.failing.remove(&workload),
    };
    let group = if kind == "Job" { "batch" } else { "apps" };
    let storage: Arc<str> = format!("{}s.{group}", kind.to_lowercase()).into();
    state.control.at(now, &storage, &(namespace.to_owned(), name.to_owned()));
}
