//! What to leave out of a report that is too large for one message?
//!
//! First what is fine, then what is over, then what is wrong, the least important of each first; the
//! true number of objects stays in `object_count`.

use std::{borrow::Cow, cmp::Reverse};

use muster_wire::{
    MESSAGE_BYTES_MAX,
    v1::{AppStatus, ClusterStatus, Event, HealthStatus, StatusError, SyncStatus},
};
use prost::Message;

/// Room for the message around a status.
const ENVELOPE_BYTES: usize = 4 * 1024;
/// Longest sentence kept when a message is too large.
const SENTENCE_BYTES_MAX: usize = 4 * 1024;

/// The status, or what of it fits.
pub(super) fn app(status: &AppStatus) -> Cow<'_, AppStatus> {
    app_within(status, MESSAGE_BYTES_MAX - ENVELOPE_BYTES)
}

/// The status, or what of it fits.
pub(super) fn cluster(status: ClusterStatus) -> ClusterStatus {
    let mut status = status;
    let mut over = Over::new(&status, MESSAGE_BYTES_MAX - ENVELOPE_BYTES);
    shed_errors(&mut status.errors, &mut over);
    status
}

/// The event, or what of it fits.
pub(super) fn event(event: &Event) -> Event {
    let mut event = event.clone();
    if event.encoded_len() > MESSAGE_BYTES_MAX - ENVELOPE_BYTES {
        shorten(&mut event.message);
    }
    event
}

fn app_within(status: &AppStatus, bytes_max: usize) -> Cow<'_, AppStatus> {
    let mut over = Over::new(status, bytes_max);
    if over.bytes == 0 {
        return Cow::Borrowed(status);
    }
    let mut status = status.clone();
    // Objects come worst first, drifts newest first: the end of each matters least.
    over.shed(&mut status.objects, |object| {
        object.health() == HealthStatus::Healthy && object.sync() == SyncStatus::Synced
    });
    over.shed(&mut status.drifts, |drift| drift.corrected_at.is_some());
    over.shed(&mut status.objects, |_| true);
    over.shed(&mut status.drifts, |_| true);
    shed_errors(&mut status.errors, &mut over);
    if over.bytes > 0 {
        shorten(&mut status.message);
    }
    Cow::Owned(status)
}

fn shed_errors(errors: &mut Vec<StatusError>, over: &mut Over) {
    if over.bytes == 0 {
        return;
    }
    errors.sort_by_key(|error| Reverse(error.since.map(|since| (since.seconds, since.nanos))));
    for error in errors.iter_mut() {
        let before = error.encoded_len();
        shorten(&mut error.message);
        over.bytes = over.bytes.saturating_sub(before - error.encoded_len());
    }
    over.shed(errors, |_| true);
}

fn shorten(sentence: &mut String) {
    if sentence.len() > SENTENCE_BYTES_MAX {
        let end = (0..=SENTENCE_BYTES_MAX).rev().find(|at| sentence.is_char_boundary(*at)).unwrap_or(0);
        sentence.truncate(end);
        sentence.push('…');
    }
}

/// Bytes there are too many.
struct Over {
    bytes: usize,
}

impl Over {
    fn new(message: &impl Message, bytes_max: usize) -> Self {
        Self { bytes: message.encoded_len().saturating_sub(bytes_max) }
    }

    /// Drops elements from the end, of those that may go, until the rest fits.
    fn shed<T: Message>(&mut self, elements: &mut Vec<T>, may_go: impl Fn(&T) -> bool) {
        let mut keep = vec![true; elements.len()];
        for (element, keep) in elements.iter().zip(&mut keep).rev() {
            if self.bytes == 0 {
                break;
            }
            if may_go(element) {
                // Its tag and length come on top: dropping a little too much is fine.
                self.bytes = self.bytes.saturating_sub(element.encoded_len());
                *keep = false;
            }
        }
        let mut keep = keep.into_iter();
        elements.retain(|_| keep.next().unwrap_or(true));
    }
}

#[cfg(test)]
mod tests {
    use muster_wire::v1::{Drift, ObjectRef, ObjectStatus};

    use super::*;

    fn object(name: &str, health: HealthStatus, message: &str) -> ObjectStatus {
        ObjectStatus {
            object: Some(ObjectRef { name: name.to_owned(), ..ObjectRef::default() }),
            sync: SyncStatus::Synced.into(),
            health: health.into(),
            message: message.to_owned(),
        }
    }

    fn names(status: &AppStatus) -> Vec<&str> {
        status.objects.iter().map(|object| object.object.as_ref().unwrap().name.as_str()).collect()
    }

    #[test]
    fn a_status_that_fits_is_left_alone() {
        let status = AppStatus { app: "web".to_owned(), ..AppStatus::default() };
        assert!(matches!(app(&status), Cow::Borrowed(_)));
    }

    #[test]
    fn healthy_objects_go_first_then_drifts_that_are_over() {
        let long = "x".repeat(100);
        let drift = |corrected: bool| Drift {
            field_manager: long.clone(),
            corrected_at: corrected.then(Default::default),
            ..Drift::default()
        };
        let status = AppStatus {
            objects: vec![
                object("bad", HealthStatus::Degraded, &long),
                object("good-1", HealthStatus::Healthy, &long),
                object("good-2", HealthStatus::Healthy, &long),
            ],
            object_count: 3,
            drifts: vec![drift(false), drift(true)],
            ..AppStatus::default()
        };
        let whole = status.encoded_len();
        let less = |bytes: usize| app_within(&status, whole - bytes).into_owned();
        assert_eq!(names(&less(1)), ["bad", "good-1"]);
        assert_eq!(less(1).object_count, 3);
        let few = less(250);
        assert_eq!((names(&few), few.drifts.len()), (vec!["bad"], 1));
        let fewer = less(350);
        assert_eq!((names(&fewer), fewer.drifts.len()), (vec![], 1));
        assert!(fewer.encoded_len() <= whole - 350);
    }

    #[test]
    fn whatever_is_too_large_fits_in_the_end() {
        let huge = "é".repeat(3 * 1024 * 1024);
        let error = StatusError { message: huge.clone(), ..StatusError::default() };
        let status = AppStatus {
            message: huge.clone(),
            errors: vec![error.clone(), error.clone()],
            objects: vec![object("bad", HealthStatus::Degraded, &huge)],
            ..AppStatus::default()
        };
        assert!(app(&status).encoded_len() < MESSAGE_BYTES_MAX - 1024);
        let whole = ClusterStatus { errors: vec![error; 3], ..ClusterStatus::default() };
        let cut = cluster(whole);
        assert!(cut.encoded_len() < MESSAGE_BYTES_MAX - 1024);
        assert_eq!(cut.errors.len(), 3);
        let told = event(&Event { id: "1".to_owned(), message: huge, ..Event::default() });
        assert!(told.encoded_len() < MESSAGE_BYTES_MAX && told.id == "1");
    }
}
