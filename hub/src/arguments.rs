//! What can be asked of the program `muster-hub`?

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    address::Address,
    backup,
    config::{LogFormat, RunFlags, Settings},
    identity::OperatorName,
    init::{self, NewHub},
    record::Loaded,
    server,
};

/// The Muster hub: sees the whole fleet, holds no cluster credential.
#[derive(Debug, Parser)]
#[command(name = "muster-hub", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a CA, config.yaml and operator.yaml in a new directory.
    Init {
        /// Directory of the hub; made if missing.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
        /// HOST:PORT under which agents and people reach the hub; the first one goes into operator.yaml.
        #[arg(long = "address", required = true, value_name = "HOST:PORT")]
        addresses: Vec<Address>,
        /// DNS domain below which the hub may get addresses later; its CA can certify no other names.
        #[arg(long = "permit-domain", value_name = "DOMAIN")]
        permit_domains: Vec<String>,
    },
    /// Make a certificate for a further operator, or a new one for an old one, and print its operator.yaml.
    Operator {
        /// Directory of the hub.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
        /// Name of the operator, for the certificate and the log.
        #[arg(long, default_value = init::FIRST_OPERATOR)]
        name: OperatorName,
    },
    /// Run the hub.
    Run(Box<RunFlags>),
    /// Write all that the hub keeps to a file, while it runs or not. Keep its CA and config.yaml as well.
    Backup {
        /// Directory of the hub.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
        /// File to write; only its owner may read it.
        file: PathBuf,
    },
    /// Put back what `backup` wrote. The hub must not run. Enrolment tokens are refused from then on, since
    /// they may have been used after the backup; certificates stay good.
    Restore {
        /// Directory of the hub.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
        /// Also when the store has something in it: that is put aside (in etcd: removed).
        #[arg(long)]
        replace: bool,
        /// File that `backup` wrote.
        file: PathBuf,
    },
}

/// Does what is asked.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Init { dir, addresses, permit_domains } => init(&dir, addresses, permit_domains),
        Command::Operator { dir, name } => operator(&dir, &name),
        Command::Run(flags) => serve(*flags),
        Command::Backup { dir, file } => backup(dir, &file),
        Command::Restore { dir, replace, file } => restore(dir, replace, &file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "muster-hub: {error}"); // nobody listens
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes()); // nobody listens
}

fn init(directory: &Path, addresses: Vec<Address>, permit_domains: Vec<String>) -> Result<(), Failure> {
    let new = NewHub { addresses, permit_domains };
    let made = init::init(directory, &new, Timestamp::now())?;
    say(&format!(
        "The hub is ready in {dir}\n\
         \x20 run it:        muster-hub run --dir {dir}\n\
         \x20 look at it:    muster --config {operator} status\n\
         \x20 CA SHA-256:    {fingerprint}\n\
         {operator} lets its holder make enrolment tokens: keep it as you keep a password.\n",
        dir = directory.display(),
        operator = made.operator.display(),
        fingerprint = made.fingerprint,
    ));
    Ok(())
}

fn operator(directory: &Path, name: &OperatorName) -> Result<(), Failure> {
    say(&init::operator(directory, name, Timestamp::now())?);
    Ok(())
}

fn backup(dir: PathBuf, file: &Path) -> Result<(), Failure> {
    let settings = Settings::read(RunFlags { dir, ..RunFlags::default() })?;
    let loaded = backup::backup(&settings, file)?;
    say(&format!("{} has {}\n", file.display(), contents(&loaded)));
    Ok(())
}

fn restore(dir: PathBuf, replace: bool, file: &Path) -> Result<(), Failure> {
    let settings = Settings::read(RunFlags { dir, ..RunFlags::default() })?;
    let loaded = backup::restore(&settings, file, replace)?;
    say(&format!(
        "The store has {}\nEnrolment tokens are refused from now on; make new ones with `muster token create`.\n",
        contents(&loaded)
    ));
    Ok(())
}

fn contents(loaded: &Loaded) -> String {
    format!(
        "{} enrolments, {} clusters, {} apps, {} events and {} tokens.",
        loaded.enrolments.len(),
        loaded.clusters.len(),
        loaded.apps.len(),
        loaded.events.len(),
        loaded.tokens.len(),
    )
}

fn serve(flags: RunFlags) -> Result<(), Failure> {
    let settings = Settings::read(flags)?;
    let filter = EnvFilter::try_new(&settings.log)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let on_signal = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            stop.cancel();
            std::future::pending().await
        };
        tokio::select! {
            served = server::serve(settings, stop.clone()) => served.map_err(Failure::from),
            never = on_signal => never,
        }
    });
    // Whatever still runs is a connection that would not end in time.
    runtime.shutdown_background();
    served
}
