//! Who uses this mirror? One at a time, held as long as the file stays open, so the
//! operating system releases it when the process dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::GitError;

/// The exclusive use of a mirror directory.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn acquire(directory: &Path) -> Result<Lock, GitError> {
        let path = directory.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(GitError::storage("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(64).read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(id) if id == std::process::id() => "this process".to_owned(),
                    Ok(id) => format!("process {id}"),
                    Err(_) => "another process".to_owned(),
                };
                return Err(GitError::Locked { directory: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(GitError::storage("lock", &path)(error)),
        }
        // Only a courtesy for the error above; the lock itself is what counts.
        let _ = file.rewind().and_then(|()| file.set_len(0));
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A program being started by another thread may hold a copy of the file for a
        // moment; releasing expressly does not wait for that copy to close.
        let _ = self.file.unlock();
    }
}
