//! What has changed since? (watch)
//!
//! A watch is a position in the cluster's history. The shell polls it when something changed, when a bookmark is due
//! and when its time is up; a watch whose position is forgotten ends with 410, as does one that reads too slowly.

use super::form::{self, Form};
use super::read::Filter;
use super::{Call, table};
use crate::kinds::Kind;
use crate::state::State;
use crate::status::{Cause, Failure};
use crate::store::{Change, Event, Record};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a watch lives when its client does not say: the API server takes 30 to 60 minutes.
const TIMEOUT_SECONDS: i64 = 45 * 60;

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watch {
    kind: Arc<Kind>,
    filter: Filter,
    form: Form,
    whole_rows: bool,
    /// Changes up to this version have been sent.
    position: u64,
    /// What is sent first: the objects that are there already.
    initial: Vec<Bytes>,
    /// The next bookmark, for clients that take them.
    bookmark_at: Option<Timestamp>,
    first_row: bool,
    pub(crate) ends_at: Timestamp,
}

/// What to send now.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    pub(crate) lines: Vec<Bytes>,
    pub(crate) ended: bool,
    /// When to poll again even if nothing changes.
    pub(crate) again_at: Option<Timestamp>,
}

/// Begins a watch.
pub(super) fn start(state: &State, call: &Call<'_>) -> Result<Watch, Failure> {
    let request = call.request;
    let current = state.store.version();
    let asked = request.query("resourceVersion");
    let asked: u64 = match asked {
        "" => 0,
        text => text.parse().map_err(|_| Failure::not_a_version(text))?,
    };
    let initial_events = request.query("sendInitialEvents");
    let bookmarks = request.flag("allowWatchBookmarks");
    check_initial_events(initial_events, request.query("resourceVersionMatch"))?;
    if asked > current {
        return Err(Failure::too_new(asked, current));
    }
    let seconds = request.query("timeoutSeconds").parse().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.unwrap_or(TIMEOUT_SECONDS).min(24 * 3600);
    let mut watch = Watch {
        kind: call.kind().clone(),
        filter: Filter::of(call)?,
        form: call.form,
        whole_rows: request.query("includeObject") == "Object",
        position: asked,
        initial: Vec::new(),
        bookmark_at: None,
        first_row: true,
        ends_at: call.now + SignedDuration::from_secs(seconds),
    };
    let from_now = initial_events == "false" && asked == 0;
    if initial_events == "true" || (asked == 0 && !from_now) {
        watch.send_existing(state, call.now);
        if initial_events == "true" && bookmarks {
            let line = watch.bookmark(current, true);
            watch.initial.push(line);
        }
    } else if from_now {
        watch.position = current;
    }
    watch.bookmark_at = bookmarks.then(|| watch.next_bookmark(state, call.now));
    Ok(watch)
}

fn check_initial_events(initial_events: &str, matching: &str) -> Result<(), Failure> {
    let forbidden = |field: &str, why: &str| {
        let causes = vec![Cause::forbidden(field, why)];
        Err(Failure::invalid("meta.k8s.io", "ListOptions", "", causes))
    };
    match (initial_events, matching) {
        ("", "") => Ok(()),
        ("", _) => forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (_, "NotOlderThan") => Ok(()),
        _ => forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
    }
}

impl Watch {
    fn send_existing(&mut self, state: &State, now: Timestamp) {
        let namespace = self.filter.namespace.clone();
        let records = state.store.list(&self.kind.storage, namespace.as_deref(), None);
        let found: Vec<Arc<Record>> = records.filter(|record| self.filter.matches(record)).cloned().collect();
        for record in found {
            let line = self.line("ADDED", &record, now);
            self.initial.push(line);
        }
        self.position = state.store.version();
    }

    /// Everything there is to send at `now`.
    pub(crate) fn poll(&mut self, state: &State, now: Timestamp) -> Poll {
        let mut lines = std::mem::take(&mut self.initial);
        let Some(events) = state.store.since(self.position) else {
            let why = format!("too old resource version: {} ({})", self.position, state.store.version());
            let status = Failure::gone(why).to_json();
            lines.push(line_of("ERROR", status.to_string().as_bytes()));
            return Poll { lines, ended: true, again_at: None };
        };
        for event in events {
            if *event.storage == *self.kind.storage
                && let Some(line) = self.event(event, now)
            {
                lines.push(line);
            }
        }
        self.position = state.store.version();
        // The kind of the watched objects may be gone: its CustomResourceDefinition was deleted.
        let served = state.kinds.find(&self.kind.group, &self.kind.version, &self.kind.resource).is_some();
        let ended = now >= self.ends_at || !served;
        if let Some(due) = self.bookmark_at
            && (now >= due || ended)
        {
            lines.push(self.bookmark(self.position, false));
            self.bookmark_at = Some(self.next_bookmark(state, now));
        }
        let again_at = self.bookmark_at.map_or(self.ends_at, |due| due.min(self.ends_at));
        Poll { lines, ended, again_at: Some(again_at) }
    }

    fn next_bookmark(&self, state: &State, now: Timestamp) -> Timestamp {
        let every =
            SignedDuration::try_from(state.settings.bookmark_every).unwrap_or(SignedDuration::from_mins(1));
        now + every
    }

    /// The event as this watch sees it: an object that stops matching is deleted, one that starts is added.
    fn event(&mut self, event: &Event, now: Timestamp) -> Option<Bytes> {
        let before = event.previous.as_ref().is_some_and(|previous| self.filter.matches(previous));
        let after = event.change != Change::Deleted && self.filter.matches(&event.record);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.record, now)),
            (true, true) => Some(self.line("MODIFIED", &event.record, now)),
            (true, false) if event.change == Change::Deleted => {
                Some(self.line("DELETED", &event.record, now))
            }
            // The last state that matched, under the version of the change.
            (true, false) => {
                let mut last = event.previous.as_ref()?.value();
                last["metadata"]["resourceVersion"] = json!(event.version.to_string());
                Some(self.line_of_value("DELETED", &last, now))
            }
        }
    }

    fn line(&mut self, kind: &str, record: &Record, now: Timestamp) -> Bytes {
        match self.form {
            Form::Whole => line_of(kind, &form::typed(&self.kind, record)),
            _ => self.line_of_value(kind, &record.value(), now),
        }
    }

    fn line_of_value(&mut self, kind: &str, object: &Value, now: Timestamp) -> Bytes {
        let object = match self.form {
            Form::Whole => {
                let mut typed = object.clone();
                typed["apiVersion"] = json!(self.kind.api_version());
                typed
            }
            Form::Metadata => form::metadata(object),
            Form::Table => {
                table::one(&self.kind, object, self.whole_rows, std::mem::take(&mut self.first_row), now)
            }
        };
        line_of(kind, object.to_string().as_bytes())
    }

    fn bookmark(&self, version: u64, initial_end: bool) -> Bytes {
        let mut object = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind,
            "metadata": {"resourceVersion": version.to_string()},
        });
        if self.form == Form::Metadata {
            object["apiVersion"] = json!("meta.k8s.io/v1");
            object["kind"] = json!("PartialObjectMetadata");
        }
        if initial_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line_of("BOOKMARK", object.to_string().as_bytes())
    }
}

fn line_of(kind: &str, object: &[u8]) -> Bytes {
    [b"{\"type\":\"", kind.as_bytes(), b"\",\"object\":", object, b"}\n"].concat().into()
}
