//! Which alerts are there, and what is still to be told?

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use muster_spec::{AlertKind, ClusterName, TrackName, WaveName};

use super::{
    Alert, AlertKey, AlertRules, AlertState, Conditions, Mute, Receiver, ReceiverKind, Silence, SilenceId,
    Subject, Told,
    course::Seen,
    message::Message,
    scheme::Scheme,
    settings::{AlertSettings, Timing},
};
use crate::record::{Change, Key, Record};

/// Alerts that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count {
    /// The word for what is wrong.
    pub(crate) kind: &'static str,
    /// The word for how far the alert is.
    pub(crate) state: &'static str,
}

/// All alerts, what nobody is to be told of, and what the repository says about that.
#[derive(Debug, Default)]
pub(crate) struct Table {
    alerts: BTreeMap<AlertKey, Alert>,
    silences: BTreeMap<SilenceId, Silence>,
    scheme: Scheme,
}

impl Table {
    /// The alerts as a store gave them back.
    pub(crate) fn restore(alerts: Vec<Alert>, silences: Vec<Silence>, rules: AlertRules) -> Self {
        let mut table = Self {
            alerts: alerts.into_iter().map(|alert| (alert.key.clone(), alert)).collect(),
            silences: silences.into_iter().map(|silence| (silence.id.clone(), silence)).collect(),
            scheme: Scheme::default(),
        };
        table.learn_rules(rules);
        table
    }

    /// All alerts, the worst first, then the oldest.
    pub(crate) fn alerts(&self) -> Vec<&Alert> {
        let mut alerts: Vec<&Alert> =
            self.alerts.values().filter(|alert| alert.state() != AlertState::Remembered).collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.policy.severity), alert.started_at));
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
        for alert in self.alerts() {
            let state = alert.state().word();
            *counts.entry(Count { kind: alert.key.kind.word(), state }).or_default() += 1;
        }
        counts
    }

    /// What is wrong with the rules where the hub has receivers of these names.
    pub(crate) fn problems<'n>(&self, receivers: impl Iterator<Item = &'n str>) -> Vec<String> {
        self.scheme.rules().strangers(&receivers.collect())
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
    pub(crate) fn learn_rules(&mut self, rules: AlertRules) {
        self.scheme.learn(rules);
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
        // What the rules say of clusters and apps is not known before the first look.
        if conditions.is_early && !self.scheme.rules().alerts.is_empty() {
            return changes;
        }
        let mut changed = BTreeSet::new();
        self.see(conditions, settings, now, &mut changes, &mut changed);
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
            if alert.fade(settings.timing, now) | alert.rest(settings) {
                changed.insert(key.clone());
            }
            let goes_on = !alert.is_done(settings.timing, now);
            if !goes_on {
                changes.push(Change::Delete(Key::Alert(key.clone())));
            }
            goes_on
        });
        self.inhibit(&mut changed);
        let kept = changed.iter().filter_map(|key| self.alerts.get(key));
        changes.extend(kept.map(put));
        changes
    }

    /// Takes in what is seen, and what the repository says of it.
    fn see(
        &mut self,
        conditions: &Conditions,
        settings: &AlertSettings,
        now: Timestamp,
        changes: &mut Vec<Change>,
        changed: &mut BTreeSet<AlertKey>,
    ) {
        let known: BTreeSet<&str> = settings.receivers.iter().map(|one| one.name.as_str()).collect();
        let (is_other, has_other_rules) =
            conditions.reading.as_ref().map_or((false, false), |reading| self.scheme.take(reading));
        if has_other_rules {
            changes.push(Change::Put(Record::AlertRules(Box::new(self.scheme.rules().clone()))));
        }
        for key in
            conditions.seen.keys().filter(|key| !self.alerts.contains_key(*key)).cloned().collect::<Vec<_>>()
        {
            let mut alert = Alert::new(key.clone(), now);
            alert.policy = self.scheme.policy(&key, &known);
            changed.insert(key.clone());
            self.alerts.insert(key, alert);
        }
        if is_other {
            for problem in self.scheme.rules().strangers(&known) {
                tracing::warn!("{problem}");
            }
            for (key, alert) in &mut self.alerts {
                let mut policy = self.scheme.policy(key, &known);
                // What follows from other alerts is looked at last.
                policy.muted = policy.muted.or_else(|| alert.policy.muted.take().filter(Mute::is_alert));
                if policy != alert.policy {
                    alert.policy = policy;
                    changed.insert(key.clone());
                }
            }
        }
        for (key, (cause, revision)) in &conditions.seen {
            let author = self.scheme.author(revision).unwrap_or_default();
            let seen = Seen { cause, revision, author };
            if let Some(alert) = self.alerts.get_mut(key)
                && alert.persist(seen, settings.timing, now)
            {
                changed.insert(key.clone());
            }
        }
    }

    /// Mutes what follows from something that is told: of a track that halted in a wave, how its apps fare there; of
    /// a cluster that is unreachable, all. A rule that mutes goes before.
    fn inhibit(&mut self, changed: &mut BTreeSet<AlertKey>) {
        let mut halted: BTreeSet<(WaveName, TrackName)> = BTreeSet::new();
        let mut away: BTreeSet<ClusterName> = BTreeSet::new();
        let told = |alert: &&Alert| alert.state() == AlertState::Firing && alert.policy.muted.is_none();
        for alert in self.alerts.values().filter(told) {
            match (alert.key.kind, &alert.key.subject) {
                (AlertKind::PromotionHalted, Subject::Stage(wave, track)) => {
                    halted.insert((wave.clone(), track.clone()));
                }
                (AlertKind::Unreachable, Subject::Cluster(cluster)) => {
                    away.insert(cluster.clone());
                }
                _ => {}
            }
        }
        for (key, alert) in &mut self.alerts {
            let before = &alert.policy.muted;
            if matches!(before, Some(Mute::Rule(_))) {
                continue;
            }
            let Some(cluster) = key.cluster().filter(|_| key.kind != AlertKind::Unreachable) else {
                continue;
            };
            let follows = [AlertKind::OutOfSync, AlertKind::Degraded, AlertKind::SyncFailing];
            let after = match &key.subject {
                _ if away.contains(cluster) => Some(AlertKey {
                    kind: AlertKind::Unreachable,
                    subject: Subject::Cluster(cluster.clone()),
                }),
                Subject::App(_, app) if follows.contains(&key.kind) && self.scheme.is_known() => {
                    let stage = self.scheme.stage(cluster, app).filter(|stage| halted.contains(stage));
                    stage.map(|(wave, track)| AlertKey {
                        kind: AlertKind::PromotionHalted,
                        subject: Subject::Stage(wave, track),
                    })
                }
                // Which apps are of the track is not known; what was known still holds.
                _ => match before {
                    Some(Mute::Alert(source)) if is_halt_of(source, &halted) => Some(source.clone()),
                    _ => None,
                },
            };
            let after = after.map(Mute::Alert);
            if *before != after {
                alert.policy.muted = after;
                changed.insert(key.clone());
            }
        }
    }

    /// What the receiver is to be told now: one message for all clusters in which the same is wrong.
    pub(crate) fn outstanding(&self, receiver: &Receiver, timing: Timing, now: Timestamp) -> Vec<Message> {
        // Statuses of commits are named after waves.
        let needs_waves = matches!(receiver.kind, ReceiverKind::CommitStatuses(_));
        if needs_waves && !self.scheme.is_known() {
            return Vec::new();
        }
        let mut groups: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
        for alert in self.alerts.values().filter(|alert| alert.is_news(receiver, timing, now)) {
            let is_resolved = alert.state() == AlertState::Resolved;
            if !is_resolved && !self.reaches(receiver, alert, now) {
                continue;
            }
            let group = (alert.key.kind, alert.key.what(), is_resolved, alert.policy.severity);
            groups.entry(group).or_default().push(alert);
        }
        groups.retain(|_, alerts| alerts.iter().any(|alert| alert.is_ripe(timing, now)));
        if groups.is_empty() {
            return Vec::new();
        }
        // What the receiver takes for wrong, or is about to.
        let is_wrong = |alert: &&Alert| {
            alert.state() == AlertState::Firing
                && (alert.is_owed(&receiver.name) || self.reaches(receiver, alert, now))
        };
        let wrong: Vec<&Alert> = self.alerts.values().filter(is_wrong).collect();
        let message = |((kind, what, is_resolved, _), alerts): (_, Vec<&Alert>)| {
            let same = wrong.iter().filter(|alert| alert.key.kind == kind && alert.key.what() == what);
            let mut message = Message::new(&receiver.name, is_resolved, &alerts);
            let own = if is_resolved { 0 } else { alerts.len() };
            message.others = same.count().saturating_sub(own);
            if receiver.kind.wants_rest() {
                let own: BTreeSet<&AlertKey> = message.keys.iter().collect();
                let rest = wrong.iter().filter(|alert| !own.contains(&alert.key));
                message.rest = rest.map(|alert| (*alert).clone()).collect();
                let clusters = alerts.iter().chain(&wrong).filter_map(|alert| alert.key.cluster());
                let wave = |cluster| Some((ClusterName::clone(cluster), self.scheme.wave(cluster)?.clone()));
                message.waves = clusters.filter_map(wave).collect();
            }
            message
        };
        groups.into_iter().map(message).collect()
    }

    /// Whether the receiver is told that the alert is wrong.
    fn reaches(&self, receiver: &Receiver, alert: &Alert, now: Timestamp) -> bool {
        let muted = match &alert.policy.muted {
            None => false,
            Some(Mute::Rule(_)) => true,
            // Who is not told of the other alert has to be told of this one.
            Some(Mute::Alert(source)) => {
                self.alerts.get(source).is_some_and(|source| receiver.wants(&source.policy))
            }
        };
        !muted && receiver.wants(&alert.policy) && self.silence_of(&alert.key, now).is_none()
    }

    /// Notes that a receiver is about to be told that something is wrong, for it must hear of the end of what it took,
    /// also where nobody lives to note that it did. Gives what is to be kept.
    pub(crate) fn telling(&mut self, receiver: &str, message: &Message) -> Vec<Change> {
        if message.is_resolved {
            return Vec::new();
        }
        self.change(&message.keys, |alert| {
            !alert.is_owed(receiver) && alert.telling.insert(receiver.to_owned())
        })
    }

    /// Notes that the receiver took a message, and what it calls it. Gives what is to be kept.
    pub(crate) fn told(
        &mut self,
        receiver: &str,
        message: &Message,
        reference: &str,
        now: Timestamp,
    ) -> Vec<Change> {
        let revisions: BTreeMap<&AlertKey, &str> =
            message.alerts.iter().map(|alert| (&alert.key, alert.revision.as_str())).collect();
        self.change(&message.keys, |alert| {
            let told = Told {
                at: now,
                resolved: message.is_resolved,
                // That of the message, which may not be what it is now.
                revision: revisions.get(&alert.key).copied().unwrap_or_default().to_owned(),
                reference: reference.to_owned(),
            };
            alert.telling.remove(receiver);
            alert.told.insert(receiver.to_owned(), told);
            true
        })
    }

    /// Notes that the receiver did for certain not take what it was about to be told of these for the first time.
    /// Gives what is to be kept.
    pub(crate) fn not_told(&mut self, receiver: &str, first: &[AlertKey]) -> Vec<Change> {
        self.change(first, |alert| alert.telling.remove(receiver))
    }

    fn change(&mut self, keys: &[AlertKey], mut what: impl FnMut(&mut Alert) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in keys {
            if let Some(alert) = self.alerts.get_mut(key)
                && alert.state() != AlertState::Remembered
                && what(alert)
            {
                changes.push(put(alert));
            }
        }
        changes
    }
}

fn put(alert: &Alert) -> Change {
    Change::Put(Record::Alert(Box::new(alert.clone())))
}

fn is_halt_of(source: &AlertKey, halted: &BTreeSet<(WaveName, TrackName)>) -> bool {
    match &source.subject {
        Subject::Stage(wave, track) => halted.contains(&(wave.clone(), track.clone())),
        _ => false,
    }
}
