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
//!   - {name: bot, slack-channel: C0123456789, token-file: /etc/muster/slack-token}
//!   - name: commits
//!     commit-status: {provider: github, url: "https://api.github.com", repository: acme/fleet}
//!     token-file: /etc/muster/github-token
//!   - name: mail
//!     mail: {server: smtp.example.org, user: muster, from: muster@example.org, to: [ops@example.org]}
//!     secret-file: /etc/muster/smtp-password
//! ```

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use serde::Deserialize;

use super::receivers::{Receiver, ReceiverText};
use crate::config::duration_within;

const AFTER_DEFAULT: Duration = Duration::from_secs(5 * 60);
const AFTER_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const REPEAT_DEFAULT: Duration = Duration::from_secs(4 * 3600);
const REPEAT_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// Longest time that something must be gone before it counts as over, so that what comes and goes is told once.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for others that fail in the same way, so that they are one message.
const GROUP_MAX: Duration = Duration::from_secs(10);

/// `alerts` of `config.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AlertsFile {
    after: Option<String>,
    repeat: Option<String>,
    link: Option<String>,
    receivers: Vec<ReceiverText>,
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
