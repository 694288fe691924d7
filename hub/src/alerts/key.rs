//! What can be wrong, and with what?

use std::{fmt, str::FromStr};

use muster_spec::{AlertKind, AppName, ClusterName, TrackName, WaveName};

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

/// What an alert of that kind is about, by the names in its key.
fn about(kind: AlertKind, first: &str, second: &str) -> Option<Subject> {
    Some(match kind {
        AlertKind::Unreachable | AlertKind::CertificateExpiring if second.is_empty() => {
            Subject::Cluster(first.parse().ok()?)
        }
        AlertKind::OutOfSync | AlertKind::Degraded | AlertKind::SyncFailing | AlertKind::DriftFight => {
            Subject::App(first.parse().ok()?, second.parse().ok()?)
        }
        AlertKind::PromotionHalted | AlertKind::PromotionStalled | AlertKind::ApprovalWaiting => {
            Subject::Stage(first.parse().ok()?, second.parse().ok()?)
        }
        AlertKind::GitFailing if first.is_empty() && second.is_empty() => Subject::Git,
        _ => return None,
    })
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
    /// Whether it has been judged to last before it is seen, so that it need not last any longer to be told.
    pub(super) fn is_judged(&self) -> bool {
        self.kind == AlertKind::PromotionHalted
    }

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
        let kind: AlertKind = kind.parse().map_err(|_| NotAnAlert)?;
        Ok(Self { kind, subject: about(kind, first, second).ok_or(NotAnAlert)? })
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
    }
}
