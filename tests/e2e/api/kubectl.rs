//! kubectl as people use it.

use std::path::Path;
use std::time::Duration;

use muster_tests::process::Launch;
use muster_tests::skip;

use super::backend::Backend;
use super::stories;

stories![people_use_kubectl];

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'nginx:1.24'}]}
";

/// Runs kubectl in the story's namespace and returns what it prints; it must succeed.
async fn kubectl(program: &Path, directory: &Path, namespace: &str, arguments: &str) -> String {
    let launch = Launch::command(program)
        .args(["--kubeconfig", "kubeconfig", "-n", namespace])
        .args(arguments.split(' '));
    let launch = launch.directory(directory).env("HOME", directory).quiet();
    launch.run(Duration::from_secs(120)).await.unwrap().success()
}

async fn people_use_kubectl(api: Backend) {
    let Some(program) = skip::program("kubectl") else { return };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("kubeconfig"), &api.kubeconfig).unwrap();
    std::fs::write(directory.path().join("app.yaml"), MANIFEST).unwrap();
    let run = async |arguments: &str| kubectl(&program, directory.path(), &api.namespace, arguments).await;

    let applied = run("apply --server-side -f app.yaml").await;
    assert!(applied.contains("deployment.apps/web serverside-applied"), "{applied}");
    run("rollout status deployment/web --timeout=60s").await;
    let table = run("get deployments").await;
    assert!(table.lines().any(|line| line.starts_with("web ") && line.contains("2/2")), "{table}");
    assert!(run("scale deployment/web --replicas=5").await.contains("scaled"));
    assert_eq!(run("get deployment web -o jsonpath={.spec.replicas}").await.trim(), "5");
    run("set image deployment/web web=nginx:1.25").await;
    run("annotate deployment/web note=hello").await;
    run("label configmap/settings tier=front").await;
    run("patch configmap settings --type merge -p {\"data\":{\"a\":\"2\"}}").await;
    assert_eq!(run("get configmap -l tier=front -o jsonpath={.items[*].data.a}").await.trim(), "2");
    let created = run("create configmap typed --from-literal=k=v").await;
    assert!(created.contains("configmap/typed created"), "{created}");
    assert!(run("describe configmap settings").await.contains("Name:"));
    assert!(run("api-resources --api-group=apps").await.contains("deployments"));
    let deleted = run("delete -f app.yaml --wait=true").await;
    assert!(deleted.contains("deleted"), "{deleted}");
    assert!(run("get deployments").await.trim().is_empty() || !run("get deployments").await.contains("web"));
}
