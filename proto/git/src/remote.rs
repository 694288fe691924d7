//! How is a repository reached, and how much may that cost?

use std::path::PathBuf;
use std::time::Duration;

use crate::GitError;
use crate::credentials::Credentials;
use crate::url::RemoteUrl;

/// A repository elsewhere, how to reach it and what to accept from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remote {
    /// Where it is.
    pub url: RemoteUrl,
    /// Credentials for http and https; user and password in the URL are used when this is `None`.
    pub credentials: Option<Credentials>,
    /// Send credentials over plain http to hosts other than this machine. Off unless
    /// asked for: everybody on the way can read them.
    pub credentials_over_http: bool,
    /// How the ssh program is called.
    pub ssh: Ssh,
    /// PEM certificates to trust for https instead of the system's (which honour
    /// `SSL_CERT_FILE`). Read again at every fetch.
    pub ca_file: Option<PathBuf>,
    /// What to accept from the server.
    pub limits: Limits,
    /// How long to wait for it.
    pub timeouts: Timeouts,
}

/// How the ssh program is called. Host keys are always checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The program; found on `PATH` when it is a bare name. Default `ssh`.
    pub program: PathBuf,
    /// The private key; when set, no other key is offered.
    pub key_file: Option<PathBuf>,
    /// The only file of accepted host keys; the user's and the system's when `None`.
    pub known_hosts_file: Option<PathBuf>,
}

impl Default for Ssh {
    fn default() -> Ssh {
        Ssh { program: PathBuf::from("ssh"), key_file: None, known_hosts_file: None }
    }
}

/// The most that is accepted from a server in one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one pack as it is sent. Default 1 GiB.
    pub pack_bytes_max: u64,
    /// References a server may list. Default 50,000.
    pub refs_max: usize,
    /// Bytes of one object, unpacked. Default 128 MiB.
    pub object_bytes_max: u64,
    /// Entries of all trees of one commit. Default 500,000.
    pub tree_entries_max: usize,
    /// Packs to keep before they are joined into one; at least one. Default 20.
    pub packs_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            pack_bytes_max: 1 << 30,
            refs_max: 50_000,
            object_bytes_max: 128 << 20,
            tree_entries_max: 500_000,
            packs_max: 20,
        }
    }
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands. Default 15 s.
    pub connect: Duration,
    /// Without a single byte arriving. Default 60 s.
    pub stall: Duration,
    /// For a whole fetch. Default 10 min.
    pub fetch: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            fetch: Duration::from_secs(600),
        }
    }
}

impl Remote {
    /// A remote with default limits, timeouts and no credentials.
    ///
    /// # Errors
    /// [`GitError::Url`] when the URL cannot be used.
    pub fn new(url: &str) -> Result<Remote, GitError> {
        Ok(Remote {
            url: RemoteUrl::parse(url)?,
            credentials: None,
            credentials_over_http: false,
            ssh: Ssh::default(),
            ca_file: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        })
    }
}
