//! A store in two sled databases: `identity` (tokens, enrolments) and `status` (clusters, apps, history).
//!
//! They are apart so that nothing that happens to the one that is written all the time can touch the
//! other. sled 0.34 alone would not do, for two reasons:
//! - its flush ends at `sync_file_range`, which does not wait for the disk's metadata, so each batch also
//!   ends with `fdatasync` of sled's file;
//! - it opens a torn or overwritten file without a word, with whatever it can still find. So each batch
//!   carries a [`Mark`], and a file beside the database holds the last one: a database that went back in
//!   time or lost records is noticed. It is moved aside, and what can be read goes into a new one.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    Store, StoreError,
    encoding::{self, Kind},
    mark::{Mark, SCHEMA},
};
use crate::record::{Change, Loaded};

/// Key of the database's own [`Mark`]; keys of records begin with a letter.
const MARK_KEY: &[u8] = b"\0mark";
/// Memory each database may use as its cache: everything is read once, at start.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How long the last threads of sled in a hub that ends may hold sled's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

const IDENTITY: Plan = Plan { name: "identity", kinds: &[Kind::Token, Kind::Enrolment] };
const STATUS: Plan = Plan { name: "status", kinds: &[Kind::Cluster, Kind::App, Kind::Event] };

/// What goes into a database.
#[derive(Clone, Copy)]
struct Plan {
    name: &'static str,
    kinds: &'static [Kind],
}

/// Records in a directory, by sled.
pub struct SledStore {
    identity: Database,
    status: Database,
    /// What was read at open, until [`Store::load`] takes it.
    found: Loaded,
    /// Held for as long as the store is open.
    _lock: File,
}

struct Database {
    directory: PathBuf,
    kinds: &'static [Kind],
    sled: sled::Db,
    /// sled's data file once more, to wait for the disk.
    data: File,
    mark: Mark,
    /// Where the mark is kept beside the database.
    mark_file: File,
}

/// Why a database cannot be used as it is.
enum Obstacle {
    Damaged(String),
    Refused(StoreError),
}

impl SledStore {
    /// Opens the store in this directory, or makes it.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or a newer version wrote it. Damage
    /// is no error: see [`Loaded::problems`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let disk =
            |error: io::Error| StoreError::Disk { directory: directory.into(), reason: error.to_string() };
        fs::create_dir_all(directory).map_err(disk)?;
        let lock = File::create(directory.join("lock")).map_err(disk)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { directory: directory.into() },
            TryLockError::Error(error) => disk(error),
        })?;
        let mut found = Loaded::default();
        let identity = open(directory, IDENTITY, &mut found)?;
        let status = open(directory, STATUS, &mut found)?;
        // The files are new at the first start: their names must outlive the power too.
        let folders = [directory.join(IDENTITY.name), directory.join(STATUS.name), directory.to_owned()];
        for folder in folders.iter().map(PathBuf::as_path).chain(directory.parent()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk)?;
        }
        Ok(Self { identity, status, found, _lock: lock })
    }
}

impl Store for SledStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(std::mem::take(&mut self.found))
    }

    fn append(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.identity.append(changes)?;
        self.status.append(changes)
    }
}

/// Opens one database; a damaged one is moved aside and what could be read of it written to a new one.
fn open(parent: &Path, plan: Plan, found: &mut Loaded) -> Result<Database, StoreError> {
    let directory = parent.join(plan.name);
    let mut read = Loaded::default();
    let reason = match attempt(&directory, plan, &mut read) {
        Ok(database) => {
            merge(found, read);
            return Ok(database);
        }
        Err(Obstacle::Refused(error)) => return Err(error),
        Err(Obstacle::Damaged(reason)) => reason,
    };
    let aside = move_aside(&directory)?;
    // A token saved from damage may have had fewer uses left than the record that was found says.
    for token in &mut read.tokens {
        token.revoked = true;
    }
    let consequence = match plan.name {
        "identity" => "tokens made before are refused from now on; make new ones with `muster token create`",
        _ => "agents send the status of their apps again; the history that is missing is lost",
    };
    read.problems.push(format!(
        "the database {} is damaged ({reason}); it was moved to {}, and {} records were saved: {consequence}",
        directory.display(),
        aside.display(),
        read.len(),
    ));
    let mut database = match attempt(&directory, plan, &mut Loaded::default()) {
        Ok(database) => database,
        Err(Obstacle::Refused(error)) => return Err(error),
        Err(Obstacle::Damaged(reason)) => return Err(StoreError::Damaged { directory, reason }),
    };
    let changes: Vec<Change> = read.records().map(Change::Put).collect();
    database.append(&changes)?;
    merge(found, read);
    Ok(database)
}

fn merge(into: &mut Loaded, from: Loaded) {
    into.tokens.extend(from.tokens);
    into.enrolments.extend(from.enrolments);
    into.clusters.extend(from.clusters);
    into.apps.extend(from.apps);
    into.events.extend(from.events);
    into.problems.extend(from.problems);
}

/// Opens and reads a database. sled meets some damage with a panic, so both happen behind a barrier;
/// what was read before the damage stays in `read`.
fn attempt(directory: &Path, plan: Plan, read: &mut Loaded) -> Result<Database, Obstacle> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut database = Database::open(directory, plan)?;
        match database.read(read) {
            Ok(()) => Ok(database),
            Err(reason) => {
                // Closing writes, which may fail on what is damaged; nothing depends on it.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
                Err(Obstacle::Damaged(reason))
            }
        }
    }));
    opened.unwrap_or_else(|panic| Err(Obstacle::Damaged(panic_text(panic.as_ref()))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled gave up").to_owned()
}

/// Whether sled's error is about the disk's room or rights, so that moving files aside would not help.
fn is_environment(error: &sled::Error) -> bool {
    let sled::Error::Io(error) = error else { return false };
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether sled's own lock is held: by a hub that is just ending, since [`SledStore::open`] has ours.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Path of the file with the mark of a database.
fn mark_path(directory: &Path) -> PathBuf {
    directory.with_extension("mark")
}

impl Database {
    fn open(directory: &Path, plan: Plan) -> Result<Self, Obstacle> {
        let disk =
            |reason: String| Obstacle::Refused(StoreError::Disk { directory: directory.into(), reason });
        let io = |error: io::Error| disk(error.to_string());
        let failed = |error: sled::Error| {
            if is_environment(&error) {
                disk(error.to_string())
            } else {
                Obstacle::Damaged(error.to_string())
            }
        };
        let config = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).flush_every_ms(None); // each batch is flushed when it is written
        let started = Instant::now();
        let sled = loop {
            match config.open() {
                Ok(sled) => break sled,
                Err(error) if !is_locked(&error) => return Err(failed(error)),
                Err(_) if started.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
                Err(_) => return Err(Obstacle::Refused(StoreError::InUse { directory: directory.into() })),
            }
        };
        let data = File::open(directory.join("db")).map_err(io)?;
        let path = mark_path(directory);
        let mark_file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let inside = match sled.get(MARK_KEY).map_err(failed)? {
            None => Mark::default(),
            Some(bytes) => {
                Mark::read(&bytes).ok_or_else(|| Obstacle::Damaged("its mark is torn".to_owned()))?
            }
        };
        if inside.schema > SCHEMA {
            let (directory, found) = (directory.into(), inside.schema);
            return Err(Obstacle::Refused(StoreError::Newer { directory, found, known: SCHEMA }));
        }
        Ok(Self { directory: directory.into(), kinds: plan.kinds, sled, data, mark: inside, mark_file })
    }

    /// Reads all records. One damaged record is told, forgotten and passed over; an error means that more
    /// than that is wrong, after reading as far as it goes.
    fn read(&mut self, into: &mut Loaded) -> Result<(), String> {
        let mut broken = self.went_back();
        let mut dropped: Vec<sled::IVec> = Vec::new();
        let mut count = 0;
        for entry in self.sled.iter() {
            let (key, value) = match entry {
                Ok((key, _)) if key.as_ref() == MARK_KEY => continue,
                Ok(entry) => entry,
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            };
            count += 1;
            match encoding::decode(&key, &value) {
                Ok(record) => into.push(record),
                Err(damage) => {
                    into.problems.push(format!(
                        "record {:?} in {} is damaged ({damage}); it was dropped",
                        String::from_utf8_lossy(&key),
                        self.directory.display(),
                    ));
                    dropped.push(key);
                }
            }
        }
        if let Some(reason) = broken {
            return Err(reason);
        }
        if count != self.mark.records {
            return Err(format!("{count} of its {} records are left", self.mark.records));
        }
        if !dropped.is_empty() {
            let gone = dropped.into_iter().map(|key| (key.to_vec(), None)).collect();
            self.write(gone).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether the mark beside the database is of a later batch than the last one in it.
    fn went_back(&self) -> Option<String> {
        let mut bytes = [0; Mark::BYTES];
        // One that cannot be read says nothing: it is written after the batch, and a crash may tear it.
        let beside = self.mark_file.read_exact_at(&mut bytes, 0).ok().and_then(|()| Mark::read(&bytes))?;
        let (last, inside) = (beside.batch, self.mark.batch);
        (last > inside)
            .then(|| format!("its last batch was number {last}, and {inside} is the last one in it"))
    }

    fn append(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut last: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for change in changes {
            let ((kind, key), record) = match change {
                Change::Put(record) => (encoding::place(record), Some(record)),
                Change::Delete(key) => (encoding::key_place(key), None),
            };
            if self.kinds.contains(&kind) {
                let value = record.map(|record| encoding::encode(&key, record));
                last.insert(key, value);
            }
        }
        if last.is_empty() {
            return Ok(());
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.write(last)));
        let directory = &self.directory;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(StoreError::Disk { directory: directory.clone(), reason: error.to_string() })
            }
            Err(panic) => {
                Err(StoreError::Damaged { directory: directory.clone(), reason: panic_text(panic.as_ref()) })
            }
        }
    }

    /// Writes one atomic batch with its mark, and waits for the disk.
    fn write(&mut self, last: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        let mut records = self.mark.records;
        for (key, value) in last {
            let known = self.sled.contains_key(&key)?;
            match value {
                Some(value) => {
                    records += u64::from(!known);
                    batch.insert(key, value);
                }
                None => {
                    records -= u64::from(known);
                    batch.remove(key);
                }
            }
        }
        let mark = Mark { schema: SCHEMA, batch: self.mark.batch + 1, records };
        batch.insert(MARK_KEY, mark.write().as_slice());
        self.sled.apply_batch(batch)?;
        // Counted from here on even if what follows fails: sled has it, and the batch may come again.
        self.mark = mark;
        self.sled.flush()?;
        self.data.sync_data()?;
        self.mark_file.write_all_at(&mark.write(), 0)?;
        Ok(())
    }
}

/// Renames a damaged database so that it is out of the way and can still be looked at.
fn move_aside(directory: &Path) -> Result<PathBuf, StoreError> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let aside = PathBuf::from(format!("{}.damaged-{stamp}", directory.display()));
    let moved = fs::rename(directory, &aside).and_then(|()| fs::remove_file(mark_path(directory)));
    moved.map_err(|error| StoreError::Disk { directory: directory.into(), reason: error.to_string() })?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
