//! What does `kubectl describe configmap muster-app-NAME` tell of an app?
//!
//! ```text
//! reconcile --tell--> a few waiting --> Aggregator decides --> Events on the ApplySet parent
//! ```
//!
//! Events are for people who have kubectl and nothing else. They are written when there is time: what
//! cannot be written is dropped, since the log and the hub have it too.
mod aggregate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use muster_wire::v1::{EventKind, HealthStatus};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::FIELD_MANAGER;
use crate::api::{Api, ApiError};
use crate::applyset::parent_name;
use crate::object::{Gvk, Resource, text};
use crate::shorten::shorten;
use aggregate::{Aggregator, Decision, Known, Words};

/// Events waiting to be written; what comes when so many wait is dropped.
const WAITING_MAX: usize = 256;

/// Longest message, in bytes: the API server takes no longer one.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// Digits of a revision that are shown.
const REVISION_DIGITS: usize = 12;

/// Something to tell.
enum News {
    Told {
        words: Words,
        warning: bool,
    },
    /// The app is gone.
    Gone(String),
}

/// Takes what is to be told, without ever waiting.
#[derive(Clone)]
pub(crate) struct Recorder(mpsc::Sender<News>);

/// Writes Events while this agent leads.
pub(crate) struct Writer {
    api: Api,
    /// Namespace of the parents.
    home: Arc<str>,
    /// This agent's name.
    identity: String,
    news: mpsc::Receiver<News>,
    aggregator: Aggregator,
    uids: ParentUids,
}

/// Uids of the parents, by app: known to who has written or read a parent, so that they need not be asked for.
#[derive(Clone, Default)]
pub(crate) struct ParentUids(Arc<Mutex<HashMap<String, Box<str>>>>);

impl ParentUids {
    /// Notes the uid of a parent as the API server gave it.
    pub(crate) fn note(&self, app: &str, parent: &Value) {
        self.lock().insert(app.to_owned(), text(parent, &["metadata", "uid"]).into());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Box<str>>> {
        // Each change is one insertion or removal: a panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recorder, and the writer to run beside it.
pub(crate) fn channel(api: Api, home: Arc<str>, identity: String, uids: ParentUids) -> (Recorder, Writer) {
    let (sender, news) = mpsc::channel(WAITING_MAX);
    let aggregator = Aggregator::default();
    (Recorder(sender), Writer { api, home, identity, news, aggregator, uids })
}

impl Recorder {
    /// Tells of an app; `health` is how it fares now.
    pub(crate) fn tell(
        &self,
        kind: EventKind,
        app: &str,
        revision: &str,
        message: &str,
        health: HealthStatus,
    ) {
        let Some((reason, warning)) = reason(kind, health) else { return };
        let message = match revision.get(..REVISION_DIGITS).unwrap_or(revision) {
            "" => message.to_owned(),
            revision => format!("{message} (revision {revision})"),
        };
        let words = Words { app: app.to_owned(), reason, message: shorten(message, MESSAGE_BYTES_MAX) };
        self.send(News::Told { words, warning });
    }

    /// An app is gone.
    pub(crate) fn forget(&self, app: &str) {
        self.send(News::Gone(app.to_owned()));
    }

    fn send(&self, news: News) {
        if self.0.try_send(news).is_err() {
            tracing::debug!("An Event is dropped: too many wait to be written.");
        }
    }
}

/// The reason in one word, and whether it is a warning; none for what is not an app's.
fn reason(kind: EventKind, health: HealthStatus) -> Option<(&'static str, bool)> {
    let ill = matches!(health, HealthStatus::Degraded | HealthStatus::Missing);
    match kind {
        EventKind::Synced => Some(("Synced", false)),
        EventKind::SyncFailed => Some(("SyncFailed", true)),
        EventKind::DriftDetected => Some(("DriftDetected", false)),
        EventKind::DriftCorrected => Some(("DriftCorrected", false)),
        EventKind::Pruned => Some(("Pruned", false)),
        // Where it goes is told when it is there, and every sync of a workload would have one more.
        EventKind::HealthChanged if health == HealthStatus::Progressing => None,
        EventKind::HealthChanged => Some((muster_wire::health_word(health), ill)),
        _ => None,
    }
}

impl Writer {
    /// Writes until nobody can tell anything any more. The caller ends it by aborting its task.
    pub(crate) async fn run(mut self) {
        while let Some(news) = self.news.recv().await {
            match news {
                News::Gone(app) => {
                    self.aggregator.forget_app(&app);
                    self.uids.lock().remove(&app);
                }
                News::Told { words, warning } => {
                    if let Err(error) = self.write(&words, warning).await {
                        self.aggregator.forget(&words);
                        tracing::debug!(app = words.app, %error, "An Event could not be written.");
                    }
                }
            }
        }
    }

    async fn write(&mut self, words: &Words, warning: bool) -> Result<(), ApiError> {
        let uid = self.uid(&words.app).await?;
        let parent = parent_name(&words.app);
        let name = format!("{parent}.{:016x}", fastrand::u64(..));
        let now = time();
        let event = |known: &Known| {
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": known.name, "namespace": &*self.home},
                "involvedObject": {
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "namespace": &*self.home, "name": parent, "uid": uid,
                },
                "type": if warning { "Warning" } else { "Normal" },
                "reason": words.reason, "message": words.message,
                "count": known.count, "firstTimestamp": known.first, "lastTimestamp": now,
                "source": {"component": FIELD_MANAGER},
                "reportingComponent": FIELD_MANAGER, "reportingInstance": self.identity,
            })
        };
        match self.aggregator.decide(words, name, &now, Instant::now()) {
            Decision::Drop => Ok(()),
            Decision::Create(known) => {
                self.api.create_fenced(&events(), &self.home, &event(&known)).await.map(drop)
            }
            Decision::Count(known) => {
                self.api.replace_fenced(&events(), &self.home, &known.name, &event(&known)).await.map(drop)
            }
        }
    }

    /// The uid of an app's parent: `kubectl describe` asks for Events by it.
    async fn uid(&self, app: &str) -> Result<Box<str>, ApiError> {
        let known = self.uids.lock().get(app).cloned();
        if let Some(uid) = known {
            return Ok(uid);
        }
        let parent: Value = self.api.get(&config_maps(), &self.home, &parent_name(app)).await?;
        self.uids.note(app, &parent);
        Ok(text(&parent, &["metadata", "uid"]).into())
    }
}

/// Now, as Events spell it: seconds, in UTC.
fn time() -> String {
    jiff::Timestamp::try_from(SystemTime::now())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn events() -> Resource {
    Resource { gvk: Gvk::of("v1", "Event"), plural: "events".to_owned(), namespaced: true }
}

fn config_maps() -> Resource {
    Resource { gvk: Gvk::of("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_is_a_warning_and_only_what_has_come_to_something_is_told() {
        let healthy = HealthStatus::Healthy;
        assert_eq!(reason(EventKind::Synced, healthy), Some(("Synced", false)));
        assert_eq!(reason(EventKind::SyncFailed, healthy), Some(("SyncFailed", true)));
        assert_eq!(reason(EventKind::HealthChanged, HealthStatus::Degraded), Some(("Degraded", true)));
        assert_eq!(reason(EventKind::HealthChanged, HealthStatus::Suspended), Some(("Suspended", false)));
        assert_eq!(reason(EventKind::HealthChanged, HealthStatus::Progressing), None);
        assert_eq!(reason(EventKind::Enrolled, healthy), None);
    }
}
