//! Who is told, and how are they reached?

use std::{
    fmt,
    path::{Path, PathBuf},
};

use muster_spec::CodeHost;
use serde::Deserialize;

use super::{
    Policy, Severity,
    commit_status::CommitStatuses,
    mail::{MailSettings, MailTls},
    slack,
    template::{Template, TemplateText},
};
use crate::config::read_limited;

/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Largest file with an address, a secret or a template, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ReceiverText {
    pub(super) name: String,
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
    slack_channel: Option<String>,
    slack_api: Option<String>,
    commit_status: Option<CommitStatusText>,
    token_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    severity: Severity,
    template: Option<TemplateText>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CommitStatusText {
    provider: CodeHost,
    url: String,
    repository: String,
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
    /// Slack's Web API, with the token of a bot that posts in this channel.
    SlackBot(String),
    /// Statuses of the commits that alerts are about.
    CommitStatuses(CommitStatuses),
}

impl ReceiverKind {
    /// Whether what is wrong besides decides what it is told.
    pub(super) fn wants_rest(&self) -> bool {
        matches!(self, Self::SlackBot(_) | Self::CommitStatuses(_))
    }
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
    /// File with the token of a bot in Slack or for statuses of commits, read anew for each message.
    pub token_file: Option<PathBuf>,
    /// It is told of nothing that is less bad.
    pub severity: Severity,
    /// In which words.
    pub template: Option<Template>,
}

impl Receiver {
    /// The token that is in its file now.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn token(&self) -> Result<String, String> {
        self.token_file.as_deref().map_or_else(|| Ok(String::new()), text_of)
    }

    /// Whether it is told of what is told like this.
    pub(super) fn wants(&self, policy: &Policy) -> bool {
        policy.concerns(&self.name) && policy.severity >= self.severity
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl ReceiverText {
    /// The receiver, with what is in its files.
    ///
    /// # Errors
    /// What is not in order, without anything that may be secret.
    pub(super) fn read(self) -> Result<Receiver, String> {
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
        let needs_token = self.slack_channel.is_some() || self.commit_status.is_some();
        if let Some(channel) = self.slack_channel {
            let api = self.slack_api.unwrap_or_else(|| slack::API.to_owned());
            given.push(Ok((ReceiverKind::SlackBot(channel), api.trim_end_matches('/').to_owned())));
        }
        if let Some(statuses) = self.commit_status {
            given.push(statuses.read());
        }
        match (needs_token, &self.token_file) {
            (true, None) => return Err("slack-channel and commit-status need a token-file".to_owned()),
            (false, Some(_)) => return Err("token-file is for slack-channel and commit-status".to_owned()),
            _ => {}
        }
        let one = "give one of webhook, slack, teams (each also as -file), slack-channel, alertmanager, \
                   pagerduty-key-file, mail and commit-status";
        let [given] = <[Result<_, String>; 1]>::try_from(given).map_err(|_| one.to_owned())?;
        let (kind, url) = given?;
        // Without the address, which may be a secret.
        if !url.starts_with("https://") && !matches!(kind, ReceiverKind::Mail(_)) && !is_loopback(&url) {
            return Err("its address does not begin with https://".to_owned());
        }
        let secret = secret_file.map(|file| text_of(&file).map(String::into_bytes)).transpose()?;
        // It is read anew each time; that it can be read at all is better known now.
        self.token_file.as_deref().map(text_of).transpose()?;
        let template = self.template.map(TemplateText::check).transpose()?;
        let (name, token_file, severity) = (self.name, self.token_file, self.severity);
        Ok(Receiver { name, kind, url, secret, token_file, severity, template })
    }
}

/// Whether an address needs no TLS, since it does not leave this machine.
fn is_loopback(url: &str) -> bool {
    let starts = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    starts.iter().any(|start| url.starts_with(start))
}

impl CommitStatusText {
    fn read(self) -> Result<(ReceiverKind, String), String> {
        if !CodeHost::is_repository(&self.repository) {
            return Err("commit-status: repository: expected OWNER/NAME".to_owned());
        }
        let statuses = CommitStatuses { provider: self.provider, repository: self.repository };
        Ok((ReceiverKind::CommitStatuses(statuses), self.url))
    }
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

/// The text in a file, without white space at its ends.
///
/// # Errors
/// Why there is none.
pub(super) fn text_of(file: &Path) -> Result<String, String> {
    let unreadable = |problem: &dyn fmt::Display| format!("{} cannot be read: {problem}", file.display());
    let text = read_limited(file, FILE_BYTES_MAX).map_err(|error| unreadable(&error))?;
    match text.trim() {
        "" => Err(unreadable(&"it is empty")),
        text => Ok(text.to_owned()),
    }
}
