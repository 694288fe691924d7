//! How is a mirror brought up to date?
//!
//! ```text
//! references -> plan -> receive -> check -> save -> join packs
//!                          |         |
//!                          +--- damage found: rebuild, a new generation
//! ```
//!
//! The order makes every moment safe to die in: objects are on the disk before the
//! state mentions them, and what the state does not mention does no harm.

mod history;
mod rebuild;

use std::collections::{BTreeMap, BTreeSet};

use gix::hash::ObjectId;
use gix::protocol::transport::Service;

use crate::disk::state::Reference;
use crate::disk::{packs, remove, sync_directory, sync_file};
use crate::mirror::check_name;
use crate::objects::Fault;
use crate::transport::{Listed, Session, Want};
use crate::{Change, Fetched, GitError, Mirror, Revision, names};

/// Commits the server is told we have; a few recent ones are enough to send little.
const HAVE_MAX: usize = 16;
/// How far history is fetched, step by step, to find a commit that may not be asked for by its id.
const DEPTHS: [usize; 4] = [10, 100, 1_000, 1_000_000];

/// Commits that were sent but are not taken, and why.
type Refused = BTreeMap<ObjectId, String>;

/// What a reference that was asked for is on the server now.
type Targets = BTreeMap<String, Option<(String, Listed)>>;

impl Mirror {
    /// Brings `references` up to date: names of branches or tags, full names, `HEAD`, or
    /// whole revisions. Only the newest commit of each is fetched, without its history.
    /// When nothing is new that is one listing of these references. A reference that is
    /// not on the server is reported in the outcome, not as an error.
    ///
    /// # Errors
    /// Says what a caller can do, see [`GitError`]. Whatever happens, what was readable before still is.
    pub fn fetch(&mut self, references: &[&str]) -> Result<Fetched, GitError> {
        references.iter().try_for_each(|name| check_name(name))?;
        let (ids, mut asked): (Vec<&str>, Vec<&str>) =
            references.iter().partition(|name| name.parse::<Revision>().is_ok());
        if !self.generation.packs().is_dir() {
            self.note_damage("its objects are gone");
        }
        let damage = self.damage();
        let known: Vec<String> = self.state.references.keys().cloned().collect();
        if damage.is_some() {
            // Everything is fetched anew, so nothing may be left out.
            asked.extend(known.iter().map(String::as_str).filter(|name| !references.contains(name)));
        }
        let mut fetched = Fetched::default();
        if damage.is_some() || !asked.is_empty() {
            fetched = self.fetch_references(&asked, damage)?;
        }
        fetched.heads.retain(|name, _| references.contains(&name.as_str()));
        fetched.changes.retain(|name, _| references.contains(&name.as_str()));
        fetched.refused.retain(|name, _| references.contains(&name.as_str()));
        let moved =
            |change: &Change| !matches!(change, Change::Unchanged | Change::Missing | Change::Refused);
        fetched.changed = fetched.changes.values().any(moved);
        for id in ids {
            let Ok(revision) = id.parse::<Revision>() else { continue };
            let new = !self.has(&revision);
            self.fetch_revision(&revision, &asked)?;
            fetched.heads.insert(id.to_owned(), revision);
            fetched.changes.insert(id.to_owned(), if new { Change::New } else { Change::Unchanged });
            fetched.changed |= new;
        }
        self.join_packs();
        Ok(fetched)
    }

    fn fetch_references(&mut self, asked: &[&str], damage: Option<String>) -> Result<Fetched, GitError> {
        let mut session = self.reading()?;
        let targets = find(&mut session, asked)?;
        let (refused, rebuilt) = match damage {
            Some(reason) => (self.rebuild(&mut session, &targets, &reason)?, Some(reason)),
            None => self.bring(&mut session, &targets)?,
        };
        let mut fetched = self.settle_references(&targets, &refused)?;
        fetched.rebuilt = rebuilt;
        fetched.bytes = session.bytes();
        Ok(fetched)
    }

    fn reading(&mut self) -> Result<Session, GitError> {
        Session::open(&self.remote, &mut self.client, Service::UploadPack)
    }

    /// Fetches what is new, and checks it. Gives a reason when that ended in a rebuild.
    fn bring(
        &mut self,
        session: &mut Session,
        targets: &Targets,
    ) -> Result<(Refused, Option<String>), GitError> {
        let reader = self.reader();
        let mut wanted = BTreeSet::new();
        for (_, listed) in targets.values().flatten() {
            let whole = self.state.complete.contains(&listed.commit);
            if !whole || (listed.tip != listed.commit && !reader.has(listed.tip)) {
                wanted.insert(listed.tip);
            }
        }
        if wanted.is_empty() {
            return Ok((Refused::new(), None));
        }
        let ids: Vec<ObjectId> = wanted.into_iter().collect();
        let commits: BTreeSet<ObjectId> =
            targets.values().flatten().map(|(_, listed)| listed.commit).collect();
        let fault = match self.receive(session, &ids, &commits, 1) {
            Ok(Ok(refused)) => return Ok((refused, None)),
            Ok(Err(fault)) => fault,
            Err(error) => match self.blame(error) {
                Ok(fault) => fault,
                // One reference the server cannot serve must not keep the others back.
                Err(GitError::Protocol { .. }) if ids.len() > 1 => return self.bring_singly(targets),
                Err(error) => return Err(error),
            },
        };
        // What was sent builds on objects that turn out not to be whole here.
        self.note_damage(&fault.to_string());
        let mut again = self.reading()?;
        let reason = fault.to_string();
        Ok((self.rebuild(&mut again, targets, &reason)?, Some(reason)))
    }

    /// Fetches each reference by itself, refusing those the server cannot serve.
    fn bring_singly(&mut self, targets: &Targets) -> Result<(Refused, Option<String>), GitError> {
        let mut refused = Refused::new();
        for (name, target) in targets {
            let Some((full, listed)) = target else { continue };
            let alone: Targets = [(name.clone(), Some((full.clone(), listed.clone())))].into();
            let mut session = self.reading()?;
            match self.bring(&mut session, &alone) {
                Ok((one, None)) => refused.extend(one),
                // Nothing more can be relied on; the next fetch brings the rest.
                Ok((_, Some(reason))) => return Ok((refused, Some(reason))),
                Err(GitError::Protocol { reason, .. }) => {
                    refused.insert(listed.commit, reason);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((refused, None))
    }

    /// A pack that makes no sense may be the server's fault, or ours when an object it
    /// builds on is damaged: then gives that damage in place of the error.
    fn blame(&self, error: GitError) -> Result<Fault, GitError> {
        if !matches!(error, GitError::Protocol { .. }) {
            return Err(error);
        }
        let have = self.have(&self.generation.shallow()?.unwrap_or_default());
        match self.reader().verify(&have, self.remote.limits.tree_entries_max) {
            Err(fault @ (Fault::Missing(_) | Fault::Damaged(..))) => Ok(fault),
            _ => Err(error),
        }
    }

    /// Receives `ids` into the present generation and checks that `commits` are whole.
    fn receive(
        &mut self,
        session: &mut Session,
        ids: &[ObjectId],
        commits: &BTreeSet<ObjectId>,
        depth: usize,
    ) -> Result<Result<Refused, Fault>, GitError> {
        let shallow = self.generation.shallow()?.unwrap_or_default();
        let have: Vec<ObjectId> = self.have(&shallow);
        let base = (!have.is_empty()).then(|| self.objects.handle());
        let shallow: Vec<ObjectId> = shallow.into_iter().collect();
        let want = Want { ids: ids.to_vec(), have, shallow: &shallow, depth };
        let received = session.receive(&want, &self.generation.packs(), base)?;
        received.files.iter().try_for_each(|file| sync_file(file))?;
        sync_directory(&self.generation.packs())?;
        self.generation.move_shallow(&received.shallow, &[])?;
        let known = self.known();
        let reader = self.reader();
        let mut refused = Refused::new();
        for commit in commits.iter().filter(|commit| !self.state.complete.contains(*commit)) {
            match reader.check(*commit, known, self.remote.limits.tree_entries_max) {
                Ok(()) => {}
                Err(fault) if fault.is_of_the_repository() => {
                    drop(refused.insert(*commit, fault.to_string()));
                }
                Err(fault) => return Ok(Err(fault)),
            }
        }
        self.state.complete.extend(commits.iter().filter(|commit| !refused.contains_key(*commit)));
        self.save()?;
        received.keep.iter().try_for_each(|keep| remove(keep))?;
        Ok(Ok(refused))
    }

    /// Whole commits to tell the server about: heads first.
    fn have(&self, shallow: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        let mut have: Vec<ObjectId> = self.state.references.values().map(|r| r.commit).collect();
        have.extend(self.state.live());
        let mut seen = BTreeSet::new();
        let reader = self.reader();
        // A commit with parents that is not known as shallow would promise its whole history.
        have.retain(|id| {
            self.state.complete.contains(id)
                && seen.insert(*id)
                && (shallow.contains(id)
                    || reader.parents(*id).is_ok_and(|p| p.iter().all(|p| reader.has(*p))))
        });
        have.truncate(HAVE_MAX);
        have
    }

    /// A whole commit to compare new trees with.
    fn known(&self) -> Option<ObjectId> {
        self.state.references.values().map(|r| r.commit).find(|id| self.state.complete.contains(id))
    }

    /// Writes down where the references are now, and says how they moved.
    fn settle_references(&mut self, targets: &Targets, refused: &Refused) -> Result<Fetched, GitError> {
        let mut fetched = Fetched::default();
        let before = self.state.references.clone();
        for (name, target) in targets {
            // A reference never points to what cannot be read.
            let unread = target.as_ref().filter(|(_, listed)| !self.state.complete.contains(&listed.commit));
            if let Some((_, listed)) = unread {
                let reason =
                    refused.get(&listed.commit).map_or("it is left for the next fetch", String::as_str);
                fetched.refused.insert(name.clone(), reason.to_owned());
                fetched.changes.insert(name.clone(), Change::Refused);
                continue;
            }
            let old = self.state.references.get(name).cloned();
            let change = self.move_reference(name, target.as_ref(), old);
            if let Some((_, listed)) = target {
                fetched.heads.insert(name.clone(), Revision::new(listed.commit));
            }
            fetched.changes.insert(name.clone(), change);
        }
        if self.state.references != before {
            self.save()?;
        }
        Ok(fetched)
    }

    fn move_reference(
        &mut self,
        name: &str,
        target: Option<&(String, Listed)>,
        old: Option<Reference>,
    ) -> Change {
        let Some((full, listed)) = target else {
            return match old {
                Some(mut old) => {
                    let last = Revision::new(old.commit);
                    let change = if old.present { Change::Gone { last } } else { Change::Missing };
                    old.present = false;
                    self.state.references.insert(name.to_owned(), old);
                    change
                }
                None => Change::Missing,
            };
        };
        let (mut previous, change) = match &old {
            None => (None, Change::New),
            Some(old) if old.commit == listed.commit && old.present => (old.previous, Change::Unchanged),
            Some(old) if old.commit == listed.commit => (old.previous, Change::New),
            Some(old) => {
                let from = Revision::new(old.commit);
                let child =
                    self.reader().parents(listed.commit).is_ok_and(|parents| parents.contains(&old.commit));
                (Some(old.commit), if child { Change::FastForward { from } } else { Change::Moved { from } })
            }
        };
        previous = previous.filter(|id| self.state.complete.contains(id));
        let reference =
            Reference { full: full.clone(), tip: listed.tip, commit: listed.commit, previous, present: true };
        self.state.references.insert(name.to_owned(), reference);
        change
    }

    /// Makes sure that `revision` can be read, whatever references point to. Where the
    /// server does not give commits by their id, the history of `references` is fetched,
    /// further and further back, until it is found.
    ///
    /// # Errors
    /// [`GitError::RevisionUnavailable`] when the server does not have it or does not give it.
    pub fn fetch_revision(&mut self, revision: &Revision, references: &[&str]) -> Result<(), GitError> {
        references.iter().try_for_each(|name| check_name(name))?;
        if self.has(revision) && self.damage().is_none() {
            return Ok(());
        }
        if self.damage().is_some() {
            self.fetch(references)?;
        }
        for _ in 0..2 {
            if self.has(revision) {
                return Ok(());
            }
            match self.bring_revision(*revision, references)? {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    self.note_damage(&fault.to_string());
                    self.fetch(references)?;
                }
            }
        }
        let reason = "the server sends it, but not all of it".to_owned();
        Err(GitError::RevisionUnavailable { revision: *revision, reason })
    }

    /// Fetches a revision by its id, or by the history of references.
    fn bring_revision(
        &mut self,
        revision: Revision,
        references: &[&str],
    ) -> Result<Result<(), Fault>, GitError> {
        let id = revision.id();
        let mut session = self.reading()?;
        let targets = find(&mut session, references)?;
        let tips: BTreeSet<ObjectId> = targets.values().flatten().map(|(_, listed)| listed.tip).collect();
        if session.may_ask_by_id() || tips.contains(&id) {
            match self.receive(&mut session, &[id], &[id].into(), 1) {
                Ok(Ok(refused)) => return refuse(revision, &refused).map(Ok),
                Ok(Err(fault)) => return Ok(Err(fault)),
                // The server's way to say that it does not give this one.
                Err(GitError::Protocol { reason, .. }) => {
                    tracing::debug!(%revision, reason, "the server does not give this revision by its id");
                }
                Err(error) => return Err(error),
            }
        }
        drop(session);
        self.deepen(revision, &tips)
    }

    /// Fetches more and more history of `tips` until `revision` is among it.
    fn deepen(
        &mut self,
        revision: Revision,
        tips: &BTreeSet<ObjectId>,
    ) -> Result<Result<(), Fault>, GitError> {
        let id = revision.id();
        let tips: Vec<ObjectId> = tips.iter().copied().collect();
        let none = BTreeSet::new();
        for depth in DEPTHS {
            if tips.is_empty() {
                break;
            }
            let before = self.generation.shallow()?;
            let mut session = self.reading()?;
            if let Err(fault) = self.receive(&mut session, &tips, &none, depth)? {
                return Ok(Err(fault));
            }
            drop(session);
            if self.reader().has(id) {
                let known = self.known();
                match self.reader().check(id, known, self.remote.limits.tree_entries_max) {
                    Ok(()) => {}
                    Err(fault) if fault.is_of_the_repository() => {
                        return refuse(revision, &[(id, fault.to_string())].into()).map(Ok);
                    }
                    Err(fault) => return Ok(Err(fault)),
                }
                self.state.complete.insert(id);
                return self.save().map(Ok);
            }
            if self.generation.shallow()? == before {
                // The whole history is here already.
                break;
            }
        }
        let reason = "the server does not give it by its id, and it is not in the history of the references"
            .to_owned();
        Err(GitError::RevisionUnavailable { revision, reason })
    }

    /// Joins packs once there are too many, so that the mirror does not grow for ever.
    fn join_packs(&mut self) {
        if packs::count(&self.generation.packs()) <= self.remote.limits.packs_max.max(1) {
            return;
        }
        if let Err(error) = self.compact() {
            tracing::warn!(%error, "the packs of the mirror could not be joined");
        }
    }
}

/// The error for a revision that was sent but is not taken.
fn refuse(revision: Revision, refused: &Refused) -> Result<(), GitError> {
    match refused.get(&revision.id()) {
        None => Ok(()),
        Some(reason) => Err(GitError::RevisionUnavailable { revision, reason: reason.clone() }),
    }
}

/// Looks for each name on the server.
fn find(session: &mut Session, asked: &[&str]) -> Result<Targets, GitError> {
    if asked.is_empty() {
        return Ok(Targets::new());
    }
    let candidates: BTreeSet<String> = asked.iter().flat_map(|name| names::candidates(name)).collect();
    let candidates: Vec<String> = candidates.into_iter().collect();
    let listed: BTreeMap<String, Listed> = session.references(&candidates)?.into_iter().collect();
    let target = |name: &&str| {
        let found = names::candidates(name).into_iter().find_map(|full| {
            let listed = listed.get(&full)?.clone();
            Some((full, listed))
        });
        ((*name).to_owned(), found)
    };
    Ok(asked.iter().map(target).collect())
}
