//! An agent that follows a Git repository of its own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use muster_tests::fleet::{Agent, AgentOptions};
use muster_tests::git;
use muster_tests::scratch::Scratch;
use muster_tests::wait;

use super::server::{Server, User};
use super::{LONG, Result, meter};

const CLUSTER: &str = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: bench}\n";

/// What the agent says when it has read a commit, when an app is in sync, and when it has found out how
/// everything is.
const READ: &str = "Read the repository.";
const SYNCED: &str = "The app is synced.";
const LOOKED: &str = "Every app has been looked at.";

/// An agent, its Git repository and where both keep their files.
pub(super) struct Follower {
    pub(super) agent: Agent,
    pub(super) repository: git::Repository,
    git: git::Server,
    kubeconfig: PathBuf,
    scratch: Scratch,
}

/// How long a sync took.
pub(super) struct Sync {
    /// From the push, the wait for the agent's next look at Git included.
    pub(super) since_push: Duration,
    /// From when the agent had read the commit.
    pub(super) since_read: Duration,
}

impl Follower {
    /// An agent that has nothing to do yet.
    pub(super) async fn start(server: &Server) -> Result<Follower> {
        let scratch = Scratch::new("bench-agent")?;
        let git = git::Server::start(git::Options::default())?;
        let repository = git.create("fleet")?;
        repository.commit(&[("cluster.yaml", CLUSTER)], "Begin")?;
        let kubeconfig = server.kubeconfig(User::Agent).to_owned();
        let agent = Agent::start(options(&git, &kubeconfig, scratch.path()))?;
        let mut follower = Follower { agent, repository, git, kubeconfig, scratch };
        follower.agent.program.wait_for_log(READ, LONG).await?;
        Ok(follower)
    }

    pub(super) fn pid(&self) -> u32 {
        self.agent.program.pid()
    }

    /// Another agent, which waits for the first to go.
    pub(super) async fn standby(&self) -> Result<Agent> {
        let directory = self.scratch.path().join("standby");
        let mut standby = Agent::start(options(&self.git, &self.kubeconfig, &directory))?;
        standby.program.wait_for_log("Standby", LONG).await?;
        Ok(standby)
    }

    /// Pushes files that bring so many new apps, and waits until all of them are synced.
    pub(super) async fn push(&self, files: &[(String, String)], apps: usize) -> Result<Sync> {
        let (reads, synced) = (self.logged(READ).len(), self.logged(SYNCED).len());
        self.repository.commit(files, "Apps")?;
        let pushed = SystemTime::now();
        let done = self.until(SYNCED, synced + apps).await?;
        let read = self.logged(READ).get(reads).copied().ok_or("nothing was read")?;
        Ok(Sync { since_push: done.duration_since(pushed)?, since_read: done.duration_since(read)? })
    }

    /// Pushes a commit that brings no object, and waits until it is read.
    pub(super) async fn push_nothing(&self, text: &str) -> Result<()> {
        let reads = self.logged(READ).len();
        self.repository.commit(&[("README.md", text)], "Nothing of note")?;
        self.until(READ, reads + 1).await?;
        Ok(())
    }

    /// Kills the process and starts another. Gives how long that took to find out how everything is, and what it
    /// said then.
    pub(super) async fn restart(&mut self) -> Result<(Duration, String)> {
        let looked = self.logged(LOOKED).len();
        self.agent.program.kill();
        let began = SystemTime::now();
        self.agent.program.restart()?;
        let done = self.until(LOOKED, looked + 1).await?;
        let log = self.agent.program.log();
        let said = log.lines().rfind(|line| line.contains(LOOKED)).and_then(|line| line.split(LOOKED).nth(1));
        Ok((done.duration_since(began)?, said.unwrap_or_default().trim().to_owned()))
    }

    /// How often something was said.
    pub(super) fn count(&self, text: &str) -> usize {
        self.logged(text).len()
    }

    fn logged(&self, text: &str) -> Vec<SystemTime> {
        meter::logged_at(&self.agent.program.log(), text)
    }

    /// Waits until something has been said so often, and gives when it was said for that time.
    async fn until(&self, text: &str, count: usize) -> Result<SystemTime> {
        let said = async || -> std::result::Result<SystemTime, String> {
            let times = self.logged(text);
            times.get(count - 1).copied().ok_or_else(|| format!("{} of {count} times", times.len()))
        };
        Ok(wait::try_until(text, LONG, said).await?)
    }
}

fn options(git: &git::Server, kubeconfig: &std::path::Path, directory: &std::path::Path) -> AgentOptions {
    AgentOptions::new("bench", &git.url("fleet"), kubeconfig, directory)
}
