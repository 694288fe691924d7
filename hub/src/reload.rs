//! What changes while the hub runs, because a file did?
//!
//! The files are looked at once a second, which also notices the exchanged links of a mounted Secret or ConfigMap.
//! What cannot be used is told, and the hub goes on with what it had.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// Files that are looked at together.
#[derive(Debug)]
pub(crate) struct Watched {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

fn stamp(path: &Path) -> Option<Stamp> {
    // One that is missing, or cannot be looked at, is a state too.
    let metadata: io::Result<fs::Metadata> = fs::metadata(path);
    let metadata = metadata.ok()?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { inode: metadata.ino(), bytes: metadata.len(), changed })
}

impl Watched {
    /// From now on these files.
    pub(crate) fn new(directory: &Path, names: &[&str]) -> Self {
        let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
        let seen = paths.iter().map(|path| stamp(path)).collect();
        Self { paths, seen }
    }

    /// Whether any of them is another than the last time.
    pub(crate) fn changed(&mut self) -> bool {
        let now: Vec<Option<Stamp>> = self.paths.iter().map(|path| stamp(path)).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn new_removed_rewritten_and_exchanged_files_are_noticed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "1").unwrap();
        let mut watched = Watched::new(directory.path(), &["a", "b"]);
        assert!(!watched.changed());
        fs::write(path("a"), "12").unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::write(path("b"), "1").unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::remove_file(path("b")).unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::write(path("c"), "1").unwrap();
        symlink(path("c"), path("b")).unwrap();
        assert!(watched.changed());
        fs::write(path("d"), "1").unwrap();
        fs::remove_file(path("b")).unwrap();
        symlink(path("d"), path("b")).unwrap();
        assert!(watched.changed() && !watched.changed());
    }
}
