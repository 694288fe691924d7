//! How does a test get a real Kubernetes? `Cluster::start(..)`, or `Cluster::shared()` where a namespace of
//! its own is isolation enough.
//!
//! A [`Cluster`] is etcd, kube-apiserver (TLS, RBAC) and kube-controller-manager, with kube-scheduler if
//! asked for, on loopback; [`kubelet`] stands in for nodes. Dropping it stops and removes everything.

mod access;
mod audit;
mod binaries;
mod etcd;
mod flags;
pub mod kubelet;
mod webhook;

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::OnceCell;

pub use access::Access;
pub use audit::{Audit, Request};
pub use etcd::Etcd;
pub use kubelet::Stages;
pub use webhook::{Verdict, Webhook};

use crate::certificates::Authority;
use crate::process::{Launch, Program};
use crate::scratch::Scratch;
use crate::{ports, process, skip, wait};

use flags::Paths;
use kubelet::Kubelet;

/// How long each step of a start may take; three clusters that start at once on two busy cores need a part.
const STEP_DEADLINE: Duration = Duration::from_secs(90);
/// Starts are repeated when another process took a port between its choice and its use.
const ATTEMPTS_MAX: u32 = 3;
/// What the programs print when that has happened.
const PORT_TAKEN: &str = "address already in use";

/// The directory of etcd and the Kubernetes programs, which are built first if that can be done here.
///
/// # Errors
/// [`Error::Missing`] when they cannot be had on this machine, [`Error::Build`] when building them failed.
pub async fn programs() -> Result<std::path::PathBuf, Error> {
    binaries::find().await
}

/// What a cluster should be like; the default suits most tests.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Run the real scheduler; without it the kubelet binds Pods itself, which costs nothing.
    pub scheduler: bool,
    /// How Pods become Ready, at first; see [`Cluster::set_stages`].
    pub stages: Stages,
    /// More flags for kube-apiserver, such as `--max-requests-inflight=20`.
    pub api_server_flags: Vec<String>,
    /// Keep a log of all requests; see [`Cluster::audit`].
    pub audit: bool,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The programs are not here and cannot be built here: the test cannot run on this machine.
    #[error("{0}")]
    Missing(String),
    /// The programs could not be built although they should.
    #[error("tests/kubernetes/build failed; {0}")]
    Build(String),
    /// A program did not start; its log's end is in the message.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The cluster did not get ready.
    #[error("cluster {name}: {source}\n{tail}")]
    NotReady {
        /// The cluster's name.
        name: String,
        /// What was awaited, and what was seen.
        source: wait::Timeout,
        /// The ends of the logs.
        tail: String,
    },
    /// A request to the API server failed.
    #[error("the API server refused: {0}")]
    Api(#[from] kube::Error),
    /// Certificates could not be made.
    #[error("cannot make certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// A kubeconfig cannot be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(String),
    /// Files could not be written.
    #[error("cannot write the cluster's files: {0}")]
    Io(#[from] std::io::Error),
}

/// A running control plane.
///
/// Fields are dropped in this order: the kubelet first, then clients of the API server, then it, then etcd,
/// then the files.
pub struct Cluster {
    name: String,
    kubelet: Option<Kubelet>,
    scheduler: Option<Program>,
    controller_manager: Program,
    api_server: Program,
    etcd: Program,
    etcd_port: u16,
    authority: Authority,
    admin: Access,
    server: String,
    scratch: Scratch,
}

impl Cluster {
    /// Starts a cluster and waits until the API server is ready, the controllers run and the node is Ready.
    ///
    /// # Errors
    /// See [`Error`]; what was started until then is stopped again.
    pub async fn start(name: &str, options: Options) -> Result<Cluster, Error> {
        let binaries = binaries::find().await?;
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            match Cluster::attempt(name, &options, &binaries).await {
                Err(error) if attempt < ATTEMPTS_MAX && error.to_string().contains(PORT_TAKEN) => {
                    attempt += 1;
                }
                other => {
                    let outcome = if other.is_ok() { "ready" } else { "given up" };
                    eprintln!("cluster {name}: {outcome} after {} ms", started.elapsed().as_millis());
                    return other;
                }
            }
        }
    }

    /// As [`Cluster::start`], or a skip of the calling test where the programs are missing.
    ///
    /// # Panics
    /// When the cluster does not start; in CI also when the programs are missing.
    pub async fn start_or_skip(name: &str, options: Options) -> Option<Cluster> {
        or_skip(Cluster::start(name, options).await)
    }

    /// The cluster that all tests of this process share, started by the first that asks. It has no
    /// scheduler and default stages; leave its settings alone and work in [`Cluster::namespace`]s.
    ///
    /// # Panics
    /// As [`Cluster::start_or_skip`].
    pub async fn shared() -> Option<&'static Cluster> {
        static SHARED: OnceCell<Result<Cluster, Error>> = OnceCell::const_new();
        // One failure is enough: later tests fail at once for the same reason.
        let started = SHARED.get_or_init(|| Cluster::start("shared", Options::default())).await;
        or_skip(started.as_ref())
    }

    async fn attempt(name: &str, options: &Options, binaries: &Path) -> Result<Cluster, Error> {
        let scratch = Scratch::new(&format!("cluster-{name}"))?;
        let authority = Authority::new(&format!("{name} test CA"))?;
        let server = format!("https://127.0.0.1:{}", ports::free());
        let admin =
            access::for_user(&scratch, name, &server, &authority, "admin", Some("system:masters")).await?;
        let paths = Paths::write(scratch.path(), &authority, admin.kubeconfig())?;
        let launch = |program: &str, flags: Vec<String>| {
            let log = scratch.path().join(format!("{program}.log"));
            let launch = Launch::command(binaries.join(program)).name(format!("{program} of {name}"));
            launch.args(flags).envs(flags::ENVIRONMENT).directory(scratch.path()).log_to(log).quiet().start()
        };

        let etcd_port = ports::free();
        let etcd = launch("etcd", flags::etcd(&paths, etcd_port))?;
        let mut flags = flags::api_server(&paths, etcd_port, &server);
        flags.extend(options.api_server_flags.iter().cloned());
        if options.audit {
            flags.extend(audit::flags(scratch.path())?);
        }
        let mut api_server = launch("kube-apiserver", flags)?;
        ready(&mut api_server, &admin).await?;
        let controller_manager = launch("kube-controller-manager", flags::controller_manager(&paths))?;
        let scheduler =
            if options.scheduler { Some(launch("kube-scheduler", flags::scheduler(&paths))?) } else { None };
        let kubelet = Kubelet::start(&admin, options.stages.clone(), !options.scheduler)?;
        let mut cluster = Cluster {
            name: name.to_owned(),
            kubelet: Some(kubelet),
            scheduler,
            controller_manager,
            api_server,
            etcd,
            etcd_port,
            authority,
            admin,
            server,
            scratch,
        };
        cluster.settled().await?;
        Ok(cluster)
    }

    /// Waits for what Pods need: the default service account (so the controllers run) and a Ready node.
    async fn settled(&mut self) -> Result<(), Error> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), "default");
        let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(self.client());
        let probe = async || -> Result<(), String> {
            if let Some(status) = self.controller_manager.ended() {
                return Err(format!("kube-controller-manager ended ({status})"));
            }
            accounts.get("default").await.map_err(|error| error.to_string())?;
            let node = nodes.get(kubelet::NODE).await.map_err(|error| error.to_string())?;
            let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
            if taints.is_empty() { Ok(()) } else { Err("the node still has taints".to_owned()) }
        };
        let settled = wait::try_until("controllers and a Ready node", STEP_DEADLINE, probe).await;
        settled.map_err(|source| Error::NotReady { name: self.name.clone(), source, tail: self.tails() })
    }

    /// The cluster's name: also that of the kubeconfig's context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API server's address, `https://127.0.0.1:PORT`; it stays the same over [`Cluster::stop_api_server`].
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The administrator's access; its kubeconfig stands alone, all certificates are inside.
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        self.admin.kubeconfig()
    }

    /// A new client with the administrator's rights. It belongs to the calling Tokio runtime.
    pub fn client(&self) -> kube::Client {
        self.admin.client()
    }

    /// Access for another user, by a client certificate; RBAC gives it no rights by itself.
    ///
    /// # Errors
    /// The certificate or the kubeconfig cannot be made.
    pub async fn user(&self, user: &str, group: Option<&str>) -> Result<Access, Error> {
        access::for_user(&self.scratch, &self.name, &self.server, &self.authority, user, group).await
    }

    /// What the API server was asked for by a user, such as `admin`. Needs [`Options::audit`].
    pub fn audit(&self, user: &str) -> Audit {
        Audit::new(self.scratch.path(), user)
    }

    /// Access for a service account that exists, by a token valid for an hour.
    ///
    /// # Errors
    /// There is no such account, or the kubeconfig cannot be made.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Access, Error> {
        let token = access::token(self.client(), namespace, name).await?;
        let user = format!("{namespace}-{name}");
        access::for_token(&self.scratch, &self.name, &self.server, &self.authority, &user, &token).await
    }

    /// Creates a namespace whose name begins with `prefix`, ready for Pods.
    ///
    /// # Errors
    /// The API server refuses, or the controllers do not provide its default service account.
    pub async fn namespace(&self, prefix: &str) -> Result<String, Error> {
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let created = Api::all(self.client()).create(&PostParams::default(), &namespace).await?;
        let name = created.metadata.name.unwrap_or_default();
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), &name);
        let what = format!("the default service account of {name}");
        let account = wait::try_until(&what, STEP_DEADLINE, async || accounts.get("default").await).await;
        account.map_err(|source| Error::NotReady { name: self.name.clone(), source, tail: self.tails() })?;
        Ok(name)
    }

    /// Changes how Pods become Ready from now on; those that already are stay so.
    pub fn set_stages(&self, stages: Stages) {
        if let Some(kubelet) = &self.kubelet {
            kubelet.set_stages(stages);
        }
    }

    /// What holds the objects, for what the API server does not offer.
    pub fn etcd(&self) -> Etcd {
        Etcd { port: self.etcd_port }
    }

    /// Stops the API server where it stands: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        self.api_server.pause();
    }

    /// Lets the API server go on after [`Cluster::pause`].
    pub fn resume(&mut self) {
        self.api_server.resume();
    }

    /// Kills the API server: connections are refused from now on.
    pub fn stop_api_server(&mut self) {
        self.api_server.kill();
    }

    /// Starts the API server again at the same address, with all its objects, and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start_api_server(&mut self) -> Result<(), Error> {
        self.api_server.restart()?;
        ready(&mut self.api_server, &self.admin).await
    }

    /// Stops everything and removes the files; the same as dropping it.
    pub fn stop(self) {}

    /// The programs, for their ids, memory and logs.
    pub fn programs(&self) -> Vec<&Program> {
        [&self.etcd, &self.api_server, &self.controller_manager].into_iter().chain(&self.scheduler).collect()
    }

    /// The directory with the cluster's files and logs.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    fn tails(&self) -> String {
        self.programs()
            .iter()
            .map(|program| format!("log of {}:\n{}", program.name(), program.tail()))
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet = None;
        // All at once: killing the API server under the controllers would only make them write logs.
        for program in [&mut self.controller_manager, &mut self.api_server, &mut self.etcd] {
            program.kill();
        }
    }
}

/// Waits until the API server says that it is ready, or has ended.
async fn ready(api_server: &mut Program, admin: &Access) -> Result<(), Error> {
    let client = admin.client();
    let name = api_server.name().to_owned();
    let probe = async || -> Result<Result<(), process::Error>, String> {
        if let Some(status) = api_server.ended() {
            let (what, tail) = ("it was ready".to_owned(), api_server.tail());
            return Ok(Err(process::Error::Ended { name: name.clone(), status, what, tail }));
        }
        let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
        client.request_text(request).await.map_err(|error| error.to_string())?;
        Ok(Ok(()))
    };
    match wait::try_until("the API server to be ready", STEP_DEADLINE, probe).await {
        Ok(outcome) => Ok(outcome?),
        Err(source) => Err(Error::NotReady { name, source, tail: api_server.tail() }),
    }
}

fn or_skip<T, E: std::borrow::Borrow<Error>>(started: Result<T, E>) -> Option<T> {
    match started {
        Ok(cluster) => Some(cluster),
        Err(error) => match error.borrow() {
            Error::Missing(reason) => {
                skip::skip("a real Kubernetes", reason);
                None
            }
            error => panic!("no cluster: {error}"),
        },
    }
}
