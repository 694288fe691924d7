//! The store of one hub, in a directory.
//!
//! ```text
//! lock                                  held while a hub uses the store
//! identity-journal/  identity-copy/     tokens, enrolments, revocations, audit log, twice
//! status-journal/                       clusters, apps, history
//! NAME.damaged-TIME/                    a damaged journal, moved aside
//! ```
//! Who may do what is apart from how things are: nothing that happens to the journal that is written all
//! the time can touch the other. It is also small and seldom written, so it is kept twice, and what one
//! copy loses is taken from the other.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    Store, StoreError, Transaction,
    encoding::{self, Kind},
    journal::{self, Batch, Contents, Found, Journal, Limits, OpenError, beside, position_path},
    version1,
};
use crate::record::{Change, Loaded, Record};

const IDENTITY: Plan = Plan {
    kinds: &[Kind::Token, Kind::Enrolment, Kind::Revocation, Kind::Audit],
    copies: &["identity-journal", "identity-copy"],
    before: "identity",
    limits: Limits { segment_bytes: 1024 * 1024 },
    consequence: "tokens whose last use may be missing are refused from now on; make new ones with \
                  `muster token create`",
};
const STATUS: Plan = Plan {
    kinds: &[Kind::Cluster, Kind::App, Kind::Event, Kind::Alert, Kind::Silence, Kind::AlertRules],
    copies: &["status-journal"],
    before: "status",
    limits: Limits { segment_bytes: 8 * 1024 * 1024 },
    consequence: "agents send the status of their apps again; the history that is missing is lost",
};

/// What goes where.
struct Plan {
    kinds: &'static [Kind],
    /// Folders that hold the same.
    copies: &'static [&'static str],
    /// Folder of the database in which 0.1 kept it.
    before: &'static str,
    limits: Limits,
    /// What follows from damage, for people.
    consequence: &'static str,
}

/// Records in a directory, in journals.
pub struct LocalStore {
    directory: PathBuf,
    identity: Kept,
    status: Kept,
    /// What was read at open, until [`Store::load`] takes it.
    found: Loaded,
    /// Held for as long as the store is open.
    _lock: File,
}

/// Records of some kinds, in one journal or in several that hold the same.
struct Kept {
    kinds: &'static [Kind],
    copies: Vec<Journal>,
}

impl LocalStore {
    /// Opens the store in this directory, or makes it.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or a newer version wrote it. Damage
    /// is no error: see [`Loaded::problems`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let disk = |error: io::Error| disk(directory, &error);
        fs::create_dir_all(directory).map_err(disk)?;
        let lock = File::create(directory.join("lock")).map_err(disk)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { directory: directory.into() },
            TryLockError::Error(error) => disk(error),
        })?;
        let mut found = Loaded::default();
        let identity = Kept::open(directory, &IDENTITY, &mut found)?;
        let status = Kept::open(directory, &STATUS, &mut found)?;
        if let Some(parent) = directory.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(disk)?;
        }
        Ok(Self { directory: directory.to_owned(), identity, status, found, _lock: lock })
    }
}

/// Reads the store in this directory, whether a hub runs on it or not. What a running hub has not
/// acknowledged yet may be missing.
///
/// # Errors
/// When there is none, it is damaged, or a newer version wrote it.
pub fn read(directory: &Path) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    for plan in [&IDENTITY, &STATUS] {
        let mut damage = None;
        let mut records = None;
        for name in plan.copies {
            let directory = directory.join(name);
            let contents = journal::read(&directory).map_err(|error| not_opened(&directory, error))?;
            match contents.damage() {
                Some(reason) => damage = Some(StoreError::Damaged { directory, reason }),
                None if records.is_none() => records = Some(contents.found),
                None => {}
            }
        }
        // Each plan has a copy at least, so there is one or the other.
        let records = records.map_or_else(|| damage.map_or_else(|| Ok(Vec::new()), Err), Ok)?;
        for Found { key, value, .. } in records {
            let record = encoding::decode(&key, &value).map_err(|reason| StoreError::Damaged {
                directory: directory.to_owned(),
                reason: format!("record {:?}: {reason}", String::from_utf8_lossy(&key)),
            })?;
            loaded.push(record);
        }
    }
    Ok(loaded)
}

impl Store for LocalStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(std::mem::take(&mut self.found))
    }

    fn append(&mut self, transactions: &[Transaction]) -> Result<Vec<usize>, StoreError> {
        let changes = || transactions.iter().flat_map(|transaction| &transaction.changes);
        let kept = self.identity.append(changes()).and_then(|()| self.status.append(changes()));
        kept.map(|()| Vec::new()).map_err(|error| disk(&self.directory, &error))
    }
}

fn disk(directory: &Path, error: &io::Error) -> StoreError {
    StoreError::Disk { directory: directory.into(), reason: error.to_string() }
}

fn not_opened(directory: &Path, error: OpenError) -> StoreError {
    match error {
        OpenError::Io(error) => disk(directory, &error),
        OpenError::Newer(found) => {
            StoreError::Newer { place: directory.display().to_string(), found, known: Journal::SCHEMA }
        }
    }
}

impl Kept {
    fn open(parent: &Path, plan: &Plan, loaded: &mut Loaded) -> Result<Self, StoreError> {
        let mut copies = Vec::new();
        for name in plan.copies {
            let directory = parent.join(name);
            finish_replacing(&directory).map_err(|error| disk(&directory, &error))?;
            let opened = Journal::open(&directory, plan.limits);
            let (journal, contents) = opened.map_err(|error| not_opened(&directory, error))?;
            copies.push(Copy { directory, journal, contents });
        }
        let mut records = agree(&copies);
        let rescued = copies.iter().any(Copy::is_proof);
        decode(&mut records, loaded);
        let mut kept = Self { kinds: plan.kinds, copies: Vec::new() };
        for copy in copies {
            let directory = copy.directory.clone();
            let settled = copy.settle(plan, &records, rescued);
            let (journal, problem) = settled.map_err(|error| disk(&directory, &error))?;
            kept.copies.push(journal);
            loaded.problems.extend(problem);
        }
        kept.migrate(parent, plan, loaded)?;
        Ok(kept)
    }

    /// Takes over what 0.1 kept. The old database goes out of the way only once all of it is durable here.
    fn migrate(&mut self, parent: &Path, plan: &Plan, loaded: &mut Loaded) -> Result<(), StoreError> {
        let directory = parent.join(plan.before);
        let Some(mut old) = version1::read(&directory)? else { return Ok(()) };
        if let Some(damage) = &old.damage {
            revoke_all(&mut old.records);
            loaded.problems.push(format!(
                "the database {} is damaged ({damage}); {} records were saved: {}",
                directory.display(),
                old.records.len(),
                plan.consequence,
            ));
        }
        let changes: Vec<Change> = old.records.iter().cloned().map(Change::Put).collect();
        let moved = self.append(changes.iter()).and_then(|()| version1::retire(&directory));
        moved.map_err(|error| disk(&directory, &error))?;
        tracing::info!(directory = %directory.display(), records = old.records.len(), "migrated a store of version 1");
        old.records.into_iter().for_each(|record| loaded.push(record));
        Ok(())
    }

    fn append<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) -> io::Result<()> {
        let batch = batch(changes, self.kinds);
        self.copies.iter_mut().try_for_each(|copy| copy.append(&batch))
    }
}

/// The last thing to do to each key of these kinds.
fn batch<'a>(changes: impl Iterator<Item = &'a Change>, kinds: &[Kind]) -> Batch {
    let steps = changes.map(encoding::step).filter(|((kind, _), _)| kinds.contains(kind));
    steps.map(|((_, key), value)| (key, value)).collect()
}

/// One journal as it was found.
struct Copy {
    directory: PathBuf,
    /// `None` when it is damaged.
    journal: Option<Journal>,
    contents: Contents,
}

/// The record of each key, with whether it is doubtful.
type Records = BTreeMap<Vec<u8>, (Vec<u8>, bool)>;

/// What copies of the same hold together: what one has that is whole, or what all that are damaged still
/// have. Batches go to the first copy first, so a later one lacks at most what was never acknowledged. One
/// that is empty may just have been made anew, so it says nothing beside another.
fn agree(copies: &[Copy]) -> Records {
    let sources: Vec<&Copy> = match copies.iter().find(|copy| copy.is_proof()) {
        Some(copy) => vec![copy],
        None => copies.iter().collect(),
    };
    let mut records = Records::new();
    for Found { key, value, doubtful, .. } in sources.iter().flat_map(|copy| &copy.contents.found) {
        let known = records.get(key);
        if known.is_none_or(|(_, known_doubtful)| *known_doubtful && !doubtful) {
            records.insert(key.clone(), (value.clone(), *doubtful));
        }
    }
    records
}

/// Reads all records into `loaded`; leaves in `records` what is to be kept on.
fn decode(records: &mut Records, loaded: &mut Loaded) {
    records.retain(|key, (value, doubtful)| match encoding::decode(key, value) {
        Ok(record) => {
            let mut record = [record];
            if *doubtful {
                revoke_all(&mut record);
                *value = encoding::encode(key, &record[0]);
            }
            record.into_iter().for_each(|record| loaded.push(record));
            true
        }
        Err(damage) => {
            let key = String::from_utf8_lossy(key);
            loaded.problems.push(format!("record {key:?} is damaged ({damage}); it was dropped"));
            false
        }
    });
}

/// A token saved from damage may have had fewer uses left than the record that was found says.
fn revoke_all(records: &mut [Record]) {
    for record in records {
        if let Record::Token(token) = record {
            token.revoked = true;
        }
    }
}

impl Copy {
    /// Whether it shows by itself what was kept.
    fn is_proof(&self) -> bool {
        self.journal.is_some() && !self.contents.found.is_empty()
    }

    /// A journal that holds exactly these records, and what is to be told about how it came to be.
    fn settle(self, plan: &Plan, records: &Records, rescued: bool) -> io::Result<(Journal, Option<String>)> {
        if let Some(mut journal) = self.journal {
            journal.append(&difference(&self.contents.found, records))?;
            return Ok((journal, None));
        }
        let damage = self.contents.damage().unwrap_or_default();
        let (journal, aside) = replace(&self.directory, plan.limits, records)?;
        let consequence = if rescued { "the other copy had all of it" } else { plan.consequence };
        let problem = format!(
            "the journal {} is damaged ({damage}); it was moved to {}, and {} records were saved: {consequence}",
            self.directory.display(),
            aside.display(),
            records.len(),
        );
        Ok((journal, Some(problem)))
    }
}

/// What makes the one into the other.
fn difference(found: &[Found], wanted: &Records) -> Batch {
    let found: BTreeMap<&Vec<u8>, &Vec<u8>> = found.iter().map(|found| (&found.key, &found.value)).collect();
    let gone = found.keys().filter(|key| !wanted.contains_key(**key));
    let mut batch: Batch = gone.map(|key| ((*key).clone(), None)).collect();
    for (key, (value, _)) in wanted {
        if found.get(key) != Some(&value) {
            batch.insert(key.clone(), Some(value.clone()));
        }
    }
    batch
}

/// Puts a new journal of these records in the place of a damaged one, and gives where that one is now. The
/// new one is durable before the old one moves; a crash between is finished by [`finish_replacing`].
fn replace(directory: &Path, limits: Limits, records: &Records) -> io::Result<(Journal, PathBuf)> {
    let new = beside(directory, "new");
    let mut journal = Journal::create(&new, limits)?;
    let batch: Batch = records.iter().map(|(key, (value, _))| (key.clone(), Some(value.clone()))).collect();
    journal.append(&batch)?;
    drop(journal);
    let stamp = Timestamp::now().strftime("damaged-%Y%m%dT%H%M%S%3fZ").to_string();
    let aside = beside(directory, &stamp);
    match fs::rename(directory, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&aside)?,
        moved => moved?,
    }
    finish_replacing(directory)?;
    match Journal::open(directory, limits) {
        Ok((Some(journal), _)) => Ok((journal, aside)),
        Ok((None, contents)) => Err(io::Error::other(contents.damage().unwrap_or_default())),
        Err(OpenError::Io(error)) => Err(error),
        Err(OpenError::Newer(schema)) => Err(io::Error::other(format!("schema version {schema}"))),
    }
}

/// Completes or undoes a [`replace`] that a crash cut short.
fn finish_replacing(directory: &Path) -> io::Result<()> {
    let new = beside(directory, "new");
    let found = |path: &Path| path.symlink_metadata().is_ok();
    if found(&new) && found(directory) {
        fs::remove_dir_all(&new)?;
        remove_if_there(&position_path(&new))?;
    }
    if found(&new) {
        fs::rename(&new, directory)?;
    }
    if found(&position_path(&new)) {
        fs::rename(position_path(&new), position_path(directory))?;
    }
    journal::remove_old_index(&new)?;
    match directory.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
