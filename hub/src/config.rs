//! With which settings does the hub run?
//!
//! Flags win over the environment (`MUSTER_HUB_*`), which wins over `config.yaml` in the hub's directory.
//! All that is wrong is told at once. No setting names a cluster or a kubeconfig: agents call the hub.

mod store;

use std::{
    fmt, fs, io,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use self::store::StoreFile;
pub use self::store::{Etcd, StoreSettings};
use crate::{
    access::config::{Access, BindingText, IssuerText, RevokedText, UserText},
    address::Address,
    alerts::{AlertSettings, AlertsFile},
    authority::CLUSTER_LIFETIME_RANGE,
    gates::{GateSettings, GateText},
    repository::{RepositoryFlags, RepositorySettings},
    traces,
    web::{DashboardFlags, DashboardSettings},
};

/// Name of the file in the hub's directory.
pub const CONFIG_FILE: &str = "config.yaml";
/// Largest file looked at, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Where the hub listens unless told otherwise.
const LISTEN_DEFAULT: &str = "0.0.0.0:8443";
const CERTIFICATE_LIFETIME_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);
const HEARTBEAT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// Flags of `muster-hub run`, and the environment variables in their place.
#[derive(Args, Clone, Debug, Default)]
pub struct RunFlags {
    /// Directory that `muster-hub init` made.
    #[arg(long, env = "MUSTER_HUB_DIR")]
    pub dir: PathBuf,
    /// Address and port to listen on [default: 0.0.0.0:8443].
    #[arg(long, env = "MUSTER_HUB_LISTEN", value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// HOST:PORT under which the hub is reached; its certificate is made for these hosts.
    #[arg(long = "address", env = "MUSTER_HUB_ADDRESS", value_name = "HOST:PORT", value_delimiter = ',')]
    pub addresses: Vec<String>,
    /// Life of the certificates given to clusters, from 10s to 90d [default: 24h].
    #[arg(long, env = "MUSTER_HUB_CERTIFICATE_LIFETIME", value_name = "DURATION")]
    pub certificate_lifetime: Option<String>,
    /// How often agents say something, from 1s to 5m; three in silence mean unreachable [default: 10s].
    #[arg(long, env = "MUSTER_HUB_HEARTBEAT", value_name = "DURATION")]
    pub heartbeat: Option<String>,
    /// How to write the log: text or json [default: text].
    #[arg(long, env = "MUSTER_HUB_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What to log: a level, or more finely as in `info,muster_hub=debug` [default: info].
    #[arg(long, env = "MUSTER_HUB_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Address and port for Prometheus and probes, without TLS or credentials [default: none].
    #[arg(long, env = "MUSTER_HUB_METRICS", value_name = "IP:PORT")]
    pub metrics: Option<String>,
    /// OpenTelemetry collector to send traces to, by OTLP over gRPC [default: none].
    #[arg(long, env = "MUSTER_HUB_TRACES", value_name = "http://HOST:PORT")]
    pub traces: Option<String>,
    /// The fleet repository.
    #[command(flatten)]
    pub repository: RepositoryFlags,
    /// The dashboard and the JSON API.
    #[command(flatten)]
    pub dashboard: DashboardFlags,
}

/// `config.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    addresses: Vec<String>,
    listen: Option<String>,
    certificate_lifetime: Option<String>,
    heartbeat: Option<String>,
    log_format: Option<String>,
    log: Option<String>,
    metrics: Option<String>,
    traces: Option<String>,
    store: StoreFile,
    repository: RepositoryFlags,
    dashboard: DashboardFlags,
    alerts: AlertsFile,
    gates: Vec<GateText>,
    access: Vec<BindingText>,
    users: Vec<UserText>,
    oidc: Vec<IssuerText>,
    revoked: Vec<RevokedText>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of words per event.
    #[default]
    Text,
    /// A JSON object per event.
    Json,
}

/// What the hub runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The hub's directory.
    pub directory: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Under which names the hub is reached.
    pub addresses: Vec<Address>,
    /// Life of a cluster's certificate.
    pub certificate_lifetime: Duration,
    /// How often agents say something.
    pub heartbeat: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// Where Prometheus and probes are answered; port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// Collector of traces.
    pub traces: Option<String>,
    /// Where the hub keeps what it knows.
    pub store: StoreSettings,
    /// The fleet repository; without it nothing is promoted.
    pub repository: Option<RepositorySettings>,
    /// The dashboard and the JSON API; without it there is only gRPC.
    pub dashboard: Option<DashboardSettings>,
    /// Who is told what is wrong, and when.
    pub alerts: AlertSettings,
    /// Where the gates of waves may ask.
    pub gates: GateSettings,
    /// Who may ask what. The only setting that counts anew whenever the file changes.
    pub access: Access,
}

/// Everything that is wrong with the settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [one] => write!(formatter, "the settings are not valid: {one}"),
            many => {
                write!(formatter, "the settings are not valid:")?;
                many.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl Settings {
    /// Reads the file in the directory the flags name and puts the flags over it.
    ///
    /// # Errors
    /// Names every setting that is not valid.
    pub fn read(flags: RunFlags) -> Result<Self, ConfigError> {
        let (text, path) = file_in(&flags.dir)?;
        Self::merge(flags, &text, &path)
    }

    fn merge(flags: RunFlags, file: &str, path: &str) -> Result<Self, ConfigError> {
        let file = parse(file, path)?;
        let mut problems = Vec::new();
        let origin = |flag: Option<String>, value: Option<String>, name: &str| match flag {
            Some(flag) => Some((flag, format!("--{name}"))),
            None => value.map(|value| (value, format!("{path}: {name}"))),
        };
        let listen = origin(flags.listen, file.listen, "listen");
        let lifetime = origin(flags.certificate_lifetime, file.certificate_lifetime, "certificate-lifetime");
        let heartbeat = origin(flags.heartbeat, file.heartbeat, "heartbeat");
        let log_format = origin(flags.log_format, file.log_format, "log-format");
        let log = origin(flags.log, file.log, "log");
        let metrics = origin(flags.metrics, file.metrics, "metrics");
        let traces = origin(flags.traces, file.traces, "traces");
        let (hosts, place) = if flags.addresses.is_empty() {
            (file.addresses, format!("{path}: addresses"))
        } else {
            (flags.addresses, "--address".to_owned())
        };

        let address = |text: &str| {
            text.parse().map_err(|_| format!("{text:?} is not IP:PORT, such as 0.0.0.0:8443 or [::]:8443"))
        };
        let listen = read(listen, LISTEN_DEFAULT, &mut problems, address);
        let metrics = metrics.and_then(|metrics| read(Some(metrics), "", &mut problems, address));
        let traces = traces.and_then(|traces| read(Some(traces), "", &mut problems, traces::check));
        let certificate_lifetime = read(lifetime, "", &mut problems, |text| {
            duration(text, CERTIFICATE_LIFETIME_DEFAULT, &CLUSTER_LIFETIME_RANGE)
        });
        let heartbeat =
            read(heartbeat, "", &mut problems, |text| duration(text, HEARTBEAT_DEFAULT, &HEARTBEAT_RANGE));
        let log_format = read(log_format, "text", &mut problems, |text| {
            LogFormat::from_str(text, false).map_err(|_| format!("{text:?} is neither text nor json"))
        });
        let log = log.map_or_else(|| "info".to_owned(), |(text, _)| text);
        let repository = flags.repository.or(file.repository).check(&mut problems);
        let dashboard = flags.dashboard.or(file.dashboard).check(&mut problems);
        let alerts = file.alerts.check(path, &mut problems);
        let gates = GateSettings::check(file.gates, path, &mut problems);
        let access = Access::read(file.access, file.users, file.oidc, file.revoked, path, &mut problems);
        let mut addresses = Vec::new();
        for host in &hosts {
            match host.parse::<Address>() {
                Ok(address) => addresses.push(address),
                Err(error) => problems.push(format!("{place}: {error}")),
            }
        }
        if hosts.is_empty() {
            problems.push(format!(
                "{path}: addresses: name at least one HOST:PORT under which the hub is reached"
            ));
        }
        let directory = flags.dir;
        let store = file.store.settings(&directory).map_err(|wrong| {
            problems.extend(wrong.into_iter().map(|problem| format!("{path}: {problem}")));
        });
        match (listen, certificate_lifetime, heartbeat, log_format, store) {
            (Some(listen), Some(certificate_lifetime), Some(heartbeat), Some(log_format), Ok(store))
                if problems.is_empty() =>
            {
                Ok(Self {
                    directory,
                    listen,
                    addresses,
                    certificate_lifetime,
                    heartbeat,
                    log_format,
                    log,
                    metrics,
                    traces,
                    store,
                    repository,
                    dashboard,
                    alerts,
                    gates,
                    access,
                })
            }
            _ => Err(ConfigError(problems)),
        }
    }
}

/// Who may ask what, as the file in the hub's directory says now.
///
/// # Errors
/// Names everything in these parts that is not valid.
pub fn read_access(directory: &Path) -> Result<Access, ConfigError> {
    let (text, path) = file_in(directory)?;
    let file = parse(&text, &path)?;
    let mut problems = Vec::new();
    let access = Access::read(file.access, file.users, file.oidc, file.revoked, &path, &mut problems);
    if problems.is_empty() { Ok(access) } else { Err(ConfigError(problems)) }
}

fn parse(text: &str, path: &str) -> Result<File, ConfigError> {
    let file = serde_yaml::from_str::<Option<File>>(text);
    file.map(Option::unwrap_or_default).map_err(|error| ConfigError(vec![format!("{path}: {error}")]))
}

/// Text and path of the file in a hub's directory.
fn file_in(directory: &Path) -> Result<(String, String), ConfigError> {
    let path = directory.join(CONFIG_FILE);
    let shown = path.display().to_string();
    let text = read_limited(&path, CONFIG_BYTES_MAX).map_err(|error| {
        ConfigError(vec![match error.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no {shown}; run `muster-hub init --dir {} --address HOST:PORT` first",
                directory.display()
            ),
            _ => format!("{shown} cannot be read: {error}"),
        }])
    })?;
    Ok((text, shown))
}

/// The text of a file, which may have at most so many bytes.
pub(crate) fn read_limited(path: &Path, bytes_max: u64) -> io::Result<String> {
    if fs::metadata(path)?.len() > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    fs::read_to_string(path)
}

/// Reads a setting from where it is given, or its default.
fn read<T>(
    given: Option<(String, String)>,
    default: &str,
    problems: &mut Vec<String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let (text, place) = given.unwrap_or_else(|| (default.to_owned(), "default".to_owned()));
    parse(&text).map_err(|problem| problems.push(format!("{place}: {problem}"))).ok()
}

/// A duration within a range; nothing stands for the default.
fn duration(text: &str, default: Duration, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if text.is_empty() { Ok(default) } else { duration_within(text, range) }
}

/// A duration within a range.
pub(crate) fn duration_within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let parsed =
        humantime::parse_duration(text).map_err(|error| format!("{text:?} is not a duration: {error}"))?;
    if !range.contains(&parsed) {
        let (least, most) =
            (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
        return Err(format!("{text} is not from {least} to {most}"));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> RunFlags {
        RunFlags { dir: "/hub".into(), ..RunFlags::default() }
    }

    fn merge(flags: RunFlags, file: &str) -> Result<Settings, String> {
        Settings::merge(flags, file, "config.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_fill_what_nobody_sets() {
        let settings = merge(flags(), "addresses: ['hub.test:8443']").unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8443");
        assert_eq!(settings.certificate_lifetime.as_secs(), 24 * 3600);
        assert_eq!((settings.heartbeat.as_secs(), settings.log_format), (10, LogFormat::Text));
        assert_eq!(settings.log, "info");
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "addresses: ['hub.test:8443']\nlisten: 127.0.0.1:1\nheartbeat: 2s\nlog-format: json\n\
                    certificate-lifetime: 1h\nlog: debug\n";
        let settings = merge(flags(), file).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:1");
        assert_eq!((settings.heartbeat.as_secs(), settings.log_format), (2, LogFormat::Json));
        let flags = RunFlags {
            listen: Some("127.0.0.1:2".into()),
            addresses: vec!["other.test:1".into()],
            heartbeat: Some("3s".into()),
            ..flags()
        };
        let settings = merge(flags, file).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:2");
        assert_eq!(settings.addresses[0].to_string(), "other.test:1");
        assert_eq!((settings.heartbeat.as_secs(), settings.certificate_lifetime.as_secs()), (3, 3600));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let file = "addresses: [hub]\nlisten: here\nheartbeat: 1h\n";
        let flags =
            RunFlags { certificate_lifetime: Some("1s".into()), log_format: Some("xml".into()), ..flags() };
        let error = merge(flags, file).unwrap_err();
        for part in [
            "config.yaml: addresses: \"hub\" is not HOST:PORT",
            "config.yaml: listen: \"here\" is not IP:PORT",
            "config.yaml: heartbeat: 1h is not from 1s to 5m",
            "--certificate-lifetime: 1s is not from 10s to",
            "--log-format: \"xml\"",
        ] {
            assert!(error.contains(part), "{part} is missing in:\n{error}");
        }
    }

    #[test]
    fn unknown_keys_are_errors_so_no_cluster_address_or_credential_can_be_given() {
        for key in ["kubeconfig", "cluster-address", "lisen"] {
            let error = merge(flags(), &format!("addresses: ['hub.test:1']\n{key}: x\n")).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
        let error = merge(flags(), "").unwrap_err();
        assert!(error.contains("at least one HOST:PORT"), "{error}");
    }
}
