//! The command line: every command and option there is.

mod alerts;
mod contexts;
mod format;
mod waves;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use muster_manifests::Choices;

pub(crate) use self::alerts::{AlertsArguments, AlertsCommand, SilenceArguments, SilenceCommand};
pub(crate) use self::contexts::{ContextCommand, LoginArguments};
pub(crate) use self::format::{Color, Output};
pub(crate) use self::waves::{
    HotfixArguments, PauseArguments, PromoteArguments, RollbackArguments, VerdictArguments,
};
use crate::lint::rule::{self, Rule};

/// See and steer a fleet of Kubernetes clusters that follow Git
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 all is well, 1 something is not, 2 the command failed."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// File with the hub's address and your certificate [default: ~/.config/muster/config.yaml]
    #[arg(long, global = true, value_name = "FILE", env = "MUSTER_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// The context of the config file, in place of its current one
    #[arg(long, global = true, value_name = "NAME", env = "MUSTER_CONTEXT", hide_env_values = true)]
    pub(crate) context: Option<String>,
    /// Address of the hub, in place of the one in the config, such as `https://hub.example.com:8443`
    #[arg(long, global = true, value_name = "URL", env = "MUSTER_HUB", hide_env_values = true)]
    pub(crate) hub: Option<String>,
    /// table, wide (everything there is), json, yaml, name, or jsonpath=PATH as in `{.clusters[*].name}` [default:
    /// table; yaml for render]; `lint` also has human (as table) and sarif
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = format::output)]
    pub(crate) output: Option<Output>,
    /// auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: Color,
    /// How long to wait for the hub, such as 500ms, 10s or 1m
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The fleet at a glance: counts, then what is wrong, worst first
    Status {
        /// Only this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// All clusters
    Clusters {
        /// Only clusters with this label; may be given several times
        #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
    },
    /// All apps, in each cluster
    Apps {
        /// Only this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// One app in every cluster: its state, objects that are not healthy, drift, errors
    App {
        /// Name of the app
        name: String,
        /// Only this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// The fleet, live, on the whole screen, with keys to look into it and to approve
    Top,
    /// Follows the fleet: a line for each change, until Ctrl-C
    Watch {
        /// Only this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// What happened, newest first
    Events {
        /// Only this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Only this app
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
        /// Not older than this, such as 10m or 24h
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// At most this many
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// What happened to one app, oldest first, as a log
    Logs {
        /// Name of the app
        app: String,
        /// Only in this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Not older than this, such as 10m or 24h
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// At most this many, the newest
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Goes on until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// What is wrong, the worst first, and who was told
    Alerts(AlertsArguments),
    /// What nobody is to be told of for a while
    #[command(subcommand)]
    Silence(SilenceCommand),
    /// What differs between Git and the clusters, as their agents report it; or, given REV1..REV2, between what two
    /// revisions render to
    Diff(DiffArguments),
    /// Promotion waves: where each revision stands, what it waits for, and how long
    Waves {
        /// Only this track
        track: Option<String>,
        /// Says of every wave why it is as it is
        #[arg(long)]
        explain: bool,
    },
    /// Lets a revision into the next wave now: healthy as it must be, but without waiting for it to soak
    Promote(PromoteArguments),
    /// Approves of a revision that waits to enter a wave
    Approve(VerdictArguments),
    /// Keeps a revision out of a wave; a newer one may still come
    Reject(VerdictArguments),
    /// Nothing of a track moves by itself any more, in one wave or all
    Pause(PauseArguments),
    /// Ends a pause
    Resume(PauseArguments),
    /// Gives clusters an earlier revision of a track back: in one wave, or in all that have the newest
    Rollback(RollbackArguments),
    /// Says that a revision is urgent: it still must be healthy, but no wave waits for it to soak
    Hotfix(HotfixArguments),
    /// What was decided about tracks in waves, newest first, as Git tells it
    History {
        /// Only this track
        track: Option<String>,
        /// Only this wave
        #[arg(long, value_name = "NAME")]
        wave: Option<String>,
        /// Not older than this, such as 10m or 24h
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// At most this many
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// What an agent would apply: objects as YAML that kubectl reads back. Needs no hub
    Render(RenderArguments),
    /// Checks a fleet repository, as for a pull request. Needs no hub
    Lint(LintArguments),
    /// Enrolment tokens, with which an agent gets its cluster's certificate
    #[command(subcommand)]
    Token(TokenCommand),
    /// Prints the manifests that install the agent in a cluster, with a token of its own to enrol with, for
    /// `kubectl apply --server-side -f -`
    Bootstrap(Box<BootstrapArguments>),
    /// Steps against one cluster
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Who did what to the hub, and what was refused, newest first
    Audit(AuditArguments),
    /// The hub's CAs, and which connected clusters do not trust one of them yet
    Ca,
    /// Who the hub takes you for, and what you may do
    Whoami,
    /// Hubs in the config file: which there are, and which is meant
    #[command(subcommand)]
    Context(ContextCommand),
    /// Gets a token for the hub, and keeps it in the config file once the hub has taken it
    Login(LoginArguments),
    /// Forgets the token that `login` kept
    Logout,
    /// Prints completions for a shell, to be kept where it looks for them
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one for each command
    Man {
        /// Directory for the pages of all commands, in place of printing the first
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Prints the version of this program
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct BootstrapArguments {
    /// Name of the cluster's Cluster document
    pub(crate) cluster: String,
    /// A label the cluster then has for the hub, whatever its agent says; may be given several times
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// How long the token is good for, from 1m to 30d; it is good for one cluster, once
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) ttl: Duration,
    #[command(flatten)]
    pub(crate) choices: Choices,
}

/// Which repository is read, and how.
#[derive(Debug, Args)]
pub(crate) struct RepositoryArguments {
    /// Root of the fleet's repository, or one directory of manifests
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// A commit, branch or tag, in place of the files as they lie
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Only this app
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Shows values of Secrets, which are masked otherwise
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Only this app; or two revisions, whose objects are compared without any hub: `main~1..main`, or `main..` for
    /// the files as they lie
    #[arg(value_name = "APP|REV1..REV2")]
    pub(crate) what: Option<String>,
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Of two revisions: only this app
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Of two revisions: root of the fleet's repository, or one directory of manifests
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LintArguments {
    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,
    /// What kinds look like: the output of `kubectl get --raw /openapi/v2`, CustomResourceDefinitions, or a
    /// directory of such files; may be given several times
    #[arg(long = "schema", value_name = "FILE|DIR")]
    pub(crate) schemas: Vec<PathBuf>,
    /// A rule not to look at; may be given several times
    #[arg(long = "disable", value_name = "RULE", value_delimiter = ',', value_parser = rule::parse)]
    pub(crate) disabled: Vec<Rule>,
    /// Takes warnings for errors: those of a rule, or all `warnings`; may be given several times
    #[arg(long = "deny", value_name = "warnings|RULE", value_delimiter = ',', value_parser = denied)]
    pub(crate) denied: Vec<Denied>,
}

/// Whose warnings are errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// All.
    Warnings,
    /// Those of one rule.
    Rule(Rule),
}

fn denied(text: &str) -> Result<Denied, String> {
    if text == "warnings" { Ok(Denied::Warnings) } else { rule::parse(text).map(Denied::Rule) }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Takes none of a cluster's certificates any more and ends its stream at once. It comes back with a new token
    Revoke {
        /// Name of the cluster
        cluster: String,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// At most this many
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
}

/// Which entries of the audit log.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AuditFilter {
    /// Only by this one, such as operator/ada, cluster/prod or user/*
    #[arg(long, value_name = "WHO")]
    pub(crate) actor: Option<String>,
    /// Only this method, such as *CreateToken
    #[arg(long, value_name = "METHOD")]
    pub(crate) action: Option<String>,
    /// Only to this, such as cluster/prod
    #[arg(long, value_name = "WHAT")]
    pub(crate) target: Option<String>,
    /// Only with this result, such as certificate-revoked or token-*
    #[arg(long, value_name = "RESULT")]
    pub(crate) result: Option<String>,
    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// Only from then on: a time such as 2026-01-31T08:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Checks that no entry was changed, removed or reordered, and prints a checkpoint to keep elsewhere
    Verify {
        /// Checks an export in place of the hub's log
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// A checkpoint printed before: the log must still hold that very entry
        #[arg(long, value_name = "NUMBER:HASH", value_parser = checkpoint)]
        checkpoint: Option<(u64, Vec<u8>)>,
    },
    /// Prints the whole log, oldest first, one JSON document a line
    Export,
}

/// A time, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text)
        .map_err(|_| "write a time such as 2026-01-31T08:00:00Z, or how long ago, such as 2h".to_owned())?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

/// `NUMBER:HASH`, the hash in 64 hexadecimal digits.
fn checkpoint(text: &str) -> Result<(u64, Vec<u8>), String> {
    let wrong = || "write NUMBER:HASH, as `muster audit verify` prints it".to_owned();
    let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
    let number = muster_wire::audit::number(number).ok_or_else(wrong)?;
    let hash = crate::model::unhex(hash).filter(|hash| hash.len() == 32).ok_or_else(wrong)?;
    Ok((number, hash))
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Makes a token with which clusters may enrol, and prints it
    Create {
        /// Which clusters may enrol with it: a name, or a pattern such as `edge-*`
        cluster: String,
        /// A label such clusters then have for the hub, whatever their agents say; may be given several times
        #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// How long it is good for, from 1m to 30d
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
        ttl: Duration,
        /// How often it may be used
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
    },
    /// All tokens, without their secrets
    List,
    /// Takes a token back; clusters that enrolled with it stay
    Revoke {
        /// The token's id, as `muster token list` shows it
        id: String,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write 30s, 10m or 24h"))?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as env=prod".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_follow_the_command() {
        let arguments = Arguments::try_parse_from([
            "muster",
            "clusters",
            "-l",
            "env=prod",
            "-o",
            "json",
            "--timeout",
            "3s",
        ]);
        let arguments = arguments.unwrap();
        assert_eq!(arguments.options.output, Some(Output::Json));
        assert_eq!(arguments.options.timeout, Duration::from_secs(3));
        assert!(
            matches!(arguments.command, Command::Clusters { labels } if labels == [("env".into(), "prod".into())])
        );
    }

    #[test]
    fn mistakes_are_usage_errors_with_exit_code_2() {
        for wrong in [
            &["muster", "clusters", "-l", "env"][..],
            &["muster", "status", "--timeout", "soon"],
            &["muster", "events", "--limit", "5000"],
            &["muster", "token", "create", "dev", "--uses", "0"],
            &["muster", "stats"],
            &["muster", "hotfix", "1a2b3c4"],
            &["muster", "approve"],
            &["muster", "lint", "--disable", "no-such-rule"],
            &["muster", "lint", "--deny", "errors"],
            &["muster", "audit", "--since", "whenever"],
            &["muster", "audit", "verify", "--checkpoint", "7:abc"],
            &["muster", "audit", "--refused", "verify"],
        ] {
            let error = Arguments::try_parse_from(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
