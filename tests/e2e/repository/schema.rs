//! Does `muster lint --schema` find what an API server refuses, and nothing else?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use muster_tests::kubernetes::Cluster;
use muster_tests::process::Launch;
use muster_tests::skip;

use super::{kubectl, muster, write};

/// A pod template with a container in it.
const TEMPLATE: &str = "selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    \
                        spec: {containers: [{name: a, image: 'a:1'}]}\n";

/// Name, what stands behind the name, and the rules that are broken.
const OBJECTS: &[(&str, &str, &str, &[&str])] = &[
    ("v1 ConfigMap", "config", "data: {a: b}\nbinaryData: {c: AA==}\nimmutable: true\n", &[]),
    ("v1 ConfigMap", "null-value", "data: {a: null}\n", &[]),
    ("v1 ConfigMap", "number", "data: {a: 1}\n", &["wrong-type"]),
    ("v1 ConfigMap", "list", "data: [a]\n", &["wrong-type"]),
    ("v1 ConfigMap", "unknown-field", "datta: {a: b}\n", &["unknown-field"]),
    ("v1 Secret", "secret", "type: Opaque\ndata: {a: AA==}\nstringData: {b: c}\n", &[]),
    (
        "v1 Service",
        "ports",
        "spec: {ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: 8}]}\n",
        &[],
    ),
    ("v1 Service", "port-as-text", "spec: {ports: [{port: '80'}]}\n", &["wrong-type"]),
    ("v1 Service", "no-port", "spec: {ports: [{targetPort: 80}]}\n", &["missing-field"]),
    ("v1 ServiceAccount", "account", "automountServiceAccountToken: false\n", &[]),
    ("v1 ServiceAccount", "not-a-boolean", "automountServiceAccountToken: 'no'\n", &["wrong-type"]),
    ("v1 LimitRange", "quantities", "spec: {limits: [{type: Container, max: {cpu: 1, memory: 1Gi}}]}\n", &[]),
    (
        "v1 ResourceQuota",
        "quota",
        "spec: {hard: {pods: 10, requests.cpu: 1500m, requests.memory: 1e9}}\n",
        &[],
    ),
    (
        "v1 PersistentVolumeClaim",
        "claim",
        "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1}}}\n",
        &[],
    ),
    (
        "v1 Pod",
        "pod",
        "spec: {containers: [{name: a, image: 'a:1', livenessProbe: {httpGet: {port: x}}}]}\n",
        &[],
    ),
    (
        "v1 Pod",
        "deep",
        "spec: {containers: [{name: a, image: 'a:1', env: [{nam: x}]}]}\n",
        &["missing-field", "unknown-field"],
    ),
    (
        "apps/v1 Deployment",
        "surge",
        "spec:\n  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}\n  TEMPLATE",
        &[],
    ),
    ("apps/v1 Deployment", "whole-float", "spec:\n  replicas: 2.0\n  TEMPLATE", &[]),
    (
        "apps/v1 Deployment",
        "no-selector",
        "spec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: 'a:1'}]}}}\n",
        &["missing-field"],
    ),
    ("apps/v1 Deployment", "replicas-as-text", "spec:\n  replicas: '2'\n  TEMPLATE", &["wrong-type"]),
    ("apps/v1beta1 Deployment", "old-version", "spec:\n  TEMPLATE", &["unknown-kind"]),
    (
        "batch/v1 CronJob",
        "cron",
        "spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'a:1'}]}}}}}\n",
        &[],
    ),
    (
        "networking.k8s.io/v1 Ingress",
        "ingress",
        "spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}\n",
        &[],
    ),
    (
        "networking.k8s.io/v1 NetworkPolicy",
        "policy",
        "spec: {podSelector: {}, ingress: [{ports: [{port: http}, {port: 80}]}]}\n",
        &[],
    ),
    (
        "policy/v1 PodDisruptionBudget",
        "budget",
        "spec: {minAvailable: 50%, selector: {matchLabels: {a: b}}}\n",
        &[],
    ),
    (
        "autoscaling/v2 HorizontalPodAutoscaler",
        "scaler",
        "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}\n",
        &[],
    ),
    (
        "rbac.authorization.k8s.io/v1 ClusterRole",
        "role",
        "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n",
        &[],
    ),
    (
        "rbac.authorization.k8s.io/v1 ClusterRole",
        "rule",
        "rules: [{apiGroups: [''], resource: [pods], verbs: [get]}]\n",
        &["unknown-field"],
    ),
    ("admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "hook", "webhooks: []\n", &[]),
    (
        "apiextensions.k8s.io/v1 CustomResourceDefinition",
        "things.example.com",
        "spec: {group: example.com, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n",
        &[],
    ),
    ("example.com/v9 Nothing", "nothing", "spec: {}\n", &["unknown-kind"]),
];

fn manifest((kind, name, rest, _): &(&str, &str, &str, &[&str])) -> String {
    let (api_version, kind) = kind.split_once(' ').expect("a version and a kind");
    let rest = rest.replace("TEMPLATE", TEMPLATE);
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_finds_what_an_api_server_refuses() {
    let Some(program) = skip::program("kubectl") else { return };
    let Some(cluster) = Cluster::shared().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::copy(cluster.kubeconfig(), directory.join("kubeconfig")).unwrap();
    let schema =
        kubectl(&program, directory, &["--kubeconfig", "kubeconfig", "get", "--raw", "/openapi/v2"]).await;
    std::fs::write(directory.join("openapi.json"), schema).unwrap();
    for (number, object) in OBJECTS.iter().enumerate() {
        write(&directory.join("objects"), &[(&format!("{number:02}.yaml"), &manifest(object))]);
    }
    let disabled = "plain-secret,missing-namespace";
    let arguments = ["lint", "objects", "--schema", "openapi.json", "-o", "json", "--disable", disabled];
    let (_, printed) = muster(directory, &arguments).await;
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        found.entry(text("file")).or_default().insert(text("rule"));
    }
    let namespace = cluster.namespace("schema").await.unwrap();
    let mut differences = Vec::new();
    for (number, object) in OBJECTS.iter().enumerate() {
        let file = format!("objects/{number:02}.yaml");
        let expected: BTreeSet<String> = object.3.iter().map(|rule| (*rule).to_owned()).collect();
        let found = found.get(&file).cloned().unwrap_or_default();
        if found != expected {
            differences.push(format!("{}\nexpected {expected:?}, found {found:?}\n", manifest(object)));
        }
        // And so does the server.
        let launch = Launch::command(&program)
            .args([
                "--kubeconfig",
                "kubeconfig",
                "-n",
                &namespace,
                "apply",
                "--server-side",
                "--dry-run=server",
            ])
            .args(["--validate=strict", "-f", &file])
            .directory(directory)
            .env("HOME", directory)
            .quiet();
        let output = launch.run(Duration::from_secs(60)).await.unwrap();
        if (output.code() == Some(0)) != expected.is_empty() {
            differences.push(format!(
                "{}\nexpected {expected:?}, the server: {}\n",
                manifest(object),
                output.stderr
            ));
        }
    }
    assert!(differences.is_empty(), "{}\n{printed}", differences.join("\n"));
}
