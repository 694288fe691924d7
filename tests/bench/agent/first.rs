//! The same objects applied for the first time by kubectl, by a bare loop of applies and by the agent, one after
//! the other on one API server, in namespaces that are there already.

use std::fs;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use muster_tests::process::Launch;
use muster_tests::scratch::Scratch;

use super::follower::Follower;
use super::report::Report;
use super::server::{Server, User};
use super::{LONG, Result, meter, objects};

/// Writes under way at the same time in the bare loop: as many as the agent sends at most.
const BARE_LOOP_WRITES: usize = 16;

/// Apps applied before anything is measured, so that none of the three meets a cold server.
const WARM_UP: usize = 2;

/// Namespace of one of the agent's apps.
pub(super) fn namespace(side: &str, app: usize) -> String {
    format!("{side}-{app:03}")
}

/// What one side took.
struct Effort {
    took: Duration,
    requests: f64,
    /// Processor time of the side itself, and of the control plane meanwhile.
    own: Duration,
    server: Duration,
}

/// Measures on a new cluster; gives that and the agent, which owns the objects.
pub(super) async fn apply(report: &mut Report, server: &Server, apps: usize) -> Result<Follower> {
    let count = apps * objects::OF_AN_APP;
    for side in ["warm", "kubectl", "loop", "agent"] {
        let names: Vec<_> = (0..apps).map(|app| namespace(side, app)).collect();
        server.create_namespaces(&names).await?;
    }
    by_loop(server, "warm", WARM_UP.min(apps)).await?;
    server.until_idle().await?;
    report.table(format!("{count} objects applied for the first time, {apps} apps"));
    let kubectl = measured(server, User::Kubectl, by_kubectl(server, apps)).await?;
    tell(report, "kubectl apply --server-side -f", &kubectl, count);
    let bare = measured(server, User::Loop, by_loop(server, "loop", apps)).await?;
    tell(report, &format!("bare loop, {BARE_LOOP_WRITES} at a time"), &bare, count);

    let follower = Follower::start(server).await?;
    server.until_idle().await?;
    let mut files = Vec::new();
    for app in 0..apps {
        let name = namespace("agent", app);
        files.push((format!("apps/{name}.yaml"), objects::document(&name, &name)));
        files.push((format!("manifests/{name}/all.yaml"), objects::app(&name)));
    }
    let (requests, own, before) =
        (server.requests(User::Agent).await?, meter::cpu(follower.pid())?, server.cpu()?);
    let sync = follower.push(&files, apps).await?;
    let agent = Effort {
        took: sync.since_read,
        requests: server.requests(User::Agent).await? - requests,
        own: meter::cpu(follower.pid())? - own,
        server: server.cpu()? - before,
    };
    tell(report, "agent, commit read to all synced", &agent, count);
    report.note("agent, push to all synced", seconds(sync.since_push));
    let (push, read) = (sync.since_push.as_secs_f64(), sync.since_read.as_secs_f64());
    report.at_most(
        "agent, share of kubectl's time, from the push",
        push / kubectl.took.as_secs_f64(),
        0.5,
        "",
    );
    report.at_least("agent, speed of the bare loop", 100.0 * bare.took.as_secs_f64() / read, 85.0, "%");
    report.at_most("agent, requests an object", agent.requests / count as f64, 1.1, "");
    Ok(follower)
}

/// Runs one side and waits until the controllers have caught up; that is not part of what it took.
async fn measured(
    server: &Server,
    user: User,
    side: impl Future<Output = Result<Duration>>,
) -> Result<Effort> {
    let (requests, before) = (server.requests(user).await?, server.cpu()?);
    let used = || -> Result<Duration> { Ok(meter::cpu(std::process::id())? + meter::cpu_of_children()?) };
    let own = used()?;
    let took = side.await?;
    let (own, cpu) = (used()? - own, server.cpu()? - before);
    let requests = server.requests(user).await? - requests;
    server.until_idle().await?;
    Ok(Effort { took, requests, own, server: cpu })
}

fn tell(report: &Report, who: &str, effort: &Effort, count: usize) {
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / count as f64;
    let measured = format!(
        "{}, {:.2} requests, {:.2} ms of its own and {:.2} ms of the control plane's processor time an object",
        seconds(effort.took),
        effort.requests / count as f64,
        each(effort.own),
        each(effort.server)
    );
    report.note(who, measured);
}

async fn by_kubectl(server: &Server, apps: usize) -> Result<Duration> {
    let scratch = Scratch::new("kubectl")?;
    for app in 0..apps {
        let name = namespace("kubectl", app);
        fs::write(scratch.path().join(format!("{name}.yaml")), objects::app(&name))?;
    }
    let began = Instant::now();
    let kubectl = Launch::command("kubectl").arg("--kubeconfig").arg(server.kubeconfig(User::Kubectl));
    let kubectl = kubectl.args(["apply", "--server-side", "-f"]).arg(scratch.path());
    let output = kubectl.quiet().run(LONG).await?;
    let took = began.elapsed();
    if output.code() == Some(0) { Ok(took) } else { Err(format!("kubectl: {}", output.stderr).into()) }
}

/// Nothing but the requests, of objects that were read before.
async fn by_loop(server: &Server, side: &str, apps: usize) -> Result<Duration> {
    let mut all = Vec::new();
    for app in 0..apps {
        for document in objects::app(&namespace(side, app)).split("---\n") {
            if !document.trim().is_empty() {
                all.push(serde_yaml::from_str::<DynamicObject>(document)?);
            }
        }
    }
    let client = server.client(User::Loop);
    let began = Instant::now();
    let applied = futures::stream::iter(all).map(|object| apply_one(client.clone(), object));
    let results: Vec<_> = applied.buffer_unordered(BARE_LOOP_WRITES).collect().await;
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(began.elapsed())
}

async fn apply_one(client: kube::Client, object: DynamicObject) -> Result<()> {
    let types = object.types.as_ref().ok_or("an object without a kind")?;
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, &types.kind));
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    api.patch(&name, &PatchParams::apply("muster-bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
