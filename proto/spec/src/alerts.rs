//! Who is told what is wrong, as the Fleet document says?
//!
//! ```text
//! alert --first of spec.alerts that means it--> AlertRule: how long, how bad, whom, or nobody
//! ```
//! Where receivers are, and their secrets, is the hub's own configuration; the document only names them.

use std::{collections::BTreeMap, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AppName, Duration, Pattern, Selector, TrackName, WaveName,
    names::{NameError, shown},
    path::{Check, Problems},
};

/// So many rules a fleet may have, and entries a list of one.
const RULES_MAX: usize = 1000;
const ENTRIES_MAX: usize = 100;
/// Longest time that something may have to last.
const FOR_MAX: Duration = Duration::from_secs(24 * 3600);

/// In which way something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a kind of alert")]
pub enum AlertKind {
    /// An app is not as Git says.
    OutOfSync,
    /// An app has failed, or what it should have is missing.
    Degraded,
    /// What Git says of an app cannot be read, rendered or applied.
    SyncFailing,
    /// Somebody keeps changing what an app owns.
    DriftFight,
    /// Nothing is heard of a cluster.
    Unreachable,
    /// The certificate of a cluster ends soon, and its agent has not renewed it.
    CertificateExpiring,
    /// A wave halted.
    PromotionHalted,
    /// A gate keeps a revision out of a wave, or it may not follow what is there.
    PromotionStalled,
    /// A revision waits for somebody's approval.
    ApprovalWaiting,
    /// The hub cannot read the fleet repository, or not write to it.
    GitFailing,
}

impl AlertKind {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::OutOfSync,
        Self::Degraded,
        Self::SyncFailing,
        Self::DriftFight,
        Self::Unreachable,
        Self::CertificateExpiring,
        Self::PromotionHalted,
        Self::PromotionStalled,
        Self::ApprovalWaiting,
        Self::GitFailing,
    ];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OutOfSync => "OutOfSync",
            Self::Degraded => "Degraded",
            Self::SyncFailing => "SyncFailing",
            Self::DriftFight => "DriftFight",
            Self::Unreachable => "Unreachable",
            Self::CertificateExpiring => "CertificateExpiring",
            Self::PromotionHalted => "PromotionHalted",
            Self::PromotionStalled => "PromotionStalled",
            Self::ApprovalWaiting => "ApprovalWaiting",
            Self::GitFailing => "GitFailing",
        }
    }

    /// What an alert of this kind is about: a cluster, an app in one, a track in a wave.
    fn is_about(self) -> (bool, bool, bool) {
        match self {
            Self::OutOfSync | Self::Degraded | Self::SyncFailing | Self::DriftFight => (true, true, false),
            Self::Unreachable | Self::CertificateExpiring => (true, false, false),
            Self::PromotionHalted | Self::PromotionStalled | Self::ApprovalWaiting => (false, false, true),
            Self::GitFailing => (false, false, false),
        }
    }

    /// How bad it is, where no rule says otherwise.
    #[must_use]
    pub fn severity(self) -> AlertSeverity {
        match self {
            Self::Degraded | Self::Unreachable | Self::PromotionHalted | Self::GitFailing => {
                AlertSeverity::Critical
            }
            Self::ApprovalWaiting => AlertSeverity::Info,
            _ => AlertSeverity::Warning,
        }
    }
}

impl FromStr for AlertKind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let known = Self::ALL.into_iter().find(|known| known.word() == text);
        known.ok_or_else(|| NameError(format!("there are no alerts of the kind `{}`", shown(text))))
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "one of `info`, `warning`, `critical`")]
pub enum AlertSeverity {
    /// Somebody is waited for.
    #[default]
    Info,
    /// Something is not as it should be, and works.
    Warning,
    /// Something does not work, or nothing is known of it.
    Critical,
}

impl AlertSeverity {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for AlertSeverity {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let known = [Self::Info, Self::Warning, Self::Critical].into_iter().find(|one| one.word() == text);
        known.ok_or_else(|| NameError(format!("`{}` is none of info, warning, critical", shown(text))))
    }
}

/// How some alerts are told. It means those for which all holds that it gives; of the rules that mean an
/// alert the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default, expecting = "a mapping")]
pub struct AlertRule {
    /// Of these kinds; of all if absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<AlertKind>,
    /// About a cluster, or an app in one, that this selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Selector>,
    /// About an app whose name fits one of these patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<Pattern>,
    /// About a track, or an app of one, whose name fits one of these patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<Pattern>,
    /// About a wave, or a cluster of one or an app there, whose name fits one of these patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Pattern>,
    /// How long something must last before it is told, up to a day.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Duration>,
    /// How bad it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<AlertSeverity>,
    /// Names of those of the hub's receivers that are told; all if absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<String>,
    /// Nobody is told. The alert is shown all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mute: bool,
}

/// What Git says of the thing that an alert is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertAbout<'a> {
    /// The labels of its cluster, where it is about one.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// The app.
    pub app: Option<&'a AppName>,
    /// The track, or that of the app.
    pub track: Option<&'a TrackName>,
    /// The wave, or that of the cluster.
    pub wave: Option<&'a WaveName>,
}

impl AlertRule {
    /// Whether it means an alert of that kind about that.
    #[must_use]
    pub fn means(&self, kind: AlertKind, about: AlertAbout<'_>) -> bool {
        let fits = |patterns: &[Pattern], name: Option<&str>| {
            patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|one| one.matches(name)))
        };
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self
                .clusters
                .as_ref()
                .is_none_or(|selector| about.labels.is_some_and(|labels| selector.matches(labels)))
            && fits(&self.apps, about.app.map(AppName::as_str))
            && fits(&self.tracks, about.track.map(TrackName::as_str))
            && fits(&self.waves, about.wave.map(WaveName::as_str))
    }
}

/// Reports what is wrong with the rules of a fleet.
pub(crate) fn check_alerts(rules: &[AlertRule], problems: &mut Problems) {
    let steps = ["spec".into(), "alerts".into()];
    if rules.len() > RULES_MAX {
        problems.at(&steps, format!("a fleet has at most {RULES_MAX} rules for alerts"));
    }
    let [spec, alerts] = steps;
    for (index, rule) in rules.iter().enumerate() {
        problems.inside(&[spec.clone(), alerts.clone(), index.into()], rule);
    }
}

impl Check for AlertRule {
    fn check(&self, problems: &mut Problems) {
        if let Some(clusters) = &self.clusters {
            problems.inside(&["clusters".into()], clusters);
        }
        for (name, count) in [
            ("apps", self.apps.len()),
            ("tracks", self.tracks.len()),
            ("waves", self.waves.len()),
            ("receivers", self.receivers.len()),
        ] {
            if count > ENTRIES_MAX {
                problems.at(&[name.into()], format!("at most {ENTRIES_MAX} entries"));
            }
        }
        if self.lasting.is_some_and(|lasting| lasting > FOR_MAX) {
            problems.at(&["for".into()], format!("expected at most {FOR_MAX}"));
        }
        self.check_kinds(problems);
        let told = self.lasting.is_some() || self.severity.is_some() || !self.receivers.is_empty();
        if self.mute && told {
            let message =
                "nobody is told of what is muted; remove `mute`, or `for`, `severity` and `receivers`";
            problems.at(&["mute".into()], message);
        }
    }
}

impl AlertRule {
    /// Reports what is asked of alerts that none of the kinds can have: such a rule would mean nothing.
    fn check_kinds(&self, problems: &mut Problems) {
        let given = [
            ("clusters", self.clusters.is_some(), "a cluster"),
            ("apps", !self.apps.is_empty(), "an app"),
            ("tracks", !self.tracks.is_empty(), "a track or an app"),
            ("waves", !self.waves.is_empty(), "a wave or a cluster"),
        ];
        for (name, is_given, what) in given {
            let has = |kind: &AlertKind| {
                let (cluster, app, stage) = kind.is_about();
                match name {
                    "clusters" => cluster,
                    "apps" => app,
                    "tracks" => app || stage,
                    _ => cluster || stage,
                }
            };
            if is_given && !self.kinds.is_empty() && !self.kinds.iter().any(has) {
                problems.at(&[name.into()], format!("no alert of these `kinds` is about {what}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AlertRule {
        serde_json::from_str(text).expect("a rule")
    }

    #[test]
    fn a_rule_means_that_for_which_all_it_gives_holds() {
        let labels = [("env".to_owned(), "prod".to_owned())].into();
        let (app, track, wave) =
            ("web-1".parse().unwrap(), "web".parse().unwrap(), "canary".parse().unwrap());
        let of_app =
            AlertAbout { labels: Some(&labels), app: Some(&app), track: Some(&track), wave: Some(&wave) };
        let of_wave = AlertAbout { track: Some(&track), wave: Some(&wave), ..AlertAbout::default() };
        let of_git = AlertAbout::default();
        for (text, kind, about, expected) in [
            ("{}", AlertKind::GitFailing, of_git, true),
            (r#"{"kinds": ["Degraded"]}"#, AlertKind::Degraded, of_app, true),
            (r#"{"kinds": ["Degraded"]}"#, AlertKind::OutOfSync, of_app, false),
            (r#"{"clusters": {}}"#, AlertKind::Degraded, of_app, true),
            (r#"{"clusters": {}}"#, AlertKind::GitFailing, of_git, false),
            (r#"{"clusters": {"matchLabels": {"env": "prod"}}}"#, AlertKind::Degraded, of_app, true),
            (r#"{"clusters": {"matchLabels": {"env": "dev"}}}"#, AlertKind::Degraded, of_app, false),
            (r#"{"apps": ["api", "web-*"]}"#, AlertKind::Degraded, of_app, true),
            (r#"{"apps": ["web-*"]}"#, AlertKind::PromotionHalted, of_wave, false),
            (r#"{"tracks": ["web"]}"#, AlertKind::PromotionHalted, of_wave, true),
            (r#"{"tracks": ["web"], "waves": ["can*"]}"#, AlertKind::Degraded, of_app, true),
            (r#"{"tracks": ["web"], "waves": ["prod"]}"#, AlertKind::Degraded, of_app, false),
            (r#"{"waves": ["*"]}"#, AlertKind::GitFailing, of_git, false),
        ] {
            assert_eq!(rule(text).means(kind, about), expected, "{text} {kind:?}");
        }
    }

    #[test]
    fn words_read_back() {
        for kind in AlertKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!("critical".parse(), Ok(AlertSeverity::Critical));
        assert!("worst".parse::<AlertSeverity>().is_err() && "Odd".parse::<AlertKind>().is_err());
    }
}
