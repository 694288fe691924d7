//! With which flags does each program of a test cluster run? As few threads, polls and controllers as the
//! tests can do with, since three clusters share two cores.

use std::path::{Path, PathBuf};

use super::Error;
use crate::certificates::{self, Authority, Identity};

/// For all programs: give memory back early; a test cluster's live heap is small.
pub(super) const ENVIRONMENT: [(&str, &str); 2] = [("GOMAXPROCS", "2"), ("GOGC", "75")];

/// The controllers that tests of applying, pruning and health rest on. Node lifecycle is not among them: the
/// stand-in for nodes needs no heartbeat.
const CONTROLLERS: [&str; 18] = [
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];

/// The files that the programs read.
pub(super) struct Paths {
    directory: PathBuf,
    kubeconfig: PathBuf,
}

impl Paths {
    /// Writes certificates and keys into the cluster's directory.
    pub(super) fn write(directory: &Path, authority: &Authority, kubeconfig: &Path) -> Result<Paths, Error> {
        let paths = Paths { directory: directory.to_owned(), kubeconfig: kubeconfig.to_owned() };
        let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"];
        let Identity { certificate, key } = authority.server(&names)?;
        std::fs::write(paths.file("ca.crt"), authority.certificate())?;
        std::fs::write(paths.file("server.crt"), certificate)?;
        std::fs::write(paths.file("server.key"), key)?;
        let (private, public) = certificates::key_pair()?;
        std::fs::write(paths.file("service-accounts.key"), private)?;
        std::fs::write(paths.file("service-accounts.pub"), public)?;
        Ok(paths)
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

/// Data need not survive a power cut, and stays far below 256 MiB.
pub(super) fn etcd(paths: &Paths, port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}");
    vec![
        format!("--data-dir={}", paths.file("etcd")),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--quota-backend-bytes=268435456".to_owned(),
        "--snapshot-count=10000".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

/// `server` is the URL with the port to listen on.
pub(super) fn api_server(paths: &Paths, etcd_port: u16, server: &str) -> Vec<String> {
    let port = server.rsplit(':').next().unwrap_or_default();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        // No Endpoints object for the API server itself: loopback addresses are not allowed in one.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", paths.file("server.crt")),
        format!("--tls-private-key-file={}", paths.file("server.key")),
        format!("--client-ca-file={}", paths.file("ca.crt")),
        "--anonymous-auth=false".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", paths.file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", paths.file("service-accounts.key")),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        "--etcd-count-metric-poll-period=0".to_owned(),
        "--etcd-db-metric-poll-interval=0".to_owned(),
    ]
}

/// The rates are above the defaults: a test should wait for the controllers' work, not for their politeness.
pub(super) fn controller_manager(paths: &Paths) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", paths.kubeconfig.display()),
        format!("--service-account-private-key-file={}", paths.file("service-accounts.key")),
        format!("--root-ca-file={}", paths.file("ca.crt")),
        format!("--controllers={}", CONTROLLERS.join(",")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--profiling=false".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        "--concurrent-gc-syncs=2".to_owned(),
        "--concurrent-namespace-syncs=2".to_owned(),
    ]
}

/// The scheduler with its default profile.
pub(super) fn scheduler(paths: &Paths) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", paths.kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--profiling=false".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}
