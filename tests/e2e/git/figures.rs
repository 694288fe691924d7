//! How long does it take, and how much memory? Printed, never asserted.

use std::time::Instant;

use muster_git::ReadLimits;
use muster_tests::git::{Change, Options};

use super::Site;

/// Resident memory of this process in MiB: now, and at its highest.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = work();
    let (now, highest) = memory();
    let took = started.elapsed().as_secs_f64() * 1000.0;
    println!("figure: {what}: {took:.1} ms, {now} MiB resident, {highest} MiB at most");
    value
}

#[test]
fn fetching_and_reading_take_this_long() {
    let (site, _) = Site::start(Options::default());
    let mut change = Change::new("Ten thousand files");
    for number in 0..10_000 {
        let content = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\ndata: {{n: '{number}'}}\n"
        );
        change = change.file(&format!("apps/a{:02}/c{number}.yaml", number % 10), content);
    }
    site.repository.make(&change).unwrap();
    println!("figure: before: {} MiB resident", memory().0);
    let mut mirror = site.mirror();
    timed("first fetch of 10,000 files", || mirror.fetch(&["main"]).unwrap());
    for _ in 0..3 {
        timed("fetch with nothing new", || mirror.fetch(&["main"]).unwrap());
    }
    for number in 0..3 {
        site.commit(&[("apps/a01/c1.yaml", &format!("changed: {number}\n"))]);
        timed("fetch of one commit, one file of 10,000 changed", || mirror.fetch(&["main"]).unwrap());
    }
    let head = mirror.resolve("main").unwrap();
    let limits = ReadLimits::default();
    for _ in 0..3 {
        let tree = timed("read of 1,000 files", || mirror.read(&head, "apps/a01", &limits).unwrap());
        assert_eq!(tree.files().len(), 1_000);
    }
    timed("read of 10,000 files", || mirror.read(&head, "apps", &limits).unwrap());
    drop(mirror);
    timed("opening", || site.mirror());
}
