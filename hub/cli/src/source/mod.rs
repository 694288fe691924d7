//! Which files does a fleet repository hold, and which directory of it is meant?
//!
//! ```text
//! PATH -> place (root of the repository, directory below it)
//!      -> Reader: worktree (files as they lie) or commit (as one revision has them)
//! ```
//! Files are read piece by piece, as the agent reads them: first what may be a document, then the
//! directories that apps name.

mod commit;
mod place;
mod worktree;

pub(crate) use commit::Commit;
pub(crate) use place::find;
use thiserror::Error;
pub(crate) use worktree::WorkTree;

pub(crate) use muster_render::Files;

/// The most that one read may give; the agent has the same limits.
pub(crate) mod limits {
    /// Files of one read.
    pub(crate) const FILES_MAX: usize = 20_000;
    /// Bytes of all files of one read.
    pub(crate) const BYTES_MAX: u64 = 64 << 20;
    /// Bytes of one file.
    pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;
    /// Directories inside of each other.
    pub(crate) const DEPTH_MAX: usize = 64;
    /// Entries looked at in one read, taken or not.
    pub(crate) const ENTRIES_MAX: usize = 500_000;
}

/// Where files are read from.
pub(crate) trait Reader {
    /// All files below a directory, or the file of that name. Links are followed inside the repository only.
    ///
    /// # Errors
    /// [`SourceError::Missing`] when there is nothing of that name; others when something below it cannot
    /// be read, since a file left out would look like one that was deleted.
    fn read(&self, path: &str) -> Result<Files, SourceError>;

    /// All files that may hold a document or a manifest. What an agent would leave out is left out.
    ///
    /// # Errors
    /// When a directory cannot be read, or there is too much.
    fn manifests(&self) -> Result<Files, SourceError>;
}

/// Why files cannot be read.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// There is no such file or directory.
    #[error("there is no `{0}` in the repository")]
    Missing(String),
    /// An agent would not read it either.
    #[error("`{path}` cannot be used: {reason}")]
    Refused { path: String, reason: String },
    /// More than an agent would read.
    #[error("{place}: more than {limit} {what}")]
    Limit { place: String, what: &'static str, limit: u64 },
    /// The disk or Git.
    #[error("{0}")]
    Failed(String),
}

/// Whether a file can hold a document or a manifest.
pub(crate) fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}
