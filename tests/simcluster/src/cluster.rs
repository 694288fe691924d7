//! How do tests and demos start simulated clusters, and play fate with them?

use crate::faults::Fault;
use crate::schema::Builtins;
use crate::server::{Authority, Connections, serve};
use crate::settings::Settings;
use crate::state::State;
use crate::{Error, controllers};
use base64::Engine;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Many simulated clusters in one process, with one certificate authority.
#[derive(Clone)]
pub struct Simulation {
    authority: Authority,
    builtins: Arc<Builtins>,
}

impl Simulation {
    /// Makes the certificate authority; no cluster runs yet.
    ///
    /// # Errors
    /// Only when no keys can be made.
    pub fn new() -> Result<Simulation, Error> {
        Ok(Simulation { authority: Authority::new()?, builtins: Builtins::load() })
    }

    /// The certificate of the authority that signs every cluster's server certificate.
    pub fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    /// Starts a cluster on a free loopback port. It must be called within a Tokio runtime with time and network.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(&self, name: &str, settings: Settings) -> Result<SimCluster, Error> {
        self.start_on(name, settings, 0).await
    }

    /// Starts a cluster on this loopback port; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(&self, name: &str, settings: Settings, port: u16) -> Result<SimCluster, Error> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let address = listener.local_addr().map_err(|source| Error::Listen { port, source })?;
        let now = Timestamp::now();
        let seed =
            name.bytes().fold(now.as_nanosecond() as u64, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            address,
            authority: self.authority.clone(),
            state: Mutex::new(State::new(&self.builtins, settings, seed, now)),
            changes: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            secret: format!("{seed:016x}"),
        });
        let controllers = tokio::spawn(control(Arc::downgrade(&shared), shared.changes.subscribe()));
        let server = tokio::spawn(serve(listener, shared.clone()));
        let tasks = Arc::new(Tasks { controllers, server: Mutex::new(Some(server)) });
        shared.changed();
        Ok(SimCluster { shared, tasks })
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { port: address.port(), source })
}

/// What the server, the controllers and the handle of one cluster share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    state: Mutex<State>,
    /// The version of the last change, to wake watches and controllers.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) connections: Connections,
    secret: String,
}

impl Shared {
    /// The state. A panic while it was held leaves it as it was then: requests are single steps.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for changes.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn token(&self, user: &str) -> String {
        format!("{}.{user}", self.secret)
    }

    /// The user a token stands for.
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        let (secret, user) = token.split_once('.')?;
        (secret == self.secret).then(|| user.to_owned())
    }
}

/// Runs the controllers until the cluster is dropped.
async fn control(shared: Weak<Shared>, mut changes: watch::Receiver<u64>) {
    loop {
        let Some(cluster) = shared.upgrade() else { return };
        changes.borrow_and_update();
        let now = Timestamp::now();
        let (due, changed) = {
            let mut state = cluster.lock();
            let before = state.store.version();
            let due = controllers::step(&mut state, now);
            (due, state.store.version() != before)
        };
        if changed {
            cluster.changes.send_modify(|count| *count += 1);
        }
        drop(cluster);
        let wait = due.map_or(Duration::from_secs(3600), |due| crate::server::until(due, now));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Tasks {
    controllers: JoinHandle<()>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Tasks {
    fn server(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.controllers.abort();
        if let Some(server) = self.server().take() {
            server.abort();
        }
    }
}

/// A running simulated cluster. Clones are handles of the same cluster, which ends with the last of them.
#[derive(Clone)]
pub struct SimCluster {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

impl std::fmt::Debug for SimCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimCluster").field("name", &self.name()).field("url", &self.url()).finish()
    }
}

impl SimCluster {
    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("https://{}", self.shared.address)
    }

    /// The bearer token of a user; any name is a user who may do everything.
    pub fn token(&self, user: &str) -> String {
        self.shared.token(user)
    }

    /// A kubeconfig for a user, which is its only context.
    pub fn kubeconfig(&self, user: &str) -> String {
        let name = self.name();
        let authority = base64::engine::general_purpose::STANDARD.encode(&self.shared.authority.pem);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url(), "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": {"token": self.token(user)}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        });
        serde_yaml::to_string(&config).unwrap_or_default()
    }

    /// Changes how long workloads take to become ready, from their next rollout on.
    pub fn set_ready_after(&self, delay: Duration) {
        self.shared.lock().settings.ready_after = delay;
    }

    /// Makes a workload crash until [`heal`](Self::heal); `kind` as in `Deployment`.
    pub fn fail(&self, kind: &str, namespace: &str, name: &str) {
        self.set_failing(kind, namespace, name, true);
    }

    /// Ends what [`fail`](Self::fail) began.
    pub fn heal(&self, kind: &str, namespace: &str, name: &str) {
        self.set_failing(kind, namespace, name, false);
    }

    fn set_failing(&self, kind: &str, namespace: &str, name: &str, failing: bool) {
        let mut state = self.shared.lock();
        controllers::set_failing(&mut state, kind, namespace, name, failing, Timestamp::now());
        drop(state);
        self.shared.changed();
    }

    /// Forgets all history: every watch ends with 410 Gone, as after a compaction of etcd.
    pub fn expire_watches(&self) {
        self.shared.lock().store.compact();
        self.shared.changed();
    }

    /// Cuts all open connections, in the middle of whatever they carry.
    pub fn cut_connections(&self) {
        self.shared.connections.send_modify(|count| *count += 1);
    }

    /// Makes matching requests fail.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().faults.add(fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Stops listening and cuts all connections; the cluster's contents and controllers live on.
    pub fn stop(&self) {
        if let Some(server) = self.tasks.server().take() {
            server.abort();
        }
        self.cut_connections();
    }

    /// Listens again on the same address after [`stop`](Self::stop).
    ///
    /// # Errors
    /// When the port was taken by somebody else meanwhile.
    pub async fn resume(&self) -> Result<(), Error> {
        let listener = listen_again(self.shared.address).await?;
        let mut server = self.tasks.server();
        if server.is_none() {
            *server = Some(tokio::spawn(serve(listener, self.shared.clone())));
        }
        Ok(())
    }

    /// How often each verb was asked of each resource, as `("patch", "deployments/scale")`.
    pub fn requests(&self) -> BTreeMap<(String, String), u64> {
        self.shared.lock().counts.clone()
    }

    /// Starts counting from nothing.
    pub fn reset_requests(&self) {
        self.shared.lock().counts.clear();
    }

    /// How many objects there are.
    pub fn object_count(&self) -> usize {
        self.shared.lock().store.len()
    }

    /// An object as it is kept, without a request: `("deployments.apps", "shop", "web")`. The resource is named as in
    /// `kubectl get`; the namespace is empty for cluster-scoped objects.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.lock().store.get(resource, namespace, name).map(|record| record.value())
    }
}

/// The port may still be held for a moment by the listener that was stopped.
async fn listen_again(address: SocketAddr) -> Result<TcpListener, Error> {
    for _ in 0..50 {
        if let Ok(listener) = listen(address).await {
            return Ok(listener);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    listen(address).await
}
