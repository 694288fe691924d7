//! Where do the files of a test go, and who removes them?
//!
//! Each test process has one root below the system's temporary directory. A [`Scratch`] inside it is removed
//! when dropped; the root by a shell that waits for this process to end, in whatever way it ends.
//! `MUSTER_TESTS_KEEP=1` keeps everything, for a look at logs and data.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Waits for the end of its input, which this process holds open while it lives, then removes the directory.
/// It tries again for a while, since programs that end at the same moment may still write there.
const JANITOR: &str = r#"
while read -r _; do :; done
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" 2>/dev/null; [ -e "$1" ] || exit 0; sleep 0.2; done
"#;

/// The root of this process, and the janitor whose input must stay open until the process ends.
struct Root {
    path: PathBuf,
    _janitor: Option<Child>,
}

/// A directory that is removed, with all in it, when this is dropped.
#[derive(Debug)]
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Makes a new directory whose name begins with `name`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(name: &str) -> io::Result<Scratch> {
        let mut directory = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(root()?)?;
        directory.disable_cleanup(keep());
        Ok(Scratch(directory))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The directory that holds everything this process writes; its path is part of the command line of every
/// cluster program, so that what belongs to this process can be told apart.
///
/// # Errors
/// The directory cannot be made, or there is no `sh`.
pub fn root() -> io::Result<PathBuf> {
    static ROOT: Mutex<Option<Root>> = Mutex::new(None);
    let mut root = ROOT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(root) = &*root {
        return Ok(root.path.clone());
    }
    let prefix = format!("muster-tests-{}-", std::process::id());
    let path = tempfile::Builder::new().prefix(&prefix).tempdir()?.keep();
    let janitor = if keep() { None } else { Some(janitor(&path)?) };
    *root = Some(Root { path: path.clone(), _janitor: janitor });
    Ok(path)
}

/// Whether scratch directories are to be kept (`MUSTER_TESTS_KEEP` is set and not empty).
pub fn keep() -> bool {
    std::env::var_os("MUSTER_TESTS_KEEP").is_some_and(|value| !value.is_empty())
}

/// In its own process group, so that Ctrl-C reaches the tests but not the janitor.
fn janitor(path: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", JANITOR, "muster-tests-janitor"])
        .arg(path)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
