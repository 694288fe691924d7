//! Which cluster is meant, and how is it reached?
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

/// Longest wait for a connection. Answers have time limits of their own, by what is asked.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a client for the cluster of a kubeconfig, or for the one this Pod runs in.
///
/// # Errors
/// A sentence that says what is missing.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client, String> {
    let mut config = match kubeconfig {
        Some(file) => {
            let wrong = |error: kube::config::KubeconfigError| {
                format!("The kubeconfig {} cannot be used: {error}", file.display())
            };
            let read = Kubeconfig::read_from(file).map_err(wrong)?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(read, &options).await.map_err(wrong)?
        }
        None => kube::Config::incluster().map_err(|error| {
            format!("This is no Pod with a service account, so give --kubeconfig: {error}")
        })?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // A watch is silent for minutes, and every caller bounds its own wait.
    config.read_timeout = None;
    // What to try again, and when, depends on what it is for.
    config.default_retry = false;
    kube::Client::try_from(config)
        .map_err(|error| format!("The cluster's address or credentials cannot be used: {error}"))
}
