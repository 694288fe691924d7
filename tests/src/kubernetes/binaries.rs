//! Where are etcd and the Kubernetes programs? `tests/kubernetes/build` says, after building them if needed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::OnceCell;

use super::Error;

/// The script's exit status for "cannot be built on this machine".
const CANNOT_BUILD: i32 = 3;

/// The directory of the programs. The first call of a process runs the script, which takes milliseconds once
/// they are built and minutes before; its progress appears on this process's standard error.
pub(super) async fn find() -> Result<PathBuf, Error> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    let search = || async {
        let done = tokio::task::spawn_blocking(build).await;
        done.unwrap_or_else(|error| Err(Error::Build(error.to_string())))
    };
    FOUND.get_or_try_init(search).await.cloned()
}

fn build() -> Result<PathBuf, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/build");
    let mut command = Command::new(&script);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| Error::Missing(format!("{}: {error}", script.display())))?;
    let mut last = String::new();
    if let Some(progress) = child.stderr.take() {
        for line in BufReader::new(progress).lines().map_while(Result::ok) {
            // Not eprintln!, which the test harness would hold back until the test has ended.
            let _ = writeln!(std::io::stderr(), "{line}");
            last = line;
        }
    }
    let output = child.wait_with_output()?;
    match output.status.code() {
        Some(0) => Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())),
        Some(CANNOT_BUILD) => Err(Error::Missing(last)),
        _ => Err(Error::Build(format!("{}: {last}", output.status))),
    }
}
