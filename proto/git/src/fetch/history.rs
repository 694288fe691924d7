//! Which commits does a reference build on?
//!
//! A mirror has no history to begin with. Here as much of it is fetched as the question takes, further and
//! further back.

use std::collections::BTreeSet;

use gix::hash::ObjectId;

use super::DEPTHS;
use crate::objects::Fault;
use crate::{GitError, Mirror, Revision};

impl Mirror {
    /// The commits that `reference` builds on as of the last fetch, itself included: each after those it
    /// builds on, so the reference's own is the last. More history is fetched until all of `wanted` are
    /// among them; those that still are not when it returns are none of them. Without any wanted, what is
    /// here is enough.
    ///
    /// # Errors
    /// [`GitError::ReferenceMissing`] when it was not fetched; others as [`fetch`](Mirror::fetch), when more
    /// history would be needed and cannot be had.
    pub fn history(&mut self, reference: &str, wanted: &[Revision]) -> Result<Vec<Revision>, GitError> {
        self.reach(reference, &|known| wanted.iter().all(|wanted| known.contains(wanted)))
    }

    /// The newest `count` commits of `reference` as of the last fetch, or all if there are fewer: the
    /// reference's own first, each before those it builds on.
    ///
    /// # Errors
    /// As [`history`](Mirror::history).
    pub fn log(&mut self, reference: &str, count: usize) -> Result<Vec<Revision>, GitError> {
        let mut commits = self.reach(reference, &|known| known.len() >= count)?;
        commits.reverse();
        commits.truncate(count);
        Ok(commits)
    }

    /// Fetches history until what is here is enough, or all there is.
    fn reach(
        &mut self,
        reference: &str,
        is_enough: &dyn Fn(&[Revision]) -> bool,
    ) -> Result<Vec<Revision>, GitError> {
        let head = self.resolve(reference)?;
        let mut depths = DEPTHS.iter();
        loop {
            let walked = self.walk(head.id()).map_err(|fault| self.explain(head, &fault))?;
            if walked.is_whole || is_enough(&walked.commits) {
                return Ok(walked.commits);
            }
            let Some(depth) = depths.next() else { return Ok(walked.commits) };
            let tip = self.state.reference(reference).map_or(head.id(), |known| known.tip);
            let mut session = self.reading()?;
            if let Err(fault) = self.receive(&mut session, &[tip], &BTreeSet::new(), *depth)? {
                self.note_damage(&fault.to_string());
                return Err(self.explain(head, &fault));
            }
        }
    }

    /// What of the history of a commit is here, oldest first.
    fn walk(&self, head: ObjectId) -> Result<Walked, Fault> {
        enum Step {
            Enter(ObjectId),
            Leave(ObjectId),
        }
        let reader = self.reader();
        let (mut seen, mut steps) = (BTreeSet::new(), vec![Step::Enter(head)]);
        let mut walked = Walked { commits: Vec::new(), is_whole: true };
        while let Some(step) = steps.pop() {
            let id = match step {
                Step::Leave(id) => {
                    walked.commits.push(Revision::new(id));
                    continue;
                }
                Step::Enter(id) => id,
            };
            if !seen.insert(id) {
                continue;
            }
            match reader.parents(id) {
                Ok(parents) => {
                    steps.push(Step::Leave(id));
                    steps.extend(parents.into_iter().map(Step::Enter));
                }
                Err(Fault::Missing(_)) if id != head => walked.is_whole = false,
                Err(fault) => return Err(fault),
            }
        }
        Ok(walked)
    }
}

struct Walked {
    commits: Vec<Revision>,
    /// Nothing of it is missing.
    is_whole: bool,
}
