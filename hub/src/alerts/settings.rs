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
//! ```

use std::{
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::Severity;
use crate::config::{duration_within, read_limited};

const AFTER_DEFAULT: Duration = Duration::from_secs(5 * 60);
const AFTER_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const REPEAT_DEFAULT: Duration = Duration::from_secs(4 * 3600);
const REPEAT_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// Longest time that something must be gone before it counts as over, so that what comes and goes is told once.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for others that fail in the same way, so that they are one message.
const GROUP_MAX: Duration = Duration::from_secs(10);
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
    secret_file: Option<PathBuf>,
    severity: SeverityText,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverKind {
    /// The message as JSON.
    Webhook,
    /// An incoming webhook of Slack, or of what understands the same.
    Slack,
}

/// Who is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    /// In the log, and in what is kept.
    pub name: String,
    /// What it reads.
    pub kind: ReceiverKind,
    /// Its address. Slack's is a secret.
    pub url: String,
    /// What messages are signed with.
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
        let (kind, url) = match (self.webhook, self.webhook_file, self.slack, self.slack_file) {
            (Some(url), None, None, None) => (ReceiverKind::Webhook, url),
            (None, Some(file), None, None) => (ReceiverKind::Webhook, text_of(&file)?),
            (None, None, Some(url), None) => (ReceiverKind::Slack, url),
            (None, None, None, Some(file)) => (ReceiverKind::Slack, text_of(&file)?),
            _ => return Err("give one of webhook, webhook-file, slack and slack-file".to_owned()),
        };
        // Without the address, which may be a secret.
        let is_loopback = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        if !url.starts_with("https://") && !is_loopback.iter().any(|start| url.starts_with(start)) {
            return Err("its address does not begin with https://".to_owned());
        }
        let secret = self.secret_file.map(|file| text_of(&file).map(String::into_bytes)).transpose()?;
        let severity = match self.severity {
            SeverityText::Info => Severity::Info,
            SeverityText::Warning => Severity::Warning,
            SeverityText::Critical => Severity::Critical,
        };
        Ok(Receiver { name: self.name, kind, url, secret, severity })
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
