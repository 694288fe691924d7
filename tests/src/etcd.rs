//! How does a test get a real etcd of several members? `Etcd::start_or_skip(3)`.
//!
//! The members speak TLS with clients and want a certificate of them. Dropping it stops and removes everything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificates::{Authority, Identity};
use crate::kubernetes::{self, Error};
use crate::process::Program;
use crate::scratch::Scratch;
use crate::{ports, process::Launch, skip};

/// How long a member may take to be reachable.
const START_MAX: Duration = Duration::from_secs(60);

/// A running etcd.
pub struct Etcd {
    /// Its members; one that is killed can be started again.
    pub members: Vec<Program>,
    ports: Vec<u16>,
    scratch: Scratch,
}

impl Etcd {
    /// Starts so many members, or skips the calling test where there is no etcd.
    ///
    /// # Panics
    /// When they do not start; in CI also when etcd is missing.
    pub async fn start_or_skip(members: usize) -> Option<Etcd> {
        match Etcd::start(members).await {
            Ok(etcd) => Some(etcd),
            Err(Error::Missing(reason)) => {
                skip::skip("a real etcd", &reason);
                None
            }
            Err(error) => panic!("etcd: {error}"),
        }
    }

    /// Starts so many members.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(members: usize) -> Result<Etcd, Error> {
        let program = kubernetes::programs().await?.join("etcd");
        let scratch = Scratch::new("etcd")?;
        let authority = Authority::new("etcd test CA")?;
        let server = authority.server(&["127.0.0.1", "localhost"])?;
        write(scratch.path(), "ca.crt", authority.certificate())?;
        write_identity(scratch.path(), "server", &server)?;
        write_identity(scratch.path(), "client", &authority.client("muster-hub", None)?)?;
        let ports: Vec<u16> = (0..members).map(|_| ports::free()).collect();
        let peers: Vec<u16> = (0..members).map(|_| ports::free()).collect();
        let mut cluster = String::new();
        for (number, peer) in peers.iter().enumerate() {
            let _ = write!(cluster, "member-{number}=http://127.0.0.1:{peer},"); // a String takes all
        }
        let file = |name: &str| scratch.path().join(name).display().to_string();
        let mut programs = Vec::new();
        for (number, (port, peer)) in ports.iter().zip(&peers).enumerate() {
            let client = format!("https://127.0.0.1:{port}");
            let peer = format!("http://127.0.0.1:{peer}");
            let name = format!("member-{number}");
            let flags = [
                format!("--name={name}"),
                format!("--data-dir={}", file(&name)),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", cluster.trim_end_matches(',')),
                format!("--cert-file={}", file("server.crt")),
                format!("--key-file={}", file("server.key")),
                format!("--trusted-ca-file={}", file("ca.crt")),
                "--client-cert-auth=true".to_owned(),
                "--enable-grpc-gateway=false".to_owned(),
                // Nothing here has to survive a loss of power.
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ];
            let launch = Launch::command(&program).name(format!("etcd {name}")).args(flags);
            programs.push(launch.env("GOMAXPROCS", "2").quiet().start()?);
        }
        for (program, port) in programs.iter_mut().zip(&ports) {
            program.wait_for_port(([127, 0, 0, 1], *port).into(), START_MAX).await?;
        }
        Ok(Etcd { members: programs, ports, scratch })
    }

    /// Where its members are reached.
    pub fn endpoints(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("https://127.0.0.1:{port}")).collect()
    }

    /// What makes it the store of a hub, in the hub's `config.yaml`.
    pub fn store(&self) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "store:\n  etcd:\n    endpoints: {:?}\n    prefix: /fleet\n    tls: {{ca: {}, certificate: {}, key: {}}}\n",
            self.endpoints(),
            file("ca.crt"),
            file("client.crt"),
            file("client.key"),
        )
    }

    /// A file of it: `ca.crt`, `client.crt` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

fn write_identity(directory: &Path, name: &str, identity: &Identity) -> std::io::Result<()> {
    write(directory, &format!("{name}.crt"), &identity.certificate)?;
    write(directory, &format!("{name}.key"), &identity.key)
}

fn write(directory: &Path, name: &str, text: &str) -> std::io::Result<()> {
    std::fs::write(directory.join(name), text)
}
