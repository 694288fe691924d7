//! Where a real part is missing: named, counted skips outside CI, failures in CI, and words that say why.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use muster_tests::process::{Launch, Output};
use muster_tests::scratch::Scratch;
use muster_tests::skip;

const SOON: Duration = Duration::from_secs(60);

/// Runs a test of this program that needs a cluster, with a directory for programs that has none.
async fn without_kubernetes(ci: &str, skips: &Path) -> Output {
    let test = Launch::command(std::env::current_exe().unwrap()).name("a test without Kubernetes");
    let test = test.args(["--exact", "kit::kubernetes::rights_are_what_rbac_gives", "--nocapture"]);
    let test = test.env("KUBEBUILDER_ASSETS", "/nonexistent").env("MUSTER_SKIPS_FILE", skips).env("CI", ci);
    test.run(SOON).await.unwrap()
}

#[tokio::test]
async fn a_missing_kubernetes_is_a_counted_skip_and_a_failure_in_ci() {
    let scratch = Scratch::new("skips").unwrap();
    let skips = scratch.path().join("skips");
    for _ in 0..2 {
        let output = without_kubernetes("", &skips).await;
        assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
        assert!(
            output.stderr.contains("SKIP kit::kubernetes::rights_are_what_rbac_gives"),
            "{}",
            output.stderr
        );
    }
    let lines = std::fs::read_to_string(&skips).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let fields: Vec<&str> = lines.lines().next().unwrap().split('\t').collect();
    assert_eq!(fields[..2], ["kit::kubernetes::rights_are_what_rbac_gives", "a real Kubernetes"]);
    assert!(fields[2].contains("/nonexistent, which has no executable etcd"), "{lines}");

    let output = without_kubernetes("true", &skips).await;
    assert!(!output.status.success() && output.stderr.contains("which CI must have"), "{}", output.stderr);
}

/// Runs the build script where only the named programs and what the script needs are on `PATH`.
async fn build_with(scratch: &Scratch, go: Option<&str>) -> Output {
    let programs = scratch.path().join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    for tool in ["bash", "sh", "cat", "cut", "dirname", "sed", "sha256sum", "tail"] {
        let link = programs.join(tool);
        if !link.exists() {
            symlink(skip::program(tool).unwrap(), link).unwrap();
        }
    }
    if let Some(script) = go {
        std::fs::write(programs.join("go"), script).unwrap();
        std::fs::set_permissions(programs.join("go"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/build");
    let cache = scratch.path().join("cache");
    Launch::command(script)
        .env("PATH", programs)
        .env("MUSTER_KUBERNETES_CACHE", cache)
        .run(SOON)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_missing_or_old_go_is_named() {
    let scratch = Scratch::new("build").unwrap();
    let none = build_with(&scratch, None).await;
    assert_eq!(none.code(), Some(3), "{}", none.stderr);
    assert!(none.stderr.contains("there is no Go; install the version that"), "{}", none.stderr);

    let old = "#!/bin/sh\necho 'go: go.mod requires go >= 1.26.0 (running go 1.22.2; GOTOOLCHAIN=local)' >&2\nexit 1\n";
    let old = build_with(&scratch, Some(old)).await;
    assert_eq!((old.code(), old.stdout.as_str()), (Some(3), ""), "{}", old.stderr);
    assert!(old.stderr.contains("requires go >= 1.26.0 (running go 1.22.2"), "{}", old.stderr);
}
