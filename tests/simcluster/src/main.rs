//! Runs simulated Kubernetes clusters until Ctrl-C and writes a kubeconfig for each.
#![forbid(unsafe_code)]

use clap::Parser;
use muster_simcluster::{Settings, SimCluster, Simulation};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Runs simulated Kubernetes clusters on loopback ports until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "muster-simcluster", version)]
struct Options {
    /// Names of the clusters to run.
    #[arg(default_value = "sim")]
    clusters: Vec<String>,
    /// Where to write NAME.kubeconfig for each cluster.
    #[arg(long, default_value = ".")]
    kubeconfig_dir: PathBuf,
    /// The user the kubeconfigs are for.
    #[arg(long, default_value = "admin")]
    user: String,
    /// Port of the first cluster, the others follow; 0 takes free ones.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many milliseconds a workload takes to become ready.
    #[arg(long, default_value_t = 200)]
    ready_after_ms: u64,
    /// Nodes of each cluster, which DaemonSets count.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// Keep only the workloads' statuses; make no ReplicaSets and Pods.
    #[arg(long)]
    no_pods: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let settings = Settings {
        ready_after: Duration::from_millis(options.ready_after_ms),
        nodes: options.nodes,
        pods: !options.no_pods,
        ..Settings::default()
    };
    let simulation = Simulation::new()?;
    let mut running: Vec<SimCluster> = Vec::new();
    std::fs::create_dir_all(&options.kubeconfig_dir)?;
    for (index, name) in options.clusters.iter().enumerate() {
        let port = match options.port {
            0 => 0,
            first => first
                .checked_add(u16::try_from(index)?)
                .ok_or("the ports end at 65535; choose a lower --port")?,
        };
        let cluster = simulation.start_on(name, settings.clone(), port).await?;
        let path = options.kubeconfig_dir.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, cluster.kubeconfig(&options.user))?;
        writeln!(std::io::stdout(), "{name} {} {}", cluster.url(), path.display())?;
        running.push(cluster);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
