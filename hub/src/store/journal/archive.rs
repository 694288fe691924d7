//! How does all that a store keeps lie in one file?
//!
//! As in a segment of a journal: a header, then a frame for each record, the last one marked as such. A file
//! that is cut, changed or not one at all is refused as a whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    beside,
    frame::{Frame, Salt, scan},
    segment::{HEADER, Header, SCHEMA, sync_directory},
};
use crate::{
    authority::random,
    record::{Loaded, Record},
    store::encoding,
};

/// Why a file of a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk refuses.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not a backup, or not all of one.
    #[error("{path} is not a whole backup: {reason}; take another one")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A newer version wrote it.
    #[error("{path} has schema version {found}, and this muster-hub knows versions up to {SCHEMA}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
}

/// Writes all records to a file that only its owner may read, by way of a file beside it, so that it is
/// whole or not there.
///
/// # Errors
/// When the disk refuses.
pub fn write(path: &Path, loaded: &Loaded) -> Result<(), ArchiveError> {
    let failed = |error| ArchiveError::File { path: path.to_owned(), error };
    let salt = Salt(random().map_err(|error| failed(io::Error::other(error)))?);
    let records: Vec<Record> = loaded.records().collect();
    let count = records.len() as u64;
    let mut bytes = Header { schema: SCHEMA, salt, number: count, sequence: 1 }.write().to_vec();
    for (sequence, record) in (1..).zip(&records) {
        let (_, key) = encoding::place(record);
        let value = encoding::encode(&key, record);
        let frame = Frame { sequence, last: sequence == count, key: &key, value: Some(&value) };
        frame.write(&mut bytes, salt).ok_or_else(|| failed(io::Error::other("a record is too large")))?;
    }
    let part = beside(path, "part");
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        sync_directory(
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )
    };
    write().map_err(failed)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// When it is not all there.
pub fn read(path: &Path) -> Result<Loaded, ArchiveError> {
    let bytes = fs::read(path).map_err(|error| ArchiveError::File { path: path.to_owned(), error })?;
    let damaged = |reason| ArchiveError::Damaged { path: path.to_owned(), reason };
    let header = Header::read(&bytes).ok_or_else(|| damaged("it does not begin as one"))?;
    if header.schema > SCHEMA {
        return Err(ArchiveError::Newer { path: path.to_owned(), found: header.schema });
    }
    let (mut loaded, mut end, mut count) = (Loaded::default(), HEADER, 0);
    for (offset, frame) in scan(&bytes[HEADER..], header.salt) {
        if HEADER + offset != end {
            break;
        }
        end += frame.len();
        count += 1;
        let value = frame.value.ok_or_else(|| damaged("it has an entry without a value"))?;
        let record = encoding::decode(frame.key, value);
        loaded.push(record.map_err(|_| damaged("it has a record that cannot be read"))?);
    }
    if end != bytes.len() || count != header.number {
        return Err(damaged("some of it is changed or missing"));
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;
    use crate::store::encoding::tests::samples;

    fn all() -> Loaded {
        let mut loaded = Loaded::default();
        samples().into_iter().for_each(|record| loaded.push(record));
        loaded
    }

    #[test]
    fn a_backup_reads_back_and_only_its_owner_may_read_it() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("backup");
        for loaded in [all(), Loaded::default()] {
            write(&path, &loaded).unwrap();
            let again: Vec<Record> = read(&path).unwrap().records().collect();
            assert_eq!(again, loaded.records().collect::<Vec<_>>());
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_changed_or_cut_backup_is_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("backup");
        write(&path, &all()).unwrap();
        let bytes = fs::read(&path).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(matches!(read(&path), Err(ArchiveError::Damaged { .. })), "changed at {index}");
            fs::write(&path, &bytes[..index]).unwrap();
            assert!(matches!(read(&path), Err(ArchiveError::Damaged { .. })), "cut at {index}");
        }
    }
}
