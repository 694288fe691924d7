//! The Muster agent: keeps one Kubernetes cluster as Git says.
//!
//! ```text
//! config -> agent -> lease    who acts
//!                    source   Git -> documents -> manifests
//!                    reconcile  decides; with plan, drift, health, applyset (pure)
//!                    apply, watch, api  act and observe
//!                    report -> hub
//!                    events   what happened, as Kubernetes Events
//!                    serve    health checks and metrics over HTTP
//! ```
#![forbid(unsafe_code)]

mod agent;
mod api;
mod apply;
mod applyset;
mod backoff;
mod config;
mod directives;
mod drift;
mod events;
mod health;
mod hub;
mod identity;
mod lease;
mod metrics;
mod object;
mod plan;
mod preview;
mod reach;
mod reconcile;
mod report;
mod serve;
mod shorten;
mod source;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use muster_manifests::Place;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use config::{Cli, Command, Config, LogFormat, ManifestsCommand, PlanOptions};

/// Name under which this agent owns fields in the cluster.
pub(crate) const FIELD_MANAGER: &str = "muster-agent";

/// Label on every object an app has, with the app's name.
pub(crate) const APP_LABEL: &str = "muster.dev/app";

pub(crate) use muster_render::applied::CONTENT_ANNOTATION;

/// Threads for everything but Git, beside the first one, which decides ([`reconcile`]): the requests of one
/// cluster are little work, and the allocator keeps what each thread has freed for that thread.
const THREADS: usize = 1;

/// Threads for Git at the same time: one poller, and one that was given up on.
const BLOCKING_THREADS_MAX: usize = 2;

/// How long what is left over may take to end after a signal.
const END_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let (settings, plan) = match Cli::parse().command {
        Command::Run(settings) => (*settings, None),
        Command::Manifests(command) => return print_manifests(&command),
        Command::Plan(plan) => (plan.settings, Some(plan.options)),
    };
    let config = match settings.complete() {
        Ok(config) => config,
        Err(error) => return fail(&format!("{error}.")),
    };
    if let Err(message) = start_log(&config) {
        return fail(&message);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("The agent cannot start its threads: {error}.")),
    };
    let result = match &plan {
        None => runtime.block_on(run(config)).map(|()| ExitCode::SUCCESS),
        Some(options) => runtime.block_on(plan_once(config, options)),
    };
    runtime.shutdown_timeout(END_TIMEOUT);
    match result {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

async fn run(config: Config) -> Result<(), String> {
    // One provider for everything that speaks TLS; an error here only says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = CancellationToken::new();
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| format!("Signals cannot be received: {error}."))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| format!("Signals cannot be received: {error}."))?;
    let identity =
        identity::take(&config.data_dir, config.identity.clone()).map_err(|message| format!("{message}."))?;
    let client =
        config::client(config.kubeconfig.as_deref()).await.map_err(|message| format!("{message}."))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = %config.cluster,
        repository = %config.remote.url,
        identity = identity.name,
        "The agent starts."
    );
    let agent = agent::run(config, client, identity, stop.clone());
    tokio::pin!(agent);
    let signal = tokio::select! {
        ended = &mut agent => return ended,
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal, "The agent stops.");
    stop.cancel();
    agent.await?;
    tracing::info!("The agent has stopped.");
    Ok(())
}

async fn plan_once(config: Config, options: &PlanOptions) -> Result<ExitCode, String> {
    // As in `run`.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        config::client(config.kubeconfig.as_deref()).await.map_err(|message| format!("{message}."))?;
    preview::run(config, client, options).await.map(|found| ExitCode::from(found.code()))
}

fn start_log(config: &Config) -> Result<(), String> {
    // kube's own words may hold what an object says; only what fails is of interest, and we say that.
    let filter = EnvFilter::try_new(format!("{},kube_client=off,hyper_util=warn", config.log))
        .map_err(|error| format!("The setting `log` cannot be used: {error}."))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

fn print_manifests(command: &ManifestsCommand) -> ExitCode {
    let place = Place { cluster: &command.cluster, hub: command.hub.as_deref(), token: None };
    let written = muster_manifests::print(&place, &command.choices)
        .and_then(|text| std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("muster-agent: {message}");
    ExitCode::from(2)
}
