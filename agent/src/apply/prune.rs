//! How is an object deleted that left Git?
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::{Done, Executor, foreign};
use crate::api::ApiError;
use crate::plan::Doomed;
use crate::source::{Kind, Problem};

impl Executor {
    pub(super) async fn prune_all<F>(
        &self,
        app: &str,
        doomed: Vec<Doomed>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let prune = |doomed: Doomed| async move {
            if cancel.is_cancelled() {
                return None;
            }
            let outcome = self.prune(app, &doomed).await;
            Some(Done::Pruned { key: doomed.key, outcome })
        };
        self.each(doomed, prune, tell).await
    }

    async fn prune(&self, app: &str, doomed: &Doomed) -> Result<(), Problem> {
        let Doomed { key, with_contents, .. } = doomed;
        let refuse = |message: String| Problem { kind: Kind::Prune, place: key.to_string(), message };
        let taken_along = match with_contents {
            true => Ok(None),
            false => foreign::taken_along(&self.api, &self.discovery, app, key).await,
        };
        match taken_along {
            Ok(None) => {}
            Ok(Some(other)) => {
                return Err(refuse(format!(
                    "It left Git and is kept, since {other} would be deleted with it and is not the app's, or is to be \
                     kept. Delete or move that, put this back into Git, or annotate this in the cluster with \
                     muster.dev/prune: with-contents."
                )));
            }
            Err(error) => {
                return Err(refuse(format!(
                    "It left Git, and what it holds could not be looked through: {error}"
                )));
            }
        }
        let deleted = self.delete(doomed).await;
        deleted.map_err(|error| refuse(format!("It left Git and could not be deleted: {error}")))
    }

    /// Asks for an object to go; fine when the one that is meant is gone already.
    pub(super) async fn delete(&self, doomed: &Doomed) -> Result<(), ApiError> {
        let Doomed { key, resource, uid, .. } = doomed;
        let delete = || async {
            let Some(pass) = self.writes.enter().await else { return Err(ApiError::NotLeading) };
            let began = Instant::now();
            let answer = self.writer.delete(resource, &key.namespace, &key.name, uid).await;
            pass.answered(&answer, began.elapsed());
            match answer {
                // A conflict is one over the uid: another object has that name now.
                Err(ApiError::NotFound { .. } | ApiError::Conflict(_)) => Ok(()),
                answer => answer,
            }
        };
        self.retry(delete).await
    }
}
