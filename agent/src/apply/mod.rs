//! How is a plan carried out?
//!
//! Steps one after the other, what is in a step a few at a time. Every answer is told at once. A failing
//! object keeps the later objects of its app from nothing, but nothing is pruned after a failure.
mod foreign;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::discovery::Discovery;
use crate::api::{Api, ApiError};
use crate::applyset::{Parent, parent_name};
use crate::backoff::Backoff;
use crate::drift::{self, Projection};
use crate::object::{Digest, Gvk, ObjectKey, Resource, items, text};
use crate::plan::{Desired, Doomed, Plan, Step};
use crate::source::{Kind, Problem};
use crate::watch::{Observation, Seen};

/// Writes of one step under way at the same time: enough to hide the way to the server and back, far from
/// the 200 a server takes at once.
const WRITES_AT_ONCE: usize = 8;

/// Times a write is sent before it counts as failed, and the waits in between.
const TRIES: u32 = 4;
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(3);

/// How long a definition may take to be served, and how often to look.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(60);
const ESTABLISH_LOOK: Duration = Duration::from_millis(200);

/// What has been done, as it is done.
#[derive(Debug)]
pub(crate) enum Done {
    /// The ApplySet parent is like this now; `None` when it is gone.
    Parent(Option<Parent>),
    /// Kinds are served that may not have been before.
    Definitions,
    Applied {
        key: ObjectKey,
        outcome: Result<Applied, Failure>,
    },
    Pruned {
        key: ObjectKey,
        outcome: Result<(), Problem>,
    },
}

/// An object right after it was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) seen: Seen,
    pub(crate) digest: Digest,
    pub(crate) projection: Projection,
}

/// An object that was not applied.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to show; none when the run was cut short.
    pub(crate) problem: Option<Problem>,
    /// The write may have reached the server all the same.
    pub(crate) may_have_happened: bool,
}

/// Carries out plans.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) api: Api,
    pub(crate) discovery: Arc<Discovery>,
    /// Namespace of the parents.
    pub(crate) home: Arc<str>,
    /// Bounds the writes of all apps together.
    pub(crate) writes: Arc<Semaphore>,
}

impl Executor {
    /// Runs an app's plan, telling each answer to `tell`. Ends early when cancelled.
    ///
    /// # Errors
    /// What went wrong beside single objects.
    pub(crate) async fn run<F>(
        &self,
        app: &str,
        plan: Plan,
        cancel: &CancellationToken,
        tell: impl Fn(Done) -> F + Sync,
    ) -> Result<(), Problem>
    where
        F: Future<Output = ()> + Send,
    {
        let mut failed = false;
        for step in plan.steps {
            if cancel.is_cancelled() {
                return Ok(());
            }
            match step {
                Step::SetParent(parent) => {
                    self.set_parent(&parent).await?;
                    tell(Done::Parent(Some(parent))).await;
                }
                Step::DeleteParent(app) => {
                    self.delete_parent(&app).await?;
                    tell(Done::Parent(None)).await;
                }
                Step::EnsureNamespace(name) => self.ensure_namespace(&name).await?,
                Step::Apply(objects) => failed |= self.apply_all(objects, cancel, &tell).await,
                Step::AwaitDefinitions(keys) => {
                    if !failed {
                        self.await_definitions(&keys, cancel).await?;
                    }
                    tell(Done::Definitions).await;
                }
                Step::Prune(_) if failed => return Ok(()),
                Step::Prune(doomed) => failed |= self.prune_all(app, doomed, cancel, &tell).await,
            }
        }
        Ok(())
    }

    async fn apply_all<F>(
        &self,
        objects: Vec<(ObjectKey, Desired)>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let answers = futures::stream::iter(objects).map(|(key, desired)| async move {
            let outcome = self.apply(&key, &desired, cancel).await;
            let failed = outcome.is_err();
            tell(Done::Applied { key, outcome }).await;
            failed
        });
        answers.buffer_unordered(WRITES_AT_ONCE).fold(false, |any, failed| async move { any | failed }).await
    }

    async fn apply(
        &self,
        key: &ObjectKey,
        desired: &Desired,
        cancel: &CancellationToken,
    ) -> Result<Applied, Failure> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut may_have_happened = false;
        let mut tries = 0;
        loop {
            let cut_short = Failure { problem: None, may_have_happened };
            let Ok(_permit) = self.writes.acquire().await else { return Err(cut_short) };
            if cancel.is_cancelled() {
                return Err(cut_short);
            }
            let answer =
                self.api.apply(&desired.resource, &key.namespace, &key.name, desired.body.to_vec()).await;
            drop(_permit);
            tries += 1;
            let error = match answer {
                Ok(object) => return Ok(applied(desired, object)),
                Err(ApiError::NotLeading) => return Err(cut_short),
                Err(error) => error,
            };
            may_have_happened |= matches!(error, ApiError::Timeout | ApiError::Unreachable(_));
            if !error.is_transient() || tries == TRIES {
                if matches!(&error, ApiError::NotFound { kind, .. } if kind != "namespaces") {
                    self.discovery.forget(&desired.resource.gvk);
                }
                let problem = Some(apply_problem(key, desired, &error));
                return Err(Failure { problem, may_have_happened });
            }
            let wait = backoff.next_wait().max(error.retry_after().unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    async fn prune_all<F>(
        &self,
        app: &str,
        doomed: Vec<Doomed>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let answers = futures::stream::iter(doomed).map(|doomed| async move {
            if cancel.is_cancelled() {
                return false;
            }
            let outcome = self.prune(app, &doomed).await;
            let failed = outcome.is_err();
            tell(Done::Pruned { key: doomed.key, outcome }).await;
            failed
        });
        answers.buffer_unordered(WRITES_AT_ONCE).fold(false, |any, failed| async move { any | failed }).await
    }

    async fn prune(&self, app: &str, doomed: &Doomed) -> Result<(), Problem> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut tries = 0;
        let Doomed { key, resource, uid } = doomed;
        let refuse = |message: String| Problem { kind: Kind::Prune, place: key.to_string(), message };
        match foreign::taken_along(&self.api, &self.discovery, app, key).await {
            Ok(None) => {}
            Ok(Some(other)) => {
                return Err(refuse(format!(
                    "It left Git and is kept, since {other} would be deleted with it and is not the app's. Delete or \
                     move that, or put this back into Git."
                )));
            }
            Err(error) => {
                return Err(refuse(format!(
                    "It left Git, and what it holds could not be looked through: {error}"
                )));
            }
        }
        loop {
            tries += 1;
            match self.api.delete(resource, &key.namespace, &key.name, uid).await {
                // Gone already, or another object by that name: the one that was meant is not there.
                Ok(()) | Err(ApiError::NotFound { .. } | ApiError::Conflict(_)) => return Ok(()),
                Err(error) if error.is_transient() && tries < TRIES => {
                    let wait = backoff.next_wait().max(error.retry_after().unwrap_or_default());
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    return Err(refuse(format!("It left Git and could not be deleted: {error}")));
                }
            }
        }
    }

    async fn set_parent(&self, parent: &Parent) -> Result<(), Problem> {
        let name = parent_name(&parent.app);
        let body = parent.to_object(&self.home).to_string().into_bytes();
        let resource = config_maps();
        let applied = self.retry(|| self.api.apply(&resource, &self.home, &name, body.clone())).await;
        applied.map(drop).map_err(|error| Problem {
            kind: Kind::Apply,
            place: format!("ConfigMap/{}/{name}", self.home),
            message: format!(
                "The inventory of the app could not be written, so nothing was applied: {error}"
            ),
        })
    }

    async fn delete_parent(&self, app: &str) -> Result<(), Problem> {
        let name = parent_name(app);
        let deleted = async {
            let parent = self.api.get(&config_maps(), &self.home, &name).await?;
            let uid = text(&parent, &["metadata", "uid"]).to_owned();
            self.api.delete(&config_maps(), &self.home, &name, &uid).await
        };
        match deleted.await {
            Ok(()) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Problem {
                kind: Kind::Prune,
                place: format!("ConfigMap/{}/{name}", self.home),
                message: format!("The inventory of the removed app could not be deleted: {error}"),
            }),
        }
    }

    async fn ensure_namespace(&self, name: &str) -> Result<(), Problem> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespaces = namespaces();
        let ensured = self
            .retry(|| async {
                match self.api.get(&namespaces, "", name).await {
                    Err(ApiError::NotFound { .. }) => self.api.create_fenced(&namespaces, "", &body).await,
                    found => found,
                }
            })
            .await;
        match ensured {
            Ok(_) => Ok(()),
            Err(error) => Err(Problem {
                kind: Kind::Apply,
                place: format!("Namespace/{name}"),
                message: format!("The app's namespace could not be created: {error}"),
            }),
        }
    }

    async fn await_definitions(&self, keys: &[ObjectKey], cancel: &CancellationToken) -> Result<(), Problem> {
        let resource = Resource {
            gvk: Gvk::of("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            plural: "customresourcedefinitions".to_owned(),
            namespaced: false,
        };
        let wait = async {
            for key in keys {
                while !self
                    .api
                    .get(&resource, "", &key.name)
                    .await
                    .is_ok_and(|object| is_established(&object))
                {
                    tokio::time::sleep(ESTABLISH_LOOK).await;
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            done = tokio::time::timeout(ESTABLISH_TIMEOUT, wait) => done.map_err(|_| Problem {
                kind: Kind::Apply,
                place: keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                message: "Its kind was not served within a minute of being applied.".to_owned(),
            }),
        }
    }

    /// Sends again what may succeed a little later.
    async fn retry<F>(&self, send: impl Fn() -> F) -> Result<Value, ApiError>
    where
        F: Future<Output = Result<Value, ApiError>>,
    {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        for _ in 1..TRIES {
            match send().await {
                Err(error) if error.is_transient() => {
                    let wait = backoff.next_wait().max(error.retry_after().unwrap_or_default());
                    tokio::time::sleep(wait).await;
                }
                result => return result,
            }
        }
        send().await
    }
}

fn applied(desired: &Desired, object: Value) -> Applied {
    let projection = match drift::our_fields(&object) {
        Some(fields) => {
            let wanted = serde_json::from_slice(&desired.body).unwrap_or(Value::Null);
            Projection::of(fields, &wanted, &object)
        }
        None => Projection::nothing(),
    };
    let seen = Observation::of(&desired.resource, object).seen;
    Applied { seen, digest: desired.digest, projection }
}

fn apply_problem(key: &ObjectKey, desired: &Desired, error: &ApiError) -> Problem {
    let message = match error {
        ApiError::NotFound { kind, message } if kind == "namespaces" => {
            format!("Its namespace does not exist: {message}.")
        }
        ApiError::NotFound { .. } => format!("The API server has no kind {} any more.", desired.resource.gvk),
        error => error.to_string(),
    };
    let message = format!("{message} It is written in {}.", desired.place);
    let message = if key.kind.is("", "Secret") { secrets::mask(&message, &desired.body) } else { message };
    Problem { kind: Kind::Apply, place: key.to_string(), message }
}

fn is_established(definition: &Value) -> bool {
    items(definition, &["status", "conditions"]).iter().any(|condition| {
        text(condition, &["type"]) == "Established" && text(condition, &["status"]) == "True"
    })
}

fn config_maps() -> Resource {
    Resource { gvk: Gvk::of("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

fn namespaces() -> Resource {
    Resource { gvk: Gvk::of("v1", "Namespace"), plural: "namespaces".to_owned(), namespaced: false }
}
