//! The demo: a whole fleet on this machine, acting out what Muster is for, and saying what happens.
//!
//! It shows nothing that did not happen: every line that claims something was awaited in the cluster or in what
//! the command line printed, and with `--once` the exit code says whether all of it was seen.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program for people to watch")]

mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use muster_tests::fleet::Target;
use story::Story;

/// Runs a Git server, a hub and three clusters with an agent each, and shows drift being healed, a commit being
/// rolled out, and another being promoted from wave to wave. Everything is on loopback and in a temporary directory.
#[derive(Parser)]
#[command(name = "deploy/demo", version)]
struct Arguments {
    /// Ends after the last step, with exit code 0 only if every step was seen to happen
    #[arg(long)]
    once: bool,
    /// Runs on this cluster in place of a simulated one; may be given several times
    #[arg(long, value_name = "FILE")]
    kubeconfig: Vec<PathBuf>,
}

/// The clusters of the example fleet, and one more that gets before prod what is new.
const NAMES: [&str; 4] = ["dev", "staging", "canary", "prod"];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let simulated = arguments.kubeconfig.is_empty();
    let clusters =
        if simulated { Target::simulated(&NAMES).await } else { existing(&arguments.kubeconfig).await? };
    let mut story = Story::begin(clusters, simulated).await?;
    story.deploy().await?;
    story.drift().await?;
    story.roll_out().await?;
    if story.has_every_wave() {
        story.promote().await?;
        story.halt().await?;
        story.roll_back().await?;
    }
    story.end().await?;
    if arguments.once {
        return Ok(());
    }
    story.invite();
    tokio::signal::ctrl_c().await?;
    println!("\nStopping.");
    Ok(())
}

/// The given clusters take the names of the example fleet, in order, then numbers.
async fn existing(kubeconfigs: &[PathBuf]) -> Result<Vec<Target>, String> {
    let mut clusters = Vec::new();
    for (index, kubeconfig) in kubeconfigs.iter().enumerate() {
        let name =
            NAMES.get(index).map_or_else(|| format!("cluster-{}", index + 1), |name| (*name).to_owned());
        clusters.push(Target::existing(&name, kubeconfig).await?);
    }
    Ok(clusters)
}
