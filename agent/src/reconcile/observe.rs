//! What does news of an object mean?
//!
//! ```text
//! exists: our fields equal --> nothing    differ --> Drifted    again equal --> Restored
//! gone:   wanted --> Refresh (deleted, or has it only lost our label?)
//! ```
use std::time::{Duration, Instant};

use muster_wire::v1::Drift;
use prost_types::Timestamp;
use serde_json::Value;

use super::app::{Baseline, Member};
use crate::drift::{self, Projection, Verdict};
use crate::object::{ObjectKey, Resource};
use crate::plan::Desired;
use crate::watch::{Observation, Sighting};

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// Older than what is known, or to be told by another watch.
    Stale,
    /// Taken in; nothing to do.
    Noted,
    /// A difference from Git that was not there before, or is another one now.
    Drifted,
    /// Somebody else put it right.
    Restored,
    /// It has to be read to know what happened.
    Refresh,
}

impl Member {
    /// Whether the object was seen and judged in that very version, or is judged by the watch of another version of its
    /// kind: that in which Git writes it. Another app may have objects of the same kind at this one.
    pub(super) fn knows(&self, sighting: &Sighting) -> bool {
        if self.is_written_at_another(&sighting.resource) {
            return true;
        }
        let seen = self.seen.as_ref();
        self.baseline.is_some()
            && !self.unjudged
            && sighting.version > 0
            && seen.is_some_and(|seen| seen.version == sighting.version && seen.uid == sighting.uid)
    }

    fn is_written_at_another(&self, resource: &Resource) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.resource.gvk != resource.gvk)
    }

    /// The object exists, as a watch or a read says.
    pub(super) fn exists(&mut self, observation: &Observation, now: (Instant, Timestamp)) -> News {
        let version = observation.seen.version;
        if self.is_written_at_another(&observation.seen.resource) {
            return News::Stale;
        }
        if self.seen.as_ref().is_some_and(|seen| version < seen.version && *seen.uid == *observation.seen.uid)
        {
            return News::Stale;
        }
        self.news = self.news.max(version);
        self.seen = Some(observation.seen.clone());
        let Some(desired) = self.desired.as_ref().filter(|desired| desired.hook.is_none()) else {
            self.baseline = None;
            return News::Noted;
        };
        if self.is_left_alone() {
            self.drift = None;
            return News::Noted;
        }
        // The answer to the write is what counts; whether this came after it is checked then.
        if self.writing || observation.seen.deleting {
            return News::Noted;
        }
        match &mut self.baseline {
            None => {
                self.baseline = prove(observation, desired);
                News::Noted
            }
            Some(baseline) if version <= baseline.version => News::Noted,
            // About to be applied anew; should Git go back before that, the change must not be forgotten.
            Some(baseline) if baseline.digest != desired.digest => {
                if !differences(baseline, desired, observation).is_empty() {
                    self.baseline = None;
                }
                News::Noted
            }
            Some(baseline) => {
                let paths = differences(baseline, desired, observation);
                if paths.is_empty() {
                    baseline.version = version;
                    self.held_until = None;
                    return if self.drift.take().is_some() { News::Restored } else { News::Noted };
                }
                let wanted = serde_json::from_slice(&desired.body).unwrap_or(Value::Null);
                let fields = drift::describe(&observation.key, &paths, &wanted, &observation.body);
                let manager = drift::last_writer(&observation.body, &paths);
                let object = observation.key.to_ref(&desired.resource.gvk.version);
                let drift =
                    Drift { object: Some(object), fields, field_manager: manager, ..Drift::default() };
                self.drifted(&observation.key, drift, now)
            }
        }
    }

    /// A watch says the object is gone, at that version. It may only have lost our label.
    pub(super) fn gone(&mut self, version: u64) -> News {
        if self.seen.as_ref().is_some_and(|seen| version < seen.version) {
            return News::Stale;
        }
        self.news = self.news.max(version);
        self.seen = None;
        self.seen_meanwhile.take_if(|sighting| sighting.version <= version);
        if self.desired.is_some() && !self.is_hook() && !self.writing { News::Refresh } else { News::Noted }
    }

    /// A read says the object is not there.
    pub(super) fn missing(&mut self, key: &ObjectKey, now: (Instant, Timestamp)) -> News {
        if self.seen.as_ref().is_some_and(|seen| seen.version >= self.news) {
            return News::Stale;
        }
        // What an apply made of it was gone again before its answer came.
        self.seen = None;
        match &self.desired {
            Some(desired)
                if !self.is_hook() && self.is_applied() && !self.writing && !self.is_left_alone() =>
            {
                let object = key.to_ref(&desired.resource.gvk.version);
                self.drifted(key, Drift { object: Some(object), deleted: true, ..Drift::default() }, now)
            }
            _ => News::Noted,
        }
    }

    fn drifted(&mut self, key: &ObjectKey, mut drift: Drift, now: (Instant, Timestamp)) -> News {
        let (instant, timestamp) = now;
        let verdict = self.fight.as_ref().map_or(Verdict::Now, |fight| fight.judge(instant));
        self.held_until = match verdict {
            Verdict::Now => None,
            Verdict::NotBefore(until) => Some(until),
        };
        // The first sight of a drift is when it was detected, however it goes on.
        let before = self.drift.take();
        drift.detected_at = before.as_ref().map_or(Some(timestamp), |before| before.detected_at);
        drift.advice = drift::advice(key, &drift, self.scaler.as_deref());
        let same = before.is_some_and(|before| Drift { held_until: None, ..*before } == drift);
        drift.held_until = self.held_until.map(|until| later(timestamp, until.duration_since(instant)));
        self.drift = Some(Box::new(drift));
        if same { News::Noted } else { News::Drifted }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp { seconds: time.seconds.saturating_add_unsigned(by.as_secs()), nanos: time.nanos }
}

fn differences(baseline: &Baseline, desired: &Desired, observation: &Observation) -> Vec<drift::Path> {
    drift::differences(&baseline.projection, &observation.body, desired.ignored.as_deref())
}

/// After a restart: takes an object that can be told to be in sync for what it is.
fn prove(observation: &Observation, desired: &Desired) -> Option<Baseline> {
    let fields = drift::our_fields(&observation.body)?;
    let ignored = desired.ignored.as_deref();
    let wanted: Value = serde_json::from_slice(&desired.body).ok()?;
    let wanted = match ignored {
        Some(ignored) => ignored.reduce(&wanted, &observation.body).object,
        None => wanted,
    };
    drift::proven_in_sync(&wanted, &observation.body, fields).then(|| Baseline {
        digest: desired.digest,
        version: observation.seen.version,
        projection: Projection::of(fields, &wanted, &drift::regarded(&observation.body, ignored)),
    })
}
