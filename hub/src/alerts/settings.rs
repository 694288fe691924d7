//! How are alerts written in `config.yaml`?
//!
//! ```yaml
//! alerts:
//!   after: 5m                       # how long something must last before it is told
//!   repeat: 4h                      # until it is told again
//!   link: https://hub.example.org   # where the dashboard is
//!   receivers:
//!   - {name: ops, webhook: "https://ops.example.org/muster", secret-file: /etc/muster/webhook-secret}
//!   - {name: chat, slack-file: /etc/muster/slack-url}
//!   - {name: pager, pagerduty-key-file: /etc/muster/pagerduty-key, severity: critical}
//!   - name: mail
//!     mail: {server: smtp.example.org, user: muster, from: muster@example.org, to: [ops@example.org]}
//!     secret-file: /etc/muster/smtp-password
//! ```

use std::{
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    Severity,
    mail::{MailSettings, MailTls},
};
use crate::config::{duration_within, read_limited};

const AFTER_DEFAULT: Duration = Duration::from_secs(5 * 60);
const AFTER_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const REPEAT_DEFAULT: Duration = Duration::from_secs(4 * 3600);
const REPEAT_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// Longest time that something must be gone before it counts as over, so that what comes and goes is told once.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for others that fail in the same way, so that they are one message.
const GROUP_MAX: Duration = Duration::from_secs(10);
/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Largest file with an address or a secret, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// `alerts` of `config.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AlertsFile {
    after: Option<String>,
    repeat: Option<String>,
    link: Option<String>,
    receivers: Vec<ReceiverText>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ReceiverText {
    name: String,
    webhook: Option<String>,
    webhook_file: Option<PathBuf>,
    slack: Option<String>,
    slack_file: Option<PathBuf>,
    teams: Option<String>,
    teams_file: Option<PathBuf>,
    alertmanager: Option<String>,
    pagerduty_key_file: Option<PathBuf>,
    pagerduty: Option<String>,
    mail: Option<MailText>,
    secret_file: Option<PathBuf>,
    severity: SeverityText,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct MailText {
    server: String,
    port: Option<u16>,
    #[serde(default)]
    tls: MailTls,
    user: Option<String>,
    from: String,
    to: Vec<String>,
}

/// From which severity on.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SeverityText {
    #[default]
    Info,
    Warning,
    Critical,
}

/// When alerts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long something must last.
    pub after: Duration,
    /// How long it must be gone.
    pub settle: Duration,
    /// How long to wait for others of its kind.
    pub group: Duration,
    /// How often it is told.
    pub repeat: Duration,
}

impl Timing {
    /// The other times follow from these.
    #[must_use]
    pub fn new(after: Duration, repeat: Duration) -> Self {
        Self { after, repeat, settle: after.min(SETTLE_MAX), group: after.min(GROUP_MAX) }
    }
}

/// What a receiver reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverKind {
    /// The message as JSON.
    Webhook,
    /// An incoming webhook of Slack, or of what understands the same.
    Slack,
    /// A workflow webhook of Microsoft Teams.
    Teams,
    /// The API v2 of a Prometheus Alertmanager.
    Alertmanager,
    /// The Events API v2 of PagerDuty.
    PagerDuty,
    /// Mail.
    Mail(MailSettings),
}

/// Who is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    /// In the log, and in what is kept.
    pub name: String,
    /// What it reads.
    pub kind: ReceiverKind,
    /// Its address; empty for mail. Those of Slack and Teams are secrets.
    pub url: String,
    /// What messages are signed with; of PagerDuty the integration key, of mail the password.
    pub secret: Option<Vec<u8>>,
    /// It is told of nothing that is less bad.
    pub severity: Severity,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Which alerts are told, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// When.
    pub timing: Timing,
    /// Where the dashboard is, without a slash at its end.
    pub link: Option<String>,
    /// To whom. Without any nobody is told.
    pub receivers: Vec<Receiver>,
}

impl AlertsFile {
    /// The settings; all that is not in order goes to `problems`.
    pub(crate) fn check(self, path: &str, problems: &mut Vec<String>) -> AlertSettings {
        let mut wrong =
            |place: &str, problem: &str| problems.push(format!("{path}: alerts.{place}: {problem}"));
        let mut read = |text: Option<String>, name: &str, default, range| {
            let Some(text) = text else { return default };
            duration_within(&text, range).unwrap_or_else(|problem| {
                wrong(name, &problem);
                default
            })
        };
        let after = read(self.after, "after", AFTER_DEFAULT, &AFTER_RANGE);
        let repeat = read(self.repeat, "repeat", REPEAT_DEFAULT, &REPEAT_RANGE);
        let mut names = BTreeSet::new();
        let mut receivers = Vec::new();
        for (index, text) in self.receivers.into_iter().enumerate() {
            let place = format!("receivers[{index}]");
            if text.name.is_empty() || !names.insert(text.name.clone()) {
                wrong(&place, "each receiver needs a name of its own");
            }
            match text.read() {
                Ok(receiver) => receivers.push(receiver),
                Err(problem) => wrong(&place, &problem),
            }
        }
        let link = self.link.map(|link| link.trim_end_matches('/').to_owned());
        AlertSettings { timing: Timing::new(after, repeat), link, receivers }
    }
}

impl ReceiverText {
    fn read(self) -> Result<Receiver, String> {
        let mut given = Vec::new();
        let mut take = |kind: ReceiverKind, url: Option<String>, file: Option<PathBuf>| {
            given.extend(url.map(|url| Ok((kind.clone(), url))));
            given.extend(file.map(|file| Ok((kind, text_of(&file)?))));
        };
        take(ReceiverKind::Webhook, self.webhook, self.webhook_file);
        take(ReceiverKind::Slack, self.slack, self.slack_file);
        take(ReceiverKind::Teams, self.teams, self.teams_file);
        let alertmanager =
            self.alertmanager.map(|url| format!("{}/api/v2/alerts", url.trim_end_matches('/')));
        take(ReceiverKind::Alertmanager, alertmanager, None);
        let mut secret_file = self.secret_file;
        if let Some(key) = self.pagerduty_key_file {
            let url = self.pagerduty.unwrap_or_else(|| PAGERDUTY.to_owned());
            take(ReceiverKind::PagerDuty, Some(url), None);
            secret_file = Some(key);
        }
        if let Some(mail) = self.mail {
            given.push(mail.read().map(|mail| (ReceiverKind::Mail(mail), String::new())));
        }
        let one = "give one of webhook, slack, teams (each also as -file), alertmanager, pagerduty-key-file and mail";
        let [given] = <[Result<_, String>; 1]>::try_from(given).map_err(|_| one.to_owned())?;
        let (kind, url) = given?;
        // Without the address, which may be a secret.
        if !url.starts_with("https://") && !matches!(kind, ReceiverKind::Mail(_)) && !is_loopback(&url) {
            return Err("its address does not begin with https://".to_owned());
        }
        let secret = secret_file.map(|file| text_of(&file).map(String::into_bytes)).transpose()?;
        let severity = match self.severity {
            SeverityText::Info => Severity::Info,
            SeverityText::Warning => Severity::Warning,
            SeverityText::Critical => Severity::Critical,
        };
        Ok(Receiver { name: self.name, kind, url, secret, severity })
    }
}

/// Whether an address needs no TLS, since it does not leave this machine.
fn is_loopback(url: &str) -> bool {
    let starts = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    starts.iter().any(|start| url.starts_with(start))
}

impl MailText {
    fn read(self) -> Result<MailSettings, String> {
        let address = |text: &String| {
            text.parse().map_err(|error| format!("mail: {text:?} is no address of mail: {error}"))
        };
        let to = self.to.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("mail: to: name at least one address".to_owned());
        }
        if self.tls == MailTls::None && !["127.0.0.1", "::1", "localhost"].contains(&self.server.as_str()) {
            return Err("mail: tls: none is for a server on loopback".to_owned());
        }
        let port = self.port.unwrap_or_else(|| self.tls.port());
        let from = address(&self.from)?;
        Ok(MailSettings { server: self.server, port, tls: self.tls, user: self.user, from, to })
    }
}

fn text_of(file: &Path) -> Result<String, String> {
    let unreadable = |problem: &dyn fmt::Display| format!("{} cannot be read: {problem}", file.display());
    let text = read_limited(file, FILE_BYTES_MAX).map_err(|error| unreadable(&error))?;
    match text.trim() {
        "" => Err(unreadable(&"it is empty")),
        text => Ok(text.to_owned()),
    }
}
