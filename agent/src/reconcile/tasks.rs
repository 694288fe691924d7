//! How does news come to the loop?
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::Tasks;
use super::core::Input;
use super::resolve::{Owner, resolve};
use crate::api::{Api, ApiError};
use crate::apply::{Done, Known};
use crate::applyset::{self, Parent};
use crate::backoff::Backoff;
use crate::drift;
use crate::health::cause;
use crate::metrics::{Happening, Metrics};
use crate::object::{GroupKind, Gvk, ObjectKey, Resource};
use crate::plan::Plan;
use crate::source::{Kind, Manifest, Problem};
use crate::watch::{self, Observation, Scope};

/// Waits between tries of what must succeed sooner or later.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// How long writes that were sent may still be waited for at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

impl Tasks {
    /// Reads which apps have been here before.
    pub(super) fn load_parents(&mut self) {
        let (api, home, news) = (self.api.clone(), self.home.clone(), self.news.clone());
        self.set.spawn(async move {
            let parents = insist("The inventories of the apps", || parents(&api, &home)).await;
            // The loop being gone is the end of this task too.
            let _ = news.send(Input::Parents(parents)).await;
        });
    }

    /// Starts watching a kind in a namespace (or, when that is empty, in all), or starts anew with a list.
    pub(super) fn watch(&mut self, resource: Arc<Resource>, namespace: Arc<str>) {
        let scope = Scope { kind: resource.gvk.clone(), namespace: namespace.clone() };
        let task = self.set.spawn(watch::run(self.api.clone(), resource, namespace, self.sightings.clone()));
        if let Some(before) = self.watches.insert(scope, task) {
            before.abort();
        }
    }

    pub(super) fn unwatch(&mut self, scope: &Scope) {
        if let Some(task) = self.watches.remove(scope) {
            task.abort();
        }
    }

    pub(super) fn locate(&mut self, kind: GroupKind) {
        let (discovery, news) = (self.discovery.clone(), self.news.clone());
        self.set.spawn(async move {
            let resource = insist("A kind of the inventory", || discovery.preferred(&kind)).await;
            let _ = news.send(Input::Located { kind, resource }).await;
        });
    }

    pub(super) fn resolve(&mut self, owner: Owner, generation: u64, manifests: Vec<Manifest>) {
        let (discovery, reach, news) = (self.discovery.clone(), self.reach.clone(), self.news.clone());
        self.set.spawn(async move {
            let work =
                std::panic::AssertUnwindSafe(resolve(&discovery, &reach, &owner, manifests)).catch_unwind();
            let resolution = work.await.ok();
            let _ = news.send(Input::Resolved { app: owner.app, generation, resolution }).await;
        });
    }

    /// Reads one object to see what became of it.
    pub(super) fn refresh(&mut self, app: String, key: ObjectKey, resource: Arc<Resource>) {
        let (api, news) = (self.api.clone(), self.news.clone());
        self.set.spawn(async move {
            let found = insist("An object", || async {
                match api.get(&resource, &key.namespace, &key.name).await {
                    Ok(body) => Ok(Some(Observation::of(&resource, body))),
                    Err(ApiError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            });
            let found = found.await;
            let _ = news.send(Input::Refreshed { app, key, found }).await;
        });
    }

    /// Finds out why an object is not well. Whatever happens, there is an answer.
    pub(super) fn look(&mut self, app: String, key: ObjectKey, resource: Arc<Resource>, generation: i64) {
        let (api, news) = (self.api.clone(), self.news.clone());
        self.set.spawn(async move {
            let work = std::panic::AssertUnwindSafe(cause::look(&api, &resource, &key)).catch_unwind();
            let cause = match work.await {
                Ok(Ok(cause)) => Some(cause),
                Ok(Err(error)) => {
                    tracing::debug!(app, object = %key, %error, "It could not be looked into.");
                    None
                }
                Err(_) => None,
            };
            let _ = news.send(Input::Looked { app, key, generation, cause }).await;
        });
    }

    /// Looks for an autoscaler of one object. When that fails it is tried again at its next drift.
    pub(super) fn find_scaler(&mut self, app: String, key: ObjectKey) {
        let (api, news) = (self.api.clone(), self.news.clone());
        self.set.spawn(async move {
            match scaler(&api, &key).await {
                Ok(scaler) => _ = news.send(Input::Scaler { app, key, scaler }).await,
                Err(error) => tracing::debug!(object = %key, %error, "Autoscalers cannot be read."),
            }
        });
    }

    /// Carries out a plan, once few enough others are being carried out.
    pub(super) fn run(&mut self, app: String, run: u64, account: Option<Arc<str>>, plan: Plan, known: Known) {
        let cancel = CancellationToken::new();
        self.cancels.insert(run, cancel.clone());
        let (runs, news) = (self.runs.clone(), self.news.clone());
        let executor = self.executor.writing_as(account);
        tracing::debug!(app, "Plan:\n{plan}");
        self.set.spawn(async move {
            let Ok(_permit) = runs.acquire().await else { return };
            let (began, metrics) = (Instant::now(), executor.api.metrics().clone());
            let failed = AtomicBool::new(false);
            let tell = |done| {
                failed.fetch_or(count(&metrics, &app, &done), Ordering::Relaxed);
                let input = Input::Done { app: app.clone(), run, done };
                let news = news.clone();
                async move { news.send(input).await.unwrap_or_default() }
            };
            let work = std::panic::AssertUnwindSafe(executor.run(&app, plan, known, &cancel, tell));
            let work = work.catch_unwind();
            let problem = match work.await {
                Ok(result) => result.err(),
                Err(_) => Some(Problem {
                    kind: Kind::Apply,
                    place: String::new(),
                    message: "Applying failed in an unexpected way; tried again by itself.".to_owned(),
                }),
            };
            if !cancel.is_cancelled() {
                let success = problem.is_none() && !failed.load(Ordering::Relaxed);
                metrics.synced(&app, success, began.elapsed());
            }
            let _ = news.send(Input::Finished { app, run, problem }).await;
        });
    }

    pub(super) fn cancel(&mut self, run: u64) {
        if let Some(cancel) = self.cancels.get(&run) {
            cancel.cancel();
        }
    }

    pub(super) fn ended(&mut self, run: u64) {
        self.cancels.remove(&run);
    }

    /// Ends everything. Writes already sent are given a moment to be answered.
    pub(super) async fn stop(mut self) {
        self.cancels.values().for_each(CancellationToken::cancel);
        self.watches.values().for_each(tokio::task::AbortHandle::abort);
        let idle = self.executor.writes.idle();
        if tokio::time::timeout(STOP_TIMEOUT, idle).await.is_err() {
            tracing::warn!("Writes to the API server are abandoned: it does not answer.");
        }
        self.set.shutdown().await;
    }
}

/// Counts what a run did to one object; true when that failed.
fn count(metrics: &Metrics, app: &str, done: &Done) -> bool {
    let failed = match done {
        Done::Applied { outcome: Err(failure), .. } => failure.problem.is_some(),
        Done::Pruned { outcome, .. } => outcome.is_err(),
        _ => false,
    };
    if failed {
        metrics.happened(app, Happening::Failure);
    } else if matches!(done, Done::Pruned { .. }) {
        metrics.happened(app, Happening::Prune);
    }
    failed
}

/// Tries until it succeeds. The task it runs in is aborted when that is no use any more.
async fn insist<T, F>(what: &str, attempt: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, ApiError>>,
{
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                let wait = backoff.next_wait().max(error.retry_after().unwrap_or_default());
                tracing::warn!(%error, "{what} could not be read; tried again in {} ms.", wait.as_millis());
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// What scales an object, in its namespace.
async fn scaler(api: &Api, key: &ObjectKey) -> Result<Option<String>, ApiError> {
    let autoscalers = drift::autoscalers();
    let mut next = String::new();
    loop {
        let page = api.page(&autoscalers, &key.namespace, "", &next).await?;
        let objects = page.items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
        if let Some(found) = objects.into_iter().find_map(|object| drift::scaler_of(key, &object)) {
            return Ok(Some(found));
        }
        if page.next.is_empty() {
            return Ok(None);
        }
        next = page.next;
    }
}

/// The ApplySet parents of the apps that have been here.
pub(super) async fn parents(api: &Api, home: &str) -> Result<Vec<Parent>, ApiError> {
    let config_maps =
        Resource { gvk: Gvk::of("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true };
    let mut parents = Vec::new();
    let mut next = String::new();
    loop {
        let page = api.page(&config_maps, home, applyset::ID, &next).await?;
        for item in &page.items {
            let object = serde_json::from_str(item.get()).unwrap_or_default();
            parents.extend(Parent::parse(&object, home));
        }
        if page.next.is_empty() {
            return Ok(parents);
        }
        next = page.next;
    }
}
