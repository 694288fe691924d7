//! What does `kubectl kustomize` say of a directory?

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use muster_tests::skip;

use super::outcome::{Outcome, printed};

/// The Kustomize whose results are recorded; others differ in places.
const KUSTOMIZE: &str = "v5.5.0";

/// kubectl with the Kustomize that is the measure, or a skip.
pub(super) fn program() -> Option<PathBuf> {
    let kubectl = skip::program("kubectl")?;
    let output = Command::new(&kubectl).args(["version", "--client"]).output().expect("kubectl runs");
    let version = String::from_utf8_lossy(&output.stdout);
    if !version.contains(KUSTOMIZE) {
        skip::skip(&format!("kubectl with Kustomize {KUSTOMIZE}"), &format!("it is {version}"));
        return None;
    }
    Some(kubectl)
}

/// The program of `tests/kubernetes/kustomize`, where `MUSTER_KUSTOMIZE` names it: Kustomize as kubectl
/// has it, for thousands of directories.
pub(super) fn reference() -> Option<PathBuf> {
    std::env::var_os("MUSTER_KUSTOMIZE").map(PathBuf::from)
}

/// Has the entries of many repositories built, in one process for as many of them as it survives:
/// Kustomize ends the process over some faults.
pub(super) fn kustomize_all(reference: &Path, places: &[(PathBuf, &str)]) -> Vec<Outcome> {
    let mut left = places;
    while !left.is_empty() {
        build_all(reference, left);
        let is_answered = |root: &Path| root.join("built.yaml").exists() || root.join("refused.txt").exists();
        let Some(fatal) = left.iter().position(|(root, _)| !is_answered(root)) else { break };
        assert!(fatal > 0 || left.len() < places.len(), "{} answers nothing", reference.display());
        fs::write(left[fatal].0.join("refused.txt"), "the program ended\n").expect("a file can be written");
        left = &left[fatal + 1..];
    }
    let outcome = |(root, _): &(PathBuf, &str)| match fs::read(root.join("built.yaml")) {
        Ok(text) => Outcome::Objects(printed(&text)),
        Err(_) => Outcome::Refused(fs::read_to_string(root.join("refused.txt")).expect("it was refused")),
    };
    places.iter().map(outcome).collect()
}

/// Runs the program until all is built or it ends.
fn build_all(reference: &Path, places: &[(PathBuf, &str)]) {
    let mut program = Command::new(reference)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("MUSTER_KUSTOMIZE names a program");
    let mut lines = program.stdin.take().expect("it has a standard input");
    for (root, entry) in places {
        if writeln!(lines, "{}", root.join(entry).display()).is_err() {
            break;
        }
    }
    drop(lines);
    program.wait().expect("the program ends");
}

/// Builds a directory. A refusal is without the time and without the directory's own path.
pub(super) fn kustomize(kubectl: &Path, root: &Path, entry: &str) -> Outcome {
    let output = Command::new(kubectl)
        .arg("kustomize")
        .arg(root.join(entry))
        .env("HOME", root)
        .output()
        .expect("kubectl runs, as it did before");
    if output.status.success() {
        return Outcome::Objects(printed(&output.stdout));
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = text.split("\ngoroutine ").next().unwrap_or_default();
    let text = text.split_once(" err=").map_or(text, |(_, text)| text);
    let root = root.to_str().expect("paths are UTF-8");
    Outcome::Refused(text.replace(root, "").trim().to_owned() + "\n")
}

/// Does something with each item, a few at a time, and keeps the order.
pub(super) fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = std::sync::Mutex::new(Vec::with_capacity(items.len()));
    // Half of kubectl's time is waiting for its own start.
    let threads = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((position, item)) = {
                    let position = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    items.get(position).map(|item| (position, item))
                } {
                    let result = work(item);
                    results.lock().expect("no worker panics while holding it").push((position, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("all workers have ended");
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}
