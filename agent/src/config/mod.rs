//! How is the agent told what to do?
//!
//! ```text
//! flags > environment (MUSTER_AGENT_*) > file (--config) > defaults   --> Config, checked
//! ```
//!
//! One struct says all of it: the flags, the variables and the keys of the file have the same names.
mod file;
mod kubernetes;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_git::{Credentials, Remote};
use muster_manifests::Choices;
use muster_spec::{ClusterName, NamespaceName};
use serde::Deserialize;

pub(crate) use kubernetes::client;

use crate::reach::Reach;
use crate::source::{Branches, Signers};

const NAMESPACE: &str = "muster-system";
const BRANCH: &str = "main";
const PINS_BRANCH: &str = "muster";
const FULL_CHECK_INTERVAL: Duration = Duration::from_secs(3_600);
const DATA_DIR: &str = "/var/lib/muster-agent";

/// Reconciles one Kubernetes cluster from Git.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the agent until it is told to stop (SIGTERM, SIGINT).
    Run(Box<Settings>),
    /// Prints the manifests that install the agent in a cluster, for `kubectl apply --server-side -f -`.
    Manifests(Box<ManifestsCommand>),

    /// Shows what the agent would do now, and changes nothing. Exits with 0 when there is nothing to do, 1 when
    /// there is, 2 when something cannot be read or done.
    Plan(Box<PlanCommand>),
}

/// What `manifests` is asked.
#[derive(Debug, Args)]
pub(crate) struct ManifestsCommand {
    /// Name of the cluster's Cluster document
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,

    /// Hub to report to; its enrolment token is the key `token` of the Secret muster-agent-token
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,

    #[command(flatten)]
    pub(crate) choices: Choices,
}

/// What `plan` is asked.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) options: PlanOptions,
}

/// How `plan` shows what it finds.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlanOptions {
    /// Show each field that would change; values of Secrets are masked
    #[arg(long)]
    pub(crate) diff: bool,

    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// Form of the output of `plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Everything that can be set. Each flag may also be given as a variable, or as a key of the file.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name of this cluster's Cluster document. Required
    #[arg(long, env = "MUSTER_AGENT_CLUSTER", value_name = "NAME")]
    pub(crate) cluster: Option<String>,

    /// Repository to follow: https, http, ssh, or a local path. Required
    #[arg(long, env = "MUSTER_AGENT_REPO", value_name = "URL")]
    pub(crate) repo: Option<String>,

    /// Branch to follow [default: main]
    #[arg(long, env = "MUSTER_AGENT_BRANCH", value_name = "NAME")]
    pub(crate) branch: Option<String>,

    /// Branch of the same repository with the pins of waves [default: muster]
    #[arg(long, env = "MUSTER_AGENT_PINS_BRANCH", value_name = "NAME")]
    pub(crate) pins_branch: Option<String>,

    /// How often to ask Git, such as 30s or 3m, instead of the Fleet document's interval
    #[arg(long, env = "MUSTER_AGENT_INTERVAL", value_name = "DURATION")]
    pub(crate) interval: Option<String>,

    /// How often each kind of object is listed in full, in case a watch has missed something [default: 1h]
    #[arg(long, env = "MUSTER_AGENT_FULL_CHECK_INTERVAL", value_name = "DURATION")]
    pub(crate) full_check_interval: Option<String>,

    /// File with the credentials for the repository: a `git credential-store` file, `user:password`, or
    /// a bearer token
    #[arg(long, env = "MUSTER_AGENT_GIT_CREDENTIALS_FILE", value_name = "FILE")]
    pub(crate) git_credentials_file: Option<PathBuf>,

    /// PEM certificates to trust for the repository, instead of the system's
    #[arg(long, env = "MUSTER_AGENT_GIT_CA_FILE", value_name = "FILE")]
    pub(crate) git_ca_file: Option<PathBuf>,

    /// Private key for a repository over ssh
    #[arg(long, env = "MUSTER_AGENT_SSH_KEY_FILE", value_name = "FILE")]
    pub(crate) ssh_key_file: Option<PathBuf>,

    /// Accepted host keys for a repository over ssh
    #[arg(long, env = "MUSTER_AGENT_SSH_KNOWN_HOSTS_FILE", value_name = "FILE")]
    pub(crate) ssh_known_hosts_file: Option<PathBuf>,

    /// File with the credentials for other repositories that apps have their manifests from: a `git credential-store`
    /// file with a line for each server
    #[arg(long, env = "MUSTER_AGENT_SOURCE_CREDENTIALS_FILE", value_name = "FILE")]
    pub(crate) source_credentials_file: Option<PathBuf>,

    /// Keys of which one must have signed the newest commit of the branch of pins, in a file as
    /// `gpg.ssh.allowedSignersFile` of Git names one; without it pins need no signature
    #[arg(long, env = "MUSTER_AGENT_PINS_SIGNED_BY", value_name = "FILE")]
    pub(crate) pins_signed_by: Option<PathBuf>,

    /// Keys of which one must have signed each commit of the branch that is followed, in such a file; without it
    /// commits need no signature
    #[arg(long, env = "MUSTER_AGENT_COMMITS_SIGNED_BY", value_name = "FILE")]
    pub(crate) commits_signed_by: Option<PathBuf>,

    /// Hub to report to; without it the agent works on its own
    #[arg(long, env = "MUSTER_AGENT_HUB", value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,

    /// File with the enrolment token, needed once
    #[arg(long, env = "MUSTER_AGENT_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Kubeconfig of the cluster; without it the Pod's own service account is used
    #[arg(long, env = "MUSTER_AGENT_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Namespace of the agent, for its Lease and inventories [default: muster-system]
    #[arg(long, env = "MUSTER_AGENT_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Act in these namespaces only, separated by commas, with no right to anything elsewhere [default: the whole
    /// cluster]
    #[arg(long, env = "MUSTER_AGENT_NAMESPACES", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) namespaces: Option<Vec<String>>,

    /// Name of this agent in the Lease, unique among the agents of a cluster [default: the host's name and
    /// a number kept in the data directory]
    #[arg(long, env = "MUSTER_AGENT_IDENTITY", value_name = "NAME")]
    pub(crate) identity: Option<String>,

    /// Directory for the Git mirror, of this agent alone [default: /var/lib/muster-agent]
    #[arg(long, env = "MUSTER_AGENT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Address for /metrics, /healthz and /readyz, such as :8080 or 127.0.0.1:8080; without it they are
    /// not served
    #[arg(long, env = "MUSTER_AGENT_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,

    /// Form of the log [default: text]
    #[arg(long, env = "MUSTER_AGENT_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// What to log, such as `info` or `muster_agent=debug` [default: info]
    #[arg(long, env = "MUSTER_AGENT_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// YAML file with any of these settings, by the names of the flags
    #[arg(long, env = "MUSTER_AGENT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Settings that are complete and make sense.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) cluster: ClusterName,
    pub(crate) remote: Remote,
    pub(crate) branches: Branches,
    pub(crate) interval: Option<Duration>,
    pub(crate) full_check_interval: Duration,
    pub(crate) hub: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) namespace: String,
    pub(crate) reach: Reach,
    pub(crate) identity: Option<String>,
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Option<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) log: String,
}

/// What is wrong with the settings. Texts say which setting, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{file}: {message}", file = .file.display())]
    File { file: PathBuf, message: String },
    #[error("The setting `{setting}` is missing: give --{setting}, MUSTER_AGENT_{variable}, or `{setting}:` in the file",
        variable = .setting.replace('-', "_").to_uppercase())]
    Missing { setting: &'static str },
    #[error("The setting `{setting}` cannot be used: {message}")]
    Wrong { setting: &'static str, message: String },
}

/// Shortest and longest interval.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3_600);

impl Settings {
    /// Adds what the file says and checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn complete(self) -> Result<Config, ConfigError> {
        let settings = match &self.config {
            Some(file) => self.clone().or(file::read(file)?),
            None => self,
        };
        settings.check()
    }

    /// These settings, and for those that are not given the other's.
    fn or(self, other: Settings) -> Settings {
        Settings {
            cluster: self.cluster.or(other.cluster),
            repo: self.repo.or(other.repo),
            branch: self.branch.or(other.branch),
            pins_branch: self.pins_branch.or(other.pins_branch),
            interval: self.interval.or(other.interval),
            full_check_interval: self.full_check_interval.or(other.full_check_interval),
            git_credentials_file: self.git_credentials_file.or(other.git_credentials_file),
            git_ca_file: self.git_ca_file.or(other.git_ca_file),
            ssh_key_file: self.ssh_key_file.or(other.ssh_key_file),
            ssh_known_hosts_file: self.ssh_known_hosts_file.or(other.ssh_known_hosts_file),
            source_credentials_file: self.source_credentials_file.or(other.source_credentials_file),
            pins_signed_by: self.pins_signed_by.or(other.pins_signed_by),
            commits_signed_by: self.commits_signed_by.or(other.commits_signed_by),
            hub: self.hub.or(other.hub),
            token_file: self.token_file.or(other.token_file),
            kubeconfig: self.kubeconfig.or(other.kubeconfig),
            namespace: self.namespace.or(other.namespace),
            namespaces: self.namespaces.or(other.namespaces),
            identity: self.identity.or(other.identity),
            data_dir: self.data_dir.or(other.data_dir),
            listen: self.listen.or(other.listen),
            log_format: self.log_format.or(other.log_format),
            log: self.log.or(other.log),
            config: self.config,
        }
    }

    fn check(self) -> Result<Config, ConfigError> {
        let wrong = |setting, message: String| ConfigError::Wrong { setting, message };
        let cluster = self.cluster.ok_or(ConfigError::Missing { setting: "cluster" })?;
        let cluster: ClusterName =
            cluster.parse().map_err(|error: muster_spec::NameError| wrong("cluster", error.to_string()))?;
        let repo = self.repo.ok_or(ConfigError::Missing { setting: "repo" })?;
        let mut remote = Remote::new(&repo).map_err(|error| wrong("repo", error.to_string()))?;
        remote.credentials = self.git_credentials_file.map(Credentials::File);
        remote.ca_file = self.git_ca_file;
        remote.ssh.key_file = self.ssh_key_file;
        remote.ssh.known_hosts_file = self.ssh_known_hosts_file;
        let full_check_interval = self.full_check_interval.as_deref().map(interval).transpose();
        let interval = self.interval.as_deref().map(interval).transpose();
        let namespace = self.namespace.unwrap_or_else(|| NAMESPACE.to_owned());
        let is_name = |name: &str| name.parse::<NamespaceName>().map_err(|error| error.to_string());
        is_name(&namespace).map_err(|message| wrong("namespace", message))?;
        let namespaces = self.namespaces.unwrap_or_default().into_iter().filter(|name| !name.is_empty());
        let namespaces: Vec<String> = namespaces.collect();
        namespaces
            .iter()
            .try_for_each(|name| is_name(name).map(drop))
            .map_err(|message| wrong("namespaces", message))?;
        if self.token_file.is_some() && self.hub.is_none() {
            return Err(wrong("token-file", "a token is for a hub; give `hub` too".to_owned()));
        }
        Ok(Config {
            cluster,
            remote,
            branches: Branches {
                main: self.branch.unwrap_or_else(|| BRANCH.to_owned()),
                pins: self.pins_branch.unwrap_or_else(|| PINS_BRANCH.to_owned()),
                signers: Signers { pins: self.pins_signed_by, commits: self.commits_signed_by },
                source_credentials: self.source_credentials_file,
            },
            interval: interval.map_err(|message| wrong("interval", message))?,
            full_check_interval: full_check_interval
                .map_err(|message| wrong("full-check-interval", message))?
                .unwrap_or(FULL_CHECK_INTERVAL),
            hub: self.hub,
            token_file: self.token_file,
            kubeconfig: self.kubeconfig,
            namespace,
            reach: Reach::new(namespaces),
            identity: self.identity.filter(|identity| !identity.is_empty()),
            data_dir: self.data_dir.unwrap_or_else(|| DATA_DIR.into()),
            listen: self.listen.filter(|address| !address.is_empty()),
            log_format: self.log_format.unwrap_or_default(),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration; expected something like 30s or 3m"))?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("`{text}` is out of range; expected 1s to 24h"))
    }
}

#[cfg(test)]
mod tests;
