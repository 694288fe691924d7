//! How does a message become statuses of commits?
//!
//! A commit has one status of Muster for each wave, or cluster where there are no waves: `muster/WAVE`. It fails while
//! anything that is told is wrong there with that commit, is pending while the commit waits to enter, and is a success
//! once all of that is over.

use std::collections::{BTreeMap, BTreeSet};

use muster_spec::{AlertKind, CodeHost, Revision};
use serde_json::{Value, json};

use super::{Alert, AlertState, Subject, message::Message};
use crate::gates::code_host;

/// So many statuses one message sets.
const STATUSES_MAX: usize = 100;
/// Longest description that all take, in characters.
const DESCRIPTION_MAX: usize = 140;

/// Where statuses are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatuses {
    /// Whose API it is.
    pub provider: CodeHost,
    /// `OWNER/NAME`.
    pub repository: String,
}

/// How a commit stands in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Success,
    Pending,
    Failure,
}

impl Standing {
    fn of(alert: &Alert) -> Self {
        match (alert.state(), alert.key.kind) {
            (AlertState::Firing, AlertKind::ApprovalWaiting | AlertKind::PromotionStalled) => Self::Pending,
            (AlertState::Firing, _) => Self::Failure,
            _ => Self::Success,
        }
    }

    fn word(self, provider: CodeHost) -> &'static str {
        match (self, provider) {
            (Self::Success, _) => "success",
            (Self::Pending, _) => "pending",
            (Self::Failure, CodeHost::Gitlab) => "failed",
            (Self::Failure, _) => "failure",
        }
    }
}

/// One status to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) url: String,
    pub(super) body: Value,
}

/// What is to be set at `base` for a message.
pub(super) fn statuses(
    settings: &CommitStatuses,
    base: &str,
    message: &Message,
    dashboard: Option<&str>,
) -> Vec<Status> {
    let own: BTreeSet<(Revision, String)> =
        message.alerts.iter().filter_map(|alert| place(alert, message)).collect();
    let mut standing: BTreeMap<(Revision, String), (Standing, usize)> = BTreeMap::new();
    for alert in message.alerts.iter().chain(&message.rest) {
        let Some(place) = place(alert, message).filter(|place| own.contains(place)) else { continue };
        let (worst, wrong) = standing.entry(place).or_insert((Standing::Success, 0));
        *worst = (*worst).max(Standing::of(alert));
        *wrong += usize::from(alert.state() == AlertState::Firing);
    }
    let address = code_host::repository(settings.provider, base, &settings.repository);
    let status = |((revision, context), (standing, wrong)): ((Revision, String), (Standing, usize))| {
        let title = message.title();
        let title = match (standing, message.is_resolved) {
            (Standing::Success, _) | (_, false) => title,
            // What is over is not what is wrong still.
            _ if wrong == 1 => "another alert is still firing".to_owned(),
            _ => format!("{wrong} other alerts are still firing"),
        };
        let name = if settings.provider == CodeHost::Gitlab { "name" } else { "context" };
        let mut body = json!({
            "state": standing.word(settings.provider),
            name: context,
            "description": title.chars().take(DESCRIPTION_MAX).collect::<String>(),
        });
        if let Some(link) = message.link(dashboard) {
            body["target_url"] = link.into();
        }
        Status { url: format!("{address}/statuses/{revision}"), body }
    };
    standing.into_iter().take(STATUSES_MAX).map(status).collect()
}

/// The commit and the name of the status; none for what is about no commit.
fn place(alert: &Alert, message: &Message) -> Option<(Revision, String)> {
    let revision = Revision::try_from(alert.revision.clone()).ok()?;
    let place = match &alert.key.subject {
        Subject::Stage(wave, _) => wave.as_str(),
        Subject::Cluster(cluster) | Subject::App(cluster, _) => {
            message.waves.get(cluster).map_or(cluster.as_str(), |wave| wave.as_str())
        }
        Subject::Git => return None,
    };
    Some((revision, format!("muster/{place}")))
}

/// Whether a refusal means that there is nothing to be done: a commit that the host does not know, or, with GitLab, a
/// status that it has already.
pub(super) fn is_moot(status: u16, body: &str) -> bool {
    match status {
        422 => true,
        404 => body.contains("Commit Not Found"),
        400 => body.contains("Cannot transition status"),
        _ => false,
    }
}
