//! What does a real cluster cost? Prints the figures that docs/testing.md quotes; run by name, on a quiet
//! machine: `cargo test -p muster-tests --test e2e figures -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use muster_tests::kubernetes::{Cluster, Options};

/// How long the processor use of idle clusters is observed.
const IDLE: Duration = Duration::from_secs(20);

/// The processor time of this process so far, in clock ticks of 10 ms (fields 14 and 15 of /proc/PID/stat).
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn all_ticks(clusters: &[&Cluster]) -> u64 {
    clusters.iter().flat_map(|cluster| cluster.programs()).map(|program| ticks(program.pid())).sum()
}

fn print_memory(cluster: &Cluster) {
    for program in cluster.programs() {
        let mebibytes = program.resident_bytes().unwrap_or(0) / (1 << 20);
        println!("  {}: {mebibytes} MiB", program.name());
    }
}

async fn print_idle(clusters: &[&Cluster]) {
    let before = all_ticks(clusters);
    tokio::time::sleep(IDLE).await;
    let used = (all_ticks(clusters) - before) * 10;
    let share = used as f64 / IDLE.as_millis() as f64 * 100.0;
    println!("  idle: {share:.1} % of one core for {} clusters", clusters.len());
}

#[tokio::test]
#[ignore = "prints figures, for a quiet machine"]
async fn figures_of_real_clusters() {
    let options = Options { scheduler: true, ..Options::default() };
    for name in ["first", "second"] {
        let started = Instant::now();
        let Some(cluster) = Cluster::start_or_skip(name, options.clone()).await else { return };
        println!("one cluster with a scheduler: ready after {} ms", started.elapsed().as_millis());
        print_memory(&cluster);
        print_idle(&[&cluster]).await;
        let stopping = Instant::now();
        cluster.stop();
        println!("  stopped after {} ms", stopping.elapsed().as_millis());
    }

    let started = Instant::now();
    let start = |name: &'static str| Cluster::start_or_skip(name, Options::default());
    let (Some(dev), Some(staging), Some(prod)) = tokio::join!(start("dev"), start("staging"), start("prod"))
    else {
        return;
    };
    println!("three clusters side by side: ready after {} ms", started.elapsed().as_millis());
    let clusters = [&dev, &staging, &prod];
    clusters.iter().for_each(|cluster| print_memory(cluster));
    print_idle(&clusters).await;
}
