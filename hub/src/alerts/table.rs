//! Which alerts are there, and what is still to be told?

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Alert, AlertKey, Conditions, Silence, SilenceId, Told,
    message::Message,
    settings::{AlertSettings, Timing},
};
use crate::{
    clock::passed,
    record::{Change, Key, Record},
};

/// Alerts that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count {
    /// The word for what is wrong.
    pub(crate) kind: &'static str,
    /// The word for how far the alert is.
    pub(crate) state: &'static str,
}

/// All alerts, and what nobody is to be told of.
#[derive(Debug, Default)]
pub(crate) struct Table {
    alerts: BTreeMap<AlertKey, Alert>,
    silences: BTreeMap<SilenceId, Silence>,
}

impl Alert {
    pub(super) fn new(key: AlertKey, now: Timestamp) -> Self {
        Self {
            key,
            cause: String::new(),
            revision: String::new(),
            started_at: now,
            fired_at: None,
            well_since: None,
            resolved_at: None,
            told: BTreeMap::new(),
        }
    }

    /// How far it is, as a word.
    pub(crate) fn state(&self) -> &'static str {
        match (self.fired_at, self.resolved_at) {
            (None, _) => "pending",
            (Some(_), None) => "firing",
            (Some(_), Some(_)) => "resolved",
        }
    }

    /// It is seen. Says whether that changes anything.
    fn persist(&mut self, (cause, revision): &(String, String), timing: Timing, now: Timestamp) -> bool {
        let after = if self.key.kind.is_judged() { Duration::ZERO } else { timing.after };
        let fires = self.fired_at.is_none() && passed(self.started_at, now) >= after;
        // One that is resolved has been well, and keeps that time until it is seen again.
        let is_same = self.well_since.is_none() && self.cause == *cause && self.revision == *revision;
        if is_same && !fires {
            return false;
        }
        (self.well_since, self.resolved_at) = (None, None);
        self.cause.clone_from(cause);
        self.revision.clone_from(revision);
        if fires {
            self.fired_at = Some(now);
        }
        true
    }

    /// It is not seen. Says whether that changes anything.
    fn fade(&mut self, timing: Timing, now: Timestamp) -> bool {
        let begins = self.well_since.is_none();
        let since = *self.well_since.get_or_insert(now);
        let ends = self.resolved_at.is_none() && passed(since, now) >= timing.settle;
        if ends {
            self.resolved_at = Some(now);
        }
        begins || ends
    }

    /// Whether nobody needs it any more: it never fired, or is over and all who know of it know that too.
    fn is_done(&self, settings: &AlertSettings) -> bool {
        let waits = |name: &String| self.told.get(name).is_some_and(|told| !told.resolved);
        match (self.fired_at, self.resolved_at) {
            (None, _) => self.well_since.is_some(),
            (Some(_), Some(_)) => !settings.receivers.iter().any(|receiver| waits(&receiver.name)),
            (Some(_), None) => false,
        }
    }

    /// Whether the receiver is to be told, by itself or with others of its group.
    fn is_news(&self, receiver: &str, timing: Timing, now: Timestamp) -> bool {
        let told = self.told.get(receiver);
        match (self.fired_at, self.resolved_at) {
            (None, _) => false,
            (Some(_), Some(_)) => told.is_some_and(|told| !told.resolved),
            (Some(_), None) => told.is_none_or(|told| told.resolved || passed(told.at, now) >= timing.repeat),
        }
    }

    /// Whether others had time to join it.
    fn is_ripe(&self, timing: Timing, now: Timestamp) -> bool {
        let since = self.resolved_at.or(self.fired_at);
        since.is_some_and(|since| passed(since, now) >= timing.group)
    }
}

impl Table {
    /// The alerts as a store gave them back.
    pub(crate) fn restore(alerts: Vec<Alert>, silences: Vec<Silence>) -> Self {
        Self {
            alerts: alerts.into_iter().map(|alert| (alert.key.clone(), alert)).collect(),
            silences: silences.into_iter().map(|silence| (silence.id.clone(), silence)).collect(),
        }
    }

    /// All alerts, the worst first, then the oldest.
    pub(crate) fn alerts(&self) -> Vec<&Alert> {
        let mut alerts: Vec<&Alert> = self.alerts.values().collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.key.kind.severity()), alert.started_at));
        alerts
    }

    /// All silences, the one that ends first first.
    pub(crate) fn silences(&self) -> Vec<&Silence> {
        let mut silences: Vec<&Silence> = self.silences.values().collect();
        silences.sort_by_key(|silence| silence.ends_at);
        silences
    }

    /// The silence because of which nobody is told of an alert now.
    pub(crate) fn silence_of(&self, key: &AlertKey, now: Timestamp) -> Option<&Silence> {
        self.silences.values().find(|silence| silence.ends_at > now && silence.matcher.matches(key))
    }

    /// Begins a silence.
    pub(crate) fn hush(&mut self, silence: Silence) -> Change {
        self.silences.insert(silence.id.clone(), silence.clone());
        Change::Put(Record::Silence(Box::new(silence)))
    }

    /// Ends a silence; none when there is no such one.
    pub(crate) fn end_silence(&mut self, id: &SilenceId) -> Option<Change> {
        self.silences.remove(id).map(|silence| Change::Delete(Key::Silence(silence.id)))
    }

    /// How many there are of each kind in each state.
    pub(crate) fn counts(&self) -> BTreeMap<Count, i64> {
        let mut counts = BTreeMap::new();
        for alert in self.alerts.values() {
            *counts.entry(Count { kind: alert.key.kind.word(), state: alert.state() }).or_default() += 1;
        }
        counts
    }

    /// Takes in what another hub did.
    pub(crate) fn learn(&mut self, alert: Alert) {
        self.alerts.insert(alert.key.clone(), alert);
    }

    /// As [`Table::learn`].
    pub(crate) fn learn_silence(&mut self, silence: Silence) {
        self.silences.insert(silence.id.clone(), silence);
    }

    /// As [`Table::learn`].
    pub(crate) fn forget(&mut self, key: &AlertKey) {
        self.alerts.remove(key);
    }

    /// As [`Table::learn`].
    pub(crate) fn forget_silence(&mut self, id: &SilenceId) {
        self.silences.remove(id);
    }

    /// Takes in what is wrong now. Gives what is to be kept.
    pub(crate) fn step(
        &mut self,
        conditions: &Conditions,
        settings: &AlertSettings,
        now: Timestamp,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, seen) in &conditions.seen {
            let is_new = !self.alerts.contains_key(key);
            let alert = self.alerts.entry(key.clone()).or_insert_with(|| Alert::new(key.clone(), now));
            if alert.persist(seen, settings.timing, now) || is_new {
                changes.push(Change::Put(Record::Alert(Box::new(alert.clone()))));
            }
        }
        self.silences.retain(|id, silence| {
            let goes_on = silence.ends_at > now;
            if !goes_on {
                changes.push(Change::Delete(Key::Silence(id.clone())));
            }
            goes_on
        });
        self.alerts.retain(|key, alert| {
            if conditions.seen.contains_key(key) || conditions.is_unknown(key) {
                return true;
            }
            let has_changed = alert.fade(settings.timing, now);
            if alert.is_done(settings) {
                changes.push(Change::Delete(Key::Alert(key.clone())));
                return false;
            }
            if has_changed {
                changes.push(Change::Put(Record::Alert(Box::new(alert.clone()))));
            }
            true
        });
        changes
    }

    /// What the receiver is to be told now: one message for all clusters in which the same is wrong.
    pub(crate) fn outstanding(&self, receiver: &str, timing: Timing, now: Timestamp) -> Vec<Message> {
        let mut groups: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
        for alert in self.alerts.values().filter(|alert| alert.is_news(receiver, timing, now)) {
            let is_resolved = alert.resolved_at.is_some();
            if !is_resolved && self.silence_of(&alert.key, now).is_some() {
                continue;
            }
            let group = (alert.key.kind, alert.key.what(), is_resolved);
            groups.entry(group).or_default().push(alert);
        }
        let ripe =
            groups.into_iter().filter(|(_, alerts)| alerts.iter().any(|alert| alert.is_ripe(timing, now)));
        let is_wrong = |alert: &&Alert| alert.fired_at.is_some() && alert.resolved_at.is_none();
        ripe.map(|((kind, what, is_resolved), alerts)| {
            let same = |alert: &&Alert| alert.key.kind == kind && alert.key.what() == what;
            let others = self.alerts.values().filter(same).filter(is_wrong).count();
            let mut message = Message::new(receiver, is_resolved, &alerts);
            message.others = if is_resolved { others } else { others.saturating_sub(alerts.len()) };
            message
        })
        .collect()
    }

    /// Notes that the receiver took a message. Gives what is to be kept.
    pub(crate) fn told(&mut self, receiver: &str, message: &Message, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in &message.keys {
            if let Some(alert) = self.alerts.get_mut(key) {
                alert.told.insert(receiver.to_owned(), Told { at: now, resolved: message.is_resolved });
                changes.push(Change::Put(Record::Alert(Box::new(alert.clone()))));
            }
        }
        changes
    }
}
