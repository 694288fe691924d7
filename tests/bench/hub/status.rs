//! How long does `muster status` take, from its start to its end?

use std::time::Instant;

use muster_tests::agents;
use muster_tests::process::Launch;
use muster_tests::scratch::Scratch;
use muster_wire::v1;

use super::{DEADLINE, Hub, Result, connect_all};
use crate::sample;

/// Clusters of the fleet, and how many of them are not well.
const CLUSTERS: usize = 3_000;
const WRONG: usize = 30;
/// How often it is asked.
const TIMES: usize = 50;

pub(crate) async fn run() -> Result<()> {
    let scratch = Scratch::new("bench-status")?;
    let hub = Hub::start(scratch.path(), "").await?;
    let configs = agents::configs(&hub.directory, CLUSTERS)?;
    let (connected, _) = connect_all(hub.address, &configs, false).await?;
    for (number, agent) in connected.iter().enumerate() {
        let mut status = agents::status("web", "3f1c0e5b8a9d4c7f6e2b1a0d9c8b7a6f5e4d3c2b");
        if number % (CLUSTERS / WRONG) == 0 {
            status.health = v1::HealthStatus::Degraded.into();
            "Deployment shop/web: image nginx:1.26 cannot be pulled".clone_into(&mut status.message);
        }
        agent.outbound.send(agents::report(1, status)).await?;
    }
    let config = hub.directory.join("operator.yaml");
    let command =
        || -> Result<Launch> { Ok(Launch::binary("muster")?.env("MUSTER_CONFIG", &config).args(["status"])) };
    muster_tests::wait::try_until("all reports to be there", DEADLINE, async || {
        let output = command().map_err(|error| error.to_string())?.run(DEADLINE).await;
        let text = output.map_err(|error| error.to_string())?.stdout;
        if text.contains(&format!("{WRONG} Degraded")) && text.contains("2,970 Healthy") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await?;
    let mut samples = Vec::new();
    for _ in 0..TIMES {
        let command = command()?;
        let started = Instant::now();
        command.run(DEADLINE).await?;
        samples.push(started.elapsed());
    }
    println!("| | p50 | p99 | max | aim |\n|---|---|---|---|---|");
    println!(
        "| `muster status` with {CLUSTERS} clusters, the whole process, {TIMES} times | {} | p50 < 100 ms |",
        sample::cells(samples)
    );
    drop(connected);
    Ok(())
}
