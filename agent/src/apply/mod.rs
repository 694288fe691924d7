//! How is a plan carried out?
//!
//! Steps one after the other, what is in a step a few at a time. Every answer is told at once. A failing
//! object keeps the later objects of its app from nothing, but nothing is pruned after a failure.
mod adopt;
mod attempt;
mod conflicts;
mod foreign;
mod hook;
mod managers;
mod parent;
mod prune;
mod replace;
mod secrets;
mod wait;
mod write;

pub(crate) use attempt::{Before, Known};
pub(crate) use write::masked;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::api::discovery::Discovery;
use crate::api::{Api, ApiError, Gate};
use crate::applyset::Parent;
use crate::backoff::Backoff;
use crate::drift::Projection;
use crate::events::ParentUids;
use crate::object::{Digest, ObjectKey};
use crate::plan::{Plan, Step};
use crate::source::Problem;
use crate::watch::Seen;

/// Writes of one step that may wait for the gate at the same time.
const WRITES_AT_ONCE: usize = 16;

/// Times a write is sent before it counts as failed, and the waits in between.
const TRIES: u32 = 4;
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(3);

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
    /// The object of a hook has been asked to go.
    HookDeleted {
        key: ObjectKey,
        outcome: Result<(), Problem>,
    },
}

impl Done {
    fn has_failed(&self) -> bool {
        match self {
            Done::Parent(_) | Done::Definitions => false,
            Done::Applied { outcome, .. } => outcome.is_err(),
            Done::Pruned { outcome, .. } | Done::HookDeleted { outcome, .. } => outcome.is_err(),
        }
    }
}

/// An object right after it was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) seen: Seen,
    pub(crate) digest: Digest,
    pub(crate) projection: Projection,
    /// What else was done for it, in sentences: adopted, taken over, created anew.
    pub(crate) note: Option<String>,
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
    /// For what is the agent's own: the parents, and looking around.
    pub(crate) api: Api,
    /// For an app's objects: asks in the name of the app's account where it has one.
    pub(crate) writer: Api,
    pub(crate) discovery: Arc<Discovery>,
    /// Namespace of the parents.
    pub(crate) home: Arc<str>,
    /// Bounds the writes of all apps together, by how well the API server takes them.
    pub(crate) writes: Arc<Gate>,
    pub(crate) parent_uids: ParentUids,
}

impl Executor {
    /// The same, writing objects in the name of that user.
    pub(crate) fn writing_as(&self, user: Option<Arc<str>>) -> Executor {
        let writer = user.map_or_else(|| self.api.clone(), |user| self.api.acting_as(user));
        Executor { writer, ..self.clone() }
    }

    /// Runs an app's plan, telling each answer to `tell`. Ends early when cancelled.
    ///
    /// # Errors
    /// What went wrong beside single objects.
    pub(crate) async fn run<F>(
        &self,
        app: &str,
        plan: Plan,
        known: Known,
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
                Step::Apply(objects) => failed |= self.apply_all((app, &known), objects, cancel, &tell).await,
                Step::AwaitDefinitions(keys) => {
                    if !failed {
                        self.await_definitions(&keys, cancel).await?;
                    }
                    tell(Done::Definitions).await;
                }
                // What comes after it is for the next plan, when what is waited for is there.
                Step::Wait(_) => return Ok(()),
                Step::DeleteHooks(doomed) => failed |= self.delete_hooks(doomed, cancel, &tell).await,
                Step::Prune(_) | Step::RunHooks(_) if failed => return Ok(()),
                Step::RunHooks(runs) => failed |= self.run_hooks(app, runs, cancel, &tell).await,
                Step::Prune(doomed) => failed |= self.prune_all(app, doomed, cancel, &tell).await,
            }
        }
        Ok(())
    }

    /// Does something to each item, a few at a time, and tells what has come of it; true when one has failed. There
    /// is nothing to tell of what was not done.
    async fn each<T, A, F>(
        &self,
        items: Vec<T>,
        act: impl Fn(T) -> A,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        A: Future<Output = Option<Done>>,
        F: Future<Output = ()> + Send,
    {
        let answers = futures::stream::iter(items).map(|item| {
            let act = act(item);
            async move {
                let Some(done) = act.await else { return false };
                let failed = done.has_failed();
                tell(done).await;
                failed
            }
        });
        answers.buffer_unordered(WRITES_AT_ONCE).fold(false, |any, failed| async move { any | failed }).await
    }

    /// Sends again what may succeed a little later.
    async fn retry<T, F>(&self, send: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
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
