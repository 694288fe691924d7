use HealthStatus::{Degraded, Healthy, Progressing, Suspended};

use super::*;

/// Group, kind, the object's YAML without its head, and what is expected of it.
const CASES: &[(&str, &str, &str, HealthStatus, &str)] = &[
    ("apps", "Deployment", "{spec: {replicas: 2}}", Progressing, "Its controller has not seen it yet."),
    (
        "apps",
        "Deployment",
        "{metadata: {generation: 3}, status: {observedGeneration: 2}}",
        Progressing,
        "Its controller has seen generation 2 of 3.",
    ),
    (
        "apps",
        "Deployment",
        "{metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2}}",
        Healthy,
        "",
    ),
    ("apps", "Deployment", "{spec: {replicas: 0}, status: {observedGeneration: 1}}", Healthy, ""),
    (
        "apps",
        "Deployment",
        "{status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1}}",
        Progressing,
        "Replicas available: 0 of 1.",
    ),
    (
        "apps",
        "Deployment",
        "{spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 3, updatedReplicas: 2}}",
        Progressing,
        "Replicas of the old version still running: 1.",
    ),
    (
        "apps",
        "Deployment",
        "{status: {observedGeneration: 1, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: It took too long.}]}}",
        Degraded,
        "It took too long.",
    ),
    (
        "apps",
        "Deployment",
        "{status: {observedGeneration: 1, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: exceeded quota}]}}",
        Degraded,
        "exceeded quota",
    ),
    (
        "apps",
        "Deployment",
        "{spec: {paused: true}, status: {observedGeneration: 1}}",
        Suspended,
        "Its rollout is paused.",
    ),
    (
        "apps",
        "StatefulSet",
        "{spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, readyReplicas: 1, updatedReplicas: 1, currentRevision: a, updateRevision: a}}",
        Healthy,
        "",
    ),
    (
        "apps",
        "StatefulSet",
        "{spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 1}}",
        Progressing,
        "Replicas ready: 1 of 2.",
    ),
    (
        "apps",
        "StatefulSet",
        "{spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, readyReplicas: 1, updatedReplicas: 1, currentRevision: a, updateRevision: b}}",
        Progressing,
        "Its update is not finished.",
    ),
    (
        "apps",
        "StatefulSet",
        "{spec: {replicas: 1, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 1, readyReplicas: 1}}",
        Healthy,
        "",
    ),
    (
        "apps",
        "DaemonSet",
        "{status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2, numberReady: 2}}",
        Progressing,
        "Pods available: 2 of 3.",
    ),
    ("apps", "DaemonSet", "{status: {observedGeneration: 1}}", Healthy, ""),
    (
        "apps",
        "ReplicaSet",
        "{spec: {replicas: 1}, status: {availableReplicas: 1, readyReplicas: 1}}",
        Healthy,
        "",
    ),
    ("batch", "Job", "{status: {active: 1}}", Progressing, "Pods active: 1, failed: 0."),
    ("batch", "Job", "{status: {conditions: [{type: Complete, status: 'True'}]}}", Healthy, ""),
    (
        "batch",
        "Job",
        "{status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded}]}}",
        Degraded,
        "BackoffLimitExceeded",
    ),
    ("batch", "Job", "{spec: {suspend: true}}", Suspended, "The Job is suspended."),
    ("batch", "CronJob", "{spec: {suspend: true}}", Suspended, "The CronJob is suspended."),
    ("batch", "CronJob", "{}", Healthy, ""),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        "{status: {currentReplicas: 2, conditions: [{type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: no metrics}]}}",
        Degraded,
        "no metrics",
    ),
    (
        "policy",
        "PodDisruptionBudget",
        "{status: {currentHealthy: 1, desiredHealthy: 2}}",
        Progressing,
        "Pods healthy: 1 of 2.",
    ),
    ("", "Pod", "{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}", Healthy, ""),
    ("", "Pod", "{status: {phase: Succeeded}}", Healthy, ""),
    (
        "",
        "Pod",
        "{status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}}",
        Degraded,
        "Container a ended with exit code 3.",
    ),
    (
        "",
        "Pod",
        "{status: {phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}}",
        Degraded,
        "Container a: ImagePullBackOff: no such image",
    ),
    (
        "",
        "Pod",
        "{status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no nodes}]}}",
        Progressing,
        "Unschedulable: no nodes",
    ),
    ("", "PersistentVolumeClaim", "{status: {phase: Bound}}", Healthy, ""),
    ("", "PersistentVolumeClaim", "{status: {phase: Lost}}", Degraded, "The volume of the claim is lost."),
    (
        "",
        "PersistentVolumeClaim",
        "{status: {phase: Pending}}",
        Progressing,
        "The claim is not bound to a volume yet.",
    ),
    ("", "Service", "{spec: {type: ClusterIP}}", Healthy, ""),
    ("", "Service", "{spec: {type: LoadBalancer}}", Progressing, "The load balancer has no address yet."),
    ("networking.k8s.io", "Ingress", "{}", Healthy, ""),
    (
        "",
        "Namespace",
        "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [a.io/x]}}",
        Progressing,
        "It is being deleted and waits for its finalizers: a.io/x.",
    ),
    ("", "ConfigMap", "{data: {a: b}}", Healthy, ""),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "{status: {conditions: [{type: NamesAccepted, status: 'False', message: taken}]}}",
        Degraded,
        "taken",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "{}", Progressing, "The kind is not served yet."),
    (
        "apiregistration.k8s.io",
        "APIService",
        "{status: {conditions: [{type: Available, status: 'False', message: no endpoints}]}}",
        Progressing,
        "no endpoints",
    ),
    (
        "cert-manager.io",
        "Certificate",
        "{status: {conditions: [{type: Ready, status: 'False', message: issuing}]}}",
        Progressing,
        "Ready: issuing",
    ),
    (
        "cert-manager.io",
        "Certificate",
        "{status: {conditions: [{type: Ready, status: 'True'}]}}",
        Healthy,
        "",
    ),
    (
        "x.io",
        "Thing",
        "{status: {conditions: [{type: Stalled, status: 'True', reason: Broken}]}}",
        Degraded,
        "Stalled: Broken",
    ),
    (
        "x.io",
        "Thing",
        "{metadata: {generation: 2}, status: {observedGeneration: 1}}",
        Progressing,
        "Its controller has seen generation 1 of 2.",
    ),
    ("x.io", "Thing", "{status: nonsense, spec: [1]}", Healthy, ""),
];

#[test]
fn every_kind_is_judged_by_its_own_rule() {
    for (group, kind, yaml, status, message) in CASES {
        let object: Value = serde_yaml::from_str(yaml).unwrap();
        let health = of(&GroupKind::new(group, kind), &object);
        assert_eq!((health.status, health.message.as_str()), (*status, *message), "{kind}: {yaml}");
    }
}

#[test]
fn the_worst_status_is_the_most_severe() {
    let order = [Healthy, Suspended, Progressing, HealthStatus::Unspecified, HealthStatus::Missing, Degraded];
    assert!(order.windows(2).all(|pair| severity(pair[0]) < severity(pair[1])));
}
