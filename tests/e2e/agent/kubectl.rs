//! kubectl beside the agent, as people and other tools use it.

use std::path::PathBuf;

use muster_tests::process::{Launch, Output};
use muster_tests::skip;

use super::*;

/// kubectl as administrator of a cluster.
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Its `HOME`, and where manifests are.
    directory: Scratch,
}

impl Kubectl {
    /// kubectl for that cluster, or a skip.
    pub(super) fn new(target: &Target) -> Option<Kubectl> {
        let program = skip::program("kubectl")?;
        let directory = Scratch::new("kubectl").unwrap();
        Some(Kubectl { program, kubeconfig: target.kubeconfig.clone(), directory })
    }

    /// Runs it, however it ends.
    pub(super) async fn output(&self, arguments: &[&str]) -> Output {
        let launch = Launch::command(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .env("HOME", self.directory.path())
            .env("KUBECTL_APPLYSET", "true");
        launch.quiet().run(DEADLINE * 2).await.unwrap()
    }

    /// Runs it; it must succeed. Gives what it prints.
    pub(super) async fn run(&self, arguments: &[&str]) -> String {
        self.output(arguments).await.success()
    }

    /// Runs it; it must fail. Gives its errors.
    pub(super) async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert_ne!(output.code(), Some(0), "{arguments:?}: {}", output.stdout);
        output.stderr
    }

    /// A file with that manifest, to be given to `-f`.
    pub(super) fn file(&self, name: &str, manifest: &str) -> String {
        let file = self.directory.path().join(name);
        std::fs::write(&file, manifest).unwrap();
        file.display().to_string()
    }

    /// An object as the cluster has it, with its managed fields.
    pub(super) async fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json", "--show-managed-fields"];
        all.extend(arguments);
        serde_json::from_str(&self.run(&all).await).unwrap()
    }
}
