//! How does a record outlive the process, the machine's power and some of the disk?
//!
//! ```text
//! NAME/               0000000007.journal   0000000008.journal  <- appended to, fdatasync per batch
//! NAME.position       what was acknowledged last
//! NAME.index-RANDOM/  sled: key -> where its record lies; made anew at every start
//! ```
//! A batch is durable when [`Journal::append`] returns. When more than half of all bytes are of records
//! that were replaced or deleted, the oldest segment is cleaned: what still counts in it is appended again,
//! then the file goes. A deletion in the oldest segment deletes nothing that is left, so it goes with it.

mod append;
pub(super) mod archive;
mod files;
mod frame;
mod index;
mod recover;
mod segment;

use std::{
    collections::BTreeMap,
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

pub(in crate::store) use self::append::Journal;

/// How often a journal that seems damaged is read, since its owner may be changing it.
const READS_MAX: u32 = 10;

/// What to do to each key: keep a value, or forget it.
pub(super) type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// How large a journal's parts may get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A segment that has this many bytes gets no further batch.
    pub(super) segment_bytes: u64,
}

/// Why a journal could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Io(io::Error),
    /// It has this schema version, which is newer than [`Journal::SCHEMA`].
    Newer(u32),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Later records were lost, one of which may have replaced or deleted this one.
    pub(super) doubtful: bool,
    /// Upwards in the order of writing.
    pub(super) sequence: u64,
}

/// What is read of a journal.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The record of each key.
    pub(super) found: Vec<Found>,
    /// Sequences of acknowledged records that are gone; empty where nothing is damaged.
    pub(super) lost: Vec<RangeInclusive<u64>>,
}

impl Contents {
    /// What was lost, for people; `None` when nothing was.
    pub(super) fn damage(&self) -> Option<String> {
        let last = self.lost.last()?;
        if *last.end() == u64::MAX {
            return Some("none of its files begins as it should".to_owned());
        }
        let ranges: Vec<String> = self
            .lost
            .iter()
            .take(5)
            .map(|range| match (range.start(), range.end()) {
                (start, end) if start == end => format!("{start}"),
                (start, end) => format!("{start} to {end}"),
            })
            .collect();
        let more = if self.lost.len() > ranges.len() { " and others" } else { "" };
        Some(format!("entries {}{more} are missing or unreadable", ranges.join(", ")))
    }
}

/// A path beside the journal in this folder.
pub(crate) fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut path = directory.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

/// Path of the position of the journal in this folder.
pub(super) fn position_path(directory: &Path) -> PathBuf {
    beside(directory, "position")
}

/// Removes what an ended process left of the index of the journal in this folder.
///
/// # Errors
/// When the disk refuses.
pub(super) fn remove_old_index(directory: &Path) -> io::Result<()> {
    index::Index::remove_old(directory)
}

/// Reads a journal, also one that another process appends to: what is not acknowledged yet is left out.
///
/// # Errors
/// When the disk refuses or a newer version wrote it.
pub(super) fn read(directory: &Path) -> Result<Contents, OpenError> {
    let mut attempt = 1;
    loop {
        match files::Files::read(directory).map(files::Files::contents) {
            // Its owner may have just removed a segment whose records it had appended again.
            Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound && attempt < READS_MAX => {}
            Ok(contents) if !contents.lost.is_empty() && attempt < READS_MAX => {}
            read => return read,
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests;
