//! Where are the certificates and keys of the hub's CA?
//!
//! ```text
//! DIR/ca.crt        CAs that are trusted; tokens name the first one    anyone may read it
//! DIR/ca.key        key of the first one; needed only to rotate        0600
//! DIR/issuer.crt    what signs, then what leads to a trusted CA
//! DIR/issuer.key    key of what signs                                  0600
//! DIR/ca-next.pem   what a rotation takes into use next                0600
//! DIR/server.crt    the hub's own certificate and chain, if brought
//! DIR/server.key    its key                                            0600
//! ```
//! Without `issuer.*` the first CA signs itself.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Authority, AuthorityError, rotate::Texts};

/// The trusted CAs.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// Key of the first one.
pub const CA_KEY: &str = "ca.key";
/// What signs.
pub const ISSUER_CERTIFICATE: &str = "issuer.crt";
/// Its key.
pub const ISSUER_KEY: &str = "issuer.key";
/// What a rotation takes into use next.
pub const CA_NEXT: &str = "ca-next.pem";
/// A server certificate that was brought.
pub const SERVER_CERTIFICATE: &str = "server.crt";
/// Its key.
pub const SERVER_KEY: &str = "server.key";

/// All files that change which certificates are shown and taken.
pub const FILES: [&str; 6] =
    [CA_CERTIFICATE, CA_KEY, ISSUER_CERTIFICATE, ISSUER_KEY, SERVER_CERTIFICATE, SERVER_KEY];

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Why there is no CA.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in the files does not do.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

fn optional(directory: &Path, name: &str) -> Result<Option<String>, FileError> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError { path, error }),
    }
}

/// What the files hold.
///
/// # Errors
/// When one cannot be read, or `ca.crt` is not there.
pub fn read(directory: &Path) -> Result<Texts, FileError> {
    let missing =
        || FileError { path: directory.join(CA_CERTIFICATE), error: io::ErrorKind::NotFound.into() };
    Ok(Texts {
        ca: optional(directory, CA_CERTIFICATE)?.ok_or_else(missing)?,
        ca_key: optional(directory, CA_KEY)?,
        issuer: optional(directory, ISSUER_CERTIFICATE)?,
        issuer_key: optional(directory, ISSUER_KEY)?,
        next: optional(directory, CA_NEXT)?,
    })
}

/// The CA that signs.
///
/// # Errors
/// When files are missing, cannot be read, or do not belong together.
pub fn load(directory: &Path) -> Result<Authority, LoadError> {
    let texts = read(directory)?;
    Ok(Authority::from_texts(&texts)?)
}

/// Certificate chain and key of a server certificate that was brought, PEM.
///
/// # Errors
/// When one of the two cannot be read.
pub fn brought_server(directory: &Path) -> Result<Option<(String, String)>, FileError> {
    Ok(optional(directory, SERVER_CERTIFICATE)?.zip(optional(directory, SERVER_KEY)?))
}

/// Writes what differs between two states, keys first: whoever reads in between finds a key that does not fit, and
/// reads again.
///
/// # Errors
/// When a file cannot be written; those before it are.
pub fn write(directory: &Path, before: &Texts, after: &Texts) -> Result<(), FileError> {
    let ca = Some(after.ca.clone());
    for (name, mode, old, new) in [
        (CA_NEXT, 0o600, &before.next, &after.next),
        (ISSUER_KEY, 0o600, &before.issuer_key, &after.issuer_key),
        (ISSUER_CERTIFICATE, 0o644, &before.issuer, &after.issuer),
        (CA_KEY, 0o600, &before.ca_key, &after.ca_key),
        (CA_CERTIFICATE, 0o644, &Some(before.ca.clone()), &ca),
    ] {
        // What is no longer needed goes last, when everything it led to is written.
        if let (true, Some(text)) = (old != new, new) {
            replace(&directory.join(name), mode, text)?;
        }
    }
    if after.next.is_none() && before.next.is_some() {
        let path = directory.join(CA_NEXT);
        fs::remove_file(&path).map_err(|error| FileError { path, error })?;
    }
    let sync = fs::File::open(directory).and_then(|directory| directory.sync_all());
    sync.map_err(|error| FileError { path: directory.into(), error })
}

/// Puts a file in the place of another in one step.
fn replace(path: &Path, mode: u32, text: &str) -> Result<(), FileError> {
    let new = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&new); // left behind by a step that was interrupted
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| FileError { path: path.into(), error })
}

/// How long ago the CA that signs was put in place; nothing when that cannot be told.
#[must_use]
pub fn signs_since(directory: &Path, now: SystemTime) -> Option<Duration> {
    let written =
        fs::metadata(directory.join(ISSUER_CERTIFICATE)).and_then(|metadata| metadata.modified()).ok()?;
    now.duration_since(written).ok()
}
