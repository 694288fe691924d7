//! Where does the hub keep what it acknowledged?
//!
//! [`Store`] is all the rest of the hub knows of it: load everything at start, then append batches, each
//! durable when the call returns. Nothing is read back while the hub runs, so a store may be as simple
//! as a log: [`LocalStore`] is one, in a directory; [`EtcdStore`] is one that several hubs share.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};

use crate::record::{Change, Loaded, News};

mod encoding;
mod etcd;
mod journal;
mod local;
mod version1;

pub(crate) use self::journal::beside;
pub use self::{
    etcd::{EtcdEndpoint, EtcdSettings, EtcdStore, Incoming, tls as etcd_tls},
    journal::archive::{ArchiveError, read as read_archive, write as write_archive},
    local::{LocalStore, read as read_local},
};

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
        "the store in {place} has schema version {found}, and this muster-hub knows versions up to {known}; \
         run the version that wrote it"
    )]
    Newer {
        /// Its folder, or its prefix in etcd.
        place: String,
        /// Version found.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// What is in it makes no sense any more.
    #[error(
        "the store in {directory} is damaged: {reason}; start the hub on it, which saves what can be read"
    )]
    Damaged {
        /// Folder of the store.
        directory: PathBuf,
        /// What was found.
        reason: String,
    },
    /// etcd refuses or does not answer.
    #[error("the store in etcd at {endpoints} cannot be used: {reason}; see that most of its members run")]
    Etcd {
        /// Where it is looked for.
        endpoints: String,
        /// What was refused.
        reason: String,
    },
    /// The other hubs have seen nothing of this one for so long that they take it for gone.
    #[error("this hub was not heard of by etcd in time; it starts anew with what is there")]
    Left,
}

/// What one act changes: kept whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// In order.
    pub changes: Vec<Change>,
    /// Only while this hub leads those that share the store (see [`Store::leader`]).
    pub as_leader: bool,
}

/// Keeps records. Calls may block; the hub makes them from one thread of their own.
///
/// Several hubs may share a store. What each of them knows may then be out of date for a moment, so a
/// transaction may be refused: when another hub changed a token or an enrolment meanwhile, when another
/// hub took over the cluster that the transaction writes of, or when it was to be kept only while leading.
pub trait Store: Send {
    /// Everything kept, before the first [`Store::append`] and again whenever this hub has to start anew
    /// ([`StoreError::Left`]). What is damaged is left out and told in [`Loaded::problems`].
    ///
    /// # Errors
    /// When nothing can be kept here at all.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Keeps transactions, in order, and gives the numbers of those that were refused. When it returns
    /// `Ok` the others outlive the process and the machine's power; when it returns an error, any of them
    /// may have been kept, and it may be tried again.
    ///
    /// # Errors
    /// When the disk refuses, or etcd. After [`StoreError::Left`] the store is to be loaded again.
    fn append(&mut self, transactions: &[Transaction]) -> Result<Vec<usize>, StoreError>;

    /// How what refused transactions were about is now.
    ///
    /// # Errors
    /// As [`Store::append`].
    fn look_again(&mut self, _refused: &[&Transaction]) -> Result<Vec<News>, StoreError> {
        Ok(Vec::new())
    }

    /// What other hubs do, to be handed back to [`Store::accept`] in turn with what this hub does; `None`
    /// where it is alone.
    fn incoming(&mut self) -> Option<mpsc::Receiver<Incoming>> {
        None
    }

    /// What others did, without what is known already.
    ///
    /// # Errors
    /// When the store is to be loaded again.
    fn accept(&mut self, _incoming: Incoming) -> Result<Vec<News>, StoreError> {
        Ok(Vec::new())
    }

    /// Whether this hub leads: of those that share a store one does what must be done once. It may still
    /// be true for a moment after another one leads, so what is done as leader is kept with
    /// [`Transaction::as_leader`].
    fn leader(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }
}
