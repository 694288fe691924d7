//! A running hub, and the command line that talks to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{DEADLINE, Error};
use crate::process::{Launch, Output, Program};
use crate::{ports, wait};

/// A hub of its own directory and port. Dropping it kills it.
pub struct Hub {
    /// The running program.
    pub program: Program,
    directory: PathBuf,
    address: SocketAddr,
    dashboard: SocketAddr,
}

impl Hub {
    /// Makes a hub's directory in `parent` and starts it; it listens when this returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(parent: &Path) -> Result<Hub, Error> {
        Hub::start_with(parent, &[]).await
    }

    /// The same, with more arguments of `muster-hub run`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_with(parent: &Path, arguments: &[&str]) -> Result<Hub, Error> {
        Hub::start_prepared(&parent.join("hub"), arguments, |_| Ok(())).await
    }

    /// The same, once something in the hub's directory was changed, such as its `config.yaml`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_prepared(
        directory: &Path,
        arguments: &[&str],
        prepare: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Hub, Error> {
        let directory = directory.to_owned();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let init = Launch::binary("muster-hub")?
            .args(["init", "--dir"])
            .arg(&directory)
            .args(["--address", &address.to_string()])
            .run(DEADLINE)
            .await?;
        succeeded("muster-hub init", init)?;
        prepare(&directory)?;
        let dashboard = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let program = Launch::binary("muster-hub")?
            .args(["run", "--dir"])
            .arg(&directory)
            .args(["--listen", &address.to_string(), "--dashboard", &dashboard.to_string()])
            .args(arguments)
            .start()?;
        let mut hub = Hub { program, directory, address, dashboard };
        hub.listens().await?;
        Ok(hub)
    }

    async fn listens(&mut self) -> Result<(), Error> {
        self.program.wait_for_port(self.address, DEADLINE).await?;
        self.program.wait_for_port(self.dashboard, DEADLINE).await?;
        Ok(())
    }

    /// Starts it again on the same port and directory, after a kill; it listens when this returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.program.restart()?;
        self.listens().await
    }

    /// Whether it says that it leads, where several share a store.
    pub fn leads(&self) -> bool {
        self.program.log().contains("this hub leads")
    }

    /// Where its configuration and keys are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// HOST:PORT, as agents are told.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where the dashboard and the JSON API are, by plain HTTP.
    pub fn dashboard(&self) -> SocketAddr {
        self.dashboard
    }

    /// Makes a user with a token and a role for the whole fleet, and waits until the hub knows it. Gives the token.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn user(&self, name: &str, role: &str) -> Result<String, Error> {
        let made = Launch::binary("muster-hub")?.args(["user-token", "--name", name]).run(DEADLINE).await?;
        let told = made.stderr.clone();
        let token = succeeded("muster-hub user-token", made)?.trim().to_owned();
        let hash = told
            .split_once("token-sha256: ")
            .and_then(|(_, rest)| rest.split('}').next())
            .unwrap_or_default();
        let path = self.directory.join("config.yaml");
        let invalid = |error: serde_yaml::Error| std::io::Error::other(error.to_string());
        let mut config: serde_json::Value =
            serde_yaml::from_str(&std::fs::read_to_string(&path)?).map_err(invalid)?;
        for (list, entry) in [
            ("users", json!({ "name": name, "token-sha256": hash })),
            ("access", json!({ "user": name, "role": role })),
        ] {
            match config[list].as_array_mut() {
                Some(entries) => entries.push(entry),
                None => config[list] = json!([entry]),
            }
        }
        let noticed = |hub: &Hub| hub.program.log().matches("count from now on").count();
        let before = noticed(self);
        std::fs::write(&path, serde_yaml::to_string(&config).map_err(invalid)?)?;
        wait::until("the hub to know its new user", DEADLINE, async || noticed(self) > before).await;
        Ok(token)
    }

    /// The operator's file for the command line.
    pub fn operator_config(&self) -> PathBuf {
        self.directory.join("operator.yaml")
    }

    /// A command of `muster` as an operator of this hub.
    ///
    /// # Errors
    /// It has not been built.
    pub fn muster<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Launch, Error> {
        Ok(Launch::binary("muster")?.env("MUSTER_CONFIG", self.operator_config()).args(arguments))
    }

    /// What a command of `muster` says as JSON, with its exit code.
    ///
    /// # Errors
    /// It could not be run, or failed (exit code 2), or printed something else.
    pub async fn json(&self, arguments: &[&str]) -> Result<(i32, serde_json::Value), Error> {
        let output = self.muster(arguments.iter().copied().chain(["-o", "json"]))?.run(DEADLINE).await?;
        match (output.code(), serde_json::from_str(&output.stdout)) {
            (Some(code @ (0 | 1)), Ok(value)) => Ok((code, value)),
            _ => Err(failed(&format!("muster {}", arguments.join(" ")), output)),
        }
    }

    /// A single-use enrolment token for a cluster.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn token(&self, cluster: &str) -> Result<String, Error> {
        let output = self.muster(["token", "create", cluster])?.run(DEADLINE).await?;
        Ok(succeeded("muster token create", output)?.trim().to_owned())
    }
}

fn succeeded(command: &str, output: Output) -> Result<String, Error> {
    if output.status.success() { Ok(output.stdout) } else { Err(failed(command, output)) }
}

fn failed(command: &str, output: Output) -> Error {
    let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
    Error::Command { command: command.to_owned(), status: output.status, stderr: said }
}
