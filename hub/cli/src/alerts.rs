//! What is wrong, and what nobody is told of, as the CLI shows it.

use jiff::Timestamp;
use muster_wire::v1;
use serde::Serialize;

use crate::model::time;

/// Something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) state: State,
    pub(crate) cluster: String,
    pub(crate) app: String,
    pub(crate) wave: String,
    pub(crate) track: String,
    pub(crate) cause: String,
    pub(crate) revision: String,
    pub(crate) author: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) fired_at: Option<Timestamp>,
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) told: Vec<Told>,
    /// The silence because of which nobody is told; empty for none.
    pub(crate) silence: String,
    /// What else keeps it from being told; empty for nothing.
    pub(crate) muted_by: String,
}

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    Unknown,
    Pending,
    Firing,
    Resolved,
}

/// What a receiver was told last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub(crate) receiver: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) resolved: bool,
}

/// Alerts that nobody is told of for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Silence {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) cluster: String,
    pub(crate) app: String,
    pub(crate) wave: String,
    pub(crate) reason: String,
    pub(crate) author: String,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) ends_at: Option<Timestamp>,
}

impl Alert {
    /// Where it is, as the words for it: `prod/web`, `prod`, `wave canary/web` or the repository.
    pub(crate) fn place(&self) -> String {
        match (self.cluster.as_str(), self.app.as_str(), self.wave.as_str()) {
            ("", _, "") => "the fleet repository".to_owned(),
            ("", _, wave) => format!("wave {wave}/{}", self.track),
            (cluster, "", _) => cluster.to_owned(),
            (cluster, app, _) => format!("{cluster}/{app}"),
        }
    }

    /// Whether it is wrong now, and somebody is told.
    pub(crate) fn is_firing(&self) -> bool {
        self.state == State::Firing && self.silence.is_empty() && self.muted_by.is_empty()
    }
}

impl Silence {
    /// What it means, as the flags that made it.
    pub(crate) fn meaning(&self) -> String {
        let flags =
            [("kind", &self.kind), ("cluster", &self.cluster), ("app", &self.app), ("wave", &self.wave)];
        let given = flags.into_iter().filter(|(_, text)| !text.is_empty());
        given.map(|(flag, text)| format!("{flag}={text}")).collect::<Vec<_>>().join(" ")
    }
}

impl From<v1::Alert> for Alert {
    fn from(alert: v1::Alert) -> Self {
        let told = |told: v1::AlertTold| Told {
            receiver: told.receiver,
            at: time(told.at.as_ref()),
            resolved: told.resolved,
        };
        Self {
            state: match alert.state() {
                v1::AlertState::Unspecified => State::Unknown,
                v1::AlertState::Pending => State::Pending,
                v1::AlertState::Firing => State::Firing,
                v1::AlertState::Resolved => State::Resolved,
            },
            started_at: time(alert.started_at.as_ref()),
            fired_at: time(alert.fired_at.as_ref()),
            resolved_at: time(alert.resolved_at.as_ref()),
            told: alert.told.into_iter().map(told).collect(),
            kind: alert.kind,
            severity: alert.severity,
            cluster: alert.cluster,
            app: alert.app,
            wave: alert.wave,
            track: alert.track,
            cause: alert.cause,
            revision: alert.revision,
            author: alert.author,
            silence: alert.silence,
            muted_by: alert.muted_by,
        }
    }
}

impl From<v1::Silence> for Silence {
    fn from(silence: v1::Silence) -> Self {
        Self {
            created_at: time(silence.created_at.as_ref()),
            ends_at: time(silence.ends_at.as_ref()),
            id: silence.id,
            kind: silence.kind,
            cluster: silence.cluster,
            app: silence.app,
            wave: silence.wave,
            reason: silence.reason,
            author: silence.author,
        }
    }
}
