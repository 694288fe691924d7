//! How does an object fare, going by what its own status says?
//!
//! The rules are kstatus' (sigs.k8s.io/cli-utils, pkg/kstatus/status), in Argo CD's words. One table
//! from kind to rule; kinds without a row are judged by their conditions.
mod network;
mod pods;
mod workloads;

use muster_wire::v1::HealthStatus;
use serde_json::Value;

use crate::object::{GroupKind, items, number, text};
use crate::shorten::shorten;

/// Health of one object. The message is empty when it is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: HealthStatus,
    pub(crate) message: String,
}

impl Health {
    pub(crate) fn healthy() -> Self {
        Health { status: HealthStatus::Healthy, message: String::new() }
    }

    pub(crate) fn progressing(message: impl Into<String>) -> Self {
        Health { status: HealthStatus::Progressing, message: message.into() }
    }

    pub(crate) fn degraded(message: impl Into<String>) -> Self {
        Health { status: HealthStatus::Degraded, message: message.into() }
    }

    pub(crate) fn suspended(message: impl Into<String>) -> Self {
        Health { status: HealthStatus::Suspended, message: message.into() }
    }
}

/// How bad a status is: the worst of an app's objects is the app's.
pub(crate) fn severity(status: HealthStatus) -> u8 {
    match status {
        HealthStatus::Healthy => 0,
        HealthStatus::Suspended => 1,
        HealthStatus::Progressing => 2,
        HealthStatus::Unspecified => 3,
        HealthStatus::Missing => 4,
        HealthStatus::Degraded => 5,
    }
}

type Rule = fn(&Value) -> Health;

/// One row per kind that needs more than its conditions.
const RULES: &[(&str, &str, Rule)] = &[
    ("apps", "Deployment", workloads::deployment),
    ("apps", "StatefulSet", workloads::stateful_set),
    ("apps", "DaemonSet", workloads::daemon_set),
    ("apps", "ReplicaSet", workloads::replica_set),
    ("batch", "Job", workloads::job),
    ("batch", "CronJob", workloads::cron_job),
    ("autoscaling", "HorizontalPodAutoscaler", workloads::autoscaler),
    ("policy", "PodDisruptionBudget", workloads::disruption_budget),
    ("", "Pod", pods::pod),
    ("", "PersistentVolumeClaim", pods::volume_claim),
    ("", "Service", network::service),
    ("networking.k8s.io", "Ingress", network::ingress),
    ("", "Namespace", network::namespace),
    ("apiextensions.k8s.io", "CustomResourceDefinition", network::definition),
    ("apiregistration.k8s.io", "APIService", network::api_service),
];

/// Judges an object as it is in the cluster.
pub(crate) fn of(kind: &GroupKind, object: &Value) -> Health {
    if !text(object, &["metadata", "deletionTimestamp"]).is_empty() {
        return Health::progressing(deletion_message(object));
    }
    if let Some(waiting) = generation_lag(object) {
        return waiting;
    }
    match RULES.iter().find(|(group, name, _)| kind.is(group, name)) {
        Some((_, _, rule)) => rule(object),
        None => by_conditions(object),
    }
}

fn deletion_message(object: &Value) -> String {
    let finalizers: Vec<_> =
        items(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect();
    match finalizers.as_slice() {
        [] => "It is being deleted.".to_owned(),
        names => format!("It is being deleted and waits for its finalizers: {}.", names.join(", ")),
    }
}

/// A controller that has not seen the last change yet: its status is about an older object.
fn generation_lag(object: &Value) -> Option<Health> {
    let generation = number(object, &["metadata", "generation"])?;
    let observed = number(object, &["status", "observedGeneration"])?;
    (observed < generation).then(|| {
        Health::progressing(format!("Its controller has seen generation {observed} of {generation}."))
    })
}

/// A condition's status and a message to show for it.
struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn is_true(&self) -> bool {
        self.status == "True"
    }

    fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// The message, or the reason where there is none, short enough to show.
    fn explain(&self) -> String {
        let said = if self.message.is_empty() { self.reason } else { self.message };
        shorten(said.to_owned(), MESSAGE_BYTES_MAX)
    }
}

/// Longest message taken over from an object.
const MESSAGE_BYTES_MAX: usize = 300;

fn condition<'a>(object: &'a Value, name: &str) -> Option<Condition<'a>> {
    items(object, &["status", "conditions"]).iter().find(|condition| text(condition, &["type"]) == name).map(
        |condition| Condition {
            status: text(condition, &["status"]),
            reason: text(condition, &["reason"]),
            message: text(condition, &["message"]),
        },
    )
}

/// Conditions that say "failed" when true, and those that say "done" when true, in order of weight.
const BAD_CONDITIONS: &[&str] = &["Stalled", "Failed", "Degraded"];
const GOOD_CONDITIONS: &[&str] = &["Ready", "Available", "Established", "Accepted", "Synced"];

/// For kinds without a rule: many controllers follow the convention of `Ready`, `Reconciling`, `Stalled`.
fn by_conditions(object: &Value) -> Health {
    for name in BAD_CONDITIONS {
        if let Some(condition) = condition(object, name).filter(Condition::is_true) {
            return Health::degraded(format!("{name}: {}", condition.explain()));
        }
    }
    if let Some(condition) = condition(object, "Reconciling").filter(Condition::is_true) {
        return Health::progressing(format!("Reconciling: {}", condition.explain()));
    }
    for name in GOOD_CONDITIONS {
        match condition(object, name) {
            Some(condition) if condition.is_true() => return Health::healthy(),
            // False says "not now", which need not mean "never": kstatus calls it in progress too.
            Some(condition) => return Health::progressing(format!("{name}: {}", condition.explain())),
            None => {}
        }
    }
    Health::healthy()
}

#[cfg(test)]
mod tests;
