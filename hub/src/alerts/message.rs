//! What does a message say?

use std::collections::BTreeMap;

use jiff::Timestamp;
use muster_spec::{ClusterName, WaveName};
use ring::{digest, hmac};

use super::{Alert, AlertKey, AlertKind, Severity, Subject, template::Words};
use crate::{authority::hex, clock::for_people};

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
    /// How many others of its kind and app are wrong still.
    pub(super) others: usize,
    /// It is about nothing.
    pub(super) is_test: bool,
    pub(super) alerts: Vec<Alert>,
    /// What the receiver takes for wrong besides, where that decides what it is told.
    pub(super) rest: Vec<Alert>,
    /// The waves of clusters that any of them are about, likewise.
    pub(super) waves: BTreeMap<ClusterName, WaveName>,
    /// Words of the receiver's own.
    pub(super) words: Words,
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
        Self {
            id,
            keys,
            is_resolved,
            others: 0,
            is_test: false,
            alerts: alerts.iter().map(|alert| (*alert).clone()).collect(),
            rest: Vec::new(),
            waves: BTreeMap::new(),
            words: Words::default(),
        }
    }

    /// One that is about nothing, to see whether it arrives.
    pub(super) fn test(receiver: &str, now: Timestamp) -> Self {
        let key = AlertKey { kind: AlertKind::GitFailing, subject: Subject::Git };
        let mut alert = Alert::new(key, now);
        "This is a test, and nothing is wrong.".clone_into(&mut alert.cause);
        let mut message = Self::new(receiver, false, &[&alert]);
        message.is_test = true;
        message
    }

    pub(super) fn kind(&self) -> AlertKind {
        self.keys.first().map_or(AlertKind::Unreachable, |key| key.kind)
    }

    pub(super) fn severity(&self) -> Severity {
        let worst = self.alerts.iter().map(|alert| alert.policy.severity).max();
        worst.unwrap_or_else(|| self.kind().severity())
    }

    pub(super) fn what(&self) -> Option<&str> {
        self.keys.first()?.what()
    }

    pub(super) fn is_of_waves(&self) -> bool {
        self.keys.first().is_some_and(|key| matches!(key.subject, Subject::Stage(..)))
    }

    /// In which clusters or waves, as words.
    pub(super) fn places(&self) -> String {
        match &self.keys[..] {
            [key] => key.place().to_owned(),
            many if self.is_of_waves() => format!("{} waves", many.len()),
            many => format!("{} clusters", many.len()),
        }
    }

    /// The word for what is wrong.
    pub(super) fn word(&self) -> &'static str {
        if self.is_test { "Test" } else { self.kind().word() }
    }

    /// The message in one line.
    pub(super) fn title(&self) -> String {
        self.words.title.clone().unwrap_or_else(|| self.usual_title())
    }

    fn usual_title(&self) -> String {
        if self.is_test {
            return "a test message of the Muster hub".to_owned();
        }
        let (what, places) = (self.what().unwrap_or_default(), self.places());
        let over = self.is_resolved;
        let is = match (self.keys.len(), over) {
            (0 | 1, false) => "is",
            (0 | 1, true) => "is no longer",
            (_, false) => "are",
            (_, true) => "are no longer",
        };
        let no_longer = if over { " no longer" } else { "" };
        let word = self.kind().word();
        let sentence = match self.kind() {
            AlertKind::OutOfSync | AlertKind::Degraded => format!("{what} is{no_longer} {word} in {places}"),
            AlertKind::SyncFailing if over => format!("{what} can be synced in {places} again"),
            AlertKind::SyncFailing => format!("{what} cannot be synced in {places}"),
            AlertKind::DriftFight => format!("{what} is{no_longer} fought over in {places}"),
            AlertKind::Unreachable => format!("{places} {is} {word}"),
            AlertKind::CertificateExpiring if over => format!("{places} has a new certificate"),
            AlertKind::CertificateExpiring => format!("the certificate of {places} ends soon"),
            AlertKind::PromotionHalted => format!("{what} is{no_longer} halted in {places}"),
            AlertKind::PromotionStalled => format!("{what} is{no_longer} kept out of {places}"),
            AlertKind::ApprovalWaiting if over => format!("{what} no longer waits for {places}"),
            AlertKind::ApprovalWaiting => format!("{what} waits for approval to enter {places}"),
            AlertKind::GitFailing if over => {
                "the hub can read and write the fleet repository again".to_owned()
            }
            AlertKind::GitFailing => "the hub has trouble with the fleet repository".to_owned(),
        };
        if over { format!("Resolved: {sentence}") } else { sentence }
    }

    /// What most of them say, and how many say something else.
    pub(super) fn cause(&self) -> String {
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
    pub(super) fn next(&self) -> String {
        match (self.kind(), self.what(), &self.keys[..]) {
            (AlertKind::ApprovalWaiting, Some(track), [key]) => {
                format!("muster approve {track} --wave {}", key.place())
            }
            (_, Some(track), _) if self.is_of_waves() => format!("muster waves {track} --explain"),
            (_, Some(app), [key]) => format!("muster app {app} --cluster {}", key.place()),
            (_, Some(app), _) => format!("muster app {app}"),
            (AlertKind::GitFailing, ..) => "muster waves".to_owned(),
            (AlertKind::Unreachable, None, [key]) => format!("muster events --cluster {}", key.place()),
            _ => "muster clusters".to_owned(),
        }
    }

    pub(super) fn link(&self, dashboard: Option<&str>) -> Option<String> {
        let dashboard = dashboard?;
        Some(match (self.what(), &self.keys[..]) {
            _ if self.is_of_waves() || self.kind() == AlertKind::GitFailing => format!("{dashboard}/#/waves"),
            (Some(app), _) => format!("{dashboard}/#/apps/{app}"),
            (None, [key]) => format!("{dashboard}/#/clusters/{}", key.place()),
            (None, _) => format!("{dashboard}/#/?only=problems"),
        })
    }

    /// What is below the title, for people: the lines, what to type where something is to be done, and the address
    /// of the dashboard. Words of one's own stand for all of it.
    pub(super) fn body(&self, dashboard: Option<&str>) -> (Vec<String>, Option<String>, Option<String>) {
        match &self.words.text {
            Some(text) => (text.lines().map(str::to_owned).collect(), None, None),
            None => {
                let next = (!self.is_resolved).then(|| self.next());
                (self.lines(), next, self.link(dashboard))
            }
        }
    }

    /// The usual lines: where, why, since when, at whose commit.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.keys.len() > 1 {
            let named: Vec<_> = self.keys.iter().take(NAMED_MAX).map(|key| key.place().to_owned()).collect();
            let more = self.keys.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("{}{more}", named.join(", ")));
        }
        if !self.is_resolved {
            lines.push(self.cause());
            lines.extend(self.since().map(|since| format!("since {}", for_people(since))));
            let by = self.author().map(|author| format!(" by {author}")).unwrap_or_default();
            lines.extend(self.revision().map(|revision| format!("commit {revision}{by}")));
        }
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// When the first of them began.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.alerts.iter().map(|alert| alert.started_at).min()
    }

    /// The commit that all of them are about, if it is one.
    pub(super) fn revision(&self) -> Option<&str> {
        let mut revisions = self.alerts.iter().map(|alert| alert.revision.as_str());
        let first = revisions.next().filter(|first| !first.is_empty())?;
        revisions.all(|other| other == first).then_some(first)
    }

    /// Who made that commit, if it is known.
    pub(super) fn author(&self) -> Option<&str> {
        self.revision()?;
        self.alerts.iter().map(|alert| alert.author.as_str()).find(|author| !author.is_empty())
    }
}

/// What proves that a message is from this hub: HMAC-SHA256 over its body.
pub(super) fn signature(secret: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
    format!("sha256={}", hex(tag.as_ref()))
}
