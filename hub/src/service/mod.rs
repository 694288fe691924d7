//! What does each gRPC service answer?

mod agents;
mod enrollment;
mod fleet;
mod promotion;
mod tokens;

use std::{sync::Arc, time::Duration};

use muster_spec::ClusterName;
use tokio::sync::{RwLock, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Status};

use crate::{
    authority::Authority,
    clock::Clock,
    commit::{Committer, Fleet, NotKept},
    identity::{Credential, Identity},
    listener::{Caller, Peer},
    repository::Promotion,
    streams::Streams,
    watch::Watchers,
};

/// How long a call waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// What all services share.
pub(crate) struct Hub {
    pub(crate) authority: Authority,
    pub(crate) fleet: Arc<RwLock<Fleet>>,
    pub(crate) committer: Committer,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) clock: Clock,
    pub(crate) heartbeat: Duration,
    pub(crate) certificate_lifetime: Duration,
    /// Whether this hub does what one of those that share the store must do once.
    pub(crate) leader: watch::Receiver<bool>,
    /// Set when the hub begins to stop.
    pub(crate) stopping: CancellationToken,
    /// The fleet repository, if there is one.
    pub(crate) promotion: Option<Promotion>,
    /// Counts the news in Git that agents should fetch.
    pub(crate) hints: watch::Sender<u64>,
    /// The streams of agents; the hub waits for them when it stops.
    pub(crate) tasks: TaskTracker,
}

/// A service over the hub.
#[derive(Clone)]
pub(crate) struct Serve(pub(crate) Arc<Hub>);

impl From<NotKept> for Status {
    fn from(_: NotKept) -> Self {
        Status::unavailable("the hub cannot write its store now; try again, and see the hub's log")
    }
}

fn stopping() -> Status {
    Status::unavailable("the hub stops; connect again")
}

/// Who calls. The guard has let only callers with a credential through to services that need one.
fn credential<T>(request: &Request<T>) -> Result<Credential, Status> {
    match request.extensions().get::<Peer>().map(Peer::caller) {
        Some(Caller::Known(credential)) => Ok(credential.clone()),
        _ => Err(Status::unauthenticated("a client certificate is needed")),
    }
}

/// The cluster whose agent calls.
fn calling_cluster<T>(request: &Request<T>) -> Result<(ClusterName, Credential), Status> {
    let credential = credential(request)?;
    match &credential.identity {
        Identity::Cluster(name) => Ok((name.clone(), credential)),
        Identity::Operator(_) => Err(Status::permission_denied("this service is for the agents of clusters")),
    }
}

/// Where a call comes from, for the log.
fn address<T>(request: &Request<T>) -> String {
    request.extensions().get::<Peer>().map(|peer| peer.address().to_string()).unwrap_or_default()
}

fn cluster_name(text: &str) -> Result<ClusterName, Status> {
    text.parse().map_err(|error: muster_spec::NameError| Status::invalid_argument(error.to_string()))
}

/// An empty text stands for none.
fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
