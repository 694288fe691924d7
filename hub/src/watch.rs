//! What has a watcher not seen yet?
//!
//! Not a queue of changes but a set of names to look at again, so that a slow watcher costs at most the
//! names of the fleet, and gets the last state of each thing instead of every state between.
//!
//! Whoever comes back with the token of where it was is told what has changed since: see [`changes`].

mod changes;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::stream::{self, BoxStream, StreamExt as _};
use muster_spec::{AppName, ClusterName};
use muster_wire::v1;
use tokio::sync::{Notify, RwLock};
use tonic::Status;

use crate::{
    access::policy::Grant,
    commit::Fleet,
    fleet::{Detail, State, Touched},
    service::Sight,
};

use self::changes::Changes;

/// Watchers at once.
const WATCHERS_MAX: usize = 256;
/// Events that wait for a slow watcher; older ones are left to `ListEvents`.
const EVENTS_MAX: usize = 1_000;
/// Names looked up under one lock.
const CHUNK: usize = 128;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that holds one of these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everyone who watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    all: Mutex<Vec<Weak<Watcher>>>,
    /// Locked before any watcher's, and until all of them know what it knows.
    changes: Mutex<Changes>,
}

/// What somebody wants to watch.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Only this cluster.
    pub(crate) cluster: Option<String>,
    /// Only what this lets it see.
    pub(crate) grant: Arc<Grant>,
    /// Where an earlier watch was.
    pub(crate) resume: Option<String>,
}

impl Asked {
    /// What a token has to be for, as a text.
    fn view(&self) -> String {
        format!("{:?} {:?}", self.cluster, self.grant)
    }
}

/// One who watches.
#[derive(Debug)]
struct Watcher {
    /// Only this cluster.
    cluster: Option<String>,
    /// Only what this lets it see.
    grant: Arc<Grant>,
    /// What its tokens begin with.
    mark: String,
    unseen: Mutex<Unseen>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Unseen {
    clusters: BTreeSet<ClusterName>,
    apps: BTreeSet<(ClusterName, AppName)>,
    events: VecDeque<Arc<v1::Event>>,
}

impl Unseen {
    fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.apps.is_empty() && self.events.is_empty()
    }
}

impl Watcher {
    fn wants(&self, cluster: &str) -> bool {
        self.cluster.as_deref().is_none_or(|only| only == cluster)
    }

    fn touch(&self, touched: &[Touched]) {
        let mut unseen = lock(&self.unseen);
        for touched in touched {
            match touched {
                Touched::Cluster(cluster) if self.wants(cluster.as_str()) => {
                    unseen.clusters.insert(cluster.clone());
                }
                Touched::App(cluster, app) if self.wants(cluster.as_str()) => {
                    unseen.apps.insert((cluster.clone(), app.clone()));
                }
                Touched::Event(event) if self.wants(&event.cluster) => {
                    if unseen.events.len() == EVENTS_MAX {
                        unseen.events.pop_front();
                    }
                    unseen.events.push_back(Arc::clone(event));
                }
                _ => {}
            }
        }
        if !unseen.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Some of what is unseen, clusters before their apps, with its state now. `token` is for what was known to
    /// all watchers before; it is given away once none of that is unseen.
    fn next(&self, state: &State, token: String) -> (VecDeque<v1::WatchFleetResponse>, Option<String>) {
        use v1::watch_fleet_response::Change;
        let sight = Sight { state, grant: &self.grant };
        let mut unseen = lock(&self.unseen);
        let mut changes = Vec::new();
        while changes.len() < CHUNK {
            if let Some(cluster) = unseen.clusters.pop_first() {
                let shown = state.show_cluster(cluster.as_str()).filter(|_| sight.cluster(cluster.as_str()));
                changes.extend(shown.map(Change::Cluster));
            } else if let Some((cluster, app)) = unseen.apps.pop_first() {
                if !sight.app(cluster.as_str(), app.as_str()) {
                    continue;
                }
                let shown = state.show_app(cluster.as_str(), app.as_str(), Detail::Drifts);
                let gone = || {
                    Change::RemovedApp(v1::RemovedApp { cluster: cluster.to_string(), app: app.to_string() })
                };
                changes.push(shown.map_or_else(gone, Change::App));
            } else if let Some(event) = unseen.events.pop_front() {
                if sight.event(&event) {
                    changes.push(Change::Event(v1::Event::clone(&event)));
                }
            } else {
                break;
            }
        }
        let told = unseen.is_empty().then_some(token);
        let mut answers: VecDeque<_> = changes
            .into_iter()
            .map(|change| v1::WatchFleetResponse { change: Some(change), resume_token: String::new() })
            .collect();
        if let (Some(token), Some(last)) = (&told, answers.back_mut()) {
            last.resume_token.clone_from(token);
        }
        (answers, told)
    }
}

impl Watchers {
    /// Tells everyone what to look at again.
    pub(crate) fn touch(&self, touched: &[Touched]) {
        if touched.is_empty() {
            return;
        }
        let mut changes = lock(&self.changes);
        changes.note(touched);
        lock(&self.all).retain(|watcher| {
            let watcher = watcher.upgrade();
            if let Some(watcher) = &watcher {
                watcher.touch(touched);
            }
            watcher.is_some()
        });
    }

    /// The fleet, or one cluster, as it is, or what of it has changed since an earlier watch, and then as it
    /// changes, until `end` says why no longer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there are too many watchers, OUT_OF_RANGE when it is not known any more what has
    /// changed since the earlier watch.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        fleet: Arc<RwLock<Fleet>>,
        asked: Asked,
        end: impl Future<Output = Status> + Send + 'static,
    ) -> Result<BoxStream<'static, Result<v1::WatchFleetResponse, Status>>, Status> {
        let mark = lock(&self.changes).mark(&asked.view());
        let Asked { cluster, grant, resume } = asked;
        let watcher =
            Arc::new(Watcher { cluster, grant, mark, unseen: Mutex::default(), wake: Notify::new() });
        let missed = {
            let changes = lock(&self.changes);
            let missed = resume.map(|token| changes.since(&token, &watcher.mark)).transpose()?;
            let mut all = lock(&self.all);
            all.retain(|watcher| watcher.strong_count() > 0);
            if all.len() >= WATCHERS_MAX {
                return Err(Status::resource_exhausted(format!(
                    "{WATCHERS_MAX} watches are open already; close one, or ask with ListApps"
                )));
            }
            // Known before the fleet is read: a change from here on is seen, at worst twice.
            all.push(Arc::downgrade(&watcher));
            missed
        };
        match missed {
            Some(missed) => watcher.touch(&missed),
            None => {
                let fleet = fleet.read().await;
                let mut unseen = lock(&watcher.unseen);
                for (cluster, apps) in fleet.state.names(watcher.cluster.as_deref()) {
                    unseen.clusters.insert(cluster.clone());
                    unseen.apps.extend(apps.map(|app| (cluster.clone(), app.clone())));
                }
                unseen.events.clear();
            }
        }
        let watchers = Arc::clone(self);
        let watch = Watch { watchers, watcher, fleet, ready: VecDeque::new(), initial: true };
        Ok(until(watch, end))
    }
}

struct Watch {
    watchers: Arc<Watchers>,
    watcher: Arc<Watcher>,
    fleet: Arc<RwLock<Fleet>>,
    ready: VecDeque<v1::WatchFleetResponse>,
    initial: bool,
}

impl Watch {
    async fn next(&mut self) -> v1::WatchFleetResponse {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return ready;
            }
            let told = {
                let fleet = self.fleet.read().await;
                let token = lock(&self.watchers.changes).token(&self.watcher.mark);
                let (ready, told) = self.watcher.next(&fleet.state, token);
                self.ready = ready;
                told
            };
            if !self.ready.is_empty() {
                continue;
            }
            if std::mem::take(&mut self.initial) {
                let end = v1::watch_fleet_response::Change::InitialStateEnd(v1::InitialStateEnd {});
                let resume_token = told.unwrap_or_default();
                return v1::WatchFleetResponse { change: Some(end), resume_token };
            }
            self.watcher.wake.notified().await;
        }
    }
}

fn until(
    watch: Watch,
    end: impl Future<Output = Status> + Send + 'static,
) -> BoxStream<'static, Result<v1::WatchFleetResponse, Status>> {
    let state = Some((watch, Box::pin(end)));
    stream::unfold(state, |state| async {
        let (mut watch, mut end) = state?;
        tokio::select! {
            biased;
            status = &mut end => Some((Err(status), None)),
            change = watch.next() => Some((Ok(change), Some((watch, end)))),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests;
