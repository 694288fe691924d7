//! What happens to the objects of one kind that carry our label?
//!
//! ```text
//! Unknown --every object, then the server's bookmark--> At a version --closed, broken, silent--> At it
//!    ^                                                       |
//!    +-------------------- 410 Gone -------------------------+
//! ```
//!
//! One watch per kind for the whole cluster (or for each namespace of an agent that may act only in some), whatever
//! the number of objects: it begins with every object
//! there is (KEP-3157), so that a list costs one request and no more memory than its largest object.
//! Servers that cannot do that are asked for a list in small pages first. Nothing is kept here: each
//! object is handed on and forgotten.
mod observation;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub(crate) use observation::{Observation, Seen, Sighting};

use crate::APP_LABEL;
use crate::api::{self, Api, ApiError, Line, Lines, Of, Page, WatchRequest};
use crate::backoff::Backoff;
use crate::object::{GroupKind, Gvk, ObjectKey, Resource};

/// How long the server is asked to keep a watch open: long, since each renewal is a request, and
/// different for each, so that they do not all come at once. It is what the server itself would choose.
const WATCH_SECONDS: std::ops::Range<u64> = 1_800..3_600;

/// How long a watch may say nothing before it is taken for dead. Servers send a bookmark about every
/// minute. What only stalls is resumed at the cost of one request.
const SILENCE_MAX: Duration = Duration::from_secs(240);

/// The same while objects are being sent that are there already. A server that sends nothing more, and
/// no end, does not know how to.
const INITIAL_SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a watch has seen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A list begins: what is not in it by its end is gone.
    Listing,
    /// The object exists like this.
    Exists(Box<Sighting>),
    /// The object is gone, or has lost its label, by that version.
    Gone { key: ObjectKey, version: u64 },
    /// The list is complete.
    Listed,
    /// The kind cannot be listed or watched at the moment; tried again by itself.
    Failed(ApiError),
}

/// What one watch is of: a kind, in one namespace or (when that is empty) in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) kind: Gvk,
    pub(crate) namespace: Arc<str>,
}

impl Scope {
    /// Whether objects of that kind in that namespace are seen by it.
    pub(crate) fn has(&self, kind: &GroupKind, namespace: &str) -> bool {
        self.kind.group_kind == *kind && (self.namespace.is_empty() || *self.namespace == *namespace)
    }
}

/// `Kind.group/version`, with the namespace where it is of one.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}", self.kind),
            namespace => write!(f, "{} in {namespace}", self.kind),
        }
    }
}

/// Where the events of all scopes go.
pub(crate) type Sender = mpsc::Sender<(Scope, Event)>;

/// Lists and watches until the receiver is dropped. The caller ends it by aborting its task.
pub(crate) async fn run(api: Api, resource: Arc<Resource>, namespace: Arc<str>, sender: Sender) {
    let scope = Scope { kind: resource.gvk.clone(), namespace };
    let mut watcher = Watcher { api, resource, scope, sender, streams_lists: true };
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut position = Position::Unknown;
    loop {
        let step = match (&mut position, watcher.streams_lists) {
            (Position::Unknown, false) => {
                watcher.list().await.map(|version| position = Position::At(version))
            }
            (position, _) => watcher.follow(position, &mut backoff).await,
        };
        match step {
            Ok(()) => {}
            Err(Stop::Closed) => return,
            Err(Stop::Failed(error)) => {
                tracing::debug!(kind = %watcher.scope, %error, "A watch failed.");
                // The kind is gone: what it had is gone too, and a list will say so.
                if matches!(error, ApiError::NotFound { .. }) {
                    position = Position::Unknown;
                }
                let unknown = matches!(position, Position::Unknown);
                if unknown && watcher.send(Event::Failed(error.clone())).await.is_err() {
                    return;
                }
                tokio::time::sleep(error.retry_after().unwrap_or_default().max(backoff.next_wait())).await;
            }
        }
    }
}

/// How far everything has been told.
enum Position {
    /// Not at all: all objects are to be told first.
    Unknown,
    /// Up to that version.
    At(String),
}

struct Watcher {
    api: Api,
    resource: Arc<Resource>,
    scope: Scope,
    sender: Sender,
    /// Whether the server can begin a watch with what is there, as far as is known.
    streams_lists: bool,
}

/// Why a step ended early.
enum Stop {
    /// Nobody listens any more.
    Closed,
    /// To be tried again, from where it was.
    Failed(ApiError),
}

impl Watcher {
    /// Lists page by page. Gives the version to watch from.
    async fn list(&self) -> Result<String, Stop> {
        let mut next = String::new();
        self.send(Event::Listing).await?;
        loop {
            let page = self.page(&next).await.map_err(Stop::Failed)?;
            for item in page.items {
                self.exists(&item).await?;
            }
            if page.next.is_empty() {
                self.send(Event::Listed).await?;
                return Ok(page.resource_version);
            }
            next = page.next;
        }
    }

    async fn page(&self, next: &str) -> Result<Page, ApiError> {
        self.api.page(&self.resource, &self.scope.namespace, APP_LABEL, next).await
    }

    /// Watches once, from `position` on, which moves along.
    async fn follow(&mut self, position: &mut Position, backoff: &mut Backoff) -> Result<(), Stop> {
        let Some(mut lines) = self.open(position).await? else { return Ok(()) };
        if matches!(position, Position::Unknown) {
            self.send(Event::Listing).await?;
        }
        loop {
            let initial = matches!(position, Position::Unknown);
            let silence_max = if initial { INITIAL_SILENCE_MAX } else { SILENCE_MAX };
            let line = match tokio::time::timeout(silence_max, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) if initial => {
                    let message = "The API server closed a watch before it had listed all objects".to_owned();
                    return Err(Stop::Failed(ApiError::Unreachable(message)));
                }
                // Closed: the usual end. A server that closes at once must not be asked in a tight loop.
                Ok(Ok(None)) => {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(20..120))).await;
                    return Ok(());
                }
                Ok(Err(error)) => {
                    self.restarted();
                    return Err(Stop::Failed(error));
                }
                Err(_) => {
                    self.restarted();
                    self.streams_lists &= !initial;
                    return Ok(());
                }
            };
            match api::read_line(&line) {
                Ok(Line::Empty) => {}
                Ok(Line::Exists(object)) => {
                    backoff.reset();
                    if let Some(version) = self.exists(object).await? {
                        position.advance(version);
                    }
                }
                Ok(Line::Gone(object)) => {
                    backoff.reset();
                    if let Some(gone) = self.read(object) {
                        position.advance(gone.version_text());
                        self.send(Event::Gone { version: gone.version, key: gone.key }).await?;
                    }
                }
                Ok(Line::Bookmark { version, initial_end: true }) if initial => {
                    *position = Position::At(version.into_owned());
                    self.send(Event::Listed).await?;
                }
                Ok(Line::Bookmark { version, .. }) => position.advance(version.into_owned()),
                Ok(Line::Expired) => {
                    self.restarted();
                    *position = Position::Unknown;
                    return Ok(());
                }
                Ok(Line::Error(error)) => return Err(Stop::Failed(error)),
                Err(error) => {
                    tracing::warn!(kind = %self.resource.gvk, %error, "News of an object cannot be read.");
                }
            }
        }
    }

    /// Opens a watch; `None` when another way has to be taken, which is known now.
    async fn open(&mut self, position: &mut Position) -> Result<Option<Lines>, Stop> {
        let from = match position {
            Position::Unknown => api::From::Everything,
            Position::At(version) => api::From::Version(version),
        };
        let request = WatchRequest {
            resource: &self.resource,
            namespace: &self.scope.namespace,
            of: Of::Label(APP_LABEL),
            from,
            seconds: fastrand::u64(WATCH_SECONDS),
        };
        match (self.api.watch(&request).await, from) {
            (Ok(lines), _) => Ok(Some(lines)),
            (Err(ApiError::Gone), _) => {
                *position = Position::Unknown;
                Ok(None)
            }
            (Err(ApiError::Rejected { code: 400 | 422, .. }), api::From::Everything) => {
                self.streams_lists = false;
                Ok(None)
            }
            (Err(error), _) => Err(Stop::Failed(error)),
        }
    }

    /// Hands an object on. Gives its version, unless it cannot be read.
    async fn exists(&self, object: &serde_json::value::RawValue) -> Result<Option<String>, Stop> {
        let Some(sighting) = self.read(object) else { return Ok(None) };
        let version = sighting.version_text();
        self.send(Event::Exists(Box::new(sighting))).await?;
        Ok(Some(version))
    }

    /// Reads an object's head. What cannot be read is left out, or it would keep all others from being seen.
    fn read(&self, object: &serde_json::value::RawValue) -> Option<Sighting> {
        let sighting = Sighting::read(&self.resource, object);
        if let Err(error) = &sighting {
            tracing::warn!(kind = %self.resource.gvk, %error, "An object cannot be read and is left out.");
        }
        sighting.ok()
    }

    fn restarted(&self) {
        self.api.metrics().watch_restarted(&self.resource.gvk.group_kind);
    }

    async fn send(&self, event: Event) -> Result<(), Stop> {
        self.sender.send((self.scope.clone(), event)).await.map_err(|_| Stop::Closed)
    }
}

impl Position {
    /// Moves on, once everything before has been told.
    fn advance(&mut self, version: String) {
        if let Position::At(current) = self
            && !version.is_empty()
        {
            *current = version;
        }
    }
}
