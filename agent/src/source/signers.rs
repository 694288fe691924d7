//! Whose signatures must commits have?

use std::path::PathBuf;

use muster_git::{AllowedSigners, GitError, Mirror, Revision};

/// Files of allowed signers, read again for each look at Git. Without a file nothing is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signers {
    /// Who may have signed the newest commit of the branch of pins. It vouches for every pin, since it names the
    /// whole tree.
    pub(crate) pins: Option<PathBuf>,
    /// Who may have signed the head of the branch, and each revision that is pinned.
    pub(crate) commits: Option<PathBuf>,
}

impl Signers {
    /// # Errors
    /// [`GitError::Unsigned`], or what keeps the file or the commit from being read.
    pub(super) fn check_pins(&self, mirror: &Mirror, newest: &Revision) -> Result<(), GitError> {
        check(self.pins.as_ref(), mirror, newest)
    }

    /// # Errors
    /// As [`check_pins`](Self::check_pins).
    pub(super) fn check_commit(&self, mirror: &Mirror, revision: &Revision) -> Result<(), GitError> {
        check(self.commits.as_ref(), mirror, revision)
    }
}

fn check(file: Option<&PathBuf>, mirror: &Mirror, revision: &Revision) -> Result<(), GitError> {
    match file {
        Some(file) => mirror.signed_by(revision, &AllowedSigners::read(file)?).map(drop),
        None => Ok(()),
    }
}
