//! Why is a workload not well?
//!
//! ```text
//! look (async): object, its Pods, Events, claims --> of_workload, of_claim (pure) --> Cause
//! ```
//!
//! Looked for only when something is not well, and never watched.
mod claims;
mod events;
mod look;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use look::look;

use super::pods;
use crate::object::{GroupKind, at, items, number, text};

/// Why an object is not well, in the words a person needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Begins in lower case and has no full stop, so that it can be put into a sentence.
    pub(crate) message: String,
    pub(crate) outlook: Outlook,
    /// A container ends again and again: that it runs at the moment does not mean that this is over.
    pub(crate) crash: bool,
}

/// What waiting is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outlook {
    /// Nothing is wrong: it waits for something as it should, for as long as that takes.
    Idle,
    /// It may pass, such as when a node is added.
    Slow,
    /// It does not go away by waiting.
    Failing,
}

impl Cause {
    pub(super) fn failing(message: impl Into<String>) -> Self {
        Cause { message: message.into(), outlook: Outlook::Failing, crash: false }
    }

    pub(super) fn slow(message: impl Into<String>) -> Self {
        Cause { message: message.into(), outlook: Outlook::Slow, crash: false }
    }

    pub(super) fn idle(message: impl Into<String>) -> Self {
        Cause { message: message.into(), outlook: Outlook::Idle, crash: false }
    }

    pub(super) fn crash(message: impl Into<String>) -> Self {
        Cause { crash: true, ..Cause::failing(message) }
    }

    fn about(self, what: &str) -> Self {
        Cause { message: format!("{what}: {}", self.message), ..self }
    }
}

/// Kinds whose trouble shows in Pods and Events.
const EXPLAINED: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
    ("batch", "Job"),
    ("argoproj.io", "Rollout"),
    ("", "Pod"),
    ("", "PersistentVolumeClaim"),
];

/// Whether more can be found out about objects of this kind than they say themselves.
pub(crate) fn can_be_found(kind: &GroupKind) -> bool {
    EXPLAINED.iter().any(|(group, name)| kind.is(group, name))
}

/// The Pod that says most about what is wrong, with what it says itself: first what fails, then what may
/// pass, then what is only not ready. Among equals the first by name, so that the answer stays the same.
fn worst_pod(pods: &[Value]) -> Option<(&Value, Option<Cause>)> {
    let unwell = pods.iter().filter(|pod| {
        let gone = at(pod, &["metadata", "deletionTimestamp"]).is_some();
        !gone && text(pod, &["status", "phase"]) != "Succeeded"
    });
    let judged = unwell.map(|pod| (pod, pods::trouble(pod)));
    judged.filter(|(pod, trouble)| trouble.is_some() || !pods::is_ready(pod)).min_by_key(|(pod, trouble)| {
        let outlook = trouble.as_ref().map(|trouble| trouble.outlook);
        (std::cmp::Reverse(outlook), text(pod, &["metadata", "name"]))
    })
}

/// Whether a Pod's own status leaves open why it does not run, so that its Events are worth asking for.
fn leaves_open(trouble: Option<&Cause>) -> bool {
    trouble.is_none_or(|trouble| trouble.outlook == Outlook::Slow)
}

/// Names of the claims a Pod waits for, when that is what keeps it from being scheduled.
fn claims_of<'a>(pod: &'a Value, trouble: Option<&Cause>) -> Vec<&'a str> {
    if !trouble.is_some_and(|trouble| trouble.message.to_lowercase().contains("persistentvolumeclaim")) {
        return Vec::new();
    }
    let volumes = items(pod, &["spec", "volumes"]).iter();
    let names = volumes.map(|volume| text(volume, &["persistentVolumeClaim", "claimName"]));
    names.filter(|name| !name.is_empty()).collect()
}

/// Whether fewer Pods are there than there should be, so that making them may fail.
fn lacks_pods(object: &Value, pods: &[Value]) -> bool {
    let wanted = number(object, &["status", "desiredNumberScheduled"])
        .or_else(|| number(object, &["spec", "replicas"]))
        .or_else(|| number(object, &["spec", "parallelism"]))
        .unwrap_or(1);
    i64::try_from(pods.len()).is_ok_and(|count| count < wanted)
}

/// What was found out about a workload.
#[derive(Default)]
struct Evidence {
    pods: Vec<Value>,
    /// Events of the worst Pod.
    pod_events: Vec<Value>,
    /// Events of the workload itself.
    own_events: Vec<Value>,
    /// Why a claim of the worst Pod is not bound.
    claim: Option<Cause>,
}

/// Why a workload is not well; nothing when no reason is to be seen.
fn of_workload(kind: &GroupKind, evidence: &Evidence) -> Option<Cause> {
    let from_pod = worst_pod(&evidence.pods).and_then(|(pod, trouble)| {
        let found = if leaves_open(trouble.as_ref()) { events::of_pod(&evidence.pod_events) } else { None };
        let claim = evidence.claim.clone().filter(|claim| claim.outlook != Outlook::Idle);
        // What a claim or an Event says is the reason for what the Pod's status shows.
        let cause = claim.or(found).or(trouble)?;
        let name = text(pod, &["metadata", "name"]);
        Some(if kind.is("", "Pod") { cause } else { cause.about(&format!("Pod {name}")) })
    });
    let cause = [from_pod, events::of_workload(&evidence.own_events)]
        .into_iter()
        .flatten()
        .reduce(|first, second| if second.outlook > first.outlook { second } else { first })?;
    // Failed Pods of a Job are tried again until its limit; then the Job says itself that it has failed.
    let retried = kind.is("batch", "Job") && cause.outlook == Outlook::Failing && cause.crash_or_end();
    Some(if retried { Cause { outlook: Outlook::Slow, ..cause } } else { cause })
}

impl Cause {
    /// Whether the program in a container has ended, as against what keeps it from starting.
    fn crash_or_end(&self) -> bool {
        self.crash || self.message.contains("exit code")
    }
}

/// The label selector of a workload, as the API server's `labelSelector` takes it; none when it selects
/// nothing or in a way that is not known.
fn selector(object: &Value) -> Option<String> {
    let selector = at(object, &["spec", "selector"])?.as_object()?;
    let equal = |labels: &Value| -> Option<Vec<String>> {
        labels.as_object()?.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect()
    };
    // A ReplicationController has the labels right here.
    let plain = !selector.contains_key("matchLabels") && !selector.contains_key("matchExpressions");
    let mut terms = match selector.get("matchLabels") {
        Some(labels) => equal(labels)?,
        None if plain => equal(at(object, &["spec", "selector"])?)?,
        None => Vec::new(),
    };
    for expression in items(object, &["spec", "selector", "matchExpressions"]) {
        let key = text(expression, &["key"]);
        let values: Vec<_> = items(expression, &["values"]).iter().filter_map(Value::as_str).collect();
        terms.push(match text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}
