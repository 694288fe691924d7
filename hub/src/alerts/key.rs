//! What can be wrong, and with what?

use std::{fmt, str::FromStr};

use muster_spec::{AppName, ClusterName, TrackName, WaveName};

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody is waited for.
    #[default]
    Info,
    /// Something is not as it should be, and works.
    Warning,
    /// Something does not work, or nothing is known of it.
    Critical,
}

impl Severity {
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

/// In which way something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A cluster as a whole.
    Cluster(ClusterName),
    /// An app in a cluster.
    App(ClusterName, AppName),
    /// A track in a wave.
    Stage(WaveName, TrackName),
    /// The fleet repository.
    Git,
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

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Degraded | Self::Unreachable | Self::PromotionHalted | Self::GitFailing => {
                Severity::Critical
            }
            Self::ApprovalWaiting => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// Whether it has been judged to last before it is seen, so that it need not last any longer to be told.
    pub(super) fn is_judged(self) -> bool {
        matches!(self, Self::PromotionHalted)
    }

    fn about(self, first: &str, second: &str) -> Option<Subject> {
        Some(match self {
            Self::Unreachable | Self::CertificateExpiring if second.is_empty() => {
                Subject::Cluster(first.parse().ok()?)
            }
            Self::OutOfSync | Self::Degraded | Self::SyncFailing | Self::DriftFight => {
                Subject::App(first.parse().ok()?, second.parse().ok()?)
            }
            Self::PromotionHalted | Self::PromotionStalled | Self::ApprovalWaiting => {
                Subject::Stage(first.parse().ok()?, second.parse().ok()?)
            }
            Self::GitFailing if first.is_empty() && second.is_empty() => Subject::Git,
            _ => return None,
        })
    }
}

impl FromStr for AlertKind {
    type Err = NotAnAlert;

    fn from_str(text: &str) -> Result<Self, NotAnAlert> {
        Self::ALL.into_iter().find(|known| known.word() == text).ok_or(NotAnAlert)
    }
}

/// What an alert is about. There is at most one alert of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertKey {
    /// What is wrong.
    pub kind: AlertKind,
    /// With what.
    pub subject: Subject,
}

impl AlertKey {
    /// The cluster, where it is about one.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterName> {
        match &self.subject {
            Subject::Cluster(cluster) | Subject::App(cluster, _) => Some(cluster),
            Subject::Stage(..) | Subject::Git => None,
        }
    }

    /// The app or track, where it is about one.
    #[must_use]
    pub fn what(&self) -> Option<&str> {
        match &self.subject {
            Subject::App(_, app) => Some(app.as_str()),
            Subject::Stage(_, track) => Some(track.as_str()),
            Subject::Cluster(_) | Subject::Git => None,
        }
    }

    /// The cluster or wave, where there is one.
    #[must_use]
    pub fn place(&self) -> &str {
        match &self.subject {
            Subject::Cluster(cluster) | Subject::App(cluster, _) => cluster.as_str(),
            Subject::Stage(wave, _) => wave.as_str(),
            Subject::Git => "",
        }
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.word(), self.place(), self.what().unwrap_or_default())
    }
}

/// Text that names no alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this names no alert")]
pub struct NotAnAlert;

impl FromStr for AlertKey {
    type Err = NotAnAlert;

    fn from_str(text: &str) -> Result<Self, NotAnAlert> {
        let mut parts = text.splitn(3, '/');
        let (Some(kind), Some(first), Some(second)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAnAlert);
        };
        let kind: AlertKind = kind.parse()?;
        Ok(Self { kind, subject: kind.about(first, second).ok_or(NotAnAlert)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_about_what_its_kind_is_about() {
        for text in ["OutOfSync/prod/web", "Unreachable/prod/", "PromotionHalted/canary/web", "GitFailing//"]
        {
            assert_eq!(text.parse::<AlertKey>().unwrap().to_string(), text);
        }
        for text in ["", "Degraded/prod/", "Unreachable/prod/web", "GitFailing/a/", "Other/a/b", "Degraded/a"]
        {
            assert!(text.parse::<AlertKey>().is_err(), "{text}");
        }
        for kind in AlertKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
        }
    }
}
