//! Git.
#![forbid(unsafe_code)]

mod commit;
mod credentials;
mod disk;
mod error;
mod fetch;
mod mirror;
mod names;
mod objects;
mod outcome;
mod remote;
mod revision;
mod transport;
mod tree;
mod url;

pub use commit::Commit;
pub use credentials::Credentials;
pub use error::GitError;
pub use mirror::Mirror;
pub use outcome::{Change, Fetched};
pub use remote::{Limits, Remote, Ssh, Timeouts};
pub use revision::{Revision, RevisionError};
pub use tree::{ReadLimits, SkipReason, Skipped, Tree};
pub use url::RemoteUrl;

#[cfg(test)]
mod tests;
