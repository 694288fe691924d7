//! How is one object written, and what do its errors mean?
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Failed, Known};
use super::{Applied, Done, Executor, Failure, RETRY_MAX, RETRY_MIN, TRIES, secrets};
use crate::api::ApiError;
use crate::backoff::Backoff;
use crate::object::{Gvk, ObjectKey, Resource};
use crate::plan::Desired;
use crate::source::{Kind, Problem};

impl Executor {
    pub(super) async fn apply_all<F>(
        &self,
        (app, known): (&str, &Known),
        objects: Vec<(ObjectKey, Desired)>,
        cancel: &CancellationToken,
        tell: &(impl Fn(Done) -> F + Sync),
    ) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let apply = |(key, desired)| async move {
            let attempt = Attempt { executor: self, app, key: &key, desired: &desired, known, cancel };
            let outcome = self.apply(&attempt).await;
            Some(Done::Applied { key, outcome })
        };
        self.each(objects, apply, tell).await
    }

    pub(super) async fn apply(&self, attempt: &Attempt<'_>) -> Result<Applied, Failure> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut may_have_happened = false;
        for tries in 1.. {
            let error = match attempt.run().await {
                Ok(applied) => return Ok(applied),
                Err(Failed::Cancelled | Failed::Api(ApiError::NotLeading)) => break,
                Err(Failed::Refused(message)) => {
                    let problem = Some(problem(attempt.key, attempt.desired, &message));
                    return Err(Failure { problem, may_have_happened });
                }
                Err(Failed::Api(error)) => error,
            };
            may_have_happened |= matches!(error, ApiError::Timeout | ApiError::Unreachable(_));
            if !error.is_transient() || tries == TRIES {
                if matches!(&error, ApiError::NotFound { kind, .. } if kind != "namespaces") {
                    self.discovery.forget(&attempt.desired.resource.gvk);
                }
                let problem = Some(apply_problem(attempt.key, attempt.desired, &error));
                return Err(Failure { problem, may_have_happened });
            }
            let wait = backoff.next_wait().max(error.retry_after().unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = attempt.cancel.cancelled() => {}
            }
        }
        Err(Failure { problem: None, may_have_happened })
    }

    /// Creates a Namespace unless it is there.
    pub(super) async fn ensure_namespace(&self, name: &str) -> Result<(), Problem> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespaces = namespaces();
        let ensured = self
            .retry(|| async {
                match self.api.create_fenced(&namespaces, "", &body).await {
                    Err(ApiError::Conflict(_)) => Ok(()),
                    // Who may not create it, or not another one, may still find it there.
                    Err(refusal @ ApiError::Rejected { .. }) => {
                        self.api.get(&namespaces, "", name).await.map(drop).map_err(|_| refusal)
                    }
                    created => created.map(drop),
                }
            })
            .await;
        ensured.map_err(|error| Problem {
            kind: Kind::Apply,
            place: format!("Namespace/{name}"),
            message: format!("The app's namespace could not be created: {error}"),
        })
    }
}

fn apply_problem(key: &ObjectKey, desired: &Desired, error: &ApiError) -> Problem {
    let message = match error {
        ApiError::NotFound { kind, message } if kind == "namespaces" => {
            format!("Its namespace does not exist: {message}.")
        }
        ApiError::NotFound { .. } => format!("The API server has no kind {} any more.", desired.resource.gvk),
        error => error.to_string(),
    };
    problem(key, desired, &message)
}

fn problem(key: &ObjectKey, desired: &Desired, message: &str) -> Problem {
    let message = format!("{message} It is written in {}.", desired.place);
    Problem { kind: Kind::Apply, place: key.to_string(), message: masked(key, desired, message) }
}

/// A message about an object, without the values of a Secret.
pub(crate) fn masked(key: &ObjectKey, desired: &Desired, message: String) -> String {
    if key.kind.is("", "Secret") { secrets::mask(&message, &desired.body) } else { message }
}

fn namespaces() -> Resource {
    Resource { gvk: Gvk::of("v1", "Namespace"), plural: "namespaces".to_owned(), namespaced: false }
}
