//! What do these files look like at this commit, which commit is it now, and how is one added?
//!
//! A [`Mirror`] is a bare copy of some references of a repository, only as deep as it
//! must be, in a directory of its own. It is fetched over https, http, ssh or from a
//! local path, and read straight from its object database: there is no work tree, so
//! nothing a repository holds ever becomes a file on this machine.
//!
//! ```no_run
//! use muster_git::{Mirror, ReadLimits, Remote};
//!
//! # fn main() -> Result<(), muster_git::GitError> {
//! let remote = Remote::new("https://git.example/team/fleet.git")?;
//! let mut mirror = Mirror::open("/var/lib/muster/fleet".as_ref(), remote)?;
//! mirror.fetch(&["main"])?;
//! let head = mirror.resolve("main")?;
//! for (path, content) in mirror.read(&head, "apps/web", &ReadLimits::default())?.files() {
//!     assert!(path.starts_with("apps/web/") && content.len() < 16 << 20);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # On the disk
//!
//! ```text
//! DIRECTORY/             0700
//!   lock                 held while a mirror is open; says who holds it
//!   state                references, whole revisions, revisions to keep; with a checksum
//!   damaged              there only while something is wrong: what it is
//!   7.git/               a generation: a bare repository that git itself can read
//!     HEAD, config       for git only, never read here, never with credentials
//!     packed-refs        the references again, for git, and for when `state` is lost
//!     shallow            commits whose parents are not here
//!     objects/pack/      one pack a fetch, joined into one when there are too many
//!   8.git.new/           a generation being built; removed at the next opening
//! ```
//!
//! Files are replaced as a whole (written beside, flushed, renamed), and in this order:
//! packs, `shallow`, `state`. So a crash leaves at worst objects nobody mentions.
//!
//! # The states of a mirror
//!
//! ```text
//!            open                      fetch: new objects, all checked
//!   (none) --------> empty ---------------------------------------> whole <--+
//!                                                                   |  |  ^  |
//!             open or read finds damage,                            |  |  |  | fetch: nothing new,
//!             or a fetch builds on damage                           |  |  |  | or packs are joined
//!      +----------------------------------------------------------- +  +-----+
//!      v                                                                  |
//!   damaged --- fetch: a new generation beside, then in its place --------+
//!      |  ^
//!      +--+  the server is down: what is whole stays readable
//! ```
//!
//! What is needed and whole is taken along into a new generation, also when the server
//! does not have it any more: the heads, the heads before them, and what was named with
//! [`Mirror::keep`]. A fetch that fails changes nothing that was readable.
//!
//! # What can be trusted
//!
//! * Every object is hashed again when it is read, so damage is an error and never content.
//! * Trees are walked as data. Links are followed inside of the repository only, with a
//!   limit; names that Git would not check out are refused.
//! * Every wait on a server ends ([`Timeouts`]), and everything it sends is counted ([`Limits`]).
//! * Credentials are read from files at every fetch. They are in no error, no log and no
//!   file of the mirror, they go to no other host, and over plain http only to this machine
//!   unless that is allowed expressly.
//! * TLS is rustls with ring. A CA file replaces the system's certificates; without one
//!   the system's are used, or those in the file that `SSL_CERT_FILE` names.
//!
//! Calls block. From async code use `tokio::task::spawn_blocking`.
#![forbid(unsafe_code)]

mod commit;
mod credentials;
mod disk;
mod draft;
mod error;
mod fetch;
mod mirror;
mod names;
mod objects;
mod outcome;
mod push;
mod remote;
mod revision;
mod signature;
mod transport;
mod tree;
mod url;

pub use commit::Commit;
pub use credentials::Credentials;
pub use draft::{Draft, Person};
pub use error::GitError;
pub use mirror::Mirror;
pub use outcome::{Change, Fetched};
pub use push::Pushed;
pub use remote::{Limits, Remote, Ssh, Timeouts};
pub use revision::{Revision, RevisionError};
pub use signature::{AllowedSigners, SigningKey};
pub use tree::{ReadLimits, SkipReason, Skipped, Tree};
pub use url::RemoteUrl;

#[cfg(test)]
mod tests;
