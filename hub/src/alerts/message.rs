//! What does a message say?

use std::collections::BTreeMap;

use ring::{digest, hmac};
use serde_json::{Value, json};

use super::{Alert, AlertKey, AlertKind};
use crate::{authority::hex, clock::for_people};

/// Clusters that a message names; it always has their number.
const CLUSTERS_MAX: usize = 50;
/// Clusters that a line for people names.
const NAMED_MAX: usize = 10;

/// One message about everything that is wrong in the same way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The same whenever this message is sent again.
    pub(crate) id: String,
    /// What it is about.
    pub(crate) keys: Vec<AlertKey>,
    pub(crate) is_resolved: bool,
    alerts: Vec<Alert>,
}

impl Message {
    /// About these alerts, which are of one kind and app.
    pub(super) fn new(receiver: &str, is_resolved: bool, alerts: &[&Alert]) -> Self {
        let mut text = format!("{receiver}\n{is_resolved}\n");
        for alert in alerts {
            let last_told = alert.told.get(receiver).map(|told| told.at.to_string()).unwrap_or_default();
            text.push_str(&format!("{} {} {last_told}\n", alert.key, alert.started_at));
        }
        let id = hex(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16]);
        let keys = alerts.iter().map(|alert| alert.key.clone()).collect();
        Self { id, keys, is_resolved, alerts: alerts.iter().map(|alert| (*alert).clone()).collect() }
    }

    fn kind(&self) -> AlertKind {
        self.keys.first().map_or(AlertKind::Unreachable, |key| key.kind)
    }

    fn app(&self) -> Option<&str> {
        self.keys.first()?.app.as_ref().map(muster_spec::AppName::as_str)
    }

    /// In which clusters, as words.
    fn places(&self) -> String {
        match &self.keys[..] {
            [key] => key.cluster.to_string(),
            many => format!("{} clusters", many.len()),
        }
    }

    /// The message in one line.
    pub(super) fn title(&self) -> String {
        let (word, places) = (self.kind().word(), self.places());
        let is = if self.app().is_none() && self.keys.len() > 1 { "are" } else { "is" };
        match (self.app(), self.is_resolved) {
            (Some(app), false) => format!("{app} is {word} in {places}"),
            (Some(app), true) => format!("Resolved: {app} is no longer {word} in {places}"),
            (None, false) => format!("{places} {is} {word}"),
            (None, true) => format!("Resolved: {places} {is} no longer {word}"),
        }
    }

    /// What most of them say, and how many say something else.
    fn cause(&self) -> String {
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in &self.alerts {
            *causes.entry(&alert.cause).or_default() += 1;
        }
        let Some((cause, count)) = causes.iter().max_by_key(|(_, count)| **count) else {
            return String::new();
        };
        match self.alerts.len() - count {
            0 => (*cause).to_owned(),
            others => format!("{cause} (and otherwise in {others} more)"),
        }
    }

    /// What to type next.
    fn next(&self) -> String {
        match self.app() {
            Some(app) => format!("muster app {app}"),
            None => "muster clusters".to_owned(),
        }
    }

    fn link(&self, dashboard: Option<&str>) -> Option<String> {
        let dashboard = dashboard?;
        Some(match (self.app(), &self.keys[..]) {
            (Some(app), _) => format!("{dashboard}/#/apps/{app}"),
            (None, [key]) => format!("{dashboard}/#/clusters/{}", key.cluster),
            (None, _) => format!("{dashboard}/#/?only=problems"),
        })
    }

    /// As JSON, for programs.
    pub(super) fn webhook(&self, dashboard: Option<&str>) -> Value {
        let clusters: Vec<Value> = self
            .alerts
            .iter()
            .take(CLUSTERS_MAX)
            .map(|alert| {
                json!({
                    "name": alert.key.cluster.as_str(),
                    "since": alert.started_at.to_string(),
                    "resolved": alert.resolved_at.map(|time| time.to_string()),
                    "cause": alert.cause,
                    "revision": alert.revision,
                })
            })
            .collect();
        json!({
            "version": 1,
            "id": self.id,
            "status": if self.is_resolved { "resolved" } else { "firing" },
            "kind": self.kind().word(),
            "app": self.app(),
            "count": self.alerts.len(),
            "clusters": clusters,
            "title": self.title(),
            "cause": self.cause(),
            "next": self.next(),
            "link": self.link(dashboard),
        })
    }

    /// As Slack's incoming webhooks take it.
    pub(super) fn slack(&self, dashboard: Option<&str>) -> Value {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let sign = if self.is_resolved { ":white_check_mark:" } else { ":rotating_light:" };
        let mut lines = vec![format!("{sign} *{}*", escaped(&self.title()))];
        if self.keys.len() > 1 {
            let named: Vec<_> = self.keys.iter().take(NAMED_MAX).map(|key| key.cluster.to_string()).collect();
            let more = self.keys.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("{}{more}", named.join(", ")));
        }
        if !self.is_resolved {
            lines.push(escaped(&self.cause()));
            if let Some(since) = self.alerts.iter().map(|alert| alert.started_at).min() {
                lines.push(format!("since {}", for_people(since)));
            }
            lines.push(format!("`{}`", self.next()));
        }
        lines.extend(self.link(dashboard).map(|link| format!("<{link}|dashboard>")));
        lines.retain(|line| !line.is_empty());
        json!({ "text": lines.join("\n") })
    }
}

/// What proves that a message is from this hub: HMAC-SHA256 over its body.
pub(super) fn signature(secret: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
    format!("sha256={}", hex(tag.as_ref()))
}
