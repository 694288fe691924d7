//! How does a damaged mirror become whole, and a grown one small?
//!
//! Both build a new generation beside the present one, and put it in its place only
//! when it is whole. What is still needed and still whole is taken along.

use std::collections::BTreeSet;

use gix::hash::ObjectId;

use super::{Refused, Targets};
use crate::disk::generation::Generation;
use crate::disk::{remove, sync_file};
use crate::objects::{CopyError, Objects};
use crate::transport::{Session, Want};
use crate::{GitError, Mirror, Revision};

impl Mirror {
    /// Fetches `targets` anew, keeping what is needed beside them from the old generation
    /// or, where that is damaged, from the server.
    pub(super) fn rebuild(
        &mut self,
        session: &mut Session,
        targets: &Targets,
        reason: &str,
    ) -> Result<Refused, GitError> {
        tracing::info!(directory = %self.directory.display(), reason, "rebuilding the mirror");
        let next = Generation::begin(&self.directory, self.generation.number + 1)?;
        let objects = Objects::open(&next.objects(), self.remote.limits.object_bytes_max)?;
        let tips: BTreeSet<ObjectId> = targets.values().flatten().map(|(_, listed)| listed.tip).collect();
        let mut complete: BTreeSet<ObjectId> =
            targets.values().flatten().map(|(_, listed)| listed.commit).collect();
        let mut refused = Refused::new();
        if !tips.is_empty() {
            receive(session, &next, tips.into_iter().collect())?;
            for commit in &complete {
                match objects.reader().check(*commit, None, self.remote.limits.tree_entries_max) {
                    Ok(()) => {}
                    Err(fault) if fault.is_of_the_repository() => {
                        drop(refused.insert(*commit, fault.to_string()));
                    }
                    Err(fault) => {
                        let reason = format!("it sent revision {commit}, but not all of it: {fault}");
                        return Err(GitError::Protocol { url: self.remote.url.to_string(), reason });
                    }
                }
            }
        }
        complete.retain(|commit| !refused.contains_key(commit));
        let mut needed = self.state.live();
        for commit in &complete {
            needed.remove(commit);
        }
        let mut lost = Vec::new();
        for commit in needed {
            if !self.carry(commit, &next)? {
                lost.push(commit);
            }
            complete.insert(commit);
        }
        self.refetch(&lost, &next, &objects, &mut complete)?;
        self.adopt(next, complete)?;
        Ok(refused)
    }

    /// Joins what is needed into one pack. Talks to nobody.
    pub(super) fn compact(&mut self) -> Result<(), GitError> {
        let mut needed: BTreeSet<ObjectId> = self.state.live();
        needed.retain(|commit| self.state.complete.contains(commit));
        let next = Generation::begin(&self.directory, self.generation.number + 1)?;
        let commits: Vec<ObjectId> = needed.iter().copied().collect();
        match self.reader().copy(&commits, self.remote.limits.tree_entries_max, &next.packs()) {
            Ok(()) => {}
            Err(CopyError::Disk(error)) => return Err(error),
            Err(CopyError::Fault(fault)) => {
                self.note_damage(&fault.to_string());
                return remove(&next.path);
            }
        }
        next.move_shallow(&[], &commits)?;
        self.adopt(next, needed)
    }

    /// Takes a commit along from the present generation, if it is whole there.
    fn carry(&self, commit: ObjectId, next: &Generation) -> Result<bool, GitError> {
        match self.reader().copy(&[commit], self.remote.limits.tree_entries_max, &next.packs()) {
            Ok(()) => next.move_shallow(&[], &[commit]).map(|()| true),
            Err(CopyError::Fault(_)) => Ok(false),
            Err(CopyError::Disk(error)) => Err(error),
        }
    }

    /// Asks the server for commits that could not be carried. What it does not give is
    /// dropped: it cannot be had any more.
    fn refetch(
        &mut self,
        lost: &[ObjectId],
        next: &Generation,
        objects: &Objects,
        complete: &mut BTreeSet<ObjectId>,
    ) -> Result<(), GitError> {
        for commit in lost {
            let mut session = self.reading()?;
            let given = receive(&mut session, next, vec![*commit]);
            let reader = objects.reader();
            match given {
                Ok(()) if reader.check(*commit, None, self.remote.limits.tree_entries_max).is_ok() => {}
                Ok(()) | Err(GitError::Protocol { .. }) => {
                    let revision = Revision::new(*commit);
                    tracing::warn!(%revision, "a revision was damaged, and the server does not give it any more");
                    complete.remove(commit);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn adopt(&mut self, next: Generation, complete: BTreeSet<ObjectId>) -> Result<(), GitError> {
        let next = next.finish(&self.directory)?;
        let complete: Vec<ObjectId> = complete.into_iter().collect();
        self.replace(next, &complete)
    }
}

/// Receives commits into a generation that has nothing to build on.
fn receive(session: &mut Session, into: &Generation, ids: Vec<ObjectId>) -> Result<(), GitError> {
    let shallow: Vec<ObjectId> = into.shallow()?.unwrap_or_default().into_iter().collect();
    let want = Want { ids, have: Vec::new(), shallow: &shallow, depth: 1 };
    let received = session.receive(&want, &into.packs(), None)?;
    received.files.iter().try_for_each(|file| sync_file(file))?;
    into.move_shallow(&received.shallow, &[])?;
    received.keep.iter().try_for_each(|keep| remove(keep))
}
