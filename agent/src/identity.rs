//! What is this agent called, so that no other is called the same?
//!
//! A name is bound to a data directory, and a data directory to one process by a lock that ends with it.
//! So a restarted agent knows its own Lease again at once, and two agents never share a name by accident.
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;

/// The name, and the lock that makes it this process' alone. The lock lasts as long as this.
pub(crate) struct Identity {
    pub(crate) name: String,
    _lock: File,
}

/// Takes the data directory and gives the name: the one asked for, or the host's with a number.
///
/// # Errors
/// A sentence: the directory cannot be used, or another agent uses it.
pub(crate) fn take(directory: &Path, wanted: Option<String>) -> Result<Identity, String> {
    let wrong =
        |error: std::io::Error| format!("The data directory {} cannot be used: {error}", directory.display());
    std::fs::create_dir_all(directory).map_err(wrong)?;
    let lock = File::create(directory.join("lock")).map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let directory = directory.display();
            return Err(format!(
                "The data directory {directory} is in use by another agent; give each its own"
            ));
        }
        Err(TryLockError::Error(error)) => return Err(wrong(error)),
    }
    let name = match wanted {
        Some(name) => name,
        None => format!("{}-{}", host(), number(directory).map_err(wrong)?),
    };
    Ok(Identity { name, _lock: lock })
}

/// The host's name; in a Pod that is the Pod's.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = kernel.trim();
    if name.is_empty() { "agent".to_owned() } else { name.to_owned() }
}

/// The number kept in the directory, drawn when there is none.
fn number(directory: &Path) -> std::io::Result<String> {
    let path = directory.join("identity");
    let mut text = String::new();
    // A good number has 8 digits; whatever else is there is not read further.
    if let Ok(file) = File::open(&path) {
        file.take(9).read_to_string(&mut text)?;
    }
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    let number = format!("{:08x}", fastrand::u32(..));
    let draft = directory.join("identity.new");
    std::fs::write(&draft, &number)?;
    std::fs::rename(&draft, &path)?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_and_keeps_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path(), None).unwrap();
        let error = take(directory.path(), None).err().unwrap();
        assert!(error.contains("in use by another agent"), "{error}");
        let name = first.name.clone();
        drop(first);
        assert_eq!(take(directory.path(), None).unwrap().name, name);
        std::fs::write(directory.path().join("identity"), "torn").unwrap();
        assert_ne!(take(directory.path(), None).unwrap().name, name);
        assert_eq!(take(directory.path(), Some("pod-1".to_owned())).unwrap().name, "pod-1");
    }
}
