//! What can be asked of the program `muster-hub`?

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    access::user::new_token,
    address::Address,
    authority::{self, Authority, files, rotate::Stage},
    backup,
    config::{LogFormat, RunFlags, Settings},
    identity::OperatorName,
    init::{self, NewHub},
    record::Loaded,
    server, tls, traces,
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
    /// Make a token for a user that is a program, such as CI, and print what to put into config.yaml for it.
    UserToken {
        /// Name of the user.
        #[arg(long)]
        name: OperatorName,
        /// How long it is good for, such as 90d [default: for ever].
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        ttl: Option<Duration>,
    },
    /// The CA: what is trusted, and another one in its place.
    #[command(subcommand)]
    Ca(CaCommand),
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

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Print what is trusted, and how far a rotation is.
    Show {
        /// Directory of the hub.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
    },
    /// Do the next step of a rotation: make another CA, then let it sign, then forget the old one. A hub that runs
    /// follows by itself.
    Rotate {
        /// Directory of the hub.
        #[arg(long, env = "MUSTER_HUB_DIR")]
        dir: PathBuf,
        /// Forget the old CA even though certificates it signed may still be in use; their holders then need a new
        /// token or operator.yaml.
        #[arg(long)]
        now: bool,
    },
}

/// Does what is asked.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Init { dir, addresses, permit_domains } => init(&dir, addresses, permit_domains),
        Command::Operator { dir, name } => operator(&dir, &name),
        Command::UserToken { name, ttl } => user_token(&name, ttl),
        Command::Ca(CaCommand::Show { dir }) => show_ca(&dir),
        Command::Ca(CaCommand::Rotate { dir, now }) => rotate_ca(&dir, now),
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

fn user_token(name: &OperatorName, ttl: Option<Duration>) -> Result<(), Failure> {
    let (token, hash) = new_token(&name.to_string(), authority::random()?);
    let end = ttl.map(|ttl| Timestamp::now().checked_add(ttl)).transpose()?;
    let expires =
        end.map(|end| format!(", expires: {}", end.strftime("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default();
    // The token alone on standard output, so that it can be sent into a file.
    say(&format!("{token}\n"));
    let hash = authority::hex(&hash);
    let told = format!(
        "It is shown this once. In config.yaml of the hub, which keeps only its SHA-256:\n\
         users:\n- {{name: {name}, token-sha256: {hash}{expires}}}\n\
         access:\n- {{user: {name}, role: viewer}}\n"
    );
    let _ = std::io::stderr().write_all(told.as_bytes()); // nobody listens
    Ok(())
}

fn show_ca(directory: &Path) -> Result<(), Failure> {
    let texts = files::read(directory)?;
    let authority = Authority::from_texts(&texts)?;
    let stage = match texts.stage()? {
        Stage::Settled => "There is one CA.",
        Stage::Prepared => "Another CA is trusted too; the next `ca rotate` lets it sign.",
        Stage::Overlapping => {
            "Another CA signs, and the old one is still trusted; the next `ca rotate` forgets it."
        }
    };
    say(&format!("{stage}\n"));
    for ca in authority.trusted() {
        let named = if ca == authority.certificate() { "  new tokens name it" } else { "" };
        say(&format!("{}{named}\n", authority::fingerprint(ca)));
    }
    Ok(())
}

fn rotate_ca(directory: &Path, at_once: bool) -> Result<(), Failure> {
    let before = files::read(directory)?;
    let settings = Settings::read(RunFlags { dir: directory.into(), ..RunFlags::default() })?;
    let (after, told) = match before.stage()? {
        Stage::Settled => (
            before.prepare(Timestamp::now())?,
            "Another CA is trusted now, and agents learn it over their streams: `muster ca` shows who has not yet.\n\
             Then let it sign: muster-hub ca rotate\n"
                .to_owned(),
        ),
        Stage::Prepared => (
            before.switch()?,
            format!(
                "The other CA signs now. Certificates of the old one are good for up to {}; operators need a new\n\
                 operator.yaml (muster-hub operator) before the old CA is forgotten. Then: muster-hub ca rotate\n",
                humantime::format_duration(settings.certificate_lifetime)
            ),
        ),
        Stage::Overlapping => {
            let since = files::signs_since(directory, SystemTime::now()).unwrap_or_default();
            let left = settings.certificate_lifetime.saturating_sub(since);
            if !at_once && !left.is_zero() {
                let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
                return Err(format!(
                    "certificates of the old CA may be in use for another {left}; come back then, or forget it at once \
                     with --now"
                )
                .into());
            }
            let told = "The old CA is forgotten; connections with a certificate of it are cut.\n";
            (before.finish()?, told.to_owned())
        }
    };
    // Nothing is written that the hub could not use.
    let names: Vec<_> = settings.addresses.iter().map(|address| address.host.clone()).collect();
    Authority::from_texts(&after)?.serve_as(&names, &tls::provider(), Timestamp::now())?;
    files::write(directory, &before, &after)?;
    say(&told);
    Ok(())
}

fn serve(flags: RunFlags) -> Result<(), Failure> {
    let settings = Settings::read(flags)?;
    let filter = EnvFilter::try_new(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let within = runtime.enter();
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = match settings.log_format {
        LogFormat::Text => log.with_ansi(false).boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let traces = settings.traces.as_deref().map(traces::start).transpose()?;
    let (traces, spans) = traces.unzip();
    tracing_subscriber::registry().with(log.with_filter(filter)).with(spans).init();
    drop(within);
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
    drop(traces); // what is left is sent, as long as something runs that can
    // Whatever still runs is a connection that would not end in time.
    runtime.shutdown_background();
    served
}
