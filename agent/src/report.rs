//! What does the agent know right now, for whoever wants to tell it on?
//!
//! ```text
//! reconcile --set_app, set_cluster, push_event--> Reports --Follower, status, events_after--> hub
//! ```
//!
//! The board holds the last state of everything, not a queue of states, so a slow or absent hub costs
//! no memory and never loses a last state. Events are history: bounded, oldest dropped and counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_wire::v1::{AppStatus, ClusterStatus, Event};
use tokio::sync::watch;

/// Events kept while nobody takes them. At roughly 300 bytes each this is 300 KiB.
const EVENTS_MAX: usize = 1_000;

/// The board between the reconciler, which writes, and the link to the hub, which reads.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    board: Arc<Mutex<Board>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Board {
    cluster: Option<ClusterStatus>,
    apps: BTreeMap<String, Arc<AppStatus>>,
    history: History,
    /// Every app there is has been set once.
    settled: bool,
    /// What changed since the follower last looked; none while nobody follows, so that a hub that is
    /// away for a year costs nothing.
    changes: Option<Changes>,
}

/// Events nobody has taken for good yet, oldest first, numbered without gaps as they came.
#[derive(Debug, Default)]
struct History {
    events: VecDeque<(u64, Arc<Event>)>,
    last_number: u64,
    dropped: u64,
}

/// What changed: names only, since whoever reads wants the last state anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The status of the cluster as a whole.
    pub(crate) cluster: bool,
    /// Apps that were set or removed.
    pub(crate) apps: BTreeSet<String>,
    /// At least one event was added.
    pub(crate) events: bool,
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
        self.changed(board, |changes| changes.cluster = true);
    }

    /// Replaces what is known of one app. Does nothing when it is equal.
    pub(crate) fn set_app(&self, status: AppStatus) {
        let mut board = self.lock();
        if board.apps.get(&status.app).is_some_and(|known| **known == status) {
            return;
        }
        let name = status.app.clone();
        board.apps.insert(name.clone(), Arc::new(status));
        self.changed(board, |changes| _ = changes.apps.insert(name));
    }

    /// Forgets an app that no longer selects this cluster and whose objects are gone.
    pub(crate) fn remove_app(&self, app: &str) {
        let mut board = self.lock();
        if board.apps.remove(app).is_some() {
            self.changed(board, |changes| _ = changes.apps.insert(app.to_owned()));
        }
    }

    /// Adds one entry to the history. The oldest entry goes when [`EVENTS_MAX`] are waiting.
    pub(crate) fn push_event(&self, event: Event) {
        let mut board = self.lock();
        board.history.push(event);
        self.changed(board, |changes| changes.events = true);
    }

    /// The last status of one app.
    pub(crate) fn status(&self, name: &str) -> Option<Arc<AppStatus>> {
        self.lock().apps.get(name).cloned()
    }

    /// The last status of every app.
    pub(crate) fn statuses(&self) -> Vec<Arc<AppStatus>> {
        self.lock().apps.values().cloned().collect()
    }

    /// The last status of the cluster.
    pub(crate) fn cluster(&self) -> Option<ClusterStatus> {
        self.lock().cluster.clone()
    }

    /// The oldest events numbered above `number`, at most `count_max` of them, with their numbers.
    pub(crate) fn events_after(&self, number: u64, count_max: usize) -> Vec<(u64, Arc<Event>)> {
        self.lock().history.after(number, count_max)
    }

    /// Drops events that are safe elsewhere, by their ids.
    pub(crate) fn forget_events(&self, ids: &BTreeSet<String>) {
        self.lock().history.events.retain(|(_, event)| !ids.contains(&event.id));
    }

    /// How many events were dropped since the start because nobody took them.
    pub(crate) fn events_dropped(&self) -> u64 {
        self.lock().history.dropped
    }

    /// The board holds every app there is: the cluster and Git were read once. Before that nobody should
    /// take an app that is not on it for one that is gone.
    pub(crate) fn settle(&self) {
        let mut board = self.lock();
        if !std::mem::replace(&mut board.settled, true) {
            self.changed(board, |_| {});
        }
    }

    /// Whether [`Reports::settle`] was called.
    pub(crate) fn is_settled(&self) -> bool {
        self.lock().settled
    }

    /// Waits for [`Reports::settle`].
    pub(crate) async fn settled(&self) {
        let mut version = self.version.subscribe();
        // The sender lives in `self`, so waiting for it never fails.
        while !self.is_settled() && version.changed().await.is_ok() {}
    }

    /// From now on sees every change. There is one follower at a time: a newer one takes over.
    pub(crate) fn follow(&self) -> Follower {
        let mut board = self.lock();
        board.changes = Some(Changes::default());
        Follower { version: self.version.subscribe(), reports: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Every change of the board is a single assignment: a panic elsewhere leaves it whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, mut board: MutexGuard<'_, Board>, note: impl FnOnce(&mut Changes)) {
        if let Some(changes) = &mut board.changes {
            note(changes);
        }
        drop(board);
        self.version.send_modify(|version| *version += 1);
    }
}

impl History {
    fn push(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.last_number += 1;
        self.events.push_back((self.last_number, Arc::new(event)));
    }

    fn after(&self, number: u64, count_max: usize) -> Vec<(u64, Arc<Event>)> {
        let start = self.events.partition_point(|(of, _)| *of <= number);
        self.events.range(start..).take(count_max).cloned().collect()
    }
}

/// Sees changes of a board. When it goes, the board stops to note them.
pub(crate) struct Follower {
    reports: Reports,
    version: watch::Receiver<u64>,
}

impl Follower {
    /// Waits until something changed since the last call, and takes all of it: changes in quick
    /// succession are one. Nothing is lost when the future is dropped before it is ready.
    pub(crate) async fn changed(&mut self) -> Changes {
        loop {
            self.version.mark_unchanged();
            let changes = self.reports.lock().changes.as_mut().map(std::mem::take).unwrap_or_default();
            if changes != Changes::default() {
                return changes;
            }
            // The sender lives in `reports`, so this never fails.
            if self.version.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.reports.lock().changes = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(app: &str, message: &str) -> AppStatus {
        AppStatus { app: app.to_owned(), message: message.to_owned(), ..AppStatus::default() }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn an_equal_status_is_no_change() {
        let reports = Reports::new();
        let mut follower = reports.follow();
        reports.set_app(status("web", "one"));
        assert_eq!(follower.changed().await, Changes { apps: names(&["web"]), ..Changes::default() });
        reports.set_app(status("web", "one"));
        reports.set_cluster(ClusterStatus { leader: "node-1".to_owned(), ..ClusterStatus::default() });
        assert_eq!(follower.changed().await, Changes { cluster: true, ..Changes::default() });
        reports.set_app(status("web", "two"));
        reports.set_app(status("web", "three"));
        reports.remove_app("api");
        assert_eq!(follower.changed().await, Changes { apps: names(&["web"]), ..Changes::default() });
        assert_eq!(reports.status("web").unwrap().message, "three");
    }

    #[tokio::test]
    async fn a_removed_app_is_forgotten_and_told() {
        let reports = Reports::new();
        reports.set_app(status("web", ""));
        let mut follower = reports.follow();
        reports.remove_app("web");
        assert!(reports.status("web").is_none());
        assert_eq!(follower.changed().await.apps, names(&["web"]));
    }

    #[tokio::test]
    async fn who_waits_for_a_settled_board_is_woken() {
        let reports = Reports::new();
        let (settled, ()) = tokio::join!(reports.settled(), async { reports.settle() });
        assert_eq!(settled, ());
        reports.settled().await;
    }

    #[test]
    fn nothing_is_noted_while_nobody_follows() {
        let reports = Reports::new();
        drop(reports.follow());
        for number in 0..10 {
            reports.set_app(status(&number.to_string(), ""));
            reports.remove_app(&number.to_string());
        }
        assert!(reports.lock().changes.is_none());
    }

    #[test]
    fn the_oldest_events_go_first_and_are_counted() {
        let reports = Reports::new();
        for number in 1..=EVENTS_MAX + 3 {
            reports.push_event(Event { id: number.to_string(), ..Event::default() });
        }
        assert_eq!(reports.events_dropped(), 3);
        let ids = |events: Vec<(u64, Arc<Event>)>| -> Vec<String> {
            events.into_iter().map(|(_, event)| event.id.clone()).collect()
        };
        assert_eq!(ids(reports.events_after(0, 2)), ["4", "5"]);
        reports.forget_events(&names(&["4", "6"]));
        assert_eq!(ids(reports.events_after(0, 2)), ["5", "7"]);
        assert_eq!(ids(reports.events_after(1_002, 5)), ["1003"]);
        assert_eq!(reports.lock().history.events.len(), EVENTS_MAX - 2);
    }
}
