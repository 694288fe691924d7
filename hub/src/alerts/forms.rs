//! How does each kind of receiver read a message?

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Alert, Subject, message::Message};

/// Clusters that a message names; it always has their number.
const CLUSTERS_MAX: usize = 50;
/// Longest summary that PagerDuty takes, in characters.
const SUMMARY_MAX: usize = 1024;
/// Alertmanager takes an alert for over when it has not heard of it for so much longer than it is told again.
const GRACE: SignedDuration = SignedDuration::from_mins(10);

/// A text in which Slack finds nobody to mention, and no link.
pub(super) fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Message {
    /// As JSON, for programs.
    pub(super) fn webhook(&self, dashboard: Option<&str>) -> Value {
        let clusters: Vec<Value> = self
            .alerts
            .iter()
            .take(CLUSTERS_MAX)
            .map(|alert| {
                json!({
                    "name": alert.key.place(),
                    "since": alert.started_at.to_string(),
                    "resolved": alert.resolved_at.map(|time| time.to_string()),
                    "cause": alert.cause,
                    "revision": alert.revision,
                    "author": alert.author,
                })
            })
            .collect();
        json!({
            "version": 1,
            "id": self.id,
            "status": if self.is_resolved { "resolved" } else { "firing" },
            "kind": self.word(),
            "severity": self.severity().word(),
            "app": self.what(),
            "count": self.alerts.len(),
            "clusters": clusters,
            "title": self.title(),
            "text": self.body(dashboard).0.join("\n"),
            "cause": self.cause(),
            "next": self.next(),
            "link": self.link(dashboard),
        })
    }

    /// As Slack's incoming webhooks take it.
    pub(super) fn slack(&self, dashboard: Option<&str>) -> Value {
        json!({ "text": self.slack_text(dashboard) })
    }

    /// As Slack marks text up. Words of the receiver's own may do so as well; what they are made of is escaped already.
    pub(super) fn slack_text(&self, dashboard: Option<&str>) -> String {
        let sign = if self.is_resolved { ":white_check_mark:" } else { ":rotating_light:" };
        let title = self.words.title.clone().unwrap_or_else(|| slack_escaped(&self.title()));
        let mut lines = vec![format!("{sign} *{title}*")];
        let (body, next, link) = self.body(dashboard);
        let is_own = self.words.text.is_some();
        lines.extend(body.into_iter().map(|line| if is_own { line } else { slack_escaped(&line) }));
        lines.extend(next.map(|next| format!("`{next}`")));
        lines.extend(link.map(|link| format!("<{link}|dashboard>")));
        lines.join("\n")
    }

    /// As a workflow of Microsoft Teams takes it: an adaptive card
    /// (<https://adaptivecards.io/explorer/AdaptiveCard.html>).
    pub(super) fn teams(&self, dashboard: Option<&str>) -> Value {
        let block = |text: &str| json!({"type": "TextBlock", "text": text, "wrap": true});
        let colour = if self.is_resolved { "good" } else { "attention" };
        let mut body = vec![
            json!({"type": "TextBlock", "text": self.title(), "wrap": true, "weight": "bolder", "color": colour}),
        ];
        let (lines, next, link) = self.body(dashboard);
        body.extend(lines.iter().map(|line| block(line)));
        body.extend(next.map(|next| json!({"type": "TextBlock", "text": next, "fontType": "monospace"})));
        let open = |link| json!({"type": "Action.OpenUrl", "title": "Dashboard", "url": link});
        let actions: Vec<Value> = link.map(open).into_iter().collect();
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions,
        });
        json!({
            "type": "message",
            "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
        })
    }

    /// As PagerDuty's Events API v2 takes it (<https://developer.pagerduty.com/docs/events-api-v2-overview>): one
    /// incident for all that is wrong in the same way. None where it is over in some clusters and not in all.
    pub(super) fn pager_duty(&self, key: &str, dashboard: Option<&str>) -> Option<Value> {
        if self.is_resolved && self.others > 0 {
            return None;
        }
        let kind = self.word();
        let what = self.what().unwrap_or_else(|| self.keys.first().map_or("", |key| key.place()));
        let mut event = json!({
            "routing_key": key,
            "event_action": if self.is_resolved { "resolve" } else { "trigger" },
            "dedup_key": format!("muster/{kind}/{what}"),
        });
        if !self.is_resolved {
            let summary = self.words.title.clone();
            let summary = summary.unwrap_or_else(|| format!("{}: {}", self.title(), self.cause()));
            let summary: String = summary.chars().take(SUMMARY_MAX).collect();
            event["payload"] = json!({
                "summary": summary,
                "source": "muster-hub",
                "severity": self.severity().word(),
                "timestamp": self.since().map(|since| since.to_string()),
                "component": what,
                "group": self.places(),
                "class": kind,
                "custom_details": {"details": self.body(dashboard).0, "next": self.next()},
            });
            let link = self.link(dashboard);
            event["links"] =
                link.map(|link| json!({"href": link, "text": "Dashboard"})).into_iter().collect();
        }
        Some(event)
    }

    /// As Alertmanager's API v2 takes it: each alert by itself, since it groups them.
    /// `repeat` is how long it is until it hears of them again.
    pub(super) fn alertmanager(
        &self,
        dashboard: Option<&str>,
        now: Timestamp,
        repeat: SignedDuration,
    ) -> Value {
        let link = self.link(dashboard);
        let one = |alert: &Alert| {
            let mut labels = json!({
                "alertname": format!("Muster{}", if self.is_test { "Test" } else { alert.key.kind.word() }),
                "severity": alert.policy.severity.word(),
            });
            match &alert.key.subject {
                Subject::Cluster(cluster) => labels["cluster"] = cluster.as_str().into(),
                Subject::App(cluster, app) => {
                    labels["cluster"] = cluster.as_str().into();
                    labels["app"] = app.as_str().into();
                }
                Subject::Stage(wave, track) => {
                    labels["wave"] = wave.as_str().into();
                    labels["track"] = track.as_str().into();
                }
                Subject::Git => {}
            }
            let ends_at = alert.resolved_at.or_else(|| now.checked_add(repeat + GRACE).ok());
            let mut alert = json!({
                "labels": labels,
                "annotations": {
                    "summary": self.title(),
                    "description": self.words.text.as_ref().unwrap_or(&alert.cause),
                    "next": self.next(),
                    "commit": alert.revision,
                    "author": alert.author,
                },
                "startsAt": alert.started_at.to_string(),
                "endsAt": ends_at.map(|end| end.to_string()),
            });
            if let Some(link) = &link {
                alert["generatorURL"] = link.as_str().into();
            }
            alert
        };
        self.alerts.iter().map(one).collect()
    }
}
