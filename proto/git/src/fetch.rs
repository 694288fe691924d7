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

mod rebuild;

use std::collections::{BTreeMap, BTreeSet};

use gix_hash::ObjectId;

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
        let mut session = Session::open(&self.remote, &mut self.client)?;
        let targets = find(&mut session, &asked)?;
        let rebuilt = match damage {
            Some(reason) => Some(self.rebuild(&mut session, &targets, reason)?),
            None => self.bring(&mut session, &targets)?,
        };
        let mut fetched = self.settle_references(&targets, rebuilt)?;
        fetched.heads.retain(|name, _| references.contains(&name.as_str()));
        fetched.changes.retain(|name, _| references.contains(&name.as_str()));
        fetched.changed = fetched.changes.values().any(|c| !matches!(c, Change::Unchanged | Change::Missing));
        fetched.bytes = session.bytes();
        drop(session);
        for id in ids {
            let Ok(revision) = id.parse::<Revision>() else { continue };
            let new = !self.has(&revision);
            let others: Vec<&str> = asked.clone();
            self.fetch_revision(&revision, &others)?;
            fetched.heads.insert(id.to_owned(), revision);
            fetched.changes.insert(id.to_owned(), if new { Change::New } else { Change::Unchanged });
            fetched.changed |= new;
        }
        self.join_packs();
        Ok(fetched)
    }

    /// Fetches what is new, and checks it. Gives a reason when that ended in a rebuild.
    fn bring(&mut self, session: &mut Session, targets: &Targets) -> Result<Option<String>, GitError> {
        let reader = self.reader();
        let mut wanted = BTreeSet::new();
        for (_, listed) in targets.values().flatten() {
            let whole = self.state.complete.contains(&listed.commit);
            if !whole || (listed.tip != listed.commit && !reader.has(listed.tip)) {
                wanted.insert(listed.tip);
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let ids: Vec<ObjectId> = wanted.into_iter().collect();
        let commits: BTreeSet<ObjectId> =
            targets.values().flatten().map(|(_, listed)| listed.commit).collect();
        let fault = match self.receive(session, &ids, &commits, 1) {
            Ok(Ok(())) => return Ok(None),
            Ok(Err(fault)) => fault,
            Err(error) => self.blame(error)?,
        };
        // What was sent builds on objects that turn out not to be whole here.
        self.note_damage(&fault.to_string());
        let mut again = Session::open(&self.remote, &mut self.client)?;
        self.rebuild(&mut again, targets, fault.to_string()).map(Some)
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
    ) -> Result<Result<(), Fault>, GitError> {
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
        for commit in commits.iter().filter(|commit| !self.state.complete.contains(*commit)) {
            if let Err(fault) = reader.check(*commit, known, self.remote.limits.tree_entries_max) {
                return match fault {
                    Fault::TooLarge(..) | Fault::TooMany(_) => {
                        Err(self.explain(Revision::new(*commit), &fault))
                    }
                    fault => Ok(Err(fault)),
                };
            }
        }
        self.state.complete.extend(commits);
        self.save()?;
        received.keep.iter().try_for_each(|keep| remove(keep))?;
        Ok(Ok(()))
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
    fn settle_references(&mut self, targets: &Targets, rebuilt: Option<String>) -> Result<Fetched, GitError> {
        let mut fetched =
            Fetched { heads: BTreeMap::new(), changes: BTreeMap::new(), changed: false, rebuilt, bytes: 0 };
        let before = self.state.references.clone();
        for (name, target) in targets {
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
        let mut session = Session::open(&self.remote, &mut self.client)?;
        let targets = find(&mut session, references)?;
        let tips: BTreeSet<ObjectId> = targets.values().flatten().map(|(_, listed)| listed.tip).collect();
        if session.may_ask_by_id() || tips.contains(&id) {
            match self.receive(&mut session, &[id], &[id].into(), 1) {
                Ok(Err(Fault::Damaged(_, reason))) if reason.starts_with("expected a commit") => {
                    let reason = "it is no commit".to_owned();
                    return Err(GitError::RevisionUnavailable { revision, reason });
                }
                // The server's way to say that it does not give this one.
                Err(GitError::Protocol { reason, .. }) => {
                    tracing::debug!(%revision, reason, "the server does not give this revision by its id");
                }
                received => return received,
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
            let mut session = Session::open(&self.remote, &mut self.client)?;
            if let Err(fault) = self.receive(&mut session, &tips, &none, depth)? {
                return Ok(Err(fault));
            }
            drop(session);
            if self.reader().has(id) {
                let known = self.known();
                if let Err(fault) = self.reader().check(id, known, self.remote.limits.tree_entries_max) {
                    return Ok(Err(fault));
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
        if packs::count(&self.generation.packs()) <= self.remote.limits.packs_max {
            return;
        }
        if let Err(error) = self.compact() {
            tracing::warn!(%error, "the packs of the mirror could not be joined");
        }
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
