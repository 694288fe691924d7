//! A simulated Kubernetes API: many clusters in one process, each over HTTPS with a kubeconfig of its own.
//!
//! It is for demos, for tests of faults that a real cluster cannot be asked for, and for tests of scale. One suite of
//! expectations runs against it and against a real kube-apiserver; where they differ, this is wrong.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_simcluster::{Fault, Settings, Simulation};
//! let simulation = Simulation::new()?;
//! let cluster = simulation.start("dev", Settings::default()).await?;
//! std::fs::write("dev.kubeconfig", cluster.kubeconfig("admin"))?;
//! cluster.inject(Fault::status(429).verb("patch").retry_after_seconds(1));
//! # Ok(())
//! # }
//! ```
//!
//! Inside, `api` answers a request as a function of state and time, `controllers` do what real controllers would in
//! steps of the same kind, and `server` is the thin shell with sockets and timers.
#![forbid(unsafe_code)]

mod api;
mod cluster;
mod controllers;
mod decode;
mod defaults;
mod faults;
mod fields;
mod kinds;
mod managed;
mod patch;
mod protobuf;
mod quantity;
mod schema;
mod selector;
mod server;
mod settings;
mod state;
mod status;
mod store;
mod strategy;

pub use cluster::{SimCluster, Simulation};
pub use faults::Fault;
pub use settings::Settings;

/// Why a simulation cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificates could be made.
    #[error("cannot make certificates for the simulation: {0}")]
    Certificate(String),
    /// The port is taken or may not be used; choose another one.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port asked for; 0 means any.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
}
