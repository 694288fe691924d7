//! What does `muster diff REV1..REV2` say of a repository with a history?
#![forbid(unsafe_code)]
// All of this crate is tests, where a broken expectation ends the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is there");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn muster(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("MUSTER_CONFIG")
        .env("HOME", "/nonexistent")
        .output()
        .expect("cargo has built it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const DOCUMENTS: &str = "apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: dev, labels: {env: dev}}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: prod, labels: {env: prod}}
---
apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: web}
spec: {clusters: {}, source: {path: 'web/{{ cluster.labels.env }}'}, namespace: web}
";

fn manifests(replicas: u32, password: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec: {{replicas: {replicas}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: key}}
stringData: {{password: {password}}}
"
    )
}

#[test]
fn two_revisions_are_compared_for_each_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let write = |path: &str, content: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("fleet.yaml", DOCUMENTS);
    write("web/dev/all.yaml", &manifests(1, "hunter2-first"));
    write("web/prod/all.yaml", &manifests(3, "hunter2-first"));
    git(root, &["init", "--quiet", "--initial-branch", "main"]);
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "--message", "One"]);
    let extra = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n";
    write("web/dev/all.yaml", &(manifests(2, "hunter2-second") + extra));
    git(root, &["commit", "--quiet", "--all", "--message", "Two"]);

    let output = muster(root, &["diff", "main~1..main"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let expected = "dev web
+ ConfigMap/web/more  web/dev/all.yaml:11
~ Deployment.apps/web/web  web/dev/all.yaml:1
      .spec.replicas: 1 -> 2
~ Secret/web/key  web/dev/all.yaml:6
      .data.password: \"***\" -> \"***\"

2 objects changed, 1 added, 0 removed
";
    assert_eq!(shown, expected);
    assert!(!shown.contains("hunter2"));

    let json = muster(root, &["diff", "main~1..main", "--cluster", "dev", "-o", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["from"], &json["to"]), (&"main~1".into(), &"main".into()));
    assert_eq!(json["changes"][1]["fields"][0]["after"], "2");
    let same = muster(root, &["diff", "main~1..main", "--cluster", "prod"]);
    assert_eq!(
        (same.status.code(), text(&same.stdout).as_str()),
        (Some(0), "both render to the same objects\n")
    );

    // The files as they lie, and what cannot be rendered.
    write("web/prod/all.yaml", &manifests(4, "hunter2-first"));
    let lying = muster(root, &["diff", "main..", "-o", "json"]);
    let lying: Value = serde_json::from_slice(&lying.stdout).unwrap();
    assert_eq!((&lying["to"], lying["changes"].as_array().unwrap().len()), (&Value::Null, 1));
    write("web/prod/all.yaml", "a: [");
    let broken = muster(root, &["diff", "main.."]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stderr).starts_with("error: web/prod/all.yaml:"), "{}", text(&broken.stderr));
    assert_eq!(text(&broken.stdout), "");
    assert_eq!(muster(root, &["diff", "main..no-such-branch"]).status.code(), Some(2));
}
