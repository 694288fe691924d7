//! How is a hook run, and its object deleted?
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Known, applied};
use super::{Applied, Done, Executor, Failure};
use crate::api::ApiError;
use crate::object::text;
use crate::plan::hook::{RUN, stamped};
use crate::plan::{Desired, Doomed, HookRun};
use crate::source::{Kind, Problem};

impl Executor {
    /// Makes the objects of hooks; true when one could not be made.
    pub(super) async fn run_hooks<F>(
        &self,
        app: &str,
        runs: Vec<HookRun>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let run = |run: HookRun| async move {
            let outcome = self.run_hook(app, &run, cancel).await;
            Some(Done::Applied { key: run.key, outcome })
        };
        self.each(runs, run, tell).await
    }

    /// A hook must start from nothing: applied over an object that is there already, a Job that has ended
    /// would count as having run.
    async fn run_hook(
        &self,
        app: &str,
        run: &HookRun,
        cancel: &CancellationToken,
    ) -> Result<Applied, Failure> {
        let HookRun { key, desired, run, .. } = run;
        let refuse = |message: String| Failure {
            problem: Some(Problem { kind: Kind::Apply, place: key.to_string(), message }),
            may_have_happened: false,
        };
        match self.retry(|| self.api.get(&desired.resource, &key.namespace, &key.name)).await {
            Err(ApiError::NotFound { .. }) => {}
            // The answer to an earlier write was lost.
            Ok(found) if text(&found, &["metadata", "annotations", RUN]) == run => {
                return Ok(applied(desired, found));
            }
            Ok(found) => return Err(refuse(in_the_way(&found, desired))),
            Err(error) => return Err(refuse(format!("The hook could not be looked for: {error}"))),
        }
        let body = stamped(&desired.body, run).into();
        let desired = Desired { body, ..desired.clone() };
        let known = Known::default();
        self.apply(&Attempt { executor: self, app, key, desired: &desired, known: &known, cancel }).await
    }

    /// Deletes objects of hooks; true when one could not be deleted.
    pub(super) async fn delete_hooks<F>(
        &self,
        doomed: Vec<Doomed>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let delete = |doomed: Doomed| async move {
            if cancel.is_cancelled() {
                return None;
            }
            let outcome = self.delete(&doomed).await.map_err(|error| Problem {
                kind: Kind::Prune,
                place: doomed.key.to_string(),
                message: format!("The object of an earlier run of this hook could not be deleted: {error}"),
            });
            Some(Done::HookDeleted { key: doomed.key, outcome })
        };
        self.each(doomed, delete, tell).await
    }
}

fn in_the_way(found: &Value, desired: &Desired) -> String {
    let place = &desired.place;
    if text(found, &["metadata", "annotations", RUN]).is_empty() {
        format!(
            "An object by the name of this hook is there already, and no hook of Muster's made it. Delete it, or give \
             the hook another name. It is written in {place}."
        )
    } else {
        format!(
            "An earlier run of this hook is still there; tried again by itself. It is written in {place}."
        )
    }
}
