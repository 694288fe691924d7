//! How does an edit become a commit, with the work tree left as it is?
//!
//! By the git program, so that its configuration counts: who commits, whether commits are signed, how a server is
//! logged in to.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Edited;
use crate::failure::Failure;

/// What a branch that is not there is compared with.
const NONE: &str = "0000000000000000000000000000000000000000";

/// A repository with a work tree.
pub(crate) struct Git {
    root: PathBuf,
    /// From the work tree to the fleet, as in `deploy/fleet/`; or empty.
    prefix: String,
    scratch: tempfile::TempDir,
}

/// A commit that nobody knows of yet.
pub(crate) struct Committed {
    pub(crate) id: String,
    /// The commit it is made on.
    parent: String,
}

impl Git {
    /// The repository around a directory. `prefix` is where the fleet lies in it.
    pub(crate) fn around(directory: &Path, prefix: &str) -> Result<Git, Failure> {
        let scratch = tempfile::Builder::new().prefix("muster-").tempdir()?;
        let mut git = Git { root: directory.to_owned(), prefix: prefix.to_owned(), scratch };
        git.root = git.run(&["rev-parse", "--show-toplevel"], None)?.into();
        Ok(git)
    }

    /// The commit a branch is at, if there is such a branch.
    pub(crate) fn branch(&self, name: &str) -> Option<String> {
        let reference = format!("refs/heads/{name}");
        self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &reference], None).ok()
    }

    /// Makes a commit of the edits on top of another. Nothing refers to it yet; what it is made of stays in a
    /// scratch directory until [`keep`](Git::keep).
    pub(crate) fn commit(&self, base: &str, files: &[Edited], message: &str) -> Result<Committed, Failure> {
        let parent = self.run(&["rev-parse", "--verify", &format!("{base}^{{commit}}")], None)?;
        self.run(&["read-tree", &parent], None)?;
        for file in files {
            let path = format!("{}{}", self.prefix, file.path);
            let entry = self.run(&["ls-tree", "--full-tree", &parent, "--", &path], None)?;
            let mode = entry.split(' ').next().filter(|mode| mode.starts_with("100"));
            let mode =
                mode.ok_or_else(|| Failure::Repository(format!("{path} is no regular file in Git")))?;
            let blob = self.run(&["hash-object", "-w", "--stdin"], Some(&file.text))?;
            self.run(&["update-index", "--cacheinfo", &format!("{mode},{blob},{path}")], None)?;
        }
        let tree = self.run(&["write-tree"], None)?;
        let mut arguments = vec!["commit-tree", &tree, "-p", &parent, "-F", "-"];
        if self.run(&["config", "--type=bool", "commit.gpgSign"], None).is_ok_and(|answer| answer == "true") {
            arguments.push("-S");
        }
        let id = self.run(&arguments, Some(message))?;
        Ok(Committed { id, parent })
    }

    /// What the commit changes, as `git diff` shows it.
    pub(crate) fn diff(&self, commit: &Committed, color: bool) -> Result<String, Failure> {
        let color = if color { "--color=always" } else { "--color=never" };
        self.run(&["diff", "--no-ext-diff", color, &commit.parent, &commit.id], None)
    }

    /// Puts a branch on the commit: a new one, or one that was where the commit was made. The work tree follows when
    /// the branch is checked out.
    pub(crate) fn keep(&self, branch: &str, commit: &Committed) -> Result<(), Failure> {
        let objects =
            self.run(&["rev-list", "--objects", &commit.id, &format!("^{}", commit.parent)], None)?;
        let pack = self.bytes(&["pack-objects", "--quiet", "--stdout"], Some(objects.as_bytes()))?;
        self.outside(&["unpack-objects", "-q"], Some(&pack))?;
        let reference = format!("refs/heads/{branch}");
        let current = self.run(&["symbolic-ref", "--quiet", "HEAD"], None).unwrap_or_default();
        if current == reference {
            return self.outside(&["merge", "--quiet", "--ff-only", &commit.id], None).map(drop);
        }
        let old = self.branch(branch).unwrap_or_else(|| NONE.to_owned());
        self.outside(&["update-ref", &reference, &commit.id, &old], None).map(drop)
    }

    /// Pushes a branch.
    pub(crate) fn push(&self, remote: &str, branch: &str) -> Result<(), Failure> {
        self.outside(&["push", "--quiet", remote, &format!("refs/heads/{branch}")], None).map(drop)
    }

    /// What git prints, with an index and objects of our own.
    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, Failure> {
        let output = self.bytes(arguments, input.map(str::as_bytes))?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    fn bytes(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        let mut command = Command::new("git");
        // Until the top is known there is nothing to be kept apart.
        if let Some(objects) = self.objects() {
            let own = self.scratch.path().join("objects");
            std::fs::create_dir_all(&own)?;
            command.env("GIT_INDEX_FILE", self.scratch.path().join("index"));
            command.env("GIT_OBJECT_DIRECTORY", own).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
        }
        self.spawn(command, arguments, input)
    }

    /// As a person would run it.
    fn outside(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        self.spawn(Command::new("git"), arguments, input)
    }

    fn objects(&self) -> Option<PathBuf> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(["rev-parse", "--git-path", "objects"]);
        let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
        Some(self.root.join(String::from_utf8_lossy(&output.stdout).trim_end()))
    }

    fn spawn(
        &self,
        mut command: Command,
        arguments: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::Repository(format!("git {} failed: {why}", arguments.first().unwrap_or(&"")))
        };
        command.arg("-C").arg(&self.root).args(arguments.iter().map(OsStr::new));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let mut stdin = child.stdin.take();
        // Written beside the reading, so that neither pipe fills up while the other is waited for.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.take().map(|mut stdin| stdin.write_all(input.unwrap_or_default())));
            child.wait_with_output()
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
    }
}
