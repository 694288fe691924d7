//! What can be set about a simulated cluster?

use std::time::Duration;

/// How a cluster behaves. The defaults are those of a quick, healthy cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a workload takes from a change of its specification to being ready.
    pub ready_after: Duration,
    /// Whether ReplicaSets and Pods are made for workloads. Off, only the workloads' own status is kept, which is
    /// what tests of thousands of objects want.
    pub pods: bool,
    /// Nodes that DaemonSets count and Pods run on.
    pub nodes: u32,
    /// How many changes watches can go back. A watch or list from further back is told 410 Gone.
    pub history_max: usize,
    /// How often an idle watch that allows bookmarks gets one.
    pub bookmark_every: Duration,
    /// Whether each namespace gets the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt`.
    pub namespace_defaults: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ready_after: Duration::from_millis(200),
            pods: true,
            nodes: 1,
            history_max: 1000,
            bookmark_every: Duration::from_secs(60),
            namespace_defaults: true,
        }
    }
}
