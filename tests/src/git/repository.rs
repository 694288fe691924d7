//! How do commits get into a bare repository? By one `git fast-import` each: no work tree, no network.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{AUTHOR, Error, command};

/// The branch of [`Repository::commit`].
const MAIN: &str = "main";
/// The time of the first commit, in seconds since 1970; each later one is a minute younger.
const FIRST_COMMIT: u64 = 1_750_000_000;

/// A bare repository.
pub struct Repository {
    directory: PathBuf,
    commits: AtomicU64,
}

/// One commit to be made.
#[derive(Clone, Debug, Default)]
pub struct Change {
    branch: String,
    message: String,
    written: BTreeMap<String, (&'static str, Vec<u8>)>,
    removed: Vec<String>,
    parent: Option<String>,
}

impl Change {
    /// A commit on `main` with this message, so far without changes.
    pub fn new(message: &str) -> Change {
        Change { branch: MAIN.to_owned(), message: message.to_owned(), ..Change::default() }
    }

    /// Goes to this branch, which is created if need be, without a parent.
    #[must_use]
    pub fn on(mut self, branch: &str) -> Change {
        self.branch = branch.to_owned();
        self
    }

    /// Has this commit as its parent in place of the branch's head: a force-push when that is no descendant.
    #[must_use]
    pub fn after(mut self, parent: &str) -> Change {
        self.parent = Some(parent.to_owned());
        self
    }

    /// Writes a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Change {
        self.written.insert(path.to_owned(), ("100644", content.as_ref().to_owned()));
        self
    }

    /// Writes a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Change {
        self.written.insert(path.to_owned(), ("120000", target.as_bytes().to_owned()));
        self
    }

    /// Removes a file or a whole directory.
    #[must_use]
    pub fn remove(mut self, path: &str) -> Change {
        self.removed.push(path.to_owned());
        self
    }

    /// The stream for fast-import; `parent` is `None` for a first commit.
    fn stream(&self, parent: Option<&str>, time: u64) -> Vec<u8> {
        let (name, address) = AUTHOR;
        let mut stream = Vec::new();
        let mut line = |text: String| {
            stream.extend_from_slice(text.as_bytes());
            stream.push(b'\n');
        };
        line(format!("commit refs/heads/{}\nmark :1", self.branch));
        line(format!("committer {name} <{address}> {time} +0000"));
        line(format!("data {}\n{}", self.message.len(), self.message));
        if let Some(parent) = parent {
            line(format!("from {parent}"));
        }
        for path in &self.removed {
            line(format!("D {}", quoted(path)));
        }
        for (path, (mode, content)) in &self.written {
            stream.extend_from_slice(
                format!("M {mode} inline {}\ndata {}\n", quoted(path), content.len()).as_bytes(),
            );
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
        stream.extend_from_slice(b"\nget-mark :1\ndone\n");
        stream
    }
}

/// A path as fast-import reads it, whatever it holds.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

impl Repository {
    /// Creates an empty bare repository there, whose head is `main`. Clients may push to it, fetch any
    /// commit by its id, and fetch partially.
    ///
    /// # Errors
    /// Git is missing or refuses.
    pub fn create(directory: &Path) -> Result<Repository, Error> {
        std::fs::create_dir_all(directory)?;
        let repository = Repository { directory: directory.to_owned(), commits: AtomicU64::new(0) };
        repository.git(&["init", "--quiet", "--bare", "--initial-branch", MAIN])?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
            ("gc.auto", "0"),
            ("core.fsync", "none"),
        ] {
            repository.git(&["config", key, value])?;
        }
        Ok(repository)
    }

    /// The repository's directory, usable as a local remote.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes these files on `main` and returns the new revision (40 hex digits). Files not named stay.
    ///
    /// # Errors
    /// Git refuses, for instance a path such as `.git/config`.
    pub fn commit<P: AsRef<str>, C: AsRef<[u8]>>(
        &self,
        files: &[(P, C)],
        message: &str,
    ) -> Result<String, Error> {
        let change = files.iter().fold(Change::new(message), |change, (path, content)| {
            change.file(path.as_ref(), content.as_ref())
        });
        self.make(&change)
    }

    /// Removes these files or directories on `main` and returns the new revision.
    ///
    /// # Errors
    /// Git refuses.
    pub fn remove(&self, paths: &[&str], message: &str) -> Result<String, Error> {
        self.make(&paths.iter().fold(Change::new(message), |change, path| change.remove(path)))
    }

    /// Makes one commit and returns its revision.
    ///
    /// # Errors
    /// Git refuses, for instance an unknown parent.
    pub fn make(&self, change: &Change) -> Result<String, Error> {
        let head = format!("refs/heads/{}", change.branch);
        let parent = change.parent.clone().or_else(|| self.resolve(&head).ok());
        let count = self.commits.fetch_add(1, Ordering::Relaxed);
        let stream = change.stream(parent.as_deref(), FIRST_COMMIT + 60 * count);
        let arguments = ["fast-import", "--quiet", "--force", "--done"];
        Ok(self.git_with_input(&arguments, &stream)?.trim().to_owned())
    }

    /// Makes one commit that is signed with this key of SSH, and returns its revision.
    ///
    /// # Errors
    /// Git or ssh-keygen refuses.
    pub fn make_signed(&self, change: &Change, key: &Path) -> Result<String, Error> {
        // fast-import cannot sign, and nobody may see the branch without the signature.
        let aside = Change { branch: "unsigned".to_owned(), ..change.clone() };
        let parent = self.resolve(&format!("refs/heads/{}", change.branch))?;
        let unsigned = self.make(&aside.after(change.parent.as_ref().unwrap_or(&parent)))?;
        let (tree, key) = (format!("{unsigned}^{{tree}}"), format!("user.signingKey={}", key.display()));
        let signing = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", "-p", &parent];
        let signed = self.git(&[&signing[..], &["-m", &change.message, &tree]].concat())?.trim().to_owned();
        self.delete_branch("unsigned")?;
        self.set_branch(&change.branch, &signed)?;
        Ok(signed)
    }

    /// The revision that a branch, tag or other name stands for.
    ///
    /// # Errors
    /// There is none.
    pub fn resolve(&self, name: &str) -> Result<String, Error> {
        let name = format!("{name}^{{commit}}");
        Ok(self.git(&["rev-parse", "--verify", "--quiet", &name])?.trim().to_owned())
    }

    /// Makes the branch point there, whatever it pointed at: creates, forwards, or rewinds it as a
    /// force-push does.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn set_branch(&self, branch: &str, revision: &str) -> Result<(), Error> {
        let revision = self.resolve(revision)?;
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &revision]).map(drop)
    }

    /// Deletes the branch.
    ///
    /// # Errors
    /// Git refuses.
    pub fn delete_branch(&self, branch: &str) -> Result<(), Error> {
        self.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]).map(drop)
    }

    /// Runs any git subcommand in the repository and returns what it printed.
    ///
    /// # Errors
    /// Git is missing or the command fails.
    pub fn git(&self, arguments: &[&str]) -> Result<String, Error> {
        self.git_with_input(arguments, b"")
    }

    fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String, Error> {
        let mut command = command(&self.directory);
        command.args(arguments).env("GIT_DIR", &self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take();
        // Written beside the reading, so that neither pipe can fill up and stop both sides.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.take().map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Git {
            command: arguments.join(" "),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn repository() -> (Scratch, Repository) {
        let scratch = Scratch::new("repository").unwrap();
        let repository = Repository::create(&scratch.path().join("fleet.git")).unwrap();
        (scratch, repository)
    }

    #[test]
    fn commits_keep_what_they_do_not_name() {
        let (_scratch, repository) = repository();
        let first = repository.commit(&[("a/one.yaml", "1"), ("a/t\"w\no", "2")], "Add two").unwrap();
        let second = repository.remove(&["a/one.yaml"], "Remove one").unwrap();
        assert_eq!(first.len(), 40);
        assert_eq!(repository.resolve("main").unwrap(), second);
        assert_eq!(repository.resolve("main^").unwrap(), first);
        assert_eq!(repository.git(&["ls-tree", "-r", "-z", "--name-only", "main"]).unwrap(), "a/t\"w\no\0");
        assert_eq!(
            repository.git(&["log", "--format=%an %s"]).unwrap(),
            "Muster Tests Remove one\nMuster Tests Add two\n"
        );
    }

    #[test]
    fn branches_start_move_rewind_and_go() {
        let (_scratch, repository) = repository();
        let first = repository.commit(&[("a", "1")], "one").unwrap();
        let second = repository.commit(&[("a", "2")], "two").unwrap();
        repository.set_branch("main", &first).unwrap();
        assert_eq!(repository.resolve("main").unwrap(), first);
        let other = repository.make(&Change::new("three").after(&first).file("a", "3")).unwrap();
        assert_ne!(other, second);
        assert_eq!(repository.resolve("main^").unwrap(), first);
        let orphan = repository.make(&Change::new("pins").on("muster").link("pin", "/etc/passwd")).unwrap();
        assert_eq!(repository.git(&["rev-list", "--count", "muster"]).unwrap().trim(), "1");
        assert!(repository.git(&["ls-tree", &orphan]).unwrap().starts_with("120000 blob"));
        repository.delete_branch("muster").unwrap();
        assert!(repository.resolve("muster").is_err());
    }
}
