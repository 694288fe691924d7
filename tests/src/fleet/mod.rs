//! How does a test, the demo or a benchmark get a whole fleet? A Git server, a hub and agents, each the built
//! program, on clusters of the caller's choice.
//!
//! ```text
//!   Git server <-- Agent, on any kubeconfig --> Hub <-- Hub::muster(..), the command line
//! ```

mod agent;
mod drift;
mod hub;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use agent::{Agent, AgentOptions};
pub use drift::scale_and_wait;
pub use hub::Hub;
pub use target::Target;

use crate::scratch::Scratch;
use crate::{git, process};

/// The longest anything in a fleet on a busy two-core machine should take; a failing test waits this long.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Why a fleet could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program did not run.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The Git server or a commit failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A file could not be written.
    #[error("cannot write the fleet's files: {0}")]
    Io(#[from] std::io::Error),
    /// A command of `muster` or `muster-hub` failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// What was run.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
}

/// A Git repository behind a server, a hub, and an agent for each cluster. Dropping it ends them all.
pub struct Fleet {
    /// The agents, by cluster.
    pub agents: BTreeMap<String, Agent>,
    /// The hub.
    pub hub: Hub,
    /// The repository all agents follow.
    pub repository: git::Repository,
    /// The server the repository is behind.
    pub git: git::Server,
    scratch: Scratch,
}

impl Fleet {
    /// A Git server with `files` as its first commit, and a hub. No agents yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(files: &BTreeMap<String, Vec<u8>>) -> Result<Fleet, Error> {
        Fleet::start_with(files, false, |_| Ok(())).await
    }

    /// The same, with a hub that promotes: it asks Git every second.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_promoting(files: &BTreeMap<String, Vec<u8>>) -> Result<Fleet, Error> {
        Fleet::start_with(files, true, |_| Ok(())).await
    }

    /// The same, once something in the hub's directory was changed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_prepared(
        files: &BTreeMap<String, Vec<u8>>,
        prepare: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Fleet, Error> {
        Fleet::start_with(files, true, prepare).await
    }

    /// One more hub for the same repository, in a directory of its own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn another_hub(
        &self,
        prepare: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Hub, Error> {
        let url = self.git.url("fleet");
        let arguments = ["--repo", &url, "--repo-interval", "1s"];
        Hub::start_prepared(&self.scratch.path().join("another-hub"), &arguments, prepare).await
    }

    async fn start_with(
        files: &BTreeMap<String, Vec<u8>>,
        promotes: bool,
        prepare: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Fleet, Error> {
        let scratch = Scratch::new("fleet")?;
        let git = git::Server::start(git::Options::default())?;
        let repository = git.create("fleet")?;
        let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
        repository.commit(&files, "The fleet as it begins")?;
        let url = git.url("fleet");
        let arguments: &[&str] = if promotes { &["--repo", &url, "--repo-interval", "1s"] } else { &[] };
        let hub = Hub::start_prepared(&scratch.path().join("hub"), arguments, prepare).await?;
        Ok(Fleet { agents: BTreeMap::new(), hub, repository, git, scratch })
    }

    /// Options for an agent of this fleet, to be changed before [`Fleet::add`]. Polls every second.
    pub fn agent_options(&self, cluster: &str, kubeconfig: &Path) -> AgentOptions {
        AgentOptions::new(cluster, &self.git.url("fleet"), kubeconfig, self.scratch.path())
    }

    /// Enrols a cluster with a fresh token and starts its agent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn join(&mut self, cluster: &str, kubeconfig: &Path) -> Result<(), Error> {
        let token = self.hub.token(cluster).await?;
        let options = self.agent_options(cluster, kubeconfig).hub(&self.hub.address(), &token)?;
        self.add(options)
    }

    /// Starts an agent.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn add(&mut self, options: AgentOptions) -> Result<(), Error> {
        let cluster = options.cluster().to_owned();
        self.agents.insert(cluster, Agent::start(options)?);
        Ok(())
    }

    /// Where files of this fleet may be kept.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// The agent of a cluster.
    ///
    /// # Panics
    /// When there is none.
    pub fn agent(&mut self, cluster: &str) -> &mut Agent {
        self.agents.get_mut(cluster).unwrap_or_else(|| panic!("no agent was started for {cluster}"))
    }
}

/// The files below `directory`, by their path from there, as they are to be committed.
///
/// # Errors
/// The directory cannot be read.
pub fn files_below(directory: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if let Ok(name) = path.strip_prefix(directory) {
                files.insert(name.to_string_lossy().into_owned(), std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// The example fleet of this repository: three clusters and the app `gitops-demo`.
///
/// # Errors
/// It cannot be read.
pub fn example() -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    files_below(&workspace.join("deploy/example-fleet"))
}
