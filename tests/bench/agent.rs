//! One agent on one real API server: first apply beside kubectl and a bare loop, a resync of what has not
//! changed, drift, requests, memory and processor time, and Flux's published benchmark in its own shape.

mod meter;
mod objects;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use muster_tests::fleet::{self, Agent, AgentOptions};
use muster_tests::git;
use muster_tests::kubernetes::{Cluster, Options};
use muster_tests::process::Launch;
use muster_tests::scratch::Scratch;
use muster_tests::wait;

use super::{Arguments, sample};
use meter::Server;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The longest any one step may take.
const LONG: Duration = Duration::from_secs(900);

/// Writes under way at the same time in the bare loop: as many as the agent begins with.
const BARE_LOOP_WRITES: usize = 8;

/// How long requests are counted while nothing happens.
const STEADY: Duration = Duration::from_secs(180);

const CLUSTER: &str = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: bench}\n";

/// Prints the tables.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let small = arguments.objects.div_ceil(objects::OF_AN_APP);
    let large = 5 * small;
    let Some(server) = start("bench").await? else { return Ok(()) };
    println!("| first apply | kubectl apply --server-side | bare loop | agent, push to last object |");
    println!("|---|---|---|---|");
    first_apply(&server, "s", small).await?.stop()?;
    let mut agent = first_apply(&server, "l", large).await?;
    agent.synced(large).await?;

    println!("\n| {} objects owned, {large} apps | |\n|---|---|", large * objects::OF_AN_APP);
    println!("| agent, resident | {} |", meter::settled_memory(agent.pid()).await?);
    let standby = agent.standby()?;
    steady(&server, &agent, &standby).await?;
    resync(&server, &agent).await?;
    restart(&server, &mut agent, large).await?;
    drop(standby);
    println!("\n| | p50 | p99 | max |\n|---|---|---|---|");
    drift(&server, &agent, large, arguments.drifts).await?;
    drop(agent);
    drop(server);

    println!(
        "\n| Flux's benchmark: apps of 4 objects at once | all applied | requests | agent, resident | processor time |"
    );
    println!("|---|---|---|---|---|");
    for apps in [100, 500, 1_000] {
        flux_shape(apps).await?;
    }
    Ok(())
}

async fn start(name: &str) -> Result<Option<Server>> {
    match Cluster::start_or_skip(name, Options::default()).await {
        Some(cluster) => Ok(Some(Server::prepare(cluster).await?)),
        None => Ok(None),
    }
}

/// An agent, its Git repository and where both keep their files.
struct Bench {
    agent: Agent,
    repository: git::Repository,
    git: git::Server,
    kubeconfig: std::path::PathBuf,
    scratch: Scratch,
}

impl Bench {
    /// An agent that has nothing to do yet.
    async fn start(server: &Server) -> Result<Bench> {
        let scratch = Scratch::new("bench-agent")?;
        let git = git::Server::start(git::Options::default())?;
        let repository = git.create("fleet")?;
        repository.commit(&[("cluster.yaml", CLUSTER)], "Begin")?;
        let kubeconfig = server.kubeconfig.clone();
        let agent = Agent::start(options(&git, &kubeconfig, scratch.path()))?;
        let mut bench = Bench { agent, repository, git, kubeconfig, scratch };
        bench.agent.program.wait_for_log("Read the repository", LONG).await?;
        Ok(bench)
    }

    fn pid(&self) -> u32 {
        self.agent.program.pid()
    }

    /// Another agent, which waits for the first to go.
    fn standby(&self) -> Result<Agent> {
        Ok(Agent::start(options(&self.git, &self.kubeconfig, &self.scratch.path().join("standby")))?)
    }

    async fn synced(&mut self, apps: usize) -> Result<()> {
        let synced = async || -> std::result::Result<(), String> {
            let count = self.agent.program.log().matches("The app is synced.").count();
            if count >= apps { Ok(()) } else { Err(format!("{count} of {apps}")) }
        };
        Ok(wait::try_until("all apps synced", LONG, synced).await?)
    }

    fn stop(mut self) -> Result<()> {
        self.agent.program.kill();
        Ok(())
    }
}

fn options(git: &git::Server, kubeconfig: &Path, scratch: &Path) -> AgentOptions {
    AgentOptions::new("bench", &git.url("fleet"), kubeconfig, scratch)
}

fn namespace(prefix: &str, side: &str, app: usize) -> String {
    format!("{prefix}-{side}-{app:03}")
}

/// The same objects by each of three, in namespaces of their own, which are there already.
async fn first_apply(server: &Server, prefix: &str, apps: usize) -> Result<Bench> {
    let count = apps * objects::OF_AN_APP;
    for side in ["kubectl", "loop", "agent"] {
        let names: Vec<_> = (0..apps).map(|app| namespace(prefix, side, app)).collect();
        create_namespaces(&server.cluster.client(), &names).await?;
    }
    let by_kubectl = by_kubectl(server, prefix, apps).await?;
    let by_loop = by_loop(server, prefix, apps).await?;
    let agent = Bench::start(server).await?;
    let mut files = Vec::new();
    for app in 0..apps {
        let name = namespace(prefix, "agent", app);
        files.push((format!("apps/{name}.yaml"), objects::document(&name, &name)));
        files.push((format!("manifests/{name}/all.yaml"), objects::app(&name)));
    }
    agent.repository.commit(&files, "All apps")?;
    let pushed = Instant::now();
    until_applied(server, &agent, count).await?;
    let by_agent = pushed.elapsed();
    println!("| {count} objects | {} | {} | {} |", seconds(by_kubectl), seconds(by_loop), seconds(by_agent));
    Ok(agent)
}

async fn create_namespaces(client: &kube::Client, names: &[String]) -> Result<()> {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    for name in names {
        let body = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        namespaces.patch(name, &PatchParams::apply("muster-bench"), &Patch::Apply(&body)).await?;
    }
    Ok(())
}

async fn by_kubectl(server: &Server, prefix: &str, apps: usize) -> Result<Duration> {
    let scratch = Scratch::new("kubectl")?;
    for app in 0..apps {
        let name = namespace(prefix, "kubectl", app);
        fs::write(scratch.path().join(format!("{name}.yaml")), objects::app(&name))?;
    }
    let began = Instant::now();
    let kubectl = Launch::command("kubectl").arg("--kubeconfig").arg(server.cluster.kubeconfig());
    let kubectl = kubectl.args(["apply", "--server-side", "-f"]).arg(scratch.path());
    kubectl.quiet().run(LONG).await?.success();
    Ok(began.elapsed())
}

/// Nothing but the requests, of objects that were read before.
async fn by_loop(server: &Server, prefix: &str, apps: usize) -> Result<Duration> {
    let mut all = Vec::new();
    for app in 0..apps {
        for document in objects::app(&namespace(prefix, "loop", app)).split("---\n") {
            if !document.trim().is_empty() {
                all.push(serde_yaml::from_str::<DynamicObject>(document)?);
            }
        }
    }
    let client = server.cluster.client();
    let began = Instant::now();
    let applied = futures::stream::iter(all).map(|object| apply(client.clone(), object));
    let results: Vec<_> = applied.buffer_unordered(BARE_LOOP_WRITES).collect().await;
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(began.elapsed())
}

async fn apply(client: kube::Client, object: DynamicObject) -> Result<()> {
    let types = object.types.as_ref().ok_or("an object without a kind")?;
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, &types.kind));
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    api.patch(&name, &PatchParams::apply("muster-bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}

/// Waits until the agent has had so many objects applied. Deployments come last, so only they are listed.
async fn until_applied(server: &Server, bench: &Bench, count: usize) -> Result<()> {
    let deployments: Api<Deployment> = Api::all(server.cluster.client());
    let labelled = ListParams::default().labels("muster.dev/app");
    // Objects that an earlier agent left behind have its label, too: it is the new ones that count.
    let before = deployments.list_metadata(&labelled).await?.items.len();
    let wanted = before + count / 5;
    let applied = async || -> std::result::Result<(), String> {
        let list = deployments.list_metadata(&labelled).await.map_err(|error| error.to_string())?;
        if list.items.len() >= wanted { Ok(()) } else { Err(bench.agent.program.tail()) }
    };
    Ok(wait::try_until("all objects applied", LONG, applied).await?)
}

/// What is asked and used while nothing happens.
async fn steady(server: &Server, bench: &Bench, standby: &Agent) -> Result<()> {
    wait::try_until("the standby", LONG, async || standby.program.log().contains("Standby")).await?;
    let (requests, cpu) = (server.requests().await?, meter::cpu(bench.pid())?);
    let standby_cpu = meter::cpu(standby.program.pid())?;
    tokio::time::sleep(STEADY).await;
    let minutes = STEADY.as_secs_f64() / 60.0;
    let requests = (server.requests().await? - requests) / minutes;
    println!("| leader and standby, requests a minute while nothing changes | {requests:.1} |");
    let each_minute = |cpu: Duration| format!("{:.0} ms", cpu.as_secs_f64() * 1000.0 / minutes);
    println!("| leader, processor time a minute | {} |", each_minute(meter::cpu(bench.pid())? - cpu));
    let used = meter::cpu(standby.program.pid())? - standby_cpu;
    println!("| standby, processor time a minute | {} |", each_minute(used));
    println!("| standby, resident | {} |", meter::settled_memory(standby.program.pid()).await?);
    Ok(())
}

/// A commit that changes nothing: the agent reads it and is done.
async fn resync(server: &Server, bench: &Bench) -> Result<()> {
    let (requests, cpu) = (server.requests().await?, meter::cpu(bench.pid())?);
    let reads = || bench.agent.program.log().matches("Read the repository").count();
    let before = reads();
    bench.repository.commit(&[("README.md", "Nothing of note")], "Nothing")?;
    wait::try_until("the commit read", LONG, async || reads() > before).await?;
    meter::settled_memory(bench.pid()).await?;
    let used = meter::cpu(bench.pid())? - cpu;
    let requests = server.requests().await? - requests;
    println!("| resync of a commit that changes nothing, requests | {requests:.0} (Lease included) |");
    println!("| the same, processor time | {:.0} ms |", used.as_secs_f64() * 1000.0);
    Ok(())
}

/// A new process finds everything in place.
async fn restart(server: &Server, bench: &mut Bench, apps: usize) -> Result<()> {
    let versions = versions(server).await?;
    // The standby must not take over meanwhile: a clean stop hands it the Lease, and it is not what is measured.
    bench.agent.program.kill();
    let requests = server.requests().await?;
    bench.agent.program.restart()?;
    let began = Instant::now();
    bench.agent.program.wait_for_log("Every app has been looked at", LONG).await?;
    let took = began.elapsed();
    let requests = server.requests().await? - requests;
    println!("| started again, until all {apps} apps are proven in sync | {} |", seconds(took));
    println!("| the same, requests | {requests:.0} |");
    let changed = self::versions(server).await? != versions;
    println!("| the same, objects written | {} |", if changed { "some" } else { "none" });
    println!("| started again, resident | {} |", meter::settled_memory(bench.pid()).await?);
    Ok(())
}

/// The version of every Deployment and ConfigMap of the agent's.
async fn versions(server: &Server) -> Result<Vec<Option<String>>> {
    let labelled = ListParams::default().labels("muster.dev/app");
    let deployments: Api<Deployment> = Api::all(server.cluster.client());
    let config_maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::all(server.cluster.client());
    let mut versions = Vec::new();
    versions.extend(deployments.list_metadata(&labelled).await?.items.into_iter().map(|item| item.metadata));
    versions.extend(config_maps.list_metadata(&labelled).await?.items.into_iter().map(|item| item.metadata));
    Ok(versions.into_iter().map(|metadata| metadata.resource_version).collect())
}

/// Scales each of `count` Deployments once: drift of one object again and again is held back on purpose.
async fn drift(server: &Server, bench: &Bench, apps: usize, count: usize) -> Result<()> {
    let mut samples = Vec::new();
    let requests = server.requests().await?;
    for index in 0..count {
        let namespace = namespace("l", "agent", index % apps);
        let deployments: Api<Deployment> = Api::namespaced(server.cluster.client(), &namespace);
        let name = format!("service-{}", index / apps % 10);
        samples.push(tokio::time::timeout(LONG, fleet::scale_and_wait(&deployments, &name, 1, 0)).await??);
    }
    let requests = server.requests().await? - requests;
    println!("| drift to corrected, {count} Deployments scaled once each | {} |", sample::cells(samples));
    let corrected = bench.agent.program.log().matches("The drift is corrected.").count();
    println!(
        "\n{corrected} corrections, {requests:.0} requests (a write and a look for an autoscaler each, and the Lease)."
    );
    Ok(())
}

async fn flux_shape(apps: usize) -> Result<()> {
    let Some(server) = start("flux").await? else { return Ok(()) };
    let mut bench = Bench::start(&server).await?;
    let mut files = Vec::new();
    for index in 0..apps {
        let name = format!("app-{index:04}");
        files.push((format!("apps/{name}.yaml"), objects::document(&name, &name)));
        files.push((format!("manifests/{name}/all.yaml"), objects::flux_app(&name, &name)));
    }
    let (requests, cpu) = (server.requests().await?, meter::cpu(bench.pid())?);
    bench.repository.commit(&files, "All apps")?;
    let pushed = Instant::now();
    bench.synced(apps).await?;
    let took = pushed.elapsed();
    let requests = server.requests().await? - requests;
    let memory = meter::settled_memory(bench.pid()).await?;
    let used = meter::cpu(bench.pid())? - cpu;
    println!("| {apps} apps | {} | {requests:.0} | {memory} | {} |", seconds(took), seconds(used));
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
