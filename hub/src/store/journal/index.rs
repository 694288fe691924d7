//! Where in the journal lies the record that counts for a key?
//!
//! sled keeps it out of memory. It is only an index: made anew from the segments at every start, never
//! waited for, and dropped when sled fails, since it can be made again at any time.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::beside;
use crate::authority::{hex, random};

/// Memory the index may use as its cache, in bytes.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// A place in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Bytes of the frame.
    pub(super) length: u64,
}

impl Location {
    fn write(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.segment.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (segment, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let length = rest.first_chunk()?;
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Some(Self { segment: number(segment), offset: number(offset), length: number(length) })
    }
}

/// sled failed: the index says nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("the index cannot be used: {0}")]
pub(super) struct InDoubt(String);

/// The index of one journal.
pub(super) struct Index(sled::Db);

impl Index {
    /// A new, empty one in a folder of its own beside the journal's; it is removed with the last use.
    pub(super) fn create(journal: &Path) -> Result<Self, InDoubt> {
        let name = random::<8>().map(|bytes| hex(&bytes)).map_err(|error| InDoubt(error.to_string()))?;
        let config = sled::Config::new().path(beside(journal, &format!("index-{name}")));
        // Nothing in it has to outlive the process, so nothing is ever waited for.
        let config = config.temporary(true).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        guarded(|| config.open()).map(Self)
    }

    /// Removes what ended processes left of theirs. What cannot be removed, or removes itself at this moment (sled
    /// does so a little after the last use), costs room and nothing else: the next start tries again.
    pub(super) fn remove_old(journal: &Path) -> io::Result<()> {
        let prefix = beside(journal, "index-");
        let (Some(parent), Some(prefix)) = (journal.parent(), prefix.file_name()) else { return Ok(()) };
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                let path = entry.path();
                match fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(%error, path = %path.display(), "cannot remove an old index");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Location>, InDoubt> {
        guarded(|| self.0.get(key)).map(|found| found.and_then(|bytes| Location::read(&bytes)))
    }

    /// Notes where a key's record lies and gives where the one before lay.
    pub(super) fn put(&self, key: &[u8], location: Location) -> Result<Option<Location>, InDoubt> {
        let before = guarded(|| self.0.insert(key, &location.write()));
        before.map(|found| found.and_then(|bytes| Location::read(&bytes)))
    }

    /// Forgets a key and gives where its record lay.
    pub(super) fn remove(&self, key: &[u8]) -> Result<Option<Location>, InDoubt> {
        guarded(|| self.0.remove(key)).map(|found| found.and_then(|bytes| Location::read(&bytes)))
    }
}

/// Calls sled, which meets some failures of the disk with a panic.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, InDoubt> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| InDoubt(error.to_string())),
        Err(_) => Err(InDoubt("sled gave up".to_owned())), // the panic itself has been printed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_gives_the_last_place_and_the_one_before() {
        let parent = tempfile::TempDir::new().unwrap();
        let index = Index::create(&parent.path().join("status.journal")).unwrap();
        let place = |segment| Location { segment, offset: 40, length: 99 };
        assert_eq!(index.put(b"a", place(1)).unwrap(), None);
        assert_eq!(index.put(b"a", place(2)).unwrap(), Some(place(1)));
        assert_eq!(index.get(b"a").unwrap(), Some(place(2)));
        assert_eq!(index.remove(b"a").unwrap(), Some(place(2)));
        assert_eq!(index.get(b"a").unwrap(), None);
    }

    #[test]
    fn what_others_left_is_removed() {
        let parent = tempfile::TempDir::new().unwrap();
        for name in ["status.journal.index-1", "identity.journal.index-1", "status.journal"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        Index::remove_old(&parent.path().join("status.journal")).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["identity.journal.index-1", "status.journal"]);
    }
}
