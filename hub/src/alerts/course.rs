//! How does one alert go on?
//!
//! ```text
//! pending --lasts--> firing --gone for long enough--> resolved --all have heard--> remembered --> forgotten
//!    ^                  ^                                |                            |
//!    |                  '------------- back -------------'                            |
//!    '----------------------------------- back ---------------------------------------'
//! ```
//! Each time it comes back soon it has to be gone for twice as long before it counts as over, so that what comes and
//! goes is not told again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Alert, AlertKey, Receiver, ReceiverKind,
    scheme::Policy,
    settings::{AlertSettings, Timing},
};
use crate::clock::passed;

/// So often the time doubles: from a second to more than the longest there is.
const FLAPS_MAX: u32 = 22;
/// What doubles where nothing has to be gone for any time.
const SETTLE_MIN: Duration = Duration::from_secs(1);

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertState {
    /// It has not lasted long enough to be told.
    Pending,
    /// It is told.
    Firing,
    /// It is over, and not all who know of it know that.
    Resolved,
    /// It is over, and known only in case it comes back.
    Remembered,
}

impl AlertState {
    /// As metrics have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Remembered => "remembered",
        }
    }
}

/// What is seen of something that is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) cause: &'a str,
    pub(super) revision: &'a str,
    /// Who made that commit; empty where that is not known.
    pub(super) author: &'a str,
}

impl Alert {
    pub(super) fn new(key: AlertKey, now: Timestamp) -> Self {
        Self {
            policy: Policy::of(&key),
            key,
            cause: String::new(),
            revision: String::new(),
            author: String::new(),
            started_at: now,
            fired_at: None,
            well_since: None,
            resolved_at: None,
            ended_at: None,
            flaps: 0,
            told: BTreeMap::new(),
            telling: BTreeSet::new(),
        }
    }

    /// How far it is.
    pub(crate) fn state(&self) -> AlertState {
        match (self.fired_at, self.resolved_at) {
            (None, _) if self.well_since.is_some() => AlertState::Remembered,
            (None, _) => AlertState::Pending,
            (Some(_), None) => AlertState::Firing,
            (Some(_), Some(_)) => AlertState::Resolved,
        }
    }

    /// Its own times, where a rule says how long it must last.
    fn timing(&self, timing: Timing) -> Timing {
        self.policy.after.map_or(timing, |after| Timing::new(after, timing.repeat))
    }

    /// How long it must be gone.
    fn settle(&self, timing: Timing) -> Duration {
        let settle = self.timing(timing).settle;
        match self.flaps {
            0 => settle,
            flaps => {
                let doubled = settle.max(SETTLE_MIN).saturating_mul(1 << flaps.min(FLAPS_MAX));
                doubled.min(timing.repeat.max(settle))
            }
        }
    }

    /// It is seen. Says whether that changes anything.
    pub(super) fn persist(&mut self, seen: Seen<'_>, timing: Timing, now: Timestamp) -> bool {
        if self.state() == AlertState::Remembered {
            self.started_at = now;
        }
        let judged = self.key.is_judged() && self.policy.after.is_none();
        let lasting = if judged { Duration::ZERO } else { self.timing(timing).after };
        let fires = self.fired_at.is_none() && passed(self.started_at, now) >= lasting;
        let is_said = self.cause == seen.cause && self.revision == seen.revision;
        // One that is resolved has been well, and keeps that time until it is seen again.
        let is_same =
            self.well_since.is_none() && is_said && (seen.author.is_empty() || self.author == seen.author);
        if is_same && !fires {
            return false;
        }
        let is_back = self.resolved_at.is_some() || (fires && self.ended_at.is_some());
        if is_back {
            self.flaps = self.flaps.saturating_add(1).min(FLAPS_MAX);
        }
        (self.well_since, self.resolved_at) = (None, None);
        if self.revision != seen.revision || !seen.author.is_empty() {
            seen.author.clone_into(&mut self.author);
        }
        seen.cause.clone_into(&mut self.cause);
        seen.revision.clone_into(&mut self.revision);
        if fires {
            (self.fired_at, self.ended_at) = (Some(now), None);
        }
        true
    }

    /// It is not seen. Says whether that changes anything.
    pub(super) fn fade(&mut self, timing: Timing, now: Timestamp) -> bool {
        let begins = self.well_since.is_none();
        let since = *self.well_since.get_or_insert(now);
        let ends = self.fired_at.is_some()
            && self.resolved_at.is_none()
            && passed(since, now) >= self.settle(timing);
        if ends {
            self.resolved_at = Some(now);
        }
        begins || ends
    }

    /// Turns into a memory once it is over and all who know of it know that too. Says whether that is so now.
    pub(super) fn rest(&mut self, settings: &AlertSettings) -> bool {
        let waits = |name: &String| self.is_owed(name);
        if self.state() != AlertState::Resolved
            || settings.receivers.iter().any(|receiver| waits(&receiver.name))
        {
            return false;
        }
        self.ended_at = self.resolved_at.take();
        self.fired_at = None;
        self.told.clear();
        self.telling.clear();
        true
    }

    /// Whether nobody needs it any more: it never fired, or was over so long ago that it would not be coming back.
    pub(super) fn is_done(&self, timing: Timing, now: Timestamp) -> bool {
        self.state() == AlertState::Remembered
            && self.ended_at.is_none_or(|ended| passed(ended, now) >= timing.repeat)
    }

    /// Whether the receiver knows that it is wrong, or may, and not that it is over.
    pub(super) fn is_owed(&self, receiver: &str) -> bool {
        self.telling.contains(receiver) || self.told.get(receiver).is_some_and(|told| !told.resolved)
    }

    /// Whether the receiver is to be told, by itself or with others of its group.
    pub(super) fn is_news(&self, receiver: &Receiver, timing: Timing, now: Timestamp) -> bool {
        let told = self.told.get(&receiver.name);
        let is_of_commits = matches!(receiver.kind, ReceiverKind::CommitStatuses(_));
        match self.state() {
            AlertState::Pending | AlertState::Remembered => false,
            AlertState::Resolved => self.is_owed(&receiver.name),
            AlertState::Firing => told.is_none_or(|told| {
                let since = passed(told.at, now);
                // What each commit is told, not what comes and goes.
                let is_other = is_of_commits && told.revision != self.revision && since >= timing.settle;
                told.resolved || is_other || since >= timing.repeat
            }),
        }
    }

    /// Whether others had time to join it.
    pub(super) fn is_ripe(&self, timing: Timing, now: Timestamp) -> bool {
        let since = self.resolved_at.or(self.fired_at);
        since.is_some_and(|since| passed(since, now) >= self.timing(timing).group)
    }
}
