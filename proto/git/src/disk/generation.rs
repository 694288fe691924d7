//! Where are the objects? In a bare repository that Git itself can read, with a
//! number; a new one is built beside it and takes its place when it is whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gix::hash::ObjectId;
use gix::protocol::fetch::response::ShallowUpdate;

use super::{read_small, remove, sync_directory, write_atomic};
use crate::GitError;

/// What Git wants to find in a bare repository. We never read it.
const CONFIG: &str =
    "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n[gc]\n\tauto = 0\n";
/// Largest file of shallow commits, in bytes: a quarter of a million of them.
const SHALLOW_BYTES_MAX: u64 = 10 << 20;

/// One bare repository in the mirror's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

impl Generation {
    /// The generation of this number, if its directory is there.
    pub(crate) fn find(directory: &Path, number: u64) -> Option<Generation> {
        let path = directory.join(format!("{number}.git"));
        path.join("objects").is_dir().then_some(Generation { number, path })
    }

    /// The numbers of all generations, and everything that was not finished.
    pub(crate) fn list(directory: &Path) -> Result<(BTreeSet<u64>, Vec<PathBuf>), GitError> {
        let mut numbers = BTreeSet::new();
        let mut leftovers = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(GitError::storage("list", directory))? {
            let path = entry.map_err(GitError::storage("list", directory))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.strip_suffix(".git").and_then(|number| number.parse().ok()) {
                Some(number) => drop(numbers.insert(number)),
                None if name.ends_with(".new") => leftovers.push(path),
                None => {}
            }
        }
        Ok((numbers, leftovers))
    }

    /// An empty generation that does not count until it is [finished](Generation::finish).
    pub(crate) fn begin(directory: &Path, number: u64) -> Result<Generation, GitError> {
        let path = directory.join(format!("{number}.git.new"));
        remove(&path)?;
        let generation = Generation { number, path };
        generation.furnish()?;
        Ok(generation)
    }

    /// Makes sure that Git recognises the directory as a bare repository.
    pub(crate) fn furnish(&self) -> Result<(), GitError> {
        for part in ["objects/pack", "objects/info", "refs"] {
            let path = self.path.join(part);
            std::fs::create_dir_all(&path).map_err(GitError::storage("make", &path))?;
        }
        let head = "ref: refs/heads/main\n";
        for (name, content) in [("HEAD", head), ("config", CONFIG)] {
            let path = self.path.join(name);
            if std::fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
                write_atomic(&path, content.as_bytes())?;
            }
        }
        // Objects from elsewhere would bypass every check made here.
        remove(&self.path.join("objects/info/alternates"))?;
        remove(&self.path.join("objects/pack/multi-pack-index"))
    }

    /// Makes a begun generation count.
    pub(crate) fn finish(self, directory: &Path) -> Result<Generation, GitError> {
        sync_directory(&self.packs())?;
        let path = directory.join(format!("{}.git", self.number));
        remove(&path)?;
        std::fs::rename(&self.path, &path).map_err(GitError::storage("rename", &self.path))?;
        sync_directory(directory)?;
        Ok(Generation { number: self.number, path })
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.path.join("objects/pack")
    }

    /// Commits whose parents are not here. `None` when the file cannot be understood.
    pub(crate) fn shallow(&self) -> Result<Option<BTreeSet<ObjectId>>, GitError> {
        let path = self.path.join("shallow");
        let Some(bytes) = read_small(&path, SHALLOW_BYTES_MAX)? else {
            return Ok((!path.exists()).then(BTreeSet::new));
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(|line| line.parse::<crate::Revision>().ok().map(|r| r.id())).collect())
    }

    /// Moves the boundary as the server said, and past the commits in `cut`.
    pub(crate) fn move_shallow(&self, updates: &[ShallowUpdate], cut: &[ObjectId]) -> Result<(), GitError> {
        let mut shallow = self.shallow()?.unwrap_or_default();
        let before = shallow.clone();
        for update in updates {
            match update {
                ShallowUpdate::Shallow(id) => drop(shallow.insert(*id)),
                ShallowUpdate::Unshallow(id) => drop(shallow.remove(id)),
            }
        }
        shallow.extend(cut);
        if shallow == before {
            return Ok(());
        }
        let text: String = shallow.iter().map(|id| format!("{id}\n")).collect();
        write_atomic(&self.path.join("shallow"), text.as_bytes())
    }
}
