//! What happens to the objects of one kind that carry our label?
//!
//! ```text
//! Listing --last page--> Watching --server closes--> Watching again from the last version
//!    ^                       |
//!    +----- 410 Gone --------+
//! ```
//!
//! One list in small pages and one watch per kind for the whole cluster, whatever the number of objects.
//! Nothing is kept here: each object is handed on and forgotten.
mod observation;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

pub(crate) use observation::{Observation, Seen};

use crate::APP_LABEL;
use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::object::{Gvk, Resource};

/// How long the server is asked to keep a watch open: long, since each renewal is a request, and
/// different for each, so that they do not all come at once.
const WATCH_SECONDS: std::ops::Range<u64> = 240..420;

/// How long after that a watch that says nothing is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// What a watch has seen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A list begins: what is not in it by its end is gone.
    Listing,
    /// The object exists like this.
    Exists(Box<Observation>),
    /// The object is gone, or has lost its label.
    Gone(Box<Observation>),
    /// The list is complete.
    Listed,
    /// The kind cannot be listed or watched at the moment; tried again by itself.
    Failed(ApiError),
}

/// Where the events of a kind go.
pub(crate) type Sender = mpsc::Sender<(Gvk, Event)>;

/// Lists and watches until the receiver is dropped. The caller ends it by aborting its task.
pub(crate) async fn run(api: Api, resource: Arc<Resource>, sender: Sender) {
    let watcher = Watcher { api, resource, sender };
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut version = None;
    loop {
        let step = match version.take() {
            None => watcher.list().await,
            Some(version) => watcher.follow(version, &mut backoff).await,
        };
        match step {
            Ok(next) => version = next,
            Err(Stop::Closed) => return,
            Err(Stop::Failed(error, from)) => {
                tracing::debug!(kind = %watcher.resource.gvk, %error, "A watch failed.");
                version = from;
                if version.is_none() && watcher.send(Event::Failed(error.clone())).await.is_err() {
                    return;
                }
                tokio::time::sleep(error.retry_after().unwrap_or_default().max(backoff.next_wait())).await;
            }
        }
    }
}

struct Watcher {
    api: Api,
    resource: Arc<Resource>,
    sender: Sender,
}

/// Why a step ended early.
enum Stop {
    /// Nobody listens any more.
    Closed,
    /// To be tried again, from that version or with a new list.
    Failed(ApiError, Option<String>),
}

impl Watcher {
    async fn list(&self) -> Result<Option<String>, Stop> {
        let failed = |error| Stop::Failed(error, None);
        let mut next = String::new();
        self.send(Event::Listing).await?;
        loop {
            let page = self.api.page(&self.resource, "", APP_LABEL, &next).await.map_err(failed)?;
            for item in page.items {
                // Nested deeper than anything sensible: left out, or it would keep all others from being seen.
                let Ok(body) = parse(&item) else {
                    tracing::warn!(kind = %self.resource.gvk, "An object cannot be read and is left out.");
                    continue;
                };
                self.send(Event::Exists(Box::new(Observation::of(&self.resource, body)))).await?;
            }
            if page.next.is_empty() {
                self.send(Event::Listed).await?;
                return Ok(Some(page.resource_version));
            }
            next = page.next;
        }
    }

    /// Watches once. Gives the version to go on from, or none when only a new list will do.
    async fn follow(&self, mut version: String, backoff: &mut Backoff) -> Result<Option<String>, Stop> {
        let seconds = fastrand::u64(WATCH_SECONDS);
        let silence_max = Duration::from_secs(seconds) + GRACE;
        let mut lines = match self.api.watch(&self.resource, APP_LABEL, &version, seconds).await {
            Ok(lines) => lines,
            Err(ApiError::Gone) => return Ok(None),
            // The kind is gone: what it had is gone too, and a list will say so.
            Err(error @ ApiError::NotFound { .. }) => return Err(Stop::Failed(error, None)),
            Err(error) => return Err(Stop::Failed(error, Some(version))),
        };
        loop {
            let line = match tokio::time::timeout(silence_max, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                // Closed: the usual end. Broken or silent: the same, since the version is known.
                Ok(Ok(None)) => {
                    // A server that closes at once must not be asked in a tight loop.
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(20..120))).await;
                    return Ok(Some(version));
                }
                Ok(Err(error)) => {
                    self.restarted();
                    return Err(Stop::Failed(error, Some(version)));
                }
                Err(_) => {
                    self.restarted();
                    return Ok(Some(version));
                }
            };
            match read_line(&line) {
                Ok(Line::Gone) => {
                    self.restarted();
                    return Ok(None);
                }
                Ok(Line::Error(error)) => return Err(Stop::Failed(error, Some(version))),
                Ok(Line::Empty) => {}
                Ok(Line::Event { name, body }) => {
                    backoff.reset();
                    let found = crate::object::text(&body, &["metadata", "resourceVersion"]);
                    if !found.is_empty() {
                        version = found.to_owned();
                    }
                    match name {
                        Name::Exists => {
                            let seen = Observation::of(&self.resource, body);
                            self.send(Event::Exists(Box::new(seen))).await?;
                        }
                        Name::Gone => {
                            let seen = Observation::of(&self.resource, body);
                            self.send(Event::Gone(Box::new(seen))).await?;
                        }
                        Name::Bookmark => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = %self.resource.gvk, %error, "News of an object cannot be read.");
                }
            }
        }
    }

    fn restarted(&self) {
        self.api.metrics().watch_restarted(&self.resource.gvk.group_kind);
    }

    async fn send(&self, event: Event) -> Result<(), Stop> {
        self.sender.send((self.resource.gvk.clone(), event)).await.map_err(|_| Stop::Closed)
    }
}

#[derive(Debug, PartialEq)]
enum Name {
    Exists,
    Gone,
    Bookmark,
}

#[derive(Debug, PartialEq)]
enum Line {
    Empty,
    Event {
        name: Name,
        body: Value,
    },
    /// The history is gone: list again.
    Gone,
    Error(ApiError),
}

fn read_line(line: &[u8]) -> Result<Line, ApiError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(Line::Empty);
    }
    let raw: Raw<'_> = serde_json::from_slice(line)
        .map_err(|error| ApiError::Malformed(format!("A watch event is not the JSON expected: {error}.")))?;
    let body = parse(raw.object)?;
    Ok(match raw.r#type {
        "ADDED" | "MODIFIED" => Line::Event { name: Name::Exists, body },
        "DELETED" => Line::Event { name: Name::Gone, body },
        "BOOKMARK" => Line::Event { name: Name::Bookmark, body },
        _ if body.get("code").and_then(Value::as_i64) == Some(410) => Line::Gone,
        _ => {
            let message = crate::object::text(&body, &["message"]).to_owned();
            Line::Error(ApiError::Unreachable(message))
        }
    })
}

fn parse(raw: &RawValue) -> Result<Value, ApiError> {
    serde_json::from_str(raw.get()).map_err(|error| {
        ApiError::Malformed(format!("An object in a list is not the JSON expected: {error}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_line_says_what_happened() {
        let body = json!({"metadata": {"resourceVersion": "5"}});
        let line = |name: &str| json!({"type": name, "object": body}).to_string();
        let event = |name| Line::Event { name, body: body.clone() };
        assert_eq!(read_line(line("ADDED").as_bytes()).unwrap(), event(Name::Exists));
        assert_eq!(read_line(line("MODIFIED").as_bytes()).unwrap(), event(Name::Exists));
        assert_eq!(read_line(line("DELETED").as_bytes()).unwrap(), event(Name::Gone));
        assert_eq!(read_line(line("BOOKMARK").as_bytes()).unwrap(), event(Name::Bookmark));
        assert_eq!(read_line(b" ").unwrap(), Line::Empty);
        let expired = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        assert_eq!(read_line(expired).unwrap(), Line::Gone);
        let broken = br#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}"#;
        assert!(matches!(read_line(broken).unwrap(), Line::Error(ApiError::Unreachable(_))));
        assert!(read_line(br#"{"type":"ADDED","obj"#).is_err());
    }
}
