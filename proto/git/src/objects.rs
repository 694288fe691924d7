//! Is this object here, and is it what its id says?
//!
//! gix does not compare what it reads from a pack with the id it was asked for. Here
//! every object is hashed again, so damage on the disk is never taken for content.

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use gix::hash::{Kind as HashKind, ObjectId};
use gix::objs::tree::EntryMode;
use gix::objs::{CommitRef, Exists as _, Find as _, FindHeader as _, Kind, TreeRefIter};

use crate::GitError;
use crate::disk::packs;
use crate::error::chain;

/// Why an object cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not here.
    Missing(ObjectId),
    /// What is here is not what the id says.
    Damaged(ObjectId, String),
    /// It is what its id says, but that is nothing that makes sense there.
    Malformed(ObjectId, String),
    /// It is whole, but larger than allowed.
    TooLarge(ObjectId, u64),
    /// There are more entries than allowed.
    TooMany(usize),
}

impl Fault {
    /// True when the repository itself is at fault, so that fetching again cannot help.
    pub(crate) fn is_of_the_repository(&self) -> bool {
        matches!(self, Fault::Malformed(..) | Fault::TooLarge(..) | Fault::TooMany(_))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Missing(id) => write!(f, "object {id} is missing"),
            Fault::Damaged(id, reason) => write!(f, "object {id} is damaged: {reason}"),
            Fault::Malformed(id, reason) => write!(f, "object {id} is malformed: {reason}"),
            Fault::TooLarge(id, limit) => write!(f, "object {id} is larger than {limit} bytes"),
            Fault::TooMany(limit) => write!(f, "there are more than {limit} entries in its trees"),
        }
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: EntryMode,
    pub(crate) id: ObjectId,
}

/// The object database of one generation.
pub(crate) struct Objects {
    store: Arc<gix::odb::Store>,
    bytes_max: u64,
}

impl Objects {
    /// Opens the database in `objects`; objects above `bytes_max` are never read.
    pub(crate) fn open(objects: &Path, bytes_max: u64) -> Result<Objects, GitError> {
        let options = gix::odb::store::init::Options {
            // Packs are joined long before there are this many.
            slots: gix::odb::store::init::Slots::Given(256),
            use_multi_pack_index: false,
            alloc_limit_bytes: usize::try_from(bytes_max).ok(),
            ..Default::default()
        };
        let store =
            gix::odb::Store::at_opts(objects.to_owned(), HashKind::Sha1, &mut std::iter::empty(), options)
                .map_err(GitError::storage("open", objects))?;
        Ok(Objects { store: Arc::new(store), bytes_max })
    }

    /// A handle for gix, to complete thin packs.
    pub(crate) fn handle(&self) -> gix::odb::HandleArc {
        self.store.to_cache_arc()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader { handle: self.handle(), bytes_max: self.bytes_max }
    }
}

/// Reads objects, each checked against its id.
pub(crate) struct Reader {
    handle: gix::odb::HandleArc,
    bytes_max: u64,
}

impl Reader {
    pub(crate) fn has(&self, id: ObjectId) -> bool {
        guarded(id, || Ok(self.handle.exists(&id))).unwrap_or(false)
    }

    /// Reads an object of a certain kind, up to `bytes_max`.
    pub(crate) fn load(&self, id: ObjectId, kind: Kind, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        let limit = bytes_max.min(self.bytes_max);
        guarded(id, || {
            let damaged = |error: gix::error::Error| Fault::Damaged(id, chain(&error));
            let header = self.handle.try_header(&id).map_err(damaged)?.ok_or(Fault::Missing(id))?;
            if header.size > limit {
                return Err(Fault::TooLarge(id, limit));
            }
            let mut buffer = Vec::new();
            let found = self.handle.try_find(&id, &mut buffer).map_err(damaged)?.ok_or(Fault::Missing(id))?;
            found.verify_checksum(&id).map_err(damaged)?;
            if found.kind != kind {
                return Err(Fault::Malformed(id, format!("expected a {kind}, found a {}", found.kind)));
            }
            Ok(buffer)
        })
    }

    pub(crate) fn blob(&self, id: ObjectId, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        self.load(id, Kind::Blob, bytes_max)
    }

    pub(crate) fn tree(&self, id: ObjectId) -> Result<Vec<Entry>, Fault> {
        let data = self.load(id, Kind::Tree, self.bytes_max)?;
        let entries = TreeRefIter::from_bytes(&data, HashKind::Sha1).map(|entry| {
            let entry = entry.map_err(|error| Fault::Malformed(id, chain(&error)))?;
            Ok(Entry { name: entry.filename.to_vec(), mode: entry.mode, id: entry.oid.to_owned() })
        });
        entries.collect()
    }

    /// Reads a commit and hands it to `look`.
    pub(crate) fn commit<T>(&self, id: ObjectId, look: impl FnOnce(&CommitRef<'_>) -> T) -> Result<T, Fault> {
        let data = self.load(id, Kind::Commit, self.bytes_max)?;
        let commit = CommitRef::from_bytes(&data, HashKind::Sha1);
        commit.map(|commit| look(&commit)).map_err(|error| Fault::Malformed(id, chain(&error)))
    }

    /// A commit as it is stored.
    pub(crate) fn commit_data(&self, id: ObjectId) -> Result<Vec<u8>, Fault> {
        self.load(id, Kind::Commit, self.bytes_max)
    }

    /// The root tree of a commit.
    pub(crate) fn root(&self, commit: ObjectId) -> Result<ObjectId, Fault> {
        self.commit(commit, |commit| commit.tree())
    }

    pub(crate) fn parents(&self, commit: ObjectId) -> Result<Vec<ObjectId>, Fault> {
        self.commit(commit, |commit| commit.parents().collect())
    }

    /// Checks that the whole tree of `commit` is here. Subtrees that `known`, a commit
    /// checked before, has at the same place are not looked at again.
    pub(crate) fn check(
        &self,
        commit: ObjectId,
        known: Option<ObjectId>,
        entries_max: usize,
    ) -> Result<(), Fault> {
        let root = self.root(commit)?;
        let known = known.and_then(|known| self.root(known).ok());
        let mut seen = 0;
        let mut pending = vec![(root, known)];
        while let Some((tree, known)) = pending.pop() {
            if known == Some(tree) {
                continue;
            }
            let before = known.map(|known| self.tree(known).unwrap_or_default()).unwrap_or_default();
            let before: std::collections::HashMap<&[u8], ObjectId> =
                before.iter().map(|entry| (entry.name.as_slice(), entry.id)).collect();
            for entry in self.tree(tree)? {
                seen += 1;
                if seen > entries_max {
                    return Err(Fault::TooMany(entries_max));
                }
                let known = before.get(entry.name.as_slice()).copied();
                if entry.mode.is_tree() {
                    pending.push((entry.id, known));
                } else if !entry.mode.is_commit() && known != Some(entry.id) && !self.has(entry.id) {
                    return Err(Fault::Missing(entry.id));
                }
            }
        }
        Ok(())
    }

    /// Every object that belongs to one of `commits`: itself, its trees and files.
    fn closure(&self, commits: &[ObjectId], entries_max: usize) -> Result<Vec<(ObjectId, Kind)>, Fault> {
        let mut found: Vec<(ObjectId, Kind)> = Vec::new();
        let mut seen = BTreeSet::new();
        for commit in commits {
            if !seen.insert(*commit) {
                continue;
            }
            found.push((*commit, Kind::Commit));
            let mut pending = vec![self.root(*commit)?];
            while let Some(tree) = pending.pop() {
                if !seen.insert(tree) {
                    continue;
                }
                found.push((tree, Kind::Tree));
                for entry in self.tree(tree)? {
                    if entry.mode.is_tree() {
                        pending.push(entry.id);
                    } else if !entry.mode.is_commit() && seen.insert(entry.id) {
                        found.push((entry.id, Kind::Blob));
                    }
                }
                if found.len() > entries_max {
                    return Err(Fault::TooMany(entries_max));
                }
            }
        }
        Ok(found)
    }

    /// Reads every object of `commits`, to be sure of them.
    pub(crate) fn verify(&self, commits: &[ObjectId], entries_max: usize) -> Result<(), Fault> {
        let objects = self.closure(commits, entries_max)?;
        objects.into_iter().try_for_each(|(id, kind)| self.load(id, kind, self.bytes_max).map(drop))
    }

    /// Writes the objects of `commits` as one pack into `directory`, each checked on the
    /// way. Nothing is written when one of them is not whole.
    pub(crate) fn copy(
        &self,
        commits: &[ObjectId],
        entries_max: usize,
        directory: &Path,
    ) -> Result<(), CopyError> {
        let objects = self.closure(commits, entries_max).map_err(CopyError::Fault)?;
        let path = directory.join("copy.new");
        let failed = |error| CopyError::Disk(GitError::storage("write", &path)(error));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
        let mut hasher = gix::hash::hasher(HashKind::Sha1);
        let mut emit = |bytes: &[u8]| {
            hasher.update(bytes);
            file.write_all(bytes).map_err(failed)
        };
        let count = u32::try_from(objects.len()).unwrap_or(u32::MAX);
        emit(&gix::odb::pack::data::header::encode(gix::odb::pack::data::Version::V2, count))?;
        for (id, kind) in objects {
            let data = self.load(id, kind, self.bytes_max).map_err(CopyError::Fault)?;
            emit(&packed(kind, &data).map_err(failed)?)?;
        }
        let sum = hasher.try_finalize().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        file.write_all(sum.as_slice()).and_then(|()| file.flush()).map_err(failed)?;
        drop(file);
        let file = std::fs::File::open(&path).map_err(failed)?;
        let written = packs::write(&mut BufReader::new(file), directory);
        crate::disk::remove(&path).map_err(CopyError::Disk)?;
        written.map(drop).map_err(|reason| failed(std::io::Error::other(reason)))
    }
}

/// Why objects could not be copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// One of them is not whole.
    Fault(Fault),
    /// They could not be written.
    Disk(GitError),
}

/// A pack of these objects, each as a whole.
pub(crate) fn pack(objects: &[(Kind, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let count = u32::try_from(objects.len()).map_err(std::io::Error::other)?;
    let mut pack = gix::odb::pack::data::header::encode(gix::odb::pack::data::Version::V2, count).to_vec();
    for (kind, data) in objects {
        pack.extend(packed(*kind, data)?);
    }
    let mut hasher = gix::hash::hasher(HashKind::Sha1);
    hasher.update(&pack);
    let sum = hasher.try_finalize().map_err(|error| std::io::Error::other(error.to_string()))?;
    pack.extend_from_slice(sum.as_slice());
    Ok(pack)
}

/// An object as a pack holds it: kind and size in groups of bits, then its content, deflated.
fn packed(kind: Kind, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let number: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut size = data.len() as u64;
    let mut bytes = Vec::with_capacity(data.len() / 2 + 16);
    let mut byte = (number << 4) | (size & 0x0f) as u8;
    size >>= 4;
    while size > 0 {
        bytes.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    bytes.push(byte);
    let mut deflate = gix::zlib::stream::deflate::Write::new(bytes, gix::zlib::Compression::BEST_SPEED);
    deflate.write_all(data)?;
    deflate.flush()?;
    Ok(deflate.into_inner())
}

/// Damaged packs can lead gix to places that do not exist. That is damage, not the end
/// of the program.
fn guarded<T>(id: ObjectId, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault::Damaged(id, "its pack cannot be understood".into())))
}
