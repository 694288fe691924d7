//! Who wants not to be told of what, until when?

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{AlertKey, AlertKind, NotAnAlert, Subject};
use crate::pattern::Pattern;

/// Letters of an id.
const ID_LETTERS: usize = 16;

/// Name of a silence: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SilenceId(String);

impl FromStr for SilenceId {
    type Err = NotAnAlert;

    fn from_str(text: &str) -> Result<Self, NotAnAlert> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == ID_LETTERS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnAlert)
        }
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which alerts are meant: all for which everything that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Of this kind.
    pub kind: Option<AlertKind>,
    /// In these clusters.
    pub cluster: Option<Pattern>,
    /// About these apps, or tracks.
    pub app: Option<Pattern>,
    /// In these waves.
    pub wave: Option<Pattern>,
}

impl Matcher {
    /// Whether it means an alert. One that says nothing means none.
    #[must_use]
    pub fn matches(&self, key: &AlertKey) -> bool {
        let wave = match &key.subject {
            Subject::Stage(wave, _) => Some(wave.as_str()),
            _ => None,
        };
        let fits = |pattern: &Option<Pattern>, name: Option<&str>| match (pattern, name) {
            (None, _) => true,
            (Some(pattern), Some(name)) => pattern.matches(name),
            (Some(_), None) => false,
        };
        *self != Self::default()
            && self.kind.is_none_or(|kind| kind == key.kind)
            && fits(&self.cluster, key.cluster().map(muster_spec::ClusterName::as_str))
            && fits(&self.app, key.what())
            && fits(&self.wave, wave)
    }
}

/// Alerts that nobody is told of for a while. They are shown all the same, and that they are over is told to
/// whoever knows of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub id: SilenceId,
    /// Which.
    pub matcher: Matcher,
    /// Who asked for it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_has_to_hold_and_nothing_means_nothing() {
        let matcher = |kind: &str, cluster: &str, app: &str, wave: &str| {
            let pattern = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            Matcher {
                kind: kind.parse().ok(),
                cluster: pattern(cluster),
                app: pattern(app),
                wave: pattern(wave),
            }
        };
        for (matcher, key, expected) in [
            (matcher("Degraded", "", "", ""), "Degraded/prod/web", true),
            (matcher("Degraded", "", "", ""), "OutOfSync/prod/web", false),
            (matcher("", "prod-*", "", ""), "Unreachable/prod-1/", true),
            (matcher("", "prod-*", "web", ""), "Unreachable/prod-1/", false),
            (matcher("", "", "web", ""), "PromotionHalted/canary/web", true),
            (matcher("", "", "", "can*"), "PromotionHalted/canary/web", true),
            (matcher("", "", "", "can*"), "Degraded/canary/web", false),
            (matcher("GitFailing", "", "", ""), "GitFailing//", true),
            (matcher("", "", "", ""), "GitFailing//", false),
        ] {
            assert_eq!(matcher.matches(&key.parse().unwrap()), expected, "{matcher:?} {key}");
        }
    }
}
