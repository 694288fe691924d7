//! What happens to a test whose real counterpart is missing on this machine?
//!
//! Outside CI it is skipped by name, loudly, and counted: one line a skip is appended to the file that
//! `MUSTER_SKIPS_FILE` names. With `CI` set it fails, since there nothing may go untested unseen.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Records that the calling test is skipped since `what` is missing; the test must then return.
///
/// # Panics
/// In CI, and when the file of skips cannot be written.
pub fn skip(what: &str, reason: &str) {
    let test = std::thread::current().name().unwrap_or("an unnamed test").to_owned();
    assert!(!in_ci(), "{test} needs {what}, which CI must have: {reason}");
    count(&test, what, reason);
}

/// Records that a second opinion on what the calling test looks at itself is left out. Counted as a skip, and no failure in
/// CI either: a registry that is away must not look like a fault of ours.
///
/// # Panics
/// When the file of skips cannot be written.
pub fn second_opinion(what: &str, reason: &str) {
    count(std::thread::current().name().unwrap_or("an unnamed test"), what, reason);
}

fn count(test: &str, what: &str, reason: &str) {
    eprintln!("SKIP {test}: {what} is missing: {reason}");
    if let Some(path) = std::env::var_os("MUSTER_SKIPS_FILE") {
        let line = format!("{test}\t{what}\t{}\n", reason.replace(['\n', '\t'], " "));
        let written = OpenOptions::new().create(true).append(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(line.as_bytes()));
        assert!(written.is_ok(), "cannot record a skip in {}: {written:?}", path.display());
    }
}

/// The program of this name on `PATH`, or a skip.
///
/// # Panics
/// In CI when it is missing.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(name, "it is not on PATH; install it");
    }
    found
}

/// Whether this runs in CI: the variable `CI` is set to something other than `false` or `0`.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
