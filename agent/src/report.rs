//! What does the agent know right now, for whoever wants to tell it on?
//!
//! ```text
//! reconcile --set_app, push_event--> Reports --changed, apps, take_events--> hub
//! ```
//!
//! The board holds the last state of everything, not a queue of states, so a slow or absent hub costs
//! no memory and never loses a last state. Events are history: bounded, oldest dropped and counted.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_wire::v1::{AppStatus, ClusterStatus, Event};
use tokio::sync::watch;

/// Events kept while nobody takes them. At roughly 300 bytes each this is 300 KiB.
const EVENTS_MAX: usize = 1_000;

/// The board between the reconciler, which writes, and the link to the hub, which reads.
#[derive(Clone)]
pub(crate) struct Reports {
    board: Arc<Mutex<Board>>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Board {
    cluster: Option<ClusterStatus>,
    apps: BTreeMap<String, AppStatus>,
    events: VecDeque<Event>,
    events_dropped: u64,
}

impl Reports {
    /// An empty board.
    pub(crate) fn new() -> Self {
        Reports { board: Arc::default(), version: watch::Sender::new(0) }
    }

    /// Replaces what is known of the cluster. Does nothing when it is equal.
    pub(crate) fn set_cluster(&self, status: ClusterStatus) {
        let mut board = self.lock();
        if board.cluster.as_ref() == Some(&status) {
            return;
        }
        board.cluster = Some(status);
        self.bump(board);
    }

    /// Replaces what is known of one app. Does nothing when it is equal.
    pub(crate) fn set_app(&self, status: AppStatus) {
        let mut board = self.lock();
        if board.apps.get(&status.app) == Some(&status) {
            return;
        }
        board.apps.insert(status.app.clone(), status);
        self.bump(board);
    }

    /// Forgets an app that no longer selects this cluster and whose objects are gone.
    pub(crate) fn remove_app(&self, app: &str) {
        let mut board = self.lock();
        if board.apps.remove(app).is_some() {
            self.bump(board);
        }
    }

    /// Adds one entry to the history. The oldest entry goes when [`EVENTS_MAX`] are waiting.
    pub(crate) fn push_event(&self, event: Event) {
        let mut board = self.lock();
        if board.events.len() == EVENTS_MAX {
            board.events.pop_front();
            board.events_dropped += 1;
        }
        board.events.push_back(event);
        self.bump(board);
    }

    /// The last status of one app.
    pub(crate) fn app(&self, name: &str) -> Option<AppStatus> {
        self.lock().apps.get(name).cloned()
    }

    /// Sees every change after the call: the number grows with each. The owner of the receiver reads
    /// the board after each wake-up, so changes in quick succession cost one reading.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Every change of the board is a single assignment: a panic elsewhere leaves it whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bump(&self, board: MutexGuard<'_, Board>) {
        drop(board);
        self.version.send_modify(|version| *version += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(app: &str, message: &str) -> AppStatus {
        AppStatus { app: app.to_owned(), message: message.to_owned(), ..AppStatus::default() }
    }

    #[test]
    fn an_equal_status_is_no_change() {
        let reports = Reports::new();
        let mut changed = reports.changed();
        reports.set_app(status("web", "one"));
        assert!(changed.has_changed().unwrap());
        changed.mark_unchanged();
        reports.set_app(status("web", "one"));
        assert!(!changed.has_changed().unwrap());
        reports.set_app(status("web", "two"));
        assert!(changed.has_changed().unwrap());
        assert_eq!(reports.app("web").unwrap().message, "two");
    }

    #[test]
    fn a_removed_app_is_forgotten() {
        let reports = Reports::new();
        reports.set_app(status("web", ""));
        reports.remove_app("web");
        assert!(reports.app("web").is_none());
    }

    #[test]
    fn the_oldest_events_go_first_and_are_counted() {
        let reports = Reports::new();
        for number in 0..EVENTS_MAX + 3 {
            reports.push_event(Event { id: number.to_string(), ..Event::default() });
        }
        let board = reports.lock();
        assert_eq!(board.events.len(), EVENTS_MAX);
        assert_eq!(board.events.front().unwrap().id, "3");
        assert_eq!(board.events_dropped, 3);
    }
}
