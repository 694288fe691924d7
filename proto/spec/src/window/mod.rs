//! When may an app be changed?
//!
//! As with Argo CD's sync windows: an active `deny` closes; where there is any `allow`, one must be active.
//! Time is passed in.

mod schedule;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use schedule::{Schedule, TimeZone};

use crate::{
    AppName, Duration, Pattern,
    path::{Check, Problems},
};

/// Longest window, in days: a year.
const DAYS_MAX: u16 = 366;
/// So many windows a list may have.
const WINDOWS_MAX: usize = 100;

/// Whether a window lets changes through or keeps them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "one of `allow`, `deny`")]
pub enum WindowKind {
    /// Changes are made in it; outside of all such windows none are.
    Allow,
    /// No changes are made in it, whatever else allows them.
    Deny,
}

/// A recurring stretch of time in which an app is changed, or is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Window {
    /// Names of the apps it is for, as patterns; all if absent. Only for windows of the Fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<Pattern>,
    /// Whether it lets changes through or keeps them out.
    pub kind: WindowKind,
    /// When it begins: five cron fields.
    pub schedule: Schedule,
    /// How long it lasts, up to a year.
    pub duration: Duration,
    /// The time zone of the schedule.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// Whether changes made in the cluster are undone while it keeps new content out.
    #[serde(default = "yes")]
    pub heal: bool,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn yes() -> bool {
    true
}

/// What some windows say about one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Changes may be made.
    Open,
    /// New content has to wait.
    Closed {
        /// Whether changes made in the cluster are undone all the same.
        heal: bool,
        /// Which window says so and why, as a clause.
        why: String,
        /// When the deny window ends; none outside of allow windows.
        until: Option<Timestamp>,
    },
}

impl Window {
    /// Whether it is for that app.
    pub fn concerns(&self, app: &AppName) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|pattern| pattern.matches(app.as_str()))
    }

    /// When it ends, if it is active at `now`.
    fn active_until(&self, now: Timestamp) -> Option<Timestamp> {
        let start = self.schedule.last_start(&self.time_zone, now, DAYS_MAX)?;
        let end = start.checked_add(std::time::Duration::from(self.duration)).ok()?;
        (now < end).then_some(end)
    }
}

/// What these windows say about `now`.
pub fn gate(windows: &[Window], now: Timestamp) -> Gate {
    let denied = windows
        .iter()
        .filter(|window| window.kind == WindowKind::Deny)
        .filter_map(|window| window.active_until(now).map(|end| (end, window)));
    // The longest one says until when; any one that forbids healing does so.
    let mut heal = true;
    let mut last: Option<(Timestamp, &Window)> = None;
    for (end, window) in denied {
        heal &= window.heal;
        last = last.filter(|(before, _)| *before >= end).or(Some((end, window)));
    }
    if let Some((end, window)) = last {
        let why = format!("a window that denies changes is active{}", because(window));
        return Gate::Closed { heal, why, until: Some(end) };
    }
    let mut allows = windows.iter().filter(|window| window.kind == WindowKind::Allow).peekable();
    let Some(first) = allows.peek().copied() else { return Gate::Open };
    let mut heal = true;
    for window in allows {
        if window.active_until(now).is_some() {
            return Gate::Open;
        }
        heal &= window.heal;
    }
    let why = format!("no window that allows changes is active{}", because(first));
    Gate::Closed { heal, why, until: None }
}

fn because(window: &Window) -> String {
    let reason = window.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(" (`{}` {}, for {}{reason})", window.schedule, window.time_zone, window.duration)
}

/// Reports what is wrong with a list of windows.
pub(crate) fn check_windows(windows: &[Window], steps: &[crate::path::Step], problems: &mut Problems) {
    if windows.len() > WINDOWS_MAX {
        problems.at(steps, format!("at most {WINDOWS_MAX} windows"));
    }
    for (index, window) in windows.iter().enumerate() {
        let mut steps = steps.to_vec();
        steps.push(index.into());
        problems.inside(&steps, window);
    }
}

impl Check for Window {
    fn check(&self, problems: &mut Problems) {
        let longest = Duration::from_secs(u64::from(DAYS_MAX) * 24 * 3600);
        if self.duration.is_zero() || self.duration > longest {
            problems.at(&["duration".into()], format!("expected more than 0s and at most {longest}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kind: WindowKind, schedule: &str, hours: u64) -> Window {
        Window {
            apps: Vec::new(),
            kind,
            schedule: schedule.parse().expect("a schedule"),
            duration: Duration::from_secs(hours * 3600),
            time_zone: TimeZone::default(),
            heal: true,
            reason: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn is_open(windows: &[Window], now: &str) -> bool {
        gate(windows, at(now)) == Gate::Open
    }

    #[test]
    fn deny_wins_and_any_allow_closes_all_other_time() {
        use WindowKind::{Allow, Deny};
        let night = window(Allow, "0 22 * * *", 4);
        let friday = window(Deny, "0 0 * * fri", 24);
        assert!(is_open(&[], "2026-11-25T12:00:00Z"));
        assert!(is_open(std::slice::from_ref(&friday), "2026-11-26T23:00:00Z"));
        assert!(!is_open(std::slice::from_ref(&friday), "2026-11-27T23:00:00Z"));
        let both = [night.clone(), friday];
        assert!(is_open(&both, "2026-11-26T23:00:00Z"), "Thursday night");
        assert!(!is_open(&both, "2026-11-27T01:00:00Z"), "the same night, on Friday");
        assert!(is_open(std::slice::from_ref(&night), "2026-11-27T01:59:59Z"), "after midnight");
        assert!(!is_open(&[night], "2026-11-27T02:00:00Z"), "the end does not belong to it");
    }

    #[test]
    fn the_last_to_end_says_until_when_and_any_may_forbid_healing() {
        let long = window(WindowKind::Deny, "0 0 20 12 *", 14 * 24);
        let short = Window {
            heal: false,
            reason: Some("Audit".to_owned()),
            ..window(WindowKind::Deny, "0 9 * * *", 8)
        };
        let Gate::Closed { heal, why, until } = gate(&[short, long], at("2026-12-24T10:00:00Z")) else {
            panic!("it is closed");
        };
        assert_eq!((heal, until), (false, Some(at("2027-01-03T00:00:00Z"))));
        assert!(why.contains("`0 0 20 12 *`"), "{why}");
    }

    #[test]
    fn a_year_long_window_is_still_seen_at_its_end() {
        let freeze = window(WindowKind::Deny, "0 0 1 1 *", 365 * 24);
        assert!(!is_open(&[freeze], "2026-12-31T23:59:59Z"));
    }
}
