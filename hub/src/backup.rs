//! How does what a hub keeps get into one file while it runs, and back?

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::{
    config::{Settings, StoreSettings},
    record::{Change, Loaded},
    store::{self, ArchiveError, EtcdStore, LocalStore, Store, StoreError, Transaction},
};

/// Records written at once.
const BATCH: usize = 500;

/// Why a backup or a restoration failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The settings of etcd.
    #[error("{0}")]
    Settings(String),
    /// There is something in the store already.
    #[error("the store is not empty: it has {0} records; with --replace it is put aside, or emptied in etcd")]
    NotEmpty(usize),
    /// The store that was there cannot be put aside.
    #[error("{path} cannot be put aside: {error}")]
    Aside {
        /// Which folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The system gives no threads.
    #[error("cannot reach etcd: {0}")]
    Runtime(std::io::Error),
}

/// Writes all that the hub of these settings keeps to a file, whether it runs or not, and gives it.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(settings: &Settings, file: &Path) -> Result<Loaded, BackupError> {
    let loaded = match &settings.store {
        StoreSettings::Directory(directory) => store::read_local(directory)?,
        StoreSettings::Etcd(etcd) => {
            let runtime = Runtime::new().map_err(BackupError::Runtime)?;
            let etcd = etcd.settings().map_err(BackupError::Settings)?;
            EtcdStore::new(etcd, runtime.handle().clone()).read()?
        }
    };
    store::write_archive(file, &loaded)?;
    Ok(loaded)
}

/// Writes what [`backup`] wrote to the store of these settings, whose hub must not run, and gives it. Tokens
/// are refused from then on: they may have been used since.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(settings: &Settings, file: &Path, replace: bool) -> Result<Loaded, BackupError> {
    let mut loaded = store::read_archive(file)?;
    loaded.tokens.iter_mut().for_each(|token| token.revoked = true);
    match &settings.store {
        StoreSettings::Directory(directory) => {
            let found = LocalStore::open(directory)?.load()?.len(); // also shows that no hub runs on it
            if found > 0 && !replace {
                return Err(BackupError::NotEmpty(found));
            }
            let stamp = Timestamp::now().strftime("replaced-%Y%m%dT%H%M%S%3fZ").to_string();
            let aside = store::beside(directory, &stamp);
            std::fs::rename(directory, aside)
                .map_err(|error| BackupError::Aside { path: directory.clone(), error })?;
            fill(&mut LocalStore::open(directory)?, &loaded)?;
        }
        StoreSettings::Etcd(etcd) => {
            let runtime = Runtime::new().map_err(BackupError::Runtime)?;
            let etcd = etcd.settings().map_err(BackupError::Settings)?;
            let mut store = EtcdStore::new(etcd, runtime.handle().clone());
            let found = store.read()?.len();
            if found > 0 && !replace {
                return Err(BackupError::NotEmpty(found));
            }
            store.clear()?;
            store.load()?;
            fill(&mut store, &loaded)?;
        }
    }
    Ok(loaded)
}

fn fill(store: &mut dyn Store, loaded: &Loaded) -> Result<(), StoreError> {
    let changes: Vec<Change> = loaded
        .records()
        .map(|record| match record {
            // Nobody can have taken it over meanwhile.
            crate::record::Record::Cluster(cluster) => Change::Claim(cluster),
            record => Change::Put(record),
        })
        .collect();
    let transactions: Vec<Transaction> =
        changes.into_iter().map(|change| Transaction { changes: vec![change], as_leader: false }).collect();
    for batch in transactions.chunks(BATCH) {
        let refused = store.append(batch)?;
        if !refused.is_empty() {
            return Err(StoreError::Left); // somebody else writes to it
        }
    }
    Ok(())
}
