//! Which files are below this path at this revision?
//!
//! Nothing is ever written to a work tree, so a name cannot escape into the file
//! system. Links are followed inside the repository only, as a work tree would
//! show them, and everything else that is odd is refused with its path.

mod links;

use std::collections::BTreeMap;

use gix::hash::ObjectId;

use crate::objects::{Entry, Fault, Reader};
use crate::{GitError, Revision};
use links::{Found, Target};

/// The files below a path at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    files: BTreeMap<String, Vec<u8>>,
    skipped: Vec<Skipped>,
    has_links: bool,
}

impl Tree {
    /// Paths from the root of the repository, with `/` between parts, and their content.
    /// A file reached through a link is found below the path of the link.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        self.files
    }

    /// Whether links were followed below the path, so that what was read is not all in the directory
    /// that [`Mirror::identify`](crate::Mirror::identify) names.
    #[must_use]
    pub fn has_links(&self) -> bool {
        self.has_links
    }

    /// What was left out, by path.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

/// Something that was left out of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path from the root of the repository.
    pub path: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why an entry was left out of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is a submodule, which is another repository.
    Submodule,
    /// It would have been refused, had [`ReadLimits::skip_refused`] not been set.
    Refused(String),
}

/// The most that one read may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Files. Default 20,000.
    pub files_max: usize,
    /// Bytes of all files together. Default 64 MiB.
    pub bytes_max: u64,
    /// Bytes of one file. Default 16 MiB.
    pub file_bytes_max: u64,
    /// Directories inside of each other. Default 64.
    pub depth_max: usize,
    /// Entries looked at, read or not. Default 500,000.
    pub entries_max: usize,
    /// Links followed. Default 1,000.
    pub links_max: usize,
    /// Leave out what would be refused (links that lead outside or nowhere, impossible
    /// names, files that are too large) and report it, instead of failing the read. Off
    /// by default, so that a missing file is never taken for a deleted one.
    pub skip_refused: bool,
}

impl Default for ReadLimits {
    fn default() -> ReadLimits {
        ReadLimits {
            files_max: 20_000,
            bytes_max: 64 << 20,
            file_bytes_max: 16 << 20,
            depth_max: 64,
            entries_max: 500_000,
            links_max: 1_000,
            skip_refused: false,
        }
    }
}

/// Why a read stopped.
pub(crate) enum Stop {
    /// The error to give.
    Error(GitError),
    /// An object cannot be had; the caller knows what that means.
    Fault(Fault),
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Stop {
        Stop::Error(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// Reads the files below `path` for which `wanted` is true. `path` must be clean (see [`clean`]).
pub(crate) fn read(
    reader: &Reader,
    revision: Revision,
    path: &str,
    limits: &ReadLimits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Tree, Stop> {
    let mut walk = Walk::new(reader, revision, limits, wanted)?;
    let target = walk.resolve(&[], path.as_bytes())?;
    let links_on_the_way = walk.links;
    match target {
        Target::Found(Found::File(id)) => walk.file(path.to_owned(), id)?,
        Target::Found(Found::Directory { id, real }) => walk.directory(path, id, &mut vec![real])?,
        Target::Missing => return Err(GitError::PathMissing { revision, path: path.to_owned() }.into()),
        Target::Submodule => {
            return Err(walk.refuse(path, "it is in a submodule, which is another repository").into());
        }
        Target::Refused(reason) => return Err(walk.refuse(path, reason).into()),
    }
    walk.tree.has_links = walk.links > links_on_the_way;
    Ok(walk.tree)
}

/// The id of what is at `path`, which must be clean, following links; `None` when there is nothing.
pub(crate) fn identify(reader: &Reader, revision: Revision, path: &str) -> Result<Option<String>, Stop> {
    let limits = ReadLimits::default();
    let mut walk = Walk::new(reader, revision, &limits, &|_| true)?;
    match walk.resolve(&[], path.as_bytes())? {
        Target::Found(Found::File(id)) => Ok(Some(format!("file {id}"))),
        Target::Found(Found::Directory { id, .. }) => Ok(Some(format!("directory {id}"))),
        Target::Missing => Ok(None),
        Target::Submodule => {
            Err(walk.refuse(path, "it is in a submodule, which is another repository").into())
        }
        Target::Refused(reason) => Err(walk.refuse(path, reason).into()),
    }
}

/// The same path without empty parts and dots; `None` when it leads outside.
pub(crate) fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let inside = !path.starts_with('/') && !path.contains('\0') && !parts.contains(&"..");
    inside.then(|| parts.join("/"))
}

struct Walk<'a> {
    reader: &'a Reader,
    revision: Revision,
    limits: &'a ReadLimits,
    wanted: &'a dyn Fn(&str) -> bool,
    root: ObjectId,
    tree: Tree,
    bytes: u64,
    entries: usize,
    links: usize,
}

/// Why a name cannot be one of an entry. Git refuses such trees too, but only when it writes them.
pub(crate) fn name_flaw(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("its name is empty"),
        b"." | b".." => Some("its name is a direction, not a name"),
        _ if name.eq_ignore_ascii_case(b".git") => Some("its name is that of Git's own directory"),
        _ if name.contains(&b'/') => Some("its name holds a slash"),
        _ if name.contains(&0) => Some("its name holds a zero byte"),
        _ if std::str::from_utf8(name).is_err() => Some("its name is not UTF-8"),
        _ => None,
    }
}

impl<'a> Walk<'a> {
    fn new(
        reader: &'a Reader,
        revision: Revision,
        limits: &'a ReadLimits,
        wanted: &'a dyn Fn(&str) -> bool,
    ) -> Result<Walk<'a>, Stop> {
        let root = reader.root(revision.id())?;
        let tree = Tree::default();
        Ok(Walk { reader, revision, limits, wanted, root, tree, bytes: 0, entries: 0, links: 0 })
    }

    fn refuse(&self, path: &str, reason: &str) -> GitError {
        GitError::PathRefused { revision: self.revision, path: path.to_owned(), reason: reason.to_owned() }
    }

    /// Fails, or leaves the entry out and reports it, as the caller asked for.
    fn refuse_or_skip(&mut self, path: &str, reason: &str) -> Result<(), Stop> {
        if !self.limits.skip_refused {
            return Err(self.refuse(path, reason).into());
        }
        self.skip(path, SkipReason::Refused(reason.to_owned()));
        Ok(())
    }

    fn skip(&mut self, path: &str, reason: SkipReason) {
        self.tree.skipped.push(Skipped { path: path.to_owned(), reason });
    }

    fn over(&self, path: &str, what: &'static str, limit: u64) -> Stop {
        let place = if path.is_empty() { "the root".to_owned() } else { format!("`{path}`") };
        GitError::Limit { place: format!("{place} at revision {}", self.revision), what, limit }.into()
    }

    /// Reads a directory. `open` are the real paths of the directories around it, so
    /// that a link into one of them is seen as a loop.
    fn directory(&mut self, path: &str, id: ObjectId, open: &mut Vec<Vec<Vec<u8>>>) -> Result<(), Stop> {
        if open.len() > self.limits.depth_max {
            return Err(self.over(path, "directories inside of each other", self.limits.depth_max as u64));
        }
        for entry in self.reader.tree(id)? {
            self.entries += 1;
            if self.entries > self.limits.entries_max {
                return Err(self.over(path, "entries", self.limits.entries_max as u64));
            }
            let name = String::from_utf8_lossy(&entry.name);
            let below = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
            match name_flaw(&entry.name) {
                Some(flaw) => self.refuse_or_skip(&below, flaw)?,
                None => self.entry(below, &entry, open)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: String, entry: &Entry, open: &mut Vec<Vec<Vec<u8>>>) -> Result<(), Stop> {
        let around = open.last().cloned().unwrap_or_default();
        if entry.mode.is_tree() {
            let mut real = around;
            real.push(entry.name.clone());
            self.enter(&path, entry.id, real, open)
        } else if entry.mode.is_commit() {
            self.skip(&path, SkipReason::Submodule);
            Ok(())
        } else if entry.mode.is_link() {
            self.link(path, &around, &entry.name, open)
        } else {
            self.file(path, entry.id)
        }
    }

    fn enter(
        &mut self,
        path: &str,
        id: ObjectId,
        real: Vec<Vec<u8>>,
        open: &mut Vec<Vec<Vec<u8>>>,
    ) -> Result<(), Stop> {
        open.push(real);
        let read = self.directory(path, id, open);
        open.pop();
        read
    }

    fn link(
        &mut self,
        path: String,
        around: &[Vec<u8>],
        name: &[u8],
        open: &mut Vec<Vec<Vec<u8>>>,
    ) -> Result<(), Stop> {
        match self.resolve(around, name)? {
            Target::Found(Found::File(id)) => self.file(path, id),
            Target::Found(Found::Directory { real, .. })
                if open.iter().any(|open| open.starts_with(&real)) =>
            {
                self.refuse_or_skip(&path, "it is a link to a directory around it, so it never ends")
            }
            Target::Found(Found::Directory { id, real }) => self.enter(&path, id, real, open),
            Target::Missing => self.refuse_or_skip(&path, "it is a link to nothing"),
            Target::Submodule => self.refuse_or_skip(&path, "it is a link into a submodule"),
            Target::Refused(reason) => self.refuse_or_skip(&path, reason),
        }
    }

    fn file(&mut self, path: String, id: ObjectId) -> Result<(), Stop> {
        if !(self.wanted)(&path) {
            return Ok(());
        }
        if self.tree.files.len() >= self.limits.files_max {
            return Err(self.over(&path, "files", self.limits.files_max as u64));
        }
        let content = match self.reader.blob(id, self.limits.file_bytes_max) {
            Err(Fault::TooLarge(_, limit)) if self.limits.skip_refused => {
                return self.refuse_or_skip(&path, &format!("it is larger than {limit} bytes"));
            }
            Err(Fault::TooLarge(_, limit)) => return Err(self.over(&path, "bytes in one file", limit)),
            Err(Fault::Malformed(..)) => {
                return self.refuse_or_skip(&path, "it is no file, though its directory says so");
            }
            content => content?,
        };
        self.bytes += content.len() as u64;
        if self.bytes > self.limits.bytes_max {
            return Err(self.over(&path, "bytes in all files", self.limits.bytes_max));
        }
        self.tree.files.insert(path, content);
        Ok(())
    }
}
