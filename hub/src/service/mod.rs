//! What does each gRPC service answer?

mod access;
mod agents;
mod alerts;
mod audit;
mod authority;
mod clusters;
mod enrollment;
mod fleet;
mod page;
mod promotion;
mod tokens;

pub(crate) use self::fleet::Sight;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use muster_spec::ClusterName;
use tokio::sync::{RwLock, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Status};

use crate::{
    access::{Admitted, Gate, Principal, policy::Grant, user::User},
    alerts::Tellers,
    authority::Authority,
    clock::Clock,
    commit::{Committer, Fleet, NotKept},
    identity::Credential,
    repository::Promotion,
    streams::Streams,
    watch::Watchers,
};

/// How long a call waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// What all services share.
pub(crate) struct Hub {
    pub(crate) authority: watch::Receiver<Arc<Authority>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) agents: Agents,
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
    /// Who is told what is wrong.
    pub(crate) alerts: Tellers,
    /// Counts the news in Git that agents should fetch.
    pub(crate) hints: watch::Sender<u64>,
    /// The streams of agents; the hub waits for them when it stops.
    pub(crate) tasks: TaskTracker,
}

/// What matters of the agents that are connected, beyond what they report.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    /// SHA-256 of each CA an agent trusts; of those that say so.
    trusted: Mutex<BTreeMap<ClusterName, Vec<Vec<u8>>>>,
    /// How many were given a time to come back.
    slots: AtomicU32,
}

/// Agents that come back in one second: below what [`crate::listener`] admits.
const RETURNS_PER_SECOND: u32 = 500;
/// How long a restart of the hub takes at least.
const RESTART: Duration = Duration::from_secs(1);

impl Agents {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Vec<Vec<u8>>>> {
        // No code that holds the lock can panic half-way.
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent says which CAs it trusts.
    pub(crate) fn trusts(&self, cluster: &ClusterName, trusted: Vec<Vec<u8>>) {
        self.lock().insert(cluster.clone(), trusted);
    }

    /// An agent is gone.
    pub(crate) fn gone(&self, cluster: &ClusterName) {
        self.lock().remove(cluster);
    }

    /// Connected clusters whose agents do not trust this CA.
    pub(crate) fn without(&self, fingerprint: &[u8]) -> Vec<ClusterName> {
        let agents = self.lock();
        let without = agents.iter().filter(|(_, trusted)| !trusted.iter().any(|one| one == fingerprint));
        without.map(|(cluster, _)| cluster.clone()).collect()
    }

    /// Within which time agents are to come back that lose their stream all at once.
    pub(crate) fn spread(&self) -> Duration {
        let agents = u32::try_from(self.lock().len()).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * agents / RETURNS_PER_SECOND).max(RESTART)
    }

    /// When the next agent that is sent away is to come back: one after the other.
    pub(crate) fn slot(&self) -> Duration {
        RESTART + Duration::from_secs(1) * self.slots.fetch_add(1, Ordering::Relaxed) / RETURNS_PER_SECOND
    }
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

impl Hub {
    /// The CA that signs now.
    pub(crate) fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority.borrow())
    }
}

/// The call as the gate let it through.
fn admitted<T>(request: &Request<T>) -> Result<Admitted, Status> {
    let admitted = request.extensions().get::<Admitted>().cloned();
    admitted.ok_or_else(|| Status::internal("the call did not come through the gate"))
}

/// The cluster whose agent calls.
fn calling_cluster(call: &Admitted) -> Result<(ClusterName, Credential), Status> {
    match &call.principal {
        Principal::Cluster(name, credential) => Ok((name.clone(), credential.clone())),
        _ => Err(Status::permission_denied("this service is for the agents of clusters")),
    }
}

/// The user who calls, and what it may do.
fn calling_user(call: &Admitted) -> Result<(User, Arc<Grant>), Status> {
    match &call.principal {
        Principal::User(user, grant) => Ok((user.clone(), Arc::clone(grant))),
        _ => Err(Status::permission_denied("this service is for users")),
    }
}

fn cluster_name(text: &str) -> Result<ClusterName, Status> {
    text.parse().map_err(|error: muster_spec::NameError| Status::invalid_argument(error.to_string()))
}

/// An empty text stands for none.
fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
