//! The files of one commit of a repository, read as an agent reads them.

use std::path::Path;
use std::process::{Command, Stdio};

use muster_git::{GitError, Mirror, ReadLimits, Remote, Revision, Tree};
use tempfile::TempDir;

use super::{Files, Reader, SourceError, is_manifest, limits};

/// A commit, copied out of the repository's object database; nothing in the repository changes.
#[derive(Debug)]
pub(crate) struct Commit {
    mirror: Mirror,
    revision: Revision,
    /// The directory that counts as the root, with `/` at its end; or empty.
    prefix: String,
    /// Holds the mirror, and goes with it.
    _directory: TempDir,
}

impl Commit {
    /// The commit that `name` means to Git in the repository at `root`, seen from the directory `inside`.
    ///
    /// # Errors
    /// When there is no such commit, or Git does not give it.
    pub(crate) fn open(root: &Path, inside: &str, name: &str) -> Result<Commit, SourceError> {
        let id = resolve(root, name)?;
        let revision: Revision = id
            .parse()
            .map_err(|_| SourceError::Failed(format!("git takes {name} for {id}, which is no commit")))?;
        let directory = tempfile::Builder::new()
            .prefix("muster-")
            .tempdir()
            .map_err(|error| SourceError::Failed(format!("no temporary directory can be made: {error}")))?;
        let remote = Remote::new(&root.to_string_lossy()).map_err(failed)?;
        let mut mirror = Mirror::open(&directory.path().join("mirror"), remote).map_err(failed)?;
        mirror.fetch(&[&id]).map_err(failed)?;
        let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
        Ok(Commit { mirror, revision, prefix, _directory: directory })
    }

    fn files(&self, tree: Tree) -> Files {
        let files = tree.into_files().into_iter();
        files.filter_map(|(path, bytes)| Some((path.strip_prefix(&self.prefix)?.to_owned(), bytes))).collect()
    }
}

impl Reader for Commit {
    fn read(&self, path: &str) -> Result<Files, SourceError> {
        let full = format!("{}{path}", self.prefix);
        match self.mirror.read(&self.revision, &full, &read_limits(false)) {
            Ok(tree) => Ok(self.files(tree)),
            Err(GitError::PathMissing { .. }) => Err(SourceError::Missing(path.to_owned())),
            Err(GitError::PathRefused { reason, path, .. }) => Err(SourceError::Refused { path, reason }),
            Err(error) => Err(failed(error)),
        }
    }

    fn manifests(&self) -> Result<Files, SourceError> {
        match self.mirror.read_matching(&self.revision, &self.prefix, &read_limits(true), &is_manifest) {
            Ok(tree) => Ok(self.files(tree)),
            Err(GitError::PathMissing { .. }) => Ok(Files::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn read_limits(skip_refused: bool) -> ReadLimits {
    ReadLimits {
        files_max: limits::FILES_MAX,
        bytes_max: limits::BYTES_MAX,
        file_bytes_max: limits::FILE_BYTES_MAX,
        depth_max: limits::DEPTH_MAX,
        entries_max: limits::ENTRIES_MAX,
        skip_refused,
        ..ReadLimits::default()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn failed(error: GitError) -> SourceError {
    SourceError::Failed(error.to_string())
}

/// The id of the commit that Git finds under a name such as `main`, `v1.2` or `HEAD~1`.
fn resolve(root: &Path, name: &str) -> Result<String, SourceError> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| SourceError::Failed(format!("git cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
        return Err(SourceError::Failed(format!("there is no commit {name} in {}{said}", root.display())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(root: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    #[test]
    fn an_earlier_commit_is_read_as_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        git(root, &["init", "--quiet"]);
        std::fs::create_dir(root.join("fleet")).unwrap();
        for text in ["first", "second"] {
            std::fs::write(root.join("fleet/a.yaml"), text).unwrap();
            git(root, &["add", "."]);
            git(root, &["commit", "--quiet", "--message", text]);
        }
        std::fs::write(root.join("fleet/a.yaml"), "not committed").unwrap();
        for (name, text) in [("HEAD", "second"), ("HEAD~1", "first")] {
            let commit = Commit::open(root, "fleet", name).unwrap();
            assert_eq!(commit.manifests().unwrap(), Files::from([("a.yaml".to_owned(), text.into())]));
            assert_eq!(commit.read("a.yaml").unwrap().len(), 1);
            assert!(matches!(commit.read("b"), Err(SourceError::Missing(_))));
        }
        let error = Commit::open(root, "", "v9").unwrap_err().to_string();
        assert!(error.starts_with("there is no commit v9"), "{error}");
        assert!(Commit::open(root, "", "--all").is_err());
    }
}
