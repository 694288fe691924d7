//! A running agent on any cluster.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::process::{Launch, Program};

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    cluster: String,
    repository: String,
    kubeconfig: PathBuf,
    directory: PathBuf,
    interval: String,
    hub: Option<(String, PathBuf)>,
    more: Vec<String>,
}

impl AgentOptions {
    /// An agent without a hub that polls every second and keeps its files in a folder of `parent`.
    pub fn new(cluster: &str, repository: &str, kubeconfig: &Path, parent: &Path) -> AgentOptions {
        AgentOptions {
            cluster: cluster.to_owned(),
            repository: repository.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            directory: parent.join(format!("agent-{cluster}")),
            interval: "1s".to_owned(),
            hub: None,
            more: Vec::new(),
        }
    }

    /// Reports to the hub at `address`, enrolling with `token`.
    ///
    /// # Errors
    /// The token cannot be written to a file.
    pub fn hub(mut self, address: &str, token: &str) -> Result<AgentOptions, Error> {
        std::fs::create_dir_all(&self.directory)?;
        let file = self.directory.join("token");
        write_secret(&file, token)?;
        self.hub = Some((address.to_owned(), file));
        Ok(self)
    }

    /// How often it asks Git, such as `1s`.
    #[must_use]
    pub fn interval(mut self, interval: &str) -> AgentOptions {
        self.interval = interval.to_owned();
        self
    }

    /// Adds an argument as it is.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> AgentOptions {
        self.more.push(argument.to_owned());
        self
    }

    /// The cluster it is for.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    fn launch(&self) -> Result<Launch, Error> {
        let mut launch = Launch::binary("muster-agent")?
            .name(format!("agent-{}", self.cluster))
            .args(["run", "--cluster", &self.cluster, "--repo", &self.repository])
            .args(["--interval", &self.interval, "--kubeconfig"])
            .arg(&self.kubeconfig)
            .arg("--data-dir")
            .arg(self.directory.join("data"));
        if let Some((address, token)) = &self.hub {
            launch = launch.args(["--hub", address, "--token-file"]).arg(token);
        }
        Ok(launch.args(&self.more))
    }
}

/// A running agent. Dropping it kills it.
pub struct Agent {
    /// The running program.
    pub program: Program,
    options: AgentOptions,
}

impl Agent {
    /// Starts an agent.
    ///
    /// # Errors
    /// It has not been built, or its files cannot be written.
    pub fn start(options: AgentOptions) -> Result<Agent, Error> {
        std::fs::create_dir_all(options.directory.join("data"))?;
        Ok(Agent { program: options.launch()?.start()?, options })
    }

    /// Puts another token where the running agent reads it.
    ///
    /// # Errors
    /// The file cannot be written, or the agent has no hub.
    pub fn set_token(&self, token: &str) -> Result<(), Error> {
        match &self.options.hub {
            Some((_, file)) => Ok(write_secret(file, token)?),
            None => Err(std::io::Error::other("the agent was started without a hub").into()),
        }
    }
}

fn write_secret(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}
