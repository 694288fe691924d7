//! What is in a store as Muster 0.1 wrote it?
//!
//! Two sled databases, `identity` and `status`, each with a mark inside and beside it:
//! ```text
//! mark = schema version (4 bytes) | number of the batch (8) | number of records (8) | CRC-32 (4)
//! ```
//! They are read once, when a newer hub first starts on them.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{StoreError, encoding, journal::beside};
use crate::record::Record;

/// Key of the database's own mark; keys of records begin with a letter.
const MARK_KEY: &[u8] = b"\0mark";
/// Memory a database may use as its cache: everything is read once.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How long the last threads of sled in a hub that ends may hold sled's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A database that was read.
#[derive(Debug, Default)]
pub(super) struct Old {
    pub(super) records: Vec<Record>,
    /// What was found damaged; then records may be missing or older than they should be.
    pub(super) damage: Option<String>,
}

/// Reads the database in this folder; `None` where there is none.
///
/// # Errors
/// When the disk refuses, or the hub that wrote it still runs.
pub(super) fn read(directory: &Path) -> Result<Option<Old>, StoreError> {
    if !directory.join("db").exists() {
        return Ok(None);
    }
    let sled = match open(directory) {
        Ok(sled) => sled,
        Err(Obstacle::Refused(error)) => return Err(error),
        Err(Obstacle::Damaged(reason)) => {
            return Ok(Some(Old { records: Vec::new(), damage: Some(reason) }));
        }
    };
    let mut old = Old::default();
    // sled meets some damage with a panic; what was read before it counts.
    let ended = catch_unwind(AssertUnwindSafe(|| collect(&sled, directory, &mut old)));
    if ended.is_err() {
        old.damage.get_or_insert("sled gave up".to_owned());
    }
    // Closing writes, which may fail on what is damaged; nothing depends on it.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(sled)));
    Ok(Some(old))
}

/// Puts a database that has been read out of the way.
///
/// # Errors
/// When the disk refuses.
pub(super) fn retire(directory: &Path) -> io::Result<()> {
    fs::rename(directory, beside(directory, "version-1"))?;
    match fs::remove_file(mark_path(directory)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Why a database cannot be read.
enum Obstacle {
    Damaged(String),
    Refused(StoreError),
}

fn open(directory: &Path) -> Result<sled::Db, Obstacle> {
    let config = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let started = Instant::now();
    loop {
        let error = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(sled)) => return Ok(sled),
            Ok(Err(error)) => error,
            Err(_) => return Err(Obstacle::Damaged("sled gave up".to_owned())),
        };
        let sled::Error::Io(io) = &error else { return Err(Obstacle::Damaged(error.to_string())) };
        let (directory, reason) = (directory.to_owned(), io.to_string());
        match io.kind() {
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::ReadOnlyFilesystem => {
                return Err(Obstacle::Refused(StoreError::Disk { directory, reason }));
            }
            _ if !reason.contains("could not acquire lock") => return Err(Obstacle::Damaged(reason)),
            _ if started.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            _ => return Err(Obstacle::Refused(StoreError::InUse { directory })),
        }
    }
}

fn collect(sled: &sled::Db, directory: &Path, old: &mut Old) {
    let mut count = 0;
    let mut bad = 0;
    for entry in sled.iter() {
        match entry {
            Ok((key, _)) if key.as_ref() == MARK_KEY => continue,
            Ok((key, value)) => match encoding::decode(&key, &value) {
                Ok(record) => old.records.push(record),
                Err(_) => bad += 1,
            },
            Err(error) => {
                old.damage = Some(error.to_string());
                break;
            }
        }
        count += 1;
    }
    let inside = sled.get(MARK_KEY).ok().flatten().and_then(|bytes| Mark::read(&bytes)).unwrap_or_default();
    // One that cannot be read says nothing: it is written after the batch, and a crash may tear it.
    let beside = fs::read(mark_path(directory)).ok().and_then(|bytes| Mark::read(&bytes));
    if beside.is_some_and(|beside| beside.batch > inside.batch) {
        old.damage = Some("its last batches are missing".to_owned());
    } else if count != inside.records {
        old.damage = Some(format!("{count} of its {} records are left", inside.records));
    } else if bad > 0 {
        old.damage = Some(format!("{bad} of its {count} records are unreadable"));
    }
}

/// Path of the file with the mark of a database.
fn mark_path(directory: &Path) -> PathBuf {
    directory.with_extension("mark")
}

/// State of a database after a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// Upwards from 1.
    batch: u64,
    /// Records the database holds, this mark not counted.
    records: u64,
}

impl Mark {
    /// From bytes; `None` when their checksum does not fit.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(20)?;
        if sum != crc32fast::hash(content).to_be_bytes() {
            return None;
        }
        let (batch, records) = content[4..].split_first_chunk()?;
        Some(Self { batch: u64::from_be_bytes(*batch), records: u64::from_be_bytes(*records.first_chunk()?) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::encoding::tests::samples;

    fn mark(batch: u64, records: u64) -> Vec<u8> {
        let mut bytes = [&1_u32.to_be_bytes()[..], &batch.to_be_bytes(), &records.to_be_bytes()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// A database as 0.1 wrote it.
    pub(in crate::store) fn write(directory: &Path, records: &[Record]) {
        let sled = sled::open(directory).unwrap();
        for record in records {
            let (_, key) = encoding::place(record);
            let value = encoding::encode(&key, record);
            sled.insert(key, value).unwrap();
        }
        let mark = mark(7, records.len() as u64);
        sled.insert(MARK_KEY, mark.as_slice()).unwrap();
        sled.flush().unwrap();
        fs::write(mark_path(directory), mark).unwrap();
    }

    #[test]
    fn what_0_1_wrote_is_read() {
        let parent = TempDir::new().unwrap();
        let directory = parent.path().join("status");
        assert!(read(&directory).unwrap().is_none());
        write(&directory, &samples());
        let old = read(&directory).unwrap().unwrap();
        assert_eq!(old.damage, None);
        assert_eq!(old.records.len(), samples().len());
        assert!(samples().iter().all(|sample| old.records.contains(sample)));
        retire(&directory).unwrap();
        assert!(read(&directory).unwrap().is_none());
        assert!(!mark_path(&directory).exists());
    }

    #[test]
    fn damage_is_told_and_the_rest_read() {
        let parent = TempDir::new().unwrap();
        let went_back = parent.path().join("identity");
        write(&went_back, &samples());
        fs::write(mark_path(&went_back), mark(8, 5)).unwrap();
        assert_eq!(read(&went_back).unwrap().unwrap().damage.unwrap(), "its last batches are missing");

        let torn = parent.path().join("status");
        write(&torn, &samples());
        sled::open(&torn).unwrap().insert("aprod/web", b"\x01nonsense").unwrap();
        let old = read(&torn).unwrap().unwrap();
        assert_eq!(old.records.len(), samples().len() - 1);
        assert_eq!(old.damage.unwrap(), "1 of its 10 records are unreadable");

        let noise = parent.path().join("noise");
        fs::create_dir(&noise).unwrap();
        fs::write(noise.join("db"), [0xa5; 9000]).unwrap();
        let old = read(&noise).unwrap().unwrap();
        assert!(old.records.is_empty());
    }
}
