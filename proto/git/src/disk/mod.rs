//! What lies in the directory of a mirror, and how is it written so that a crash at
//! any moment leaves either the old or the new?

pub(crate) mod generation;
pub(crate) mod lock;
pub(crate) mod packs;
pub(crate) mod state;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::GitError;

/// Replaces `path` with `bytes`: written beside it, flushed to the disk, then renamed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(GitError::storage("write", path))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames in `directory` last.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), GitError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(GitError::storage("flush", directory))
}

/// Makes the content of `path` last.
pub(crate) fn sync_file(path: &Path) -> Result<(), GitError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(GitError::storage("flush", path))
}

/// Removes a file or directory that may not be there.
pub(crate) fn remove(path: &Path) -> Result<(), GitError> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(GitError::storage("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Reads a small file that may not be there; `None` also when it is larger than `bytes_max`.
pub(crate) fn read_small(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, GitError> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() <= bytes_max && found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GitError::storage("read", path)(error)),
    }
    std::fs::read(path).map(Some).map_err(GitError::storage("read", path))
}
