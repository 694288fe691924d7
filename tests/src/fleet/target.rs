//! Which cluster does an agent run on? A simulated one, a real one started for the purpose, or one that is there.

use std::any::Any;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};

use muster_simcluster::{Settings, SimCluster, Simulation};

use crate::kubernetes;
use crate::scratch::Scratch;

/// A cluster that is up, by the name its agent goes by. Dropping it stops what was started for it.
pub struct Target {
    /// Name of its Cluster document.
    pub name: String,
    /// Administrator's access to it.
    pub kubeconfig: PathBuf,
    /// The same, as a client.
    pub client: kube::Client,
    _running: Box<dyn Any + Send + Sync>,
}

impl Target {
    /// Simulated clusters, all in this process, whose workloads get ready after a moment.
    ///
    /// # Panics
    /// When a port or a certificate cannot be had.
    pub async fn simulated(names: &[&str]) -> Vec<Target> {
        let simulation = Simulation::new().unwrap_or_else(|error| panic!("{error}"));
        let mut targets = Vec::new();
        for name in names {
            let started = simulation.start(name, Settings::default()).await;
            targets.push(Target::of_simulated(name, started.unwrap_or_else(|error| panic!("{error}"))).await);
        }
        targets
    }

    async fn of_simulated(name: &str, cluster: SimCluster) -> Target {
        let scratch = Scratch::new(name).unwrap_or_else(|error| panic!("no scratch directory: {error}"));
        let kubeconfig = scratch.path().join("kubeconfig");
        let written = std::fs::write(&kubeconfig, cluster.kubeconfig("admin"));
        written.unwrap_or_else(|error| panic!("{}: {error}", kubeconfig.display()));
        let existing = Target::existing(name, &kubeconfig).await;
        let target = existing.unwrap_or_else(|error| panic!("{error}"));
        Target { _running: Box::new((cluster, scratch)), ..target }
    }

    /// Real control planes, started side by side; a named skip (and `None`) where they are missing.
    ///
    /// # Panics
    /// When they should start and do not, and in CI when they are missing.
    pub async fn real(names: &[&str]) -> Option<Vec<Target>> {
        let starts =
            names.iter().map(|name| kubernetes::Cluster::start_or_skip(name, kubernetes::Options::default()));
        let clusters: Option<Vec<_>> = futures::future::join_all(starts).await.into_iter().collect();
        Some(clusters?.into_iter().map(Target::of_real).collect())
    }

    /// A real control plane named `dev`, in which `client` is the administrator's and `kubeconfig` that of another
    /// user with all rights.
    ///
    /// # Panics
    /// As [`Target::real`].
    pub async fn real_for(user: &str) -> Option<Target> {
        let cluster = kubernetes::Cluster::start_or_skip("dev", kubernetes::Options::default()).await?;
        let access = cluster.user(user, Some("system:masters")).await;
        let kubeconfig = access.unwrap_or_else(|error| panic!("{error}")).kubeconfig().to_owned();
        Some(Target { kubeconfig, ..Target::of_real(cluster) })
    }

    fn of_real(cluster: kubernetes::Cluster) -> Target {
        Target {
            name: cluster.name().to_owned(),
            kubeconfig: cluster.kubeconfig().to_owned(),
            client: cluster.client(),
            _running: Box::new(cluster),
        }
    }

    /// A cluster that is there already.
    ///
    /// # Errors
    /// The kubeconfig cannot be read or used; the text names the file.
    pub async fn existing(name: &str, kubeconfig: &Path) -> Result<Target, String> {
        let client =
            client(kubeconfig).await.map_err(|error| format!("{}: {error}", kubeconfig.display()))?;
        Ok(Target {
            name: name.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            client,
            _running: Box::new(()),
        })
    }
}

async fn client(kubeconfig: &Path) -> Result<kube::Client, Box<dyn std::error::Error>> {
    let read = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
