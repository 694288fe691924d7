//! What each command does: asks the hub, decides how well the fleet is, prints.

mod alerts;
mod audit;
mod bootstrap;
mod context;
mod diff;
mod follow;
mod lint;
mod logs;
mod overlay;
mod render;
mod waves;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::CommandFactory as _;
use jiff::Timestamp;
use serde::Serialize;
use tonic::metadata::{Ascii, MetadataValue};

use crate::{
    args::{
        AlertsArguments, AlertsCommand, Arguments, ClusterCommand, Command, Options, Output, TokenCommand,
    },
    config,
    connect::{Address, Reach, TlsProblem, tls},
    failure::{Failure, nearest},
    fleet,
    hub::Hub,
    model::{App, CertificateAuthority, Cluster, Event, Token, WhoAmI},
    output::{Printer, remark, write},
    show,
    text::{Page, clean},
    top,
};

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    NotWell,
}

impl Verdict {
    fn of(well: bool) -> Self {
        if well { Self::Well } else { Self::NotWell }
    }
}

#[derive(Serialize)]
struct Clusters<'a> {
    time: Timestamp,
    clusters: &'a [Cluster],
}

#[derive(Serialize)]
struct Apps<'a> {
    time: Timestamp,
    apps: &'a [App],
}

#[derive(Serialize)]
struct Events<'a> {
    time: Timestamp,
    events: &'a [Event],
}

#[derive(Serialize)]
struct Tokens<'a> {
    time: Timestamp,
    tokens: &'a [Token],
}

#[derive(Serialize)]
struct Authorities<'a> {
    authorities: &'a [CertificateAuthority],
}

#[derive(Serialize)]
struct CreatedToken<'a> {
    token: &'a str,
    #[serde(flatten)]
    info: &'a Token,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> Result<Verdict, Failure> {
    let Arguments { options, command } = arguments;
    let printer = Printer::new(&options);
    check_format(&command, options.output)?;
    match command {
        Command::Status { cluster } => status(&mut hub(&options).await?, printer, cluster.as_deref()).await,
        Command::Clusters { labels } => {
            let clusters = hub(&options).await?.clusters(&labels).await?;
            let time = Timestamp::now();
            printer.print(&Clusters { time, clusters: &clusters }, |screen| {
                show::clusters(&clusters, time, screen)
            })?;
            Ok(Verdict::of(clusters.iter().all(Cluster::well)))
        }
        Command::Apps { cluster } => apps(&mut hub(&options).await?, printer, cluster.as_deref()).await,
        Command::App { name, cluster } => {
            app(&mut hub(&options).await?, printer, &name, cluster.as_deref()).await
        }
        Command::Top => {
            top::run(options, printer.is_coloured()).await?;
            Ok(Verdict::Well)
        }
        Command::Watch { cluster } => follow::watch(&options, printer, cluster.as_deref()).await,
        Command::Logs { app, cluster, since, limit, follow } => {
            let wanted = logs::Wanted { app: &app, cluster: cluster.as_deref(), since, limit };
            logs::run(&mut hub(&options).await?, printer, &wanted, follow).await
        }
        Command::Events { cluster, app, since, limit } => {
            let mut events = hub(&options).await?.events(cluster.as_deref(), app.as_deref(), limit).await?;
            let time = Timestamp::now();
            events.retain(|event| is_since(event.time, since, time));
            printer.print(&Events { time, events: &events }, |screen| show::events(&events, time, screen))?;
            Ok(Verdict::Well)
        }
        Command::Alerts(AlertsArguments { command: Some(AlertsCommand::Test { receiver }), .. }) => {
            alerts::test(&mut hub(&options).await?, &receiver).await
        }
        Command::Alerts(AlertsArguments { firing, .. }) => {
            alerts::list(&mut hub(&options).await?, printer, firing).await
        }
        Command::Silence(command) => alerts::silence(&mut hub(&options).await?, printer, command).await,
        Command::Diff(arguments) => diff::run(&arguments, &options, printer).await,
        Command::Waves { track, explain } => {
            waves::show(&mut hub(&options).await?, printer, track.as_deref(), explain).await
        }
        Command::History { track, wave, since, limit } => {
            let hub = &mut hub(&options).await?;
            waves::history(hub, printer, (track.as_deref(), wave.as_deref()), since, limit).await
        }
        Command::Promote(arguments) if arguments.images => overlay::run(&arguments, printer),
        Command::Promote(_)
        | Command::Approve(_)
        | Command::Reject(_)
        | Command::Pause(_)
        | Command::Resume(_)
        | Command::Rollback(_)
        | Command::Hotfix(_) => waves::decide(&mut hub(&options).await?, printer, command).await,
        Command::Render(arguments) => render::run(&arguments, options.output, printer),
        Command::Lint(arguments) => lint::run(&arguments, options.output, printer),
        Command::Token(command) => token(&mut hub(&options).await?, printer, command).await,
        Command::Bootstrap(arguments) => bootstrap::run(&options, &arguments).await,
        Command::Cluster(ClusterCommand::Revoke { cluster, reason }) => {
            hub(&options).await?.revoke_cluster(&cluster, &reason).await?;
            let cluster = clean(&cluster);
            remark(&format!(
                "None of the certificates of cluster {cluster} is taken any more. To let it in again: muster token create {cluster}\n"
            ));
            Ok(Verdict::Well)
        }
        Command::Audit(arguments) => audit::run(&options, printer, arguments).await,
        Command::Ca => {
            let answer = hub(&options).await?.authority().await?;
            let authorities: Vec<CertificateAuthority> =
                answer.authorities.into_iter().map(Into::into).collect();
            printer.print(&Authorities { authorities: &authorities }, |screen| {
                show::authorities(&authorities, Timestamp::now(), screen)
            })?;
            Ok(Verdict::of(authorities.iter().all(|ca| ca.not_trusted_by.is_empty())))
        }
        Command::Context(command) => context::context(&options, printer, command),
        Command::Login(arguments) => context::login(&options, &arguments).await,
        Command::Logout => context::logout(&options),
        Command::Whoami => {
            let me: WhoAmI = hub(&options).await?.who_am_i().await?.into();
            printer.print(&me, |screen| show::who_am_i(&me, Timestamp::now(), screen))?;
            Ok(Verdict::Well)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "muster", &mut script);
            write(&String::from_utf8_lossy(&script))?;
            Ok(Verdict::Well)
        }
        Command::Man { dir: Some(dir) } => {
            std::fs::create_dir_all(&dir)?;
            clap_mangen::generate_to(Arguments::command(), &dir)?;
            Ok(Verdict::Well)
        }
        Command::Man { dir: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            write(&String::from_utf8_lossy(&page))?;
            Ok(Verdict::Well)
        }
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            if printer.is_for_people() {
                write(&format!("muster {version}\n"))?;
            } else {
                printer.print(&Version { version }, |_| Page::new())?;
            }
            Ok(Verdict::Well)
        }
    }
}

/// Some formats are of some commands only; nothing is asked or done when the answer could not be printed.
fn check_format(command: &Command, output: Option<Output>) -> Result<(), Failure> {
    match (command, output) {
        (Command::Lint(_), Some(Output::Sarif)) => Ok(()),
        (_, Some(format @ Output::Sarif)) | (Command::Lint(_), Some(format @ Output::Name)) => {
            Err(Failure::Format(format))
        }
        _ => Ok(()),
    }
}

/// Whether something is not older than asked for. Of what has no time nobody knows.
fn is_since(time: Option<Timestamp>, since: Option<Duration>, now: Timestamp) -> bool {
    let Some(since) = since else { return true };
    let earliest = now.checked_sub(since).unwrap_or(Timestamp::MIN);
    time.is_none_or(|time| time >= earliest)
}

/// Where the configuration is.
fn config_path(options: &Options) -> Result<PathBuf, Failure> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    config::path(options.config.clone(), folder("XDG_CONFIG_HOME"), folder("HOME"))
        .ok_or(Failure::ConfigNowhere)
}

/// Where the hub is, and how to be trusted by it, from the config file and options. A token that is over is renewed.
pub(crate) async fn reach(options: &Options) -> Result<Reach, Failure> {
    let path = config_path(options)?;
    if config::is_exposed(&path) {
        let path = path.display();
        remark(&format!(
            "warning: others can read the private key in {path}; to prevent that: chmod 600 {path}\n"
        ));
    }
    reach_again(options).await
}

/// The same, without any remark.
pub(crate) async fn reach_again(options: &Options) -> Result<Reach, Failure> {
    context::renew(options).await?;
    let path = config_path(options)?;
    let mut file = config::load(&path)?;
    let chosen = file.choose(options.context.as_deref());
    let config = chosen.map_err(|message| Failure::ConfigInvalid { path: path.clone(), message })?;
    let bearer = config.bearer(token_of_environment());
    reach_as(options, config, &path, bearer)
}

/// The token that goes before those of the config file.
fn token_of_environment() -> Option<String> {
    std::env::var("MUSTER_TOKEN").ok().filter(|token| !token.is_empty())
}

/// The same by one entry of the file at `path`, with this token.
fn reach_as(
    options: &Options,
    config: &config::Config,
    path: &Path,
    bearer: Result<Option<String>, String>,
) -> Result<Reach, Failure> {
    let invalid = |message: String| Failure::ConfigInvalid { path: path.to_owned(), message };
    let address = match &options.hub {
        Some(given) => Address::parse(given).map_err(Failure::HubAddress)?,
        None => Address::parse(&config.hub).map_err(invalid)?,
    };
    let tls = tls(config, Timestamp::now()).map_err(|problem| match problem {
        TlsProblem::Config(message) => invalid(message),
        TlsProblem::Expired(expired_at) => Failure::CertificateExpired { expired_at },
    })?;
    let bearer = match bearer.map_err(invalid)? {
        Some(token) => {
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
                .parse()
                .map_err(|_| invalid("the token has letters that no token has".to_owned()))?;
            value.set_sensitive(true);
            Some(value)
        }
        None => None,
    };
    Ok(Reach { address, tls: Arc::new(tls), bearer })
}

async fn hub(options: &Options) -> Result<Hub, Failure> {
    Hub::connect(reach(options).await?, options.timeout).await
}

/// The clusters asked for; a name that is not among them is an error, not an empty answer.
fn named(clusters: Vec<Cluster>, name: Option<&str>) -> Result<Vec<Cluster>, Failure> {
    let Some(name) = name else { return Ok(clusters) };
    match clusters.iter().find(|cluster| cluster.name == name) {
        Some(cluster) => Ok(vec![cluster.clone()]),
        None => Err(Failure::NotFound {
            kind: "cluster",
            name: name.to_owned(),
            nearest: nearest(name, clusters.iter().map(|cluster| cluster.name.as_str())),
            list: "muster clusters",
        }),
    }
}

/// An app's data is as old as the last word of its cluster.
fn date(apps: &mut [App], clusters: &[Cluster]) {
    let seen: BTreeMap<&str, _> =
        clusters.iter().map(|cluster| (cluster.name.as_str(), cluster.last_seen)).collect();
    for app in apps {
        app.last_seen = seen.get(app.cluster.as_str()).copied().flatten();
    }
}

async fn status(hub: &mut Hub, printer: Printer, cluster: Option<&str>) -> Result<Verdict, Failure> {
    let clusters = named(hub.clusters(&[]).await?, cluster)?;
    let apps = hub.apps(cluster, true).await?;
    let time = Timestamp::now();
    let overview = fleet::overview(&clusters, &apps, time);
    printer.print(&overview, |screen| show::status(&overview, &clusters, time, screen))?;
    Ok(Verdict::of(overview.healthy))
}

async fn apps(hub: &mut Hub, printer: Printer, cluster: Option<&str>) -> Result<Verdict, Failure> {
    let clusters = named(hub.clusters(&[]).await?, cluster)?;
    let mut apps = hub.apps(cluster, false).await?;
    date(&mut apps, &clusters);
    let time = Timestamp::now();
    printer.print(&Apps { time, apps: &apps }, |screen| show::apps(&apps, time, screen))?;
    Ok(Verdict::of(apps.iter().all(App::well)))
}

async fn app(hub: &mut Hub, printer: Printer, name: &str, cluster: Option<&str>) -> Result<Verdict, Failure> {
    let clusters = named(hub.clusters(&[]).await?, cluster)?;
    let mut apps = hub.app(name, cluster).await?;
    if apps.is_empty() {
        return Err(unknown_app(hub, name, cluster).await?);
    }
    date(&mut apps, &clusters);
    let time = Timestamp::now();
    printer.print(&Apps { time, apps: &apps }, |screen| show::app(name, &apps, time, screen))?;
    Ok(Verdict::of(apps.iter().all(App::well)))
}

/// The failure to find an app.
async fn unknown_app(hub: &mut Hub, name: &str, cluster: Option<&str>) -> Result<Failure, Failure> {
    let others = hub.apps(cluster, false).await?;
    Ok(Failure::NotFound {
        kind: "app",
        name: name.to_owned(),
        nearest: nearest(name, others.iter().map(|app| app.app.as_str())),
        list: "muster apps",
    })
}

async fn token(hub: &mut Hub, printer: Printer, command: TokenCommand) -> Result<Verdict, Failure> {
    match command {
        TokenCommand::Create { cluster, labels, ttl, uses } => {
            let (token, info) = hub.create_token(&cluster, &labels, ttl, uses).await?;
            if printer.is_for_people() {
                // The token alone on standard output, so that it can be sent into a file.
                write(&format!("{}\n", clean(&token)))?;
                remark(&show::created(&info, Timestamp::now()).finish(false));
            } else {
                printer.print(&CreatedToken { token: &token, info: &info }, |_| Page::new())?;
            }
        }
        TokenCommand::List => {
            let tokens = hub.tokens().await?;
            let time = Timestamp::now();
            printer.print(&Tokens { time, tokens: &tokens }, |screen| show::tokens(&tokens, time, screen))?;
        }
        TokenCommand::Revoke { id } => {
            hub.revoke_token(&id).await?;
            remark(&format!("Token {} is revoked\n", clean(&id)));
        }
    }
    Ok(Verdict::Well)
}
