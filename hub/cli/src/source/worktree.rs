//! The files of a directory on the disk, as Git would take them.
//!
//! Where there is Git, only what it tracks or would add counts (`git ls-files`), so a build's output or a
//! file of passwords that `.gitignore` names is not taken for part of the fleet. Git's own directories are
//! never read, and a link is followed only where it stays inside.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Files, Reader, SourceError, is_manifest, limits};

/// Git's own directory, or the file that names it.
const GIT: &str = ".git";

/// A directory on the disk.
#[derive(Debug)]
pub(crate) struct WorkTree {
    /// Absolute, without links.
    root: PathBuf,
    /// The files that are Git's, from the root; `None` takes all.
    listed: Option<BTreeSet<String>>,
}

impl WorkTree {
    /// All files below `root`.
    pub(crate) fn new(root: &Path) -> WorkTree {
        WorkTree { root: root.to_owned(), listed: None }
    }

    /// The files below `root` that Git tracks or would add; all of them when Git cannot say or knows none.
    pub(crate) fn of_git(root: &Path) -> WorkTree {
        WorkTree { root: root.to_owned(), listed: listed(root).filter(|listed| !listed.is_empty()) }
    }

    fn walk<'w>(&'w self, wanted: &'w dyn Fn(&str) -> bool, lenient: bool) -> Walk<'w> {
        Walk { tree: self, wanted, lenient, files: Files::new(), bytes: 0, entries: 0 }
    }

    /// Whether Git takes a file, by its path without links.
    fn takes_file(&self, real: &str) -> bool {
        self.listed.as_ref().is_none_or(|listed| listed.contains(real))
    }

    /// Whether Git takes anything in a directory.
    fn takes_directory(&self, real: &str) -> bool {
        let prefix = format!("{real}/");
        self.listed.as_ref().is_none_or(|listed| {
            listed
                .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
                .next()
                .is_some_and(|next| next.starts_with(&prefix))
        })
    }
}

/// What `git ls-files` says of a work tree.
fn listed(root: &Path) -> Option<BTreeSet<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

impl Reader for WorkTree {
    fn read(&self, path: &str) -> Result<Files, SourceError> {
        let mut walk = self.walk(&|_| true, false);
        let full = self.root.join(path);
        let Ok(metadata) = full.symlink_metadata() else { return Err(SourceError::Missing(path.to_owned())) };
        if path.is_empty() || metadata.is_dir() && !metadata.is_symlink() {
            // A link above the path may still lead outside.
            let real = walk.inside(path, &full)?;
            walk.directory(path, &full, &mut vec![real])?;
        } else {
            walk.entry(path.to_owned(), &full, &mut Vec::new())?;
        }
        let exists = !walk.files.is_empty() || self.listed.is_none() || path.is_empty();
        if exists { Ok(walk.files) } else { Err(SourceError::Missing(path.to_owned())) }
    }

    fn manifests(&self) -> Result<Files, SourceError> {
        let mut walk = self.walk(&is_manifest, true);
        walk.directory("", &self.root, &mut vec![self.root.clone()])?;
        Ok(walk.files)
    }
}

/// One read.
struct Walk<'w> {
    tree: &'w WorkTree,
    wanted: &'w dyn Fn(&str) -> bool,
    /// Leave out what would be refused.
    lenient: bool,
    files: Files,
    bytes: u64,
    entries: usize,
}

fn refused(path: &str, reason: &str) -> SourceError {
    SourceError::Refused { path: path.to_owned(), reason: reason.to_owned() }
}

fn failed(path: &str) -> impl FnOnce(std::io::Error) -> SourceError + '_ {
    move |error| SourceError::Failed(format!("{path} cannot be read: {error}"))
}

impl Walk<'_> {
    /// Fails, or leaves it out, as the caller asked for.
    fn refuse(&self, path: &str, reason: &str) -> Result<(), SourceError> {
        if self.lenient { Ok(()) } else { Err(refused(path, reason)) }
    }

    /// What is really there, if it is in the work tree and not Git's own.
    fn inside(&self, path: &str, full: &Path) -> Result<PathBuf, SourceError> {
        let real = full.canonicalize().map_err(|_| refused(path, "it is a link to nothing"))?;
        match real.strip_prefix(&self.tree.root) {
            Err(_) => Err(refused(path, "it is a link that leads out of the repository")),
            Ok(inside) if inside.components().any(|part| part.as_os_str() == GIT) => {
                Err(refused(path, "it is in Git's own directory"))
            }
            Ok(_) => Ok(real),
        }
    }

    /// The path of something from the root, without links.
    fn real_name(&self, real: &Path) -> String {
        let inside = real.strip_prefix(&self.tree.root).unwrap_or(real);
        inside.to_string_lossy().into_owned()
    }

    /// Reads a directory. `open` are the real paths of those around it, so that a link into one of them is
    /// seen as a loop.
    fn directory(&mut self, path: &str, full: &Path, open: &mut Vec<PathBuf>) -> Result<(), SourceError> {
        if open.len() > limits::DEPTH_MAX {
            return Err(self.over(path, "directories inside of each other", limits::DEPTH_MAX as u64));
        }
        let shown = if path.is_empty() { "the root" } else { path };
        for entry in fs::read_dir(full).map_err(failed(shown))? {
            let entry = entry.map_err(failed(shown))?;
            self.entries += 1;
            if self.entries > limits::ENTRIES_MAX {
                return Err(self.over(path, "entries", limits::ENTRIES_MAX as u64));
            }
            if entry.file_name() == GIT {
                continue;
            }
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.refuse(&format!("{path}/{name}"), "its name is not UTF-8")?;
                continue;
            };
            let below = if path.is_empty() { name } else { format!("{path}/{name}") };
            self.entry(below, &entry.path(), open)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: String, full: &Path, open: &mut Vec<PathBuf>) -> Result<(), SourceError> {
        let metadata = full.symlink_metadata().map_err(failed(&path))?;
        let real = match self.inside(&path, full) {
            Ok(real) => real,
            Err(_) if self.lenient => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = self.real_name(&real);
        if metadata.is_symlink() && !self.tree.takes_file(&self.link_name(full)) {
            return Ok(());
        }
        if !real.is_dir() {
            return if self.tree.takes_file(&name) { self.file(path, &real) } else { Ok(()) };
        }
        if !self.tree.takes_directory(&name) {
            return Ok(());
        }
        if open.iter().any(|open| open.starts_with(&real)) {
            return self.refuse(&path, "it is a link to a directory around it, so it never ends");
        }
        open.push(real);
        let read = self.directory(&path, full, open);
        open.pop();
        read
    }

    /// The path of a link itself from the root, without links above it.
    fn link_name(&self, full: &Path) -> String {
        let parent = full.parent().and_then(|parent| parent.canonicalize().ok()).unwrap_or_default();
        self.real_name(&parent.join(full.file_name().unwrap_or_default()))
    }

    fn file(&mut self, path: String, real: &Path) -> Result<(), SourceError> {
        if !(self.wanted)(&path) {
            return Ok(());
        }
        // A pipe or device would be waited for.
        if !real.is_file() {
            return self.refuse(&path, "it is no regular file");
        }
        if self.files.len() >= limits::FILES_MAX {
            return Err(self.over(&path, "files", limits::FILES_MAX as u64));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(real).map_err(failed(&path))?;
        file.take(limits::FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed(&path))?;
        if bytes.len() as u64 > limits::FILE_BYTES_MAX {
            let error = self.over(&path, "bytes in one file", limits::FILE_BYTES_MAX);
            return if self.lenient { Ok(()) } else { Err(error) };
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > limits::BYTES_MAX {
            return Err(self.over(&path, "bytes in all files", limits::BYTES_MAX));
        }
        self.files.insert(path, bytes);
        Ok(())
    }

    fn over(&self, path: &str, what: &'static str, limit: u64) -> SourceError {
        let place = if path.is_empty() { "the root".to_owned() } else { path.to_owned() };
        SourceError::Limit { place, what, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A directory with these files, each holding its own name.
    fn tree(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap().join("repository");
        for file in files {
            let full = root.join(file);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, file).unwrap();
        }
        (scratch, root)
    }

    fn names(files: &Files) -> Vec<&str> {
        files.keys().map(String::as_str).collect()
    }

    #[test]
    fn manifests_are_found_and_git_is_left_alone() {
        let (_scratch, root) = tree(&["a.yaml", "deep/b.json", "deep/notes.txt", ".git/config.yaml"]);
        let source = WorkTree::new(&root);
        assert_eq!(names(&source.manifests().unwrap()), ["a.yaml", "deep/b.json"]);
        assert_eq!(names(&source.read("deep").unwrap()), ["deep/b.json", "deep/notes.txt"]);
        assert_eq!(names(&source.read("deep/notes.txt").unwrap()), ["deep/notes.txt"]);
        assert!(matches!(source.read("nothing"), Err(SourceError::Missing(_))));
        assert!(matches!(source.read(".git"), Err(SourceError::Refused { .. })));
    }

    #[test]
    fn links_are_followed_inside_only() {
        let (scratch, root) = tree(&["base/a.yaml", "app/b.yaml"]);
        fs::write(scratch.path().join("secret.yaml"), "outside").unwrap();
        symlink("../base", root.join("app/base")).unwrap();
        symlink("b.yaml", root.join("app/c.yaml")).unwrap();
        let source = WorkTree::new(&root);
        assert_eq!(names(&source.read("app").unwrap()), ["app/b.yaml", "app/base/a.yaml", "app/c.yaml"]);
        for (target, reason) in [
            ("../../secret.yaml", "leads out of the repository"),
            ("../../../../../../../../etc", "leads out of the repository"),
            ("gone.yaml", "a link to nothing"),
            ("..", "never ends"),
        ] {
            let link = root.join("app/odd.yaml");
            symlink(target, &link).unwrap();
            let error = source.read("app").unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("app/odd.yaml"), "{target}: {error}");
            assert!(!source.manifests().unwrap().keys().any(|path| path.contains("odd")), "{target}");
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let (_scratch, root) = tree(&["app/a.yaml"]);
        let made = Command::new("mkfifo").arg(root.join("app/pipe.yaml")).status().unwrap();
        assert!(made.success());
        let source = WorkTree::new(&root);
        assert!(source.read("app").unwrap_err().to_string().contains("no regular file"));
        assert_eq!(names(&source.manifests().unwrap()), ["app/a.yaml"]);
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let (_scratch, root) = tree(&["app/a.yaml"]);
        let large = fs::File::create(root.join("app/large.yaml")).unwrap();
        large.set_len(limits::FILE_BYTES_MAX + 1).unwrap();
        let source = WorkTree::new(&root);
        let error = source.read("app").unwrap_err().to_string();
        assert!(error.starts_with("app/large.yaml: more than"), "{error}");
        assert_eq!(names(&source.manifests().unwrap()), ["app/a.yaml"]);
    }

    #[test]
    fn what_git_ignores_is_not_part_of_the_fleet() {
        let (_scratch, root) = tree(&["app/a.yaml", "app/passwords.yaml", "out/b.yaml", "link-to/c.yaml"]);
        fs::write(root.join(".gitignore"), "out/\npasswords.yaml\n").unwrap();
        symlink("link-to", root.join("linked")).unwrap();
        let init = Command::new("git").args(["init", "--quiet"]).arg(&root).status().unwrap();
        assert!(init.success());
        let source = WorkTree::of_git(&root);
        assert_eq!(names(&source.manifests().unwrap()), ["app/a.yaml", "link-to/c.yaml", "linked/c.yaml"]);
        assert_eq!(names(&source.read("app").unwrap()), ["app/a.yaml"]);
        assert!(matches!(source.read("out"), Err(SourceError::Missing(_))));
    }
}
