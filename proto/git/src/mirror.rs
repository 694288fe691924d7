//! The mirror as its user sees it: opened, read, and told what to keep. How it is
//! brought up to date is in `fetch`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gix::hash::ObjectId;

use crate::commit::{self, Commit};
use crate::disk::generation::Generation;
use crate::disk::lock::Lock;
use crate::disk::packs;
use crate::disk::state::{STATE_BYTES_MAX, State};
use crate::disk::{read_small, remove, write_atomic};
use crate::objects::{Fault, Objects, Reader};
use crate::transport::HttpClient;
use crate::tree::{self, ReadLimits, Stop, Tree};
use crate::{GitError, Remote, Revision, SigningKey, names};

/// Name of the file that remembers damage over a restart.
const DAMAGED: &str = "damaged";

/// A bare mirror of some references of a repository, in a directory of its own.
///
/// All calls block; from async code use `tokio::task::spawn_blocking`. One mirror
/// directory has one user at a time.
pub struct Mirror {
    pub(crate) directory: PathBuf,
    pub(crate) remote: Remote,
    pub(crate) generation: Generation,
    pub(crate) objects: Objects,
    pub(crate) state: State,
    pub(crate) client: Option<Arc<HttpClient>>,
    /// What commits of ours are signed with.
    pub(crate) signing: Option<Arc<SigningKey>>,
    /// What is wrong with the mirror, if anything is known to be.
    damage: Mutex<Option<String>>,
    _lock: Lock,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror")
            .field("directory", &self.directory)
            .field("remote", &self.remote.url)
            .finish()
    }
}

impl Mirror {
    /// Creates a mirror in `directory`, or opens the one that is there. Never talks to
    /// the server. What is damaged is noted and rebuilt by the next fetch; what is whole
    /// stays readable until then. After a change of the remote's URL the references of
    /// the old one are forgotten.
    ///
    /// # Errors
    /// [`GitError::Locked`] when the directory is in use, [`GitError::Storage`] when the disk refuses.
    pub fn open(directory: &Path, remote: Remote) -> Result<Mirror, GitError> {
        create_private(directory)?;
        let lock = Lock::acquire(directory)?;
        let mut problems = Vec::new();
        let (numbers, leftovers) = Generation::list(directory)?;
        for leftover in leftovers {
            remove(&leftover)?;
        }
        let state_file = directory.join("state");
        let stored = read_small(&state_file, STATE_BYTES_MAX)?;
        let decoded = stored.as_deref().and_then(State::decode);
        if stored.is_some() && decoded.is_none() || state_file.exists() && stored.is_none() {
            problems.push("its state file is damaged".to_owned());
        }
        let number = decoded.as_ref().map(|s| s.generation).filter(|n| numbers.contains(n));
        let generation = match number.or(numbers.last().copied()).and_then(|n| Generation::find(directory, n))
        {
            Some(found) => found,
            None => {
                if decoded.is_some() {
                    problems.push("its objects are gone".to_owned());
                }
                Generation::begin(directory, numbers.last().map_or(1, |n| n + 1))?.finish(directory)?
            }
        };
        for other in numbers.iter().filter(|number| **number != generation.number) {
            remove(&directory.join(format!("{other}.git")))?;
        }
        generation.furnish()?;
        problems.extend(packs::inspect(&generation.packs())?);
        if let Some(reason) = read_small(&directory.join(DAMAGED), 4096)? {
            problems.push(String::from_utf8_lossy(&reason).into_owned());
        }
        let objects = Objects::open(&generation.objects(), remote.limits.object_bytes_max)?;
        let state = decoded.unwrap_or_else(|| {
            let packed = std::fs::read(generation.path.join("packed-refs")).unwrap_or_default();
            State { references: State::from_packed_refs(&packed), ..State::default() }
        });
        let mut mirror = Mirror {
            directory: directory.to_owned(),
            remote,
            generation,
            objects,
            state,
            client: None,
            signing: None,
            damage: Mutex::new(None),
            _lock: lock,
        };
        mirror.settle(problems)?;
        Ok(mirror)
    }

    /// Makes the state fit what was found on the disk.
    fn settle(&mut self, mut problems: Vec<String>) -> Result<(), GitError> {
        let before = self.state.clone();
        self.state.generation = self.generation.number;
        let remote = self.remote.url.to_string();
        if self.state.remote != remote {
            if !self.state.remote.is_empty() {
                self.state.references.clear();
            }
            self.state.remote = remote;
        }
        if self.generation.shallow()?.is_none() {
            problems.push("its file of shallow commits is damaged".to_owned());
        }
        let reader = self.objects.reader();
        for commit in self.state.live() {
            // A look at the commit and its root is quick; the rest is checked when it is read.
            if let Err(fault) = reader.root(commit).and_then(|root| reader.tree(root))
                && self.state.complete.remove(&commit)
            {
                problems.push(fault.to_string());
            }
        }
        if !problems.is_empty() {
            self.note_damage(&problems.join("; "));
        }
        if self.state != before || !self.directory.join("state").exists() {
            self.save()?;
        }
        Ok(())
    }

    /// The revision a reference had at the last fetch. Works without the server.
    ///
    /// # Errors
    /// [`GitError::ReferenceMissing`] when it was never fetched or is gone.
    pub fn resolve(&self, reference: &str) -> Result<Revision, GitError> {
        let found = self.state.reference(reference);
        match found {
            Some(found) if found.present => Ok(Revision::new(found.commit)),
            _ => Err(GitError::ReferenceMissing {
                url: self.remote.url.to_string(),
                reference: reference.chars().take(200).collect(),
                last: found.map(|found| Revision::new(found.commit)),
            }),
        }
    }

    /// True when the whole tree of `revision` was in the mirror when it was fetched.
    #[must_use]
    pub fn has(&self, revision: &Revision) -> bool {
        self.state.complete.contains(&revision.id())
    }

    /// Reads all files below `path` (`""` for all of them) at `revision`; a file may be
    /// named too. Works without the server.
    ///
    /// # Errors
    /// [`GitError::PathMissing`], [`GitError::PathRefused`], [`GitError::Limit`] about the
    /// content; [`GitError::RevisionUnavailable`] when the revision was not fetched;
    /// [`GitError::Corrupt`] when it was, but is damaged: then the next fetch rebuilds.
    pub fn read(&self, revision: &Revision, path: &str, limits: &ReadLimits) -> Result<Tree, GitError> {
        self.read_matching(revision, path, limits, &|_| true)
    }

    /// Like [`read`](Mirror::read), but only files whose path is `wanted`; others are
    /// neither loaded nor counted as files.
    ///
    /// # Errors
    /// As [`read`](Mirror::read).
    pub fn read_matching(
        &self,
        revision: &Revision,
        path: &str,
        limits: &ReadLimits,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Tree, GitError> {
        let clean = clean(revision, path)?;
        let read = tree::read(&self.objects.reader(), *revision, &clean, limits, wanted);
        read.map_err(|stop| self.stopped(*revision, stop))
    }

    /// What is at `path` at `revision`, in a word: the same for the same file, or the same directory with
    /// everything below it; `None` when there is nothing. What links inside of the directory lead to is
    /// no part of it ([`Tree::has_links`]). Reads only the directories on the way.
    ///
    /// # Errors
    /// As [`read`](Mirror::read), except for a missing path.
    pub fn identify(&self, revision: &Revision, path: &str) -> Result<Option<String>, GitError> {
        let clean = clean(revision, path)?;
        let found = tree::identify(&self.objects.reader(), *revision, &clean);
        found.map_err(|stop| self.stopped(*revision, stop))
    }

    fn stopped(&self, revision: Revision, stop: Stop) -> GitError {
        match stop {
            Stop::Error(error) => error,
            Stop::Fault(fault) => self.explain(revision, &fault),
        }
    }

    /// Who made a commit, when, and its subject.
    ///
    /// # Errors
    /// As [`read`](Mirror::read).
    pub fn commit(&self, revision: &Revision) -> Result<Commit, GitError> {
        commit::read(&self.objects.reader(), revision.id()).map_err(|fault| self.explain(*revision, &fault))
    }

    /// The whole message of a commit, up to 64 KiB of it. It comes from whoever made the commit: show it, never
    /// trust it.
    ///
    /// # Errors
    /// As [`read`](Mirror::read).
    pub fn message(&self, revision: &Revision) -> Result<String, GitError> {
        let message = commit::message(&self.objects.reader(), revision.id());
        message.map_err(|fault| self.explain(*revision, &fault))
    }

    /// Says which revisions the caller still needs beside the heads and the heads before
    /// them. Replaces what was said before. All others may be dropped at any fetch.
    ///
    /// # Errors
    /// [`GitError::Storage`] when the disk refuses.
    pub fn keep(&mut self, revisions: &[Revision]) -> Result<(), GitError> {
        let kept = revisions.iter().map(Revision::id).collect();
        if self.state.kept != kept {
            self.state.kept = kept;
            self.save()?;
        }
        Ok(())
    }

    /// True when the caller said that it needs this revision, and the whole tree of it is here.
    #[must_use]
    pub fn keeps(&self, revision: &Revision) -> bool {
        self.state.kept.contains(&revision.id()) && self.has(revision)
    }

    /// Forgets a reference that is not followed any more, so that its revision need not be
    /// kept. Nothing happens when it is not known.
    ///
    /// # Errors
    /// [`GitError::Storage`] when the disk refuses.
    pub fn forget(&mut self, reference: &str) -> Result<(), GitError> {
        match self.state.references.remove(reference) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    /// Signs what is pushed from now on with this key, or with none.
    pub fn sign_with(&mut self, key: Option<Arc<SigningKey>>) {
        self.signing = key;
    }

    /// The directory of the mirror.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where it is fetched from.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What a fault means for a caller who asked for `revision`.
    pub(crate) fn explain(&self, revision: Revision, fault: &Fault) -> GitError {
        let fetched =
            self.state.complete.contains(&revision.id()) || self.state.live().contains(&revision.id());
        match fault {
            Fault::TooLarge(id, limit) => {
                let place = format!("object {id} at revision {revision}");
                GitError::Limit { place, what: "bytes in one object", limit: *limit }
            }
            Fault::TooMany(limit) => GitError::Limit {
                place: format!("revision {revision}"),
                what: "entries",
                limit: *limit as u64,
            },
            Fault::Missing(_) if !fetched => {
                let reason = "it was not fetched, or has been dropped since; fetch it".to_owned();
                GitError::RevisionUnavailable { revision, reason }
            }
            Fault::Malformed(id, _) if *id == revision.id() => {
                GitError::RevisionUnavailable { revision, reason: "it is no commit".to_owned() }
            }
            Fault::Malformed(..) => GitError::RevisionUnavailable { revision, reason: fault.to_string() },
            fault => {
                self.note_damage(&fault.to_string());
                GitError::Corrupt { directory: self.directory.clone(), reason: fault.to_string() }
            }
        }
    }

    /// Remembers that the mirror must be rebuilt, also over a restart.
    pub(crate) fn note_damage(&self, reason: &str) {
        tracing::warn!(directory = %self.directory.display(), reason, "the mirror is damaged and will be rebuilt");
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if damage.is_none() {
            let short: String = reason.chars().take(1000).collect();
            if let Err(error) = write_atomic(&self.directory.join(DAMAGED), short.as_bytes()) {
                tracing::warn!(%error, "the damage could not be noted on the disk");
            }
            *damage = Some(short);
        }
    }

    /// What is wrong with the mirror, if anything is known to be. The next fetch rebuilds it.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn forget_damage(&mut self) -> Result<(), GitError> {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = None;
        remove(&self.directory.join(DAMAGED))
    }

    /// Writes the state, and the references as Git reads them.
    pub(crate) fn save(&self) -> Result<(), GitError> {
        write_atomic(&self.generation.path.join("packed-refs"), &self.state.packed_refs())?;
        write_atomic(&self.directory.join("state"), &self.state.encode())
    }

    pub(crate) fn reader(&self) -> Reader {
        self.objects.reader()
    }

    /// Puts a finished generation in the place of the present one, and removes that.
    pub(crate) fn replace(&mut self, generation: Generation, complete: &[ObjectId]) -> Result<(), GitError> {
        let old = std::mem::replace(&mut self.generation, generation);
        self.state.generation = self.generation.number;
        self.state.complete = complete.iter().copied().collect();
        self.save()?;
        self.objects = Objects::open(&self.generation.objects(), self.remote.limits.object_bytes_max)?;
        self.forget_damage()?;
        if let Err(error) = remove(&old.path) {
            tracing::warn!(%error, "an old generation of the mirror was left behind; the next opening removes it");
        }
        Ok(())
    }
}

/// The path without empty parts and dots.
fn clean(revision: &Revision, path: &str) -> Result<String, GitError> {
    tree::clean(path).ok_or_else(|| GitError::PathRefused {
        revision: *revision,
        path: path.chars().take(500).collect(),
        reason: "expected a path inside of the repository, without `..`".to_owned(),
    })
}

/// Makes a directory that only its owner may enter.
fn create_private(directory: &Path) -> Result<(), GitError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(GitError::storage("make", directory))
}

/// Refuses what is no name of a reference.
pub(crate) fn check_name(reference: &str) -> Result<(), GitError> {
    match names::flaw(reference) {
        None => Ok(()),
        Some(flaw) => Err(GitError::ReferenceName {
            reference: reference.chars().take(200).collect(),
            reason: flaw.to_owned(),
        }),
    }
}
