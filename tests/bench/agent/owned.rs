//! What an agent does and uses once it owns many objects: nothing, a resync, a restart, drift.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use muster_tests::fleet::{self, Agent};

use super::first::namespace;
use super::follower::Follower;
use super::report::Report;
use super::server::{Server, User};
use super::{LONG, Result, Scale, meter, objects};
use crate::sample;

/// Commits that change nothing, over which a resync is averaged.
const RESYNCS: usize = 5;

/// Measures an agent that owns `apps` apps.
pub(super) async fn measure(
    report: &mut Report,
    server: &Server,
    follower: &mut Follower,
    scale: &Scale,
    apps: usize,
) -> Result<()> {
    let count = apps * objects::OF_AN_APP;
    report.table(format!("{count} objects owned, {apps} apps"));
    server.until_idle().await?;
    let memory = meter::settled_memory(follower.pid()).await?;
    report.at_most("agent, resident, after the first apply", memory.resident, 32.0, "MiB");
    report.note("agent, resident and no file's", format!("{:.1} MiB", memory.own));
    report.at_most("agent, resident at its peak", memory.peak, 64.0, "MiB");
    let standby = follower.standby().await?;
    steady(report, server, follower, &standby, scale.steady).await?;
    resync(report, server, follower).await?;
    drift(report, server, follower, apps, scale.drifts).await?;
    // Or it might take over before the leader is back.
    drop(standby);
    restart(report, server, follower, count).await?;
    Ok(())
}

/// What is asked and used while nothing happens.
async fn steady(
    report: &mut Report,
    server: &Server,
    follower: &Follower,
    standby: &Agent,
    time: Duration,
) -> Result<()> {
    let programs = [("leader", follower.pid()), ("standby", standby.program.pid())];
    let (requests, cpu) = (server.requests(User::Agent).await?, programs.map(|(_, pid)| meter::cpu(pid)));
    tokio::time::sleep(time).await;
    let minutes = time.as_secs_f64() / 60.0;
    let requests = (server.requests(User::Agent).await? - requests) / minutes;
    report.at_most("leader and standby, requests a minute while nothing changes", requests, 11.0, "");
    for ((who, pid), before) in programs.into_iter().zip(cpu) {
        let used = meter::cpu(pid)? - before?;
        let each_minute = used.as_secs_f64() * 1000.0 / minutes;
        report.note(format!("{who}, processor time a minute"), format!("{each_minute:.0} ms"));
    }
    let memory = meter::settled_memory(standby.program.pid()).await?;
    report.at_most("standby, resident", memory.resident, 10.0, "MiB");
    report.note("standby, resident and no file's", format!("{:.1} MiB", memory.own));
    Ok(())
}

/// Commits that change nothing: the agent reads each and is done.
async fn resync(report: &mut Report, server: &Server, follower: &Follower) -> Result<()> {
    let (before, versions) = (meter::cpu(follower.pid())?, versions(server).await?);
    let requests = server.requests(User::Agent).await?;
    for index in 0..RESYNCS {
        follower.push_nothing(&format!("Nothing of note, {index}")).await?;
    }
    meter::settled_memory(follower.pid()).await?;
    let used = (meter::cpu(follower.pid())? - before).as_secs_f64() * 1000.0 / RESYNCS as f64;
    report.at_most("resync of a commit that changes nothing, processor time", used, 100.0, "ms");
    let requests = (server.requests(User::Agent).await? - requests) / RESYNCS as f64;
    report.note("resync, requests (those of the Lease included)", format!("{requests:.1}"));
    report.yes("resync, nothing is written", self::versions(server).await? == versions);
    Ok(())
}

/// A new process finds everything in place.
async fn restart(report: &mut Report, server: &Server, follower: &mut Follower, count: usize) -> Result<()> {
    server.until_idle().await?;
    let versions = versions(server).await?;
    let requests = server.requests(User::Agent).await?;
    let (took, said) = follower.restart().await?;
    report.at_most(
        format!("started again, until all {count} objects are looked at"),
        took.as_secs_f64(),
        2.0,
        "s",
    );
    let requests = server.requests(User::Agent).await? - requests;
    report.note("started again, requests", format!("{requests:.0}"));
    report.yes(format!("started again, proven in sync ({said})"), said.contains(&format!("in_sync={count}")));
    let memory = meter::settled_memory(follower.pid()).await?;
    report.yes("started again, nothing is written", self::versions(server).await? == versions);
    report.at_most("started again, resident", memory.resident, 32.0, "MiB");
    report.note("started again, resident and no file's", format!("{:.1} MiB", memory.own));
    report.at_most("started again, resident at its peak", memory.peak, 64.0, "MiB");
    Ok(())
}

/// The versions of all Deployments and ConfigMaps of the agent's.
async fn versions(server: &Server) -> Result<Vec<Option<String>>> {
    let labelled = ListParams::default().labels("muster.dev/app");
    let deployments: Api<Deployment> = Api::all(server.cluster.client());
    let config_maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::all(server.cluster.client());
    let deployments = deployments.list_metadata(&labelled).await?.items;
    let config_maps = config_maps.list_metadata(&labelled).await?.items;
    let all = deployments.into_iter().map(|item| item.metadata);
    let all = all.chain(config_maps.into_iter().map(|item| item.metadata));
    Ok(all.map(|metadata| metadata.resource_version).collect())
}

/// Scales each of `count` Deployments once: drift of one object again and again is held back on purpose.
async fn drift(
    report: &mut Report,
    server: &Server,
    follower: &Follower,
    apps: usize,
    count: usize,
) -> Result<()> {
    let mut samples = Vec::new();
    let mut written_once = true;
    let requests = server.requests(User::Agent).await?;
    let corrected = follower.count("The drift is corrected.");
    for index in 0..count {
        let deployments: Api<Deployment> =
            Api::namespaced(server.cluster.client(), &namespace("agent", index % apps));
        let name = format!("service-{}", index / apps % 10);
        let generation = async || -> Result<i64> {
            Ok(deployments.get_metadata(&name).await?.metadata.generation.unwrap_or_default())
        };
        let before = generation().await?;
        samples.push(tokio::time::timeout(LONG, fleet::scale_and_wait(&deployments, &name, 1, 0)).await??);
        // One more by the change, one by the correction.
        written_once &= generation().await? == before + 2;
    }
    let requests = (server.requests(User::Agent).await? - requests) / count as f64;
    let [p50, p99, longest] = sample::percentiles(samples);
    report.at_most(format!("{count} Deployments scaled once each, drift to corrected, p50"), p50, 50.0, "ms");
    report.at_most("drift to corrected, p99", p99, 250.0, "ms");
    report.note("drift to corrected, longest", format!("{longest:.0} ms"));
    let corrected = follower.count("The drift is corrected.") - corrected;
    report.yes(
        format!("one correction and one change each ({corrected} corrections)"),
        written_once && corrected == count,
    );
    report.note(
        "requests a drift (a write, a look for an autoscaler, two Events, and the Lease)",
        format!("{requests:.1}"),
    );
    Ok(())
}
