//! The benchmarks of docs/benchmarks.md: they print Markdown tables and judge nothing.
//!
//! Programs are those beside this one, so build all of them the same way:
//! `cargo build --release --workspace --bins`, then `target/release/muster-bench`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints tables")]

mod agent;
mod hub;
mod render;
mod sample;
mod the_loop;

use clap::Parser;

/// Measures Muster on this machine.
#[derive(Parser)]
#[command(name = "muster-bench", version)]
struct Arguments {
    /// Which measurement
    #[arg(value_enum)]
    what: What,
    /// On simulated clusters instead of a real kube-apiserver
    #[arg(long)]
    simulated: bool,
    /// How many drifts are timed
    #[arg(long, default_value_t = 100)]
    drifts: usize,
    /// How many commits are timed
    #[arg(long, default_value_t = 20)]
    commits: usize,
    /// How many objects the large app has; `agent` also measures five times as many
    #[arg(long, default_value_t = 1000)]
    objects: usize,
    /// How many agents are connected to the hub
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Less of everything, to see in a few minutes that it works (`agent` only)
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Drift to corrected, commit to applied, memory, sizes: the loop from Git to the hub
    Loop,
    /// One agent on one API server: first apply, resync, drift, requests, memory; Flux's benchmark
    Agent,
    /// The hub under many agents: durable updates, memory, report to watch, restart
    Hub,
    /// `muster status` of a large fleet
    Status,
    /// Kustomizations rendered by us and by `kubectl kustomize`
    Render,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    match arguments.what {
        What::Loop => the_loop::run(&arguments).await,
        What::Agent => agent::run(&arguments).await,
        What::Hub => hub::run(&arguments).await,
        What::Status => hub::status::run().await,
        What::Render => render::run(),
    }
}
