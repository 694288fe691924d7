//! Does any input make rendering panic, hang or hoard memory?
//!
//! The repositories of tests/render and some at random are damaged and rendered; each of their files is
//! read in both of kubectl's ways as well. `MUSTER_FUZZ_SECONDS` says for how long (without it a number
//! of inputs is tried, the same ones every time), `MUSTER_RENDER_SEED` with which number to begin. What
//! is found becomes a case in tests/render, which is then compared with kubectl for good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

use fastrand::Rng;
use muster_yaml::{Limits, Reading, Value};

use super::{corpus, generate, mutate, outcome};

/// Inputs that are tried when nobody says for how long.
const INPUTS: u64 = 400;
/// What one input may take where it is run for long, on a machine that does other things too: more is a hang.
const INPUT_MAX: Duration = Duration::from_secs(30);
/// What the process may grow by, once warm, in bytes.
const GROWTH_MAX: u64 = 256 << 20;
/// Inputs until it is warm.
const WARM_AFTER: u64 = 1000;

/// The repository of a number.
fn input(seed: u64, seeds: &[outcome::Files]) -> outcome::Files {
    let mut random = Rng::with_seed(seed);
    let mut files = match random.choice(seeds) {
        Some(files) if random.u8(..4) > 0 => files.clone(),
        _ => generate::repository(random.u64(..1_000_000)),
    };
    mutate::damage(&mut files, &mut random);
    files
}

/// Reads and renders; an error is a good answer.
fn try_all(files: &outcome::Files) {
    let limits = Limits::default();
    for bytes in files.values() {
        for part in muster_yaml::parts(bytes, &limits).into_iter().flatten() {
            for keys in [Reading::AsKubectl, Reading::Strict] {
                read_back(part.read(keys, &limits));
            }
        }
        for part in muster_yaml::kustomize_parts(bytes, &limits).into_iter().flatten() {
            read_back(part.read(Reading::AsKustomize, &limits));
        }
    }
    let _ = outcome::ours(files, outcome::entry(files));
}

/// What was read and is written again has to read as the same.
fn read_back(read: Result<Option<muster_yaml::Node>, muster_yaml::Error>) {
    let Ok(Some(node)) = read else { return };
    if !matches!(node.value, Value::Mapping(_)) {
        return;
    }
    let value = node.into_json();
    let text = muster_yaml::to_yaml(&value);
    let again = outcome::printed(text.as_bytes());
    assert_eq!(again, [value], "what is written does not read as what was meant");
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

#[test]
fn damaged_repositories_are_answered() {
    let seconds = std::env::var("MUSTER_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|seconds| Duration::from_secs(seconds.parse().expect("a number")));
    let first: u64 = std::env::var("MUSTER_RENDER_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let seeds = corpus::repositories();
    let next = AtomicU64::new(first);
    let started = Instant::now();
    let threads = thread::available_parallelism().map_or(2, usize::from).min(2);
    let work = || {
        let (mut slowest, mut wrong, mut warm) = ((Duration::ZERO, 0), Vec::new(), 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = match seconds {
                Some(seconds) => started.elapsed() >= seconds,
                None => seed >= first + INPUTS,
            };
            if enough || wrong.len() > 20 {
                return (slowest, wrong);
            }
            let files = input(seed, &seeds);
            let begun = Instant::now();
            if panic::catch_unwind(|| try_all(&files)).is_err() {
                wrong.push(format!("seed {seed}: panics"));
            }
            let took = begun.elapsed();
            slowest = slowest.max((took, seed));
            if seconds.is_some() && took > INPUT_MAX {
                wrong.push(format!("seed {seed}: takes {took:?}"));
            }
            if seed == first + WARM_AFTER {
                warm = resident_bytes();
            }
            let resident = if seed.is_multiple_of(256) { resident_bytes() } else { 0 };
            if warm > 0 && resident > warm + GROWTH_MAX {
                wrong.push(format!("seed {seed}: {} MiB more than when warm", (resident - warm) >> 20));
                warm = 0;
            }
        }
    };
    let found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("panics are caught")).collect()
    });
    let tried = next.load(Ordering::Relaxed) - first - threads as u64;
    let slowest = found.iter().map(|(slowest, _)| *slowest).max().unwrap_or_default();
    println!(
        "{tried} inputs in {:?}; slowest {:?} (seed {}); {} MiB resident",
        started.elapsed(),
        slowest.0,
        slowest.1,
        resident_bytes() >> 20
    );
    let wrong: Vec<_> = found.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
