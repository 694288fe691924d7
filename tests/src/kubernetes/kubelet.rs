//! Who makes Pods Running and Ready where there are no nodes? One thread that stands in for a kubelet.
//!
//! It creates one Ready node, binds Pods to it (unless the real scheduler does), and walks each Pod through
//! the stages that [`stage::next`] decides. Words in an image's name choose another way:
//!
//! | image holds | the Pod                                                                        |
//! |-------------|--------------------------------------------------------------------------------|
//! | `fail`      | waits in `CrashLoopBackOff`; is `Failed` at once where it may never restart     |
//! | `missing`   | waits in `ImagePullBackOff`                                                    |
//! | neither     | is Running and Ready after [`Stages::ready_after`]; `Succeeded` in a Job        |

mod stage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Access, Error};
use stage::Step;

/// The name of the only node.
pub const NODE: &str = "node-1";

/// How long to wait before a failed request is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How many Pods are worked on at once.
const CONCURRENCY: u16 = 8;

/// How Pods become Ready and go.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// From the moment a Pod is bound until it is Ready (or Failed, or Succeeded).
    pub ready_after: Duration,
    /// From the request to delete a Pod until it is gone, but no longer than its grace period.
    pub gone_after: Duration,
}

/// The running stand-in; dropping it ends its thread.
pub(super) struct Kubelet {
    stages: Arc<Mutex<Stages>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the work on one Pod needs.
struct Context {
    client: kube::Client,
    stages: Arc<Mutex<Stages>>,
    binds: bool,
    /// When each Pod, by its uid, was first seen bound, and first seen being deleted.
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// The watch connects again at a steady pace: a test that restarts the API server should not have to wait
/// for the stand-in.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        Some(RETRY)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

#[derive(Clone, Copy, Default)]
struct Seen {
    bound: Option<Instant>,
    deleted: Option<Instant>,
}

impl Kubelet {
    /// Starts the thread. It has a runtime of its own, since a shared cluster outlives the runtime of the
    /// test that started it. `binds` tells whether it also does the scheduler's part.
    pub(super) fn start(admin: &Access, stages: Stages, binds: bool) -> Result<Kubelet, Error> {
        let stages = Arc::new(Mutex::new(stages));
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (admin, shared) = (admin.clone(), Arc::clone(&stages));
        let work = move || {
            runtime.block_on(async {
                let context = Context {
                    client: admin.client(),
                    stages: shared,
                    binds,
                    seen: Mutex::new(BTreeMap::new()),
                };
                tokio::select! {
                    // Whether by a message or by the sender's end, it is over.
                    _ = stopped => {}
                    () = run(Arc::new(context)) => {}
                }
            });
            // Requests to a stopped API server are not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("kubelet".to_owned()).spawn(work)?;
        Ok(Kubelet { stages, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn set_stages(&self, stages: Stages) {
        *lock(&self.stages) = stages;
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the stand-in has been printed already.
            let _ = thread.join();
        }
    }
}

async fn run(context: Arc<Context>) {
    while let Err(error) = create_node(&context.client).await {
        tracing::debug!(%error, "cannot create the node yet");
        tokio::time::sleep(RETRY).await;
    }
    let pods = Api::<Pod>::all(context.client.clone());
    Controller::new(pods, watcher::Config::default())
        .trigger_backoff(Steady)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .run(advance, |_, _, _| Action::requeue(RETRY), context)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Creates the node, and takes off the taint that admission puts on every new one.
async fn create_node(client: &kube::Client) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.clone());
    let capacity = json!({ "cpu": "64", "memory": "256Gi", "pods": "10000", "ephemeral-storage": "1Ti" });
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": NODE, "labels": {
            "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        }},
        "status": {
            "capacity": &capacity,
            "allocatable": &capacity,
            "addresses": [{ "type": "InternalIP", "address": stage::HOST_ADDRESS }],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a stand-in",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "none://1",
                "kernelVersion": "0", "kubeProxyVersion": "", "kubeletVersion": "v1.36.3", "machineID": "",
                "operatingSystem": "linux", "osImage": "none", "systemUUID": "",
            },
        },
    });
    let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
    match nodes.create(&PostParams::default(), &node).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error),
    }
    let untainted = Patch::Merge(json!({ "spec": { "taints": null } }));
    nodes.patch(NODE, &PatchParams::default(), &untainted).await.map(drop)
}

/// Takes one step with one Pod.
async fn advance(pod: Arc<Pod>, context: Arc<Context>) -> kube::Result<Action> {
    let metadata = &pod.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let uid = metadata.uid.clone().unwrap_or_default();
    let pods =
        Api::<Pod>::namespaced(context.client.clone(), metadata.namespace.as_deref().unwrap_or_default());
    let (bound, deleted) = context.ages(&pod, &uid);
    let stages = lock(&context.stages).clone();
    let done = match stage::next(&pod, bound, deleted, &stages, context.binds, Timestamp::now()) {
        Step::Rest => Ok(()),
        Step::Wait(pause) => return Ok(Action::requeue(pause)),
        Step::Bind => {
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
                "target": { "apiVersion": "v1", "kind": "Node", "name": NODE },
            });
            let binding: Binding = serde_json::from_value(binding).map_err(kube::Error::SerdeError)?;
            let parameters = PostParams::default();
            let bound =
                pods.create_subresource::<_, serde_json::Value>("binding", &name, &parameters, &binding);
            bound.await.map(drop)
        }
        Step::Status(status) => {
            // The uid makes it a conflict to write to another Pod of the same name.
            let patch = Patch::Merge(json!({ "metadata": { "uid": uid }, "status": status }));
            pods.patch_status(&name, &PatchParams::default(), &patch).await.map(drop)
        }
        Step::Remove => {
            context.forget(&uid);
            let only_this = Preconditions { uid: Some(uid), ..Preconditions::default() };
            let now = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
            pods.delete(&name, &now.grace_period(0)).await.map(drop)
        }
    };
    match done {
        // Gone or replaced meanwhile: its successor comes as an event of its own.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Action::await_change()),
        other => other.map(|()| Action::await_change()),
    }
}

impl Context {
    /// How long the Pod has been seen bound and being deleted.
    fn ages(&self, pod: &Pod, uid: &str) -> (Duration, Duration) {
        let now = Instant::now();
        let mut all = lock(&self.seen);
        let seen = all.entry(uid.to_owned()).or_default();
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            seen.bound.get_or_insert(now);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            seen.deleted.get_or_insert(now);
        }
        let age = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| now - since);
        (age(seen.bound), age(seen.deleted))
    }

    fn forget(&self, uid: &str) {
        lock(&self.seen).remove(uid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
