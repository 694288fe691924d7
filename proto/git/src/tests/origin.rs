//! Repositories to mirror, made by the git program in temporary directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Mirror, ReadLimits, Remote, Revision};

/// A bare repository beside the directory of a mirror of it.
pub(crate) struct Origin {
    root: TempDir,
}

/// A file of a commit: its mode as Git writes it, and its content.
pub(crate) type File<'a> = (&'a str, &'a str, &'a str);

impl Origin {
    pub(crate) fn new() -> Origin {
        let origin = Origin { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(origin.path()).unwrap();
        origin.git(&["init", "-q", "--bare", "-b", "main", "."], "");
        origin
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("origin.git")
    }

    pub(crate) fn mirror_path(&self) -> PathBuf {
        self.root.path().join("mirror")
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::new(self.path().to_str().unwrap()).unwrap()
    }

    pub(crate) fn mirror(&self) -> Mirror {
        Mirror::open(&self.mirror_path(), self.remote()).unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str], input: &str) -> String {
        self.git_bytes(arguments, input.as_bytes())
    }

    pub(crate) fn git_bytes(&self, arguments: &[&str], input: &[u8]) -> String {
        git(&self.path(), arguments, input)
    }

    /// A commit on `branch` with exactly these files, on top of what the branch has.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> Revision {
        let files: Vec<File<'_>> = files.iter().map(|(path, content)| ("100644", *path, *content)).collect();
        self.commit_modes(branch, &files)
    }

    pub(crate) fn commit_modes(&self, branch: &str, files: &[File<'_>]) -> Revision {
        let mut stream =
            format!("commit refs/heads/{branch}\ncommitter Ann <ann@example.org> 1750000000 +0200\n");
        stream.push_str("data 17\nchange something\n");
        if self.exists(branch) {
            stream.push_str(&format!("from refs/heads/{branch}^0\ndeleteall\n"));
        }
        for (mode, path, content) in files {
            if *mode == "160000" {
                stream.push_str(&format!("M 160000 {content} {path}\n"));
            } else {
                stream.push_str(&format!("M {mode} inline {path}\ndata {}\n{content}\n", content.len()));
            }
        }
        stream.push('\n');
        self.git(&["fast-import", "--quiet", "--force"], &stream);
        self.head(branch)
    }

    fn exists(&self, branch: &str) -> bool {
        let mut command =
            command(&self.path(), &["rev-parse", "-q", "--verify", &format!("refs/heads/{branch}")]);
        command.stdout(Stdio::null()).status().unwrap().success()
    }

    pub(crate) fn head(&self, branch: &str) -> Revision {
        self.git(&["rev-parse", &format!("refs/heads/{branch}^{{commit}}")], "").parse().unwrap()
    }

    /// A commit on `branch` whose root tree is made of these raw entries.
    pub(crate) fn commit_raw_tree(&self, branch: &str, tree: &[u8]) -> Revision {
        let tree = self.git_bytes(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], tree);
        let commit = self.git(&["commit-tree", "-m", "raw", &tree], "");
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &commit], "");
        commit.parse().unwrap()
    }

    pub(crate) fn blob(&self, content: &str) -> Vec<u8> {
        let id: Revision = self.git(&["hash-object", "-w", "--stdin"], content).parse().unwrap();
        id.id().as_slice().to_vec()
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).args(arguments);
    for name in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{name}_NAME"), "Ann").env(format!("GIT_{name}_EMAIL"), "ann@example.org");
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

pub(crate) fn git(directory: &Path, arguments: &[&str], input: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = command(directory, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// All files of a revision, as text.
pub(crate) fn files(mirror: &Mirror, revision: &Revision, path: &str) -> Vec<(String, String)> {
    let tree = mirror.read(revision, path, &ReadLimits::default()).unwrap();
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    tree.files().iter().map(|(path, content)| (path.clone(), text(content))).collect()
}
