//! How does a test get a real Git server, with real repositories and real faults?
//!
//! [`Server`] serves a directory of bare repositories over smart HTTP on loopback; `git http-backend` does
//! the protocol, so clients meet what they meet in the world. [`Repository`] writes commits into one.

mod backend;
mod fault;
mod repository;
mod server;

use std::path::Path;
use std::process::Command;

pub use fault::Fault;
pub use repository::{Change, Repository};
pub use server::{Counts, Credentials, Options, Server};

/// Why something in Git did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The git program is missing, or files cannot be written.
    #[error("cannot run git: {0}")]
    Io(#[from] std::io::Error),
    /// Git refused; the message is its own.
    #[error("git {command} failed ({status}): {stderr}")]
    Git {
        /// The subcommand and its arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// Certificates for HTTPS could not be made.
    #[error("cannot make certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// The certificates were not accepted by the TLS library.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The git program, to run in `directory`, that reads no configuration of the machine or the user, never
/// asks for anything, and writes as a fixed author.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs([
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", AUTHOR.0),
        ("GIT_AUTHOR_EMAIL", AUTHOR.1),
        ("GIT_COMMITTER_NAME", AUTHOR.0),
        ("GIT_COMMITTER_EMAIL", AUTHOR.1),
    ]);
    command
}

/// The name and address on every commit.
const AUTHOR: (&str, &str) = ("Muster Tests", "tests@muster.example");
