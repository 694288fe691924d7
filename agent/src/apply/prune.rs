//! How is an object deleted that left Git?
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Done, Executor, RETRY_MAX, RETRY_MIN, TRIES, WRITES_AT_ONCE, foreign};
use crate::api::ApiError;
use crate::backoff::Backoff;
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
        let Doomed { key, resource, uid, with_contents } = doomed;
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
        loop {
            tries += 1;
            match self.writer.delete(resource, &key.namespace, &key.name, uid).await {
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
}
