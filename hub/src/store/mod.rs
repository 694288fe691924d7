//! Where does the hub keep what it acknowledged?
//!
//! [`Store`] is all the rest of the hub knows of it: load everything at start, then append batches, each
//! durable when the call returns. Nothing is read back while the hub runs, so a store may be as simple
//! as a log: [`LocalStore`] is one, in a directory.

use std::path::PathBuf;

use crate::record::{Change, Loaded};

mod encoding;
mod journal;
mod local;
mod version1;

pub use self::local::LocalStore;

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or its file system refuses.
    #[error(
        "the store in {directory} cannot be used: {reason}; see that the disk has room and belongs to the hub's user"
    )]
    Disk {
        /// Folder of the store.
        directory: PathBuf,
        /// What was refused.
        reason: String,
    },
    /// Another process has it open.
    #[error("the store in {directory} is in use by another muster-hub; stop that one first")]
    InUse {
        /// Folder of the store.
        directory: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the store in {directory} has schema version {found}, and this muster-hub knows versions up to {known}; \
         run the version that wrote it"
    )]
    Newer {
        /// Folder of the store.
        directory: PathBuf,
        /// Version found.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// What is in it makes no sense any more.
    #[error("the store in {directory} is damaged: {reason}")]
    Damaged {
        /// Folder of the store.
        directory: PathBuf,
        /// What was found.
        reason: String,
    },
}

/// Keeps records. Calls may block; the hub makes them from one thread of their own.
pub trait Store: Send {
    /// Everything kept, once, before the first [`Store::append`]. What is damaged is left out and told in
    /// [`Loaded::problems`].
    ///
    /// # Errors
    /// When nothing can be kept here at all.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Keeps a batch, in order. When it returns `Ok` the batch outlives the process and the machine's
    /// power; when it returns an error, any part of it may have been kept, and it may be tried again.
    ///
    /// # Errors
    /// When the disk refuses.
    fn append(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}
