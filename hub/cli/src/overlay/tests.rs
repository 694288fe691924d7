use std::path::Path;
use std::process::Command;

use super::*;

const FLEET: &str = "apiVersion: muster.dev/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  waves:
  - {name: staging, clusters: {matchLabels: {env: staging}}}
  - {name: prod, clusters: {matchLabels: {env: prod}}}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: s1, labels: {env: staging, region: eu}}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: p1, labels: {env: prod, region: eu}}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: p2, labels: {env: prod, region: us}}
---
apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: web}
spec: {clusters: {}, source: {path: 'web/{{ cluster.labels.env }}-{{ cluster.labels.region }}'}}
---
apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: dns}
spec: {clusters: {}, source: {path: dns}}
";

fn kustomization(tag: &str) -> String {
    format!("resources: [../base] # shared\nimages:\n- name: nginx # the server\n  newTag: \"{tag}\"\n")
}

fn git(root: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let output = Command::new("git").arg("-C").arg(root).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A fleet in the directory `fleet` of a repository.
fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let fleet = scratch.path().join("fleet");
    for (path, text) in [
        ("muster.yaml", FLEET.to_owned()),
        ("web/staging-eu/kustomization.yaml", kustomization("1.25")),
        ("web/prod-eu/kustomization.yaml", kustomization("1.24")),
        ("web/prod-us/kustomization.yaml", kustomization("1.23")),
        ("web/base/kustomization.yaml", "resources: []\n".to_owned()),
        ("dns/kustomization.yaml", "resources: []\n".to_owned()),
    ] {
        let file = fleet.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    git(scratch.path(), &["init", "--quiet", "--initial-branch", "main"]);
    for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.com")] {
        git(scratch.path(), &["config", key, value]);
    }
    git(scratch.path(), &["add", "."]);
    git(scratch.path(), &["commit", "--quiet", "--message", "first"]);
    scratch
}

fn planned(root: &Path, app: &str, from: &str, to: &str) -> Result<Vec<Edited>, String> {
    let repository = Repository::open(&root.join("fleet"), Some("HEAD")).unwrap();
    plan(&repository, &Wanted { app, from, to, images: &[] }).map_err(|error| error.to_string())
}

#[test]
fn every_overlay_of_the_wave_gets_the_images_of_the_one_before() {
    let scratch = scratch();
    let edited = planned(scratch.path(), "web", "staging", "prod").unwrap();
    let paths: Vec<&str> = edited.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["web/prod-eu/kustomization.yaml", "web/prod-us/kustomization.yaml"]);
    assert!(edited.iter().all(|file| file.text == kustomization("1.25")));
    assert_eq!(edited[1].images[0].from, "nginx:1.23");
}

#[test]
fn what_is_not_clear_is_refused() {
    let scratch = scratch();
    for (app, from, to, expected) in [
        ("web", "prod", "staging", "several overlays of web: web/prod-eu, web/prod-us"),
        ("web", "staging", "staging", "both use web/staging-eu"),
        ("dns", "staging", "prod", "both use dns"),
        ("web", "dev", "prod", "there is no wave dev; there are staging, prod"),
        ("wob", "staging", "prod", "no App document named wob; did you mean web?"),
    ] {
        let error = planned(scratch.path(), app, from, to).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_commit_goes_to_its_branch_and_the_work_tree_stays() {
    let scratch = scratch();
    let root = scratch.path();
    std::fs::write(root.join("fleet/web/prod-eu/kustomization.yaml"), "mine: true\n").unwrap();
    let edited = planned(root, "web", "staging", "prod").unwrap();
    let tool = Git::around(&root.join("fleet/web"), "fleet/").unwrap();
    let objects = || git(root, &["count-objects"]);
    let before = objects();
    let made = tool.commit("HEAD", &edited, "Promote\n\nMuster-Promote: x\n").unwrap();
    let diff = tool.diff(&made, false).unwrap();
    assert!(diff.contains("-  newTag: \"1.23\"\n+  newTag: \"1.25\""), "{diff}");
    assert_eq!(objects(), before, "so far nothing is in the repository");
    tool.keep("promote/web", &made).unwrap();
    assert_eq!(git(root, &["rev-parse", "promote/web^"]), git(root, &["rev-parse", "main"]));
    assert_eq!(git(root, &["diff", "--name-only", "main", "promote/web"]).lines().count(), 2);
    assert_eq!(git(root, &["log", "-1", "--format=%an %s", "promote/web"]), "Ada Promote");
    assert_eq!(git(root, &["status", "--short"]), " M fleet/web/prod-eu/kustomization.yaml");
    git(root, &["fsck", "--strict"]);

    // The branch that is checked out follows, unless that would lose something.
    let refused = tool.keep("main", &made).map_err(|error| error.to_string()).unwrap_err();
    assert!(refused.contains("would be overwritten"), "{refused}");
    git(root, &["checkout", "--quiet", "--", "."]);
    tool.keep("main", &made).unwrap();
    let text = std::fs::read_to_string(root.join("fleet/web/prod-us/kustomization.yaml")).unwrap();
    assert_eq!(text, kustomization("1.25"));
    assert_eq!(git(root, &["status", "--short"]), "");
    assert_eq!(planned(root, "web", "staging", "prod").unwrap(), []);
}
