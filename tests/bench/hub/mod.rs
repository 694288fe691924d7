//! The hub under many agents: durable updates, memory, report to watch, restart.

pub(crate) mod status;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use muster_tests::agents::{self, Agent};
use muster_tests::etcd::Etcd;
use muster_tests::process::{Launch, Program};
use muster_tests::scratch::Scratch;
use muster_tests::{ports, wait};
use muster_wire::v1::{self, fleet_service_client::FleetServiceClient, hub_message};
use rustls::ClientConfig;

use super::{Arguments, sample};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DEADLINE: Duration = Duration::from_secs(120);
/// How long updates are counted.
const COUNTED: Duration = Duration::from_secs(10);
/// Agents that send as fast as they are acknowledged, with so many apps each, so many reports under way.
const BUSY: usize = 100;
const APPS: usize = 20;
const WINDOW: u64 = 100;
/// Reports timed on their way to a watch, and how many are sent a second.
const TIMED: u64 = 2_000;
const TIMED_RATE: u64 = 200;
/// Handshakes under way at once, as agents with jitter have them.
const AT_ONCE: usize = 64;
const KIB: f64 = 1024.0;

struct Hub {
    program: Program,
    directory: PathBuf,
    address: SocketAddr,
}

impl Hub {
    async fn start(scratch: &Path, store: &str) -> Result<Self> {
        let directory = scratch.join("hub");
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let init = Launch::binary("muster-hub")?.args(["init", "--dir"]).arg(&directory);
        init.args(["--address", &address.to_string()]).run(DEADLINE).await?.success();
        let config = directory.join("config.yaml");
        std::fs::write(&config, std::fs::read_to_string(&config)? + store)?;
        let run = Launch::binary("muster-hub")?.args(["run", "--dir"]).arg(&directory);
        let mut program = run.args(["--listen", &address.to_string(), "--log", "warn"]).start()?;
        program.wait_for_port(address, DEADLINE).await?;
        Ok(Self { program, directory, address })
    }

    /// Resident bytes, once they have settled.
    async fn resident(&self) -> f64 {
        super::the_loop::settled(|| self.program.resident_bytes()).await
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    println!("| | measured | aim |\n|---|---|---|");
    let scratch = Scratch::new("bench-hub")?;
    let mut hub = Hub::start(scratch.path(), "").await?;
    let configs = agents::configs(&hub.directory, arguments.agents)?;
    let many = configs.len();

    let before = hub.resident().await;
    let (mut connected, _) = connect_all(hub.address, &configs, false).await?;
    let after = hub.resident().await;
    let each = (after - before) / many as f64 / KIB;
    println!(
        "| memory of the hub for each of {many} connected agents, TLS included | {each:.1} KiB | < 64 KiB |"
    );
    watch(&hub, &mut connected).await?;

    // Each has one app, whose last status the hub has.
    drop(connected);
    let (connected, _) = connect_all(hub.address, &configs, true).await?;
    hub.program.kill();
    drop(connected);
    let started = Instant::now();
    hub.program.restart()?;
    let (connected, resent) = connect_all(hub.address, &configs, true).await?;
    println!(
        "| restart of the hub until {many} agents are back, {resent} apps sent again | {:.1} s | < 3 s |",
        started.elapsed().as_secs_f64()
    );
    drop(connected);

    let rate = updates(&hub, &configs).await?;
    println!("| durable updates, journal | {rate:.0} a second | 20000 a second |");
    let bytes: u64 = sizes(&hub.directory.join("store/status-journal"))?;
    println!("| size of the journal after it | {:.1} MiB | |", bytes as f64 / KIB / KIB);

    if let Some(etcd) = Etcd::start_or_skip(3).await {
        let file = |name: &str| etcd.file(name).display().to_string();
        let store = format!(
            "store: {{etcd: {{endpoints: {:?}, tls: {{ca: {}, certificate: {}, key: {}}}}}}}\n",
            etcd.endpoints(),
            file("ca.crt"),
            file("client.crt"),
            file("client.key"),
        );
        let scratch = Scratch::new("bench-hub-etcd")?;
        let hub = Hub::start(scratch.path(), &store).await?;
        let configs = agents::configs(&hub.directory, BUSY)?;
        let rate = updates(&hub, &configs).await?;
        println!(
            "| acknowledged updates, etcd of three members on this machine, without fsync | {rate:.0} a second | |"
        );
    }
    Ok(())
}

fn sizes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// Connects all agents, each trying until it is taken; also how many apps the hub wanted to have again.
async fn connect_all(
    address: SocketAddr,
    configs: &[Arc<ClientConfig>],
    with_app: bool,
) -> Result<(Vec<Agent>, usize)> {
    let connecting = configs.iter().enumerate().map(|(number, config)| async move {
        let apps = [agents::status("web", &last_revision(number))];
        let apps = if with_app { &apps[..] } else { &[] };
        wait::try_until("an agent to be connected", DEADLINE, async || {
            Agent::connect(address, config, &agents::name(number), apps)
                .await
                .map_err(|error| error.to_string())
        })
        .await
    });
    let all: Vec<_> = futures::stream::iter(connecting).buffered(AT_ONCE).collect().await;
    let agents = all.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    let resent = agents.iter().map(|agent| agent.resend).sum();
    Ok((agents, resent))
}

/// What [`watch`] reported of a cluster last.
fn last_revision(number: usize) -> String {
    format!("last-{number}")
}

/// From an agent's report to a watch of the fleet, and a last status for each cluster.
async fn watch(hub: &Hub, connected: &mut [Agent]) -> Result<()> {
    let channel = agents::channel(hub.address, &agents::operator(&hub.directory)?).await?;
    let mut changes =
        FleetServiceClient::new(channel).watch_fleet(v1::WatchFleetRequest::default()).await?.into_inner();
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel::<(u64, Instant)>();
    let seeing = tokio::spawn(async move {
        let mut seen = HashMap::new();
        while (seen.len() as u64) < TIMED {
            let Some(change) = changes.message().await.ok().flatten() else { break };
            if let Some(v1::watch_fleet_response::Change::App(app)) = change.change
                && let Some(number) = app.status.and_then(|status| status.revision.parse::<u64>().ok())
            {
                seen.entry(number).or_insert_with(Instant::now);
            }
        }
        seen
    });
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(TIMED_RATE)?);
    let count = connected.len();
    for number in 0..TIMED {
        pace.tick().await;
        let agent = &connected[usize::try_from(number)? % count];
        sent.send((number, Instant::now()))?;
        let sequence = number / count as u64 + 1;
        agent.outbound.send(agents::report(sequence, agents::status("web", &number.to_string()))).await?;
    }
    drop(sent);
    let seen = tokio::time::timeout(DEADLINE, seeing).await??;
    let mut samples = Vec::new();
    while let Some((number, at)) = received.recv().await {
        samples.extend(seen.get(&number).map(|seen| seen.duration_since(at)));
    }
    println!(
        "| report to a watch of the fleet, {count} agents, {TIMED} reports at {TIMED_RATE} a second: p50, p99, max | {} | p99 < 50 ms |",
        sample::cells(samples).replace(" | ", ", ")
    );
    for (number, agent) in connected.iter_mut().enumerate() {
        let sequence = u64::MAX;
        agent.outbound.send(agents::report(sequence, agents::status("web", &last_revision(number)))).await?;
        loop {
            let message = agent.inbound.message().await?.ok_or("the hub hung up")?;
            if let Some(hub_message::Body::Ack(ack)) = message.body
                && ack.apps.iter().any(|app| app.sequence == sequence)
            {
                break;
            }
        }
    }
    Ok(())
}

/// Acknowledged updates a second, from agents that send as fast as they are acknowledged.
async fn updates(hub: &Hub, configs: &[Arc<ClientConfig>]) -> Result<f64> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, config) in configs.iter().take(BUSY).enumerate() {
        let mut agent = Agent::connect(hub.address, config, &agents::name(number), &[]).await?;
        let acknowledged = Arc::clone(&acknowledged);
        tasks.spawn(async move {
            let (mut sent, mut done) = (0_u64, 0_u64);
            loop {
                while sent - done < WINDOW {
                    let app = format!("app-{:02}", sent % APPS as u64);
                    let sequence = sent / APPS as u64 + 1;
                    let report = agents::report(sequence, agents::status(&app, &sent.to_string()));
                    if agent.outbound.send(report).await.is_err() {
                        return;
                    }
                    sent += 1;
                }
                let Ok(Some(message)) = agent.inbound.message().await else { return };
                if let Some(hub_message::Body::Ack(ack)) = message.body {
                    let count = ack.apps.len() as u64;
                    done += count;
                    acknowledged.fetch_add(count, Ordering::Relaxed);
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // until all send
    let (before, started) = (acknowledged.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(COUNTED).await;
    let count = acknowledged.load(Ordering::Relaxed) - before;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
