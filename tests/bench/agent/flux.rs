//! Flux's published benchmark in its own shape: so many apps of four objects, in one push.

use super::follower::Follower;
use super::report::Report;
use super::server::{Server, User};
use super::{Result, meter, objects};

/// Flux's own figures on 16 cores, in seconds and MiB of its two controllers together (fluxcd.io, benchmarks of
/// kustomize-controller), by the number of apps.
const PUBLISHED: [(usize, &str); 3] =
    [(100, "27 s"), (500, "124 s, 122 MiB"), (1_000, "255 s, 175 + 67 MiB")];

/// What is aimed at for 1,000 apps; fewer may take as long.
const SECONDS_MAX: f64 = 60.0;
const MIB_MAX: f64 = 64.0;

pub(super) async fn measure(report: &mut Report, apps: usize) -> Result<()> {
    let Some(server) = Server::start("flux").await? else { return Ok(()) };
    let follower = Follower::start(&server).await?;
    let mut files = Vec::new();
    for index in 0..apps {
        let name = format!("app-{index:04}");
        files.push((format!("apps/{name}.yaml"), objects::document(&name, &name)));
        files.push((format!("manifests/{name}/all.yaml"), objects::flux_app(&name, &name)));
    }
    server.until_idle().await?;
    let (requests, cpu) = (server.requests(User::Agent).await?, meter::cpu(follower.pid())?);
    let sync = follower.push(&files, apps).await?;
    let cpu = meter::cpu(follower.pid())? - cpu;
    let memory = meter::settled_memory(follower.pid()).await?;
    // Later, so that the Events are in.
    let requests = server.requests(User::Agent).await? - requests;
    report.at_most(
        format!("{apps} apps, push to all synced"),
        sync.since_push.as_secs_f64(),
        SECONDS_MAX,
        "s",
    );
    report.at_most(format!("{apps} apps, resident at its peak"), memory.peak, MIB_MAX, "MiB");
    report.note(format!("{apps} apps, resident after it"), format!("{:.1} MiB", memory.resident));
    report.note(format!("{apps} apps, requests an app"), format!("{:.2}", requests / apps as f64));
    report.note(format!("{apps} apps, the agent's processor time"), format!("{:.1} s", cpu.as_secs_f64()));
    if let Some((_, figures)) = PUBLISHED.iter().find(|(published, _)| *published == apps) {
        report.note(format!("{apps} apps, Flux on 16 cores, as published"), figures);
    }
    Ok(())
}
