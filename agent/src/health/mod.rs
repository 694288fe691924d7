//! How does an object fare, going by what its own status says, and for how long, and why?
//!
//! ```text
//! object --of, rules (table of kinds, CEL)--> Health --course (time)--> Health as reported
//!                                                          ^
//!                       Pods, Events --cause (why?)--------+
//! ```
//!
//! The rules are kstatus' (sigs.k8s.io/cli-utils, pkg/kstatus/status), in Argo CD's words. One table
//! from kind to rule; kinds without a row are judged by their conditions. What differs from kstatus, and
//! why, is written beside each case in `cases`.
pub(crate) mod cause;
mod certificates;
mod conditions;
pub(crate) mod course;
mod delivery;
mod extensions;
mod gateway;
mod network;
mod pods;
pub(crate) mod rules;
mod secrets;
mod storage;
mod workloads;

use muster_wire::v1::HealthStatus;
use serde_json::Value;

use self::conditions::{Condition, condition};
use crate::object::{GroupKind, at, items, number, text};

/// Health of one object. The message is empty when it is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: HealthStatus,
    pub(crate) message: String,
    /// Whether it may stay like this for as long as it likes: no timeout makes it Degraded. A Job that
    /// runs, or a claim that waits for its first Pod, is as it should be.
    pub(crate) open_ended: bool,
}

impl Health {
    fn new(status: HealthStatus, message: impl Into<String>) -> Self {
        Health { status, message: message.into(), open_ended: false }
    }

    pub(crate) fn healthy() -> Self {
        Health::new(HealthStatus::Healthy, "")
    }

    pub(crate) fn progressing(message: impl Into<String>) -> Self {
        Health::new(HealthStatus::Progressing, message)
    }

    /// Progressing, with no time by which it should be done.
    pub(crate) fn running(message: impl Into<String>) -> Self {
        Health { open_ended: true, ..Health::progressing(message) }
    }

    pub(crate) fn degraded(message: impl Into<String>) -> Self {
        Health::new(HealthStatus::Degraded, message)
    }

    pub(crate) fn suspended(message: impl Into<String>) -> Self {
        Health::new(HealthStatus::Suspended, message)
    }

    /// It cannot be told.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Health::new(HealthStatus::Unspecified, message)
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
    ("", "ReplicationController", workloads::replica_set),
    ("batch", "Job", workloads::job),
    ("batch", "CronJob", workloads::cron_job),
    ("autoscaling", "HorizontalPodAutoscaler", workloads::autoscaler),
    ("policy", "PodDisruptionBudget", workloads::disruption_budget),
    ("", "Pod", pods::pod),
    ("", "PersistentVolumeClaim", storage::volume_claim),
    ("", "PersistentVolume", storage::volume),
    ("", "Service", network::service),
    ("networking.k8s.io", "Ingress", network::ingress),
    ("gateway.networking.k8s.io", "GatewayClass", gateway::class),
    ("gateway.networking.k8s.io", "Gateway", gateway::gateway),
    ("gateway.networking.k8s.io", "HTTPRoute", gateway::route),
    ("gateway.networking.k8s.io", "GRPCRoute", gateway::route),
    ("gateway.networking.k8s.io", "TLSRoute", gateway::route),
    ("gateway.networking.k8s.io", "TCPRoute", gateway::route),
    ("gateway.networking.k8s.io", "UDPRoute", gateway::route),
    ("gateway.networking.k8s.io", "BackendTLSPolicy", gateway::policy),
    ("apiextensions.k8s.io", "CustomResourceDefinition", extensions::definition),
    ("apiregistration.k8s.io", "APIService", extensions::api_service),
    ("cert-manager.io", "Certificate", certificates::certificate),
    ("cert-manager.io", "CertificateRequest", certificates::request),
    ("cert-manager.io", "Issuer", certificates::issuer),
    ("cert-manager.io", "ClusterIssuer", certificates::issuer),
    ("acme.cert-manager.io", "Order", certificates::acme),
    ("acme.cert-manager.io", "Challenge", certificates::acme),
    ("bitnami.com", "SealedSecret", secrets::sealed),
    ("external-secrets.io", "ExternalSecret", secrets::external),
    ("external-secrets.io", "ClusterExternalSecret", secrets::external),
    ("external-secrets.io", "PushSecret", secrets::external),
    ("external-secrets.io", "SecretStore", secrets::external),
    ("external-secrets.io", "ClusterSecretStore", secrets::external),
    ("argoproj.io", "Rollout", delivery::rollout),
    ("argoproj.io", "AnalysisRun", delivery::analysis),
    ("argoproj.io", "Experiment", delivery::analysis),
    ("flagger.app", "Canary", delivery::canary),
];

/// Judges an object as it is in the cluster, by the rule of its kind.
pub(crate) fn of(kind: &GroupKind, object: &Value) -> Health {
    if let Some(early) = before_its_kind(object) {
        return early;
    }
    match RULES.iter().find(|(group, name, _)| kind.is(group, name)) {
        Some((_, _, rule)) => rule(object),
        None => conditions::judge(kind, object),
    }
}

/// What is decided before the kind counts: deletion, a status about an older object, and the two conditions
/// that kstatus defines for all kinds.
fn before_its_kind(object: &Value) -> Option<Health> {
    if !text(object, &["metadata", "deletionTimestamp"]).is_empty() {
        return Some(Health::progressing(deletion_message(object)));
    }
    if let Some(waiting) = generation_lag(object) {
        return Some(waiting);
    }
    if let Some(stalled) = condition(object, "Stalled").filter(Condition::is_true) {
        return Some(Health::degraded(format!("Stalled: {}", stalled.explain())));
    }
    let reconciling = condition(object, "Reconciling").filter(Condition::is_true)?;
    Some(Health::progressing(format!("Reconciling: {}", reconciling.explain())))
}

fn deletion_message(object: &Value) -> String {
    let finalizers: Vec<_> =
        items(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect();
    match finalizers.as_slice() {
        [] => match extensions::stuck_namespace(object) {
            Some(why) => format!("It is being deleted: {why}"),
            None => "It is being deleted.".to_owned(),
        },
        names => format!("It is being deleted and waits for its finalizers: {}.", names.join(", ")),
    }
}

/// A controller that has not seen the last change yet: its status is about an older object. Argo Rollouts
/// writes the number as text.
fn generation_lag(object: &Value) -> Option<Health> {
    let generation = number(object, &["metadata", "generation"])?;
    let observed = match at(object, &["status", "observedGeneration"])? {
        Value::String(text) => text.parse().ok()?,
        value => value.as_i64()?,
    };
    (observed < generation).then(|| {
        Health::progressing(format!("Its controller has seen generation {observed} of {generation}."))
    })
}

#[cfg(test)]
mod tests;
