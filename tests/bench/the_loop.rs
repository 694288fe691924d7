//! The loop from Git to cluster to hub: how fast, and with how much memory.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams};
use muster_tests::fleet::{self, DEADLINE, Fleet, Target};
use muster_tests::wait;

use super::{Arguments, sample};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const APP: &str = "gitops-demo";
const FILE: &str = "manifests/gitops-demo/deployment.yaml";
const LONG: Duration = Duration::from_secs(600);
/// Memory is read when it has not changed by more than 1 % for this long.
const SETTLED: Duration = Duration::from_secs(3);
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    sizes()?;
    let names = ["dev", "staging", "prod"];
    let real = if arguments.simulated { None } else { Target::real(&names).await };
    let on = if real.is_some() { "real kube-apiserver" } else { "simulated clusters" };
    let targets = match real {
        Some(targets) => targets,
        None => Target::simulated(&names).await,
    };
    let mut fleet = Fleet::start(&fleet::example()?).await?;
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await?;
    }
    well(&fleet, 1).await?;
    println!("\nOn {on}, three clusters with an agent each, one hub, all on this machine:\n");
    let idle = settled(|| fleet.agents["dev"].program.resident_bytes()).await;
    let hub = settled(|| fleet.hub.program.resident_bytes()).await;

    println!("| | |\n|---|---|");
    println!("| agent, resident, one app of two objects | {:.1} MiB |", idle / MIB);
    println!("| hub, resident, three agents | {:.1} MiB |", hub / MIB);
    many_objects(&mut fleet, &targets[0], arguments.objects).await?;

    println!("\n| | p50 | p99 | max |\n|---|---|---|---|");
    drift(&fleet, &targets[0], arguments.drifts).await?;
    commits(&fleet, &targets[0], arguments.commits).await
}

fn sizes() -> Result<()> {
    println!("| binary | size |\n|---|---|");
    let here = std::env::current_exe()?;
    for name in ["muster-agent", "muster-hub", "muster"] {
        let bytes = std::fs::metadata(here.with_file_name(name))?.len();
        println!("| {name} | {:.1} MiB |", bytes as f64 / MIB);
    }
    Ok(())
}

/// Scales each of `count` Deployments once: drift of one object again and again is held back on purpose.
async fn drift(fleet: &Fleet, target: &Target, count: usize) -> Result<()> {
    let mut files = vec![app("drifts")?];
    let text = String::from_utf8(fleet::example()?.remove(FILE).ok_or("the example fleet is not whole")?)?;
    for index in 0..count {
        let one = text.replace("gitops-demo", &deployment_name(index)).replace("replicas: 2", "replicas: 0");
        files.push((format!("manifests/drifts/{index:03}.yaml"), one));
    }
    fleet.repository.commit(&files, "Deployments to drift")?;
    well(fleet, 2).await?;
    let deployments: Api<Deployment> = Api::namespaced(target.client.clone(), "drifts");
    let mut samples = Vec::new();
    for index in 0..count {
        let name = deployment_name(index);
        samples.push(tokio::time::timeout(LONG, fleet::scale_and_wait(&deployments, &name, 5, 0)).await??);
    }
    fleet.repository.remove(&["apps/drifts.yaml"], "No more drift")?;
    well(fleet, 1).await?;
    println!("| drift to corrected, {count} Deployments scaled once each | {} |", sample::cells(samples));
    Ok(())
}

fn deployment_name(index: usize) -> String {
    format!("drift-{index:03}")
}

/// An App document like the example's, for the cluster `dev` alone, with its path.
fn app(name: &str) -> Result<(String, String)> {
    let text = String::from_utf8(fleet::example()?.remove("apps/gitops-demo.yaml").ok_or("no example app")?)?;
    let text = text.replace("gitops-demo", name).replace("{}", "{matchLabels: {env: dev}}");
    Ok((format!("apps/{name}.yaml"), text))
}

async fn commits(fleet: &Fleet, target: &Target, count: usize) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(target.client.clone(), APP);
    let text = String::from_utf8(fleet::example()?.remove(FILE).ok_or("the example fleet is not whole")?)?;
    let mut samples = Vec::new();
    for index in 0..count {
        let image = format!("nginx:1.{}", 25 + index);
        fleet.repository.commit(&[(FILE, text.replace("nginx:1.24", &image))], &image)?;
        let pushed = Instant::now();
        wait::try_until(&image, DEADLINE, async || {
            let deployment = deployments.get(APP).await.map_err(|error| error.to_string())?;
            let pod = deployment.spec.and_then(|spec| spec.template.spec).ok_or("no Pod template")?;
            if pod.containers[0].image.as_ref() == Some(&image) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await?;
        samples.push(pushed.elapsed());
    }
    println!("| commit to applied, polling every second, {count} times | {} |", sample::cells(samples));
    Ok(())
}

async fn many_objects(fleet: &mut Fleet, target: &Target, count: usize) -> Result<()> {
    let mut files = vec![app("many")?];
    for index in 0..count {
        files.push((format!("manifests/many/{index:05}.yaml"), object(index)));
    }
    fleet.repository.commit(&files, "Many objects")?;
    let pushed = Instant::now();
    let maps: Api<ConfigMap> = Api::namespaced(target.client.clone(), "many");
    wait::try_until("all objects", LONG, async || {
        let list = maps.list_metadata(&ListParams::default().labels("muster.dev/app=many")).await;
        list.is_ok_and(|list| list.items.len() == count)
    })
    .await?;
    let applied = pushed.elapsed();
    well(fleet, 2).await?;
    let agent = settled(|| fleet.agents["dev"].program.resident_bytes()).await;
    println!(
        "| {count} objects, commit to all applied, polling every second | {:.1} s |",
        applied.as_secs_f64()
    );
    println!("| agent, resident, {count} objects | {:.1} MiB |", agent / MIB);
    println!("| agent, resident at its peak | {:.1} MiB |", peak(fleet.agents["dev"].program.pid()) / MIB);
    let hub = settled(|| fleet.hub.program.resident_bytes()).await;
    println!("| hub, resident, three agents and {count} objects | {:.1} MiB |", hub / MIB);
    fleet.agent("dev").program.restart()?;
    well(fleet, 2).await?;
    let agent = settled(|| fleet.agents["dev"].program.resident_bytes()).await;
    println!("| agent, resident, {count} objects, started again | {:.1} MiB |", agent / MIB);
    fleet.repository.remove(&["apps/many.yaml"], "No more of them")?;
    well(fleet, 1).await
}

/// A ConfigMap of about 1 KiB.
fn object(index: usize) -> String {
    let value = format!("{index:05}-").repeat(160);
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-{index:05}\ndata:\n  value: {value}\n")
}

async fn well(fleet: &Fleet, apps: usize) -> Result<()> {
    wait::try_until("the fleet to be well", LONG, async || {
        let (code, document) = fleet.hub.json(&["apps"]).await.map_err(|error| error.to_string())?;
        let names: BTreeSet<_> =
            document["apps"].as_array().into_iter().flatten().map(|app| app["app"].to_string()).collect();
        if code == 0 && names.len() == apps {
            Ok(())
        } else {
            Err(format!("exit code {code}, apps {names:?}"))
        }
    })
    .await?;
    Ok(())
}

/// Resident bytes, once they have settled.
pub(super) async fn settled(resident: impl Fn() -> Option<u64>) -> f64 {
    let mut last = resident().unwrap_or_default() as f64;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = resident().unwrap_or_default() as f64;
        if (now - last).abs() > last * 0.01 {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// The most a process ever had resident, in bytes.
fn peak(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() * 1024.0
}
