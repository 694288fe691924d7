//! How does a commit of ours get onto a branch? On top of what the caller has seen, and never by force.
//!
//! ```text
//! expected head --Draft--> objects --> pack --receive-pack: "expected new branch"--> server
//!                                                                                      |
//!     Done <--- taken      Moved <--- the branch is elsewhere      PushRefused <--- a rule says no
//! ```
//!
//! gix cannot push, so this speaks the part of the protocol that is needed: one command, one pack of whole
//! objects, one report (gitprotocol-pack(5), "Pushing Data To a Server"). The server compares the branch
//! with what we expect under its own lock, so of two who push at once one is told to look again.

use gix::hash::ObjectId;
use gix::protocol::transport::Service;

use crate::draft::{self, Draft, Trouble};
use crate::mirror::check_name;
use crate::objects::pack;
use crate::transport::Session;
use crate::{GitError, Mirror, Revision};

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The branch is at this new commit.
    Done(Revision),
    /// Nothing was changed, because the branch was not where the caller thought: fetch and decide again.
    Moved {
        /// Where it is; `None` when there is no such branch.
        now: Option<Revision>,
    },
}

impl Mirror {
    /// Makes a commit on top of `expected` and puts `branch` on it, if the branch is at `expected` still:
    /// with `None`, if there is no such branch. The mirror itself learns of it by the next fetch.
    ///
    /// When the connection breaks after everything was sent, the commit may have been taken although this
    /// fails: the next fetch tells.
    ///
    /// # Errors
    /// [`GitError::PushRefused`] when the server does not let the branch be changed, such as a protected
    /// branch or a hook; [`GitError::Authentication`] when it wants other credentials for writing;
    /// [`GitError::Unwritable`] for a path that is none; others as [`fetch`](Mirror::fetch).
    pub fn push(
        &mut self,
        branch: &str,
        expected: Option<&Revision>,
        draft: &Draft,
    ) -> Result<Pushed, GitError> {
        check_name(branch)?;
        let reference =
            if branch.starts_with("refs/") { branch.to_owned() } else { format!("refs/heads/{branch}") };
        let built = match draft::build(&self.reader(), expected.copied(), draft, self.signing.as_deref()) {
            Ok(built) => built,
            Err(Trouble::Refused(error)) => return Err(error),
            Err(Trouble::Fault(fault)) => match expected {
                Some(expected) => return Err(self.explain(*expected, &fault)),
                // Without anything to build on nothing is read.
                None => {
                    return Err(GitError::Unwritable { path: branch.to_owned(), reason: fault.to_string() });
                }
            },
        };
        let pack = pack(&built.objects).map_err(GitError::storage("pack", self.directory()))?;
        let old = expected.map(Revision::id);
        let mut session = self.writing()?;
        let now = session.tip(&reference)?;
        if now != old {
            return Ok(Pushed::Moved { now: now.map(Revision::new) });
        }
        let Err(reason) = session.send(&reference, old, built.commit, &pack)? else {
            return Ok(Pushed::Done(Revision::new(built.commit)));
        };
        drop(session);
        // A server says that somebody else was first in words of its own: looking tells for certain.
        let now: Option<ObjectId> = self.writing()?.tip(&reference)?;
        if now != old {
            return Ok(Pushed::Moved { now: now.map(Revision::new) });
        }
        Err(GitError::PushRefused { url: self.remote.url.to_string(), reference, reason })
    }

    fn writing(&mut self) -> Result<Session, GitError> {
        Session::open(&self.remote, &mut self.client, Service::ReceivePack)
    }
}
