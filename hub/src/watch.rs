//! What has a watcher not seen yet?
//!
//! Not a queue of changes but a set of names to look at again, so that a slow watcher costs at most the
//! names of the fleet, and gets the last state of each thing instead of every state between.

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
}

/// One who watches.
#[derive(Debug)]
struct Watcher {
    /// Only this cluster.
    cluster: Option<String>,
    /// Only what this lets it see.
    grant: Arc<Grant>,
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

    /// Some of what is unseen, clusters before their apps, with its state now.
    fn next(&self, state: &State) -> VecDeque<v1::WatchFleetResponse> {
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
        changes.into_iter().map(|change| v1::WatchFleetResponse { change: Some(change) }).collect()
    }
}

impl Watchers {
    /// Tells everyone what to look at again.
    pub(crate) fn touch(&self, touched: &[Touched]) {
        if touched.is_empty() {
            return;
        }
        lock(&self.all).retain(|watcher| {
            let watcher = watcher.upgrade();
            if let Some(watcher) = &watcher {
                watcher.touch(touched);
            }
            watcher.is_some()
        });
    }

    /// The fleet, or one cluster, as it is and then as it changes, until `end` says why no longer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there are too many watchers.
    pub(crate) async fn watch(
        &self,
        fleet: Arc<RwLock<Fleet>>,
        cluster: Option<String>,
        grant: Arc<Grant>,
        end: impl Future<Output = Status> + Send + 'static,
    ) -> Result<BoxStream<'static, Result<v1::WatchFleetResponse, Status>>, Status> {
        let watcher = Arc::new(Watcher { cluster, grant, unseen: Mutex::default(), wake: Notify::new() });
        {
            let mut all = lock(&self.all);
            all.retain(|watcher| watcher.strong_count() > 0);
            if all.len() >= WATCHERS_MAX {
                return Err(Status::resource_exhausted(format!(
                    "{WATCHERS_MAX} watches are open already; close one, or ask with ListApps"
                )));
            }
            all.push(Arc::downgrade(&watcher));
        }
        {
            // Known before the fleet is read: a change from here on is seen, at worst twice.
            let fleet = fleet.read().await;
            let mut unseen = lock(&watcher.unseen);
            for (cluster, apps) in fleet.state.names(watcher.cluster.as_deref()) {
                unseen.clusters.insert(cluster.clone());
                unseen.apps.extend(apps.map(|app| (cluster.clone(), app.clone())));
            }
            unseen.events.clear();
        }
        let watch = Watch { watcher, fleet, ready: VecDeque::new(), initial: true };
        Ok(until(watch, end))
    }
}

struct Watch {
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
            self.ready = self.watcher.next(&self.fleet.read().await.state);
            if !self.ready.is_empty() {
                continue;
            }
            if std::mem::take(&mut self.initial) {
                let end = v1::watch_fleet_response::Change::InitialStateEnd(v1::InitialStateEnd {});
                return v1::WatchFleetResponse { change: Some(end) };
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
