//! What does the fleet repository say about alerts?
//!
//! ```text
//! documents at the head --Reading--> Scheme --policy of an alert--> how long, how bad, whom, or nobody
//! ```
//! The rules are kept, so that neither a Fleet document that cannot be read nor a restart meanwhile changes whom the
//! hub tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use muster_spec::{
    AlertAbout, AlertRule, AppName, Catalog, ClusterName, Kind, Selector, TrackName, WaveName,
};
use serde::{Deserialize, Serialize};

use super::{AlertKey, NotAnAlert, Severity, Subject};

type Labels = BTreeMap<String, String>;

/// What of the Fleet document matters to alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRules {
    /// The rules, of which the first that means an alert counts.
    pub alerts: Vec<AlertRule>,
    /// The waves, first to last, and which clusters they select.
    pub waves: Vec<(WaveName, Selector)>,
}

/// What the documents at the head say that matters to alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// None while the Fleet document cannot be read.
    pub(super) rules: Option<AlertRules>,
    /// The labels of the clusters.
    clusters: BTreeMap<ClusterName, Labels>,
    /// The tracks of the apps.
    tracks: BTreeMap<AppName, TrackName>,
    /// Some documents of clusters or apps cannot be read: what was known of others still holds.
    is_partial: bool,
    /// Who made which commit.
    authors: BTreeMap<String, String>,
}

impl Reading {
    /// What is read where there is no repository.
    pub(super) fn nothing() -> Self {
        Self { rules: Some(AlertRules::default()), ..Self::default() }
    }

    /// What these documents say, with the names of who made commits.
    pub(crate) fn of(catalog: &Catalog, authors: BTreeMap<String, String>) -> Self {
        let rules = (!catalog.has_broken(Kind::Fleet)).then(|| {
            let spec = catalog.fleet.as_ref().map(|fleet| &fleet.value.spec);
            spec.map_or_else(AlertRules::default, |spec| AlertRules {
                alerts: spec.alerts.clone(),
                waves: spec.waves.iter().map(|wave| (wave.name.clone(), wave.clusters.clone())).collect(),
            })
        });
        let labels = |labels: &BTreeMap<_, _>| -> Labels {
            labels
                .iter()
                .map(|(key, value): (&muster_spec::LabelKey, &muster_spec::LabelValue)| {
                    (key.to_string(), value.to_string())
                })
                .collect()
        };
        let clusters = catalog.clusters.iter();
        let apps = catalog.apps.iter();
        Self {
            rules,
            clusters: clusters
                .map(|(name, document)| (name.clone(), labels(&document.value.metadata.labels)))
                .collect(),
            tracks: apps.map(|(name, document)| (name.clone(), document.value.track())).collect(),
            is_partial: catalog.has_broken(Kind::Cluster) || catalog.has_broken(Kind::App),
            authors,
        }
    }
}

/// How an alert is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How bad it is.
    pub severity: Severity,
    /// How long it must last; what the hub's settings say where none is given.
    pub after: Option<Duration>,
    /// Who is told; all where it is empty.
    pub receivers: Vec<String>,
    /// Why nobody is told.
    pub muted: Option<Mute>,
}

/// Why nobody is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mute {
    /// The rule of that number says so.
    Rule(usize),
    /// It follows from what this one tells.
    Alert(AlertKey),
}

impl Mute {
    /// Whether it follows from another alert.
    pub(super) fn is_alert(&self) -> bool {
        matches!(self, Self::Alert(_))
    }
}

const RULE: (&str, &str) = ("spec.alerts[", "]");

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(index) => write!(f, "{}{index}{}", RULE.0, RULE.1),
            Self::Alert(key) => key.fmt(f),
        }
    }
}

impl FromStr for Mute {
    type Err = NotAnAlert;

    fn from_str(text: &str) -> Result<Self, NotAnAlert> {
        match text.strip_prefix(RULE.0).and_then(|rest| rest.strip_suffix(RULE.1)) {
            Some(index) => index.parse().map(Self::Rule).map_err(|_| NotAnAlert),
            None => text.parse().map(Self::Alert),
        }
    }
}

/// What is known from the repository, the last that could be read of each.
#[derive(Debug, Default)]
pub(super) struct Scheme {
    rules: AlertRules,
    reading: Option<Arc<Reading>>,
    clusters: BTreeMap<ClusterName, Labels>,
    tracks: BTreeMap<AppName, TrackName>,
    waves: BTreeMap<ClusterName, WaveName>,
}

impl Scheme {
    /// As a store gave the rules back, or another hub told them.
    pub(super) fn learn(&mut self, rules: AlertRules) {
        self.rules = rules;
    }

    /// The rules.
    pub(super) fn rules(&self) -> &AlertRules {
        &self.rules
    }

    /// Whether the repository has been read, or there is none.
    pub(super) fn is_known(&self) -> bool {
        self.reading.is_some()
    }

    /// Takes in what is read now. Says whether anything is new, and whether rules are.
    pub(super) fn take(&mut self, reading: &Arc<Reading>) -> (bool, bool) {
        if self.reading.as_ref().is_some_and(|known| Arc::ptr_eq(known, reading)) {
            return (false, false);
        }
        let before = self.reading.replace(Arc::clone(reading));
        if before.is_some_and(|before| before == *reading) {
            return (false, false);
        }
        if !reading.is_partial {
            self.clusters.clear();
            self.tracks.clear();
        }
        self.clusters.extend(reading.clusters.clone());
        self.tracks.extend(reading.tracks.clone());
        let new = reading.rules.as_ref().filter(|rules| **rules != self.rules).cloned();
        let is_new = new.is_some();
        self.rules = new.unwrap_or_else(|| std::mem::take(&mut self.rules));
        let wave = |labels: &Labels| {
            let mut waves = self.rules.waves.iter();
            waves.find(|(_, selector)| selector.matches(labels)).map(|(name, _)| name.clone())
        };
        let waves = self.clusters.iter();
        self.waves = waves.filter_map(|(name, labels)| Some((name.clone(), wave(labels)?))).collect();
        (true, is_new)
    }

    /// Who made a commit, where that is known.
    pub(super) fn author(&self, revision: &str) -> Option<&str> {
        self.reading.as_ref()?.authors.get(revision).map(String::as_str)
    }

    /// The wave of a cluster.
    pub(super) fn wave(&self, cluster: &ClusterName) -> Option<&WaveName> {
        self.waves.get(cluster)
    }

    /// The track and the wave of an app in a cluster, where there are both.
    pub(super) fn stage(&self, cluster: &ClusterName, app: &AppName) -> Option<(WaveName, TrackName)> {
        Some((self.wave(cluster)?.clone(), self.tracks.get(app)?.clone()))
    }

    /// How an alert is told where the hub has receivers of these names.
    pub(super) fn policy(&self, key: &AlertKey, known: &BTreeSet<&str>) -> Policy {
        let nothing = Labels::new();
        let labels = |cluster| Some(self.clusters.get(cluster).unwrap_or(&nothing));
        let about = match &key.subject {
            Subject::Cluster(cluster) => {
                AlertAbout { labels: labels(cluster), wave: self.wave(cluster), ..AlertAbout::default() }
            }
            Subject::App(cluster, app) => AlertAbout {
                labels: labels(cluster),
                app: Some(app),
                track: self.tracks.get(app),
                wave: self.wave(cluster),
            },
            Subject::Stage(wave, track) => {
                AlertAbout { track: Some(track), wave: Some(wave), ..AlertAbout::default() }
            }
            Subject::Git => AlertAbout::default(),
        };
        let mut rules = self.rules.alerts.iter().enumerate();
        let Some((index, rule)) = rules.find(|(_, rule)| rule.means(key.kind, about)) else {
            return Policy::of(key);
        };
        Policy {
            severity: rule.severity.unwrap_or_else(|| key.kind.severity()),
            after: rule.lasting.map(Duration::from),
            // Where there is none of them, it is better that all hear of it than nobody.
            receivers: rule.receivers.iter().filter(|name| known.contains(name.as_str())).cloned().collect(),
            muted: rule.mute.then_some(Mute::Rule(index)),
        }
    }
}

impl AlertRules {
    /// The rules that name receivers which are none of these, each a sentence.
    pub(super) fn strangers(&self, known: &BTreeSet<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, rule) in self.alerts.iter().enumerate() {
            let named: Vec<&str> = rule.receivers.iter().map(String::as_str).collect();
            let strange: Vec<&str> = named.iter().filter(|name| !known.contains(*name)).copied().collect();
            if strange.is_empty() {
                continue;
            }
            let instead = if strange.len() == named.len() { "; all receivers are told instead" } else { "" };
            problems.push(format!(
                "spec.alerts[{index}] of the Fleet names receivers that the hub does not have: {}{instead}.",
                strange.join(", ")
            ));
        }
        problems
    }
}

impl Policy {
    /// As it is without rules.
    pub(super) fn of(key: &AlertKey) -> Self {
        Self { severity: key.kind.severity(), after: None, receivers: Vec::new(), muted: None }
    }

    /// Whether the receiver is one of those who are told.
    pub(super) fn concerns(&self, receiver: &str) -> bool {
        self.receivers.is_empty() || self.receivers.iter().any(|name| name == receiver)
    }
}
