//! Where does the hub keep what it knows?
//!
//! ```yaml
//! store: {directory: /var/lib/muster-hub/store}      # the default is `store` in the hub's directory
//! store:
//!   etcd:
//!     endpoints: [https://etcd-0:2379, https://etcd-1:2379, https://etcd-2:2379]
//!     prefix: /muster/
//!     tls: {ca: etcd-ca.crt, certificate: etcd.crt, key: etcd.key}
//! ```
//! Paths are relative to the hub's directory.

use std::{
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use http::Uri;
use serde::Deserialize;

use crate::{
    init::STORE,
    store::{EtcdEndpoint, EtcdSettings, etcd_tls},
};

const PREFIX_DEFAULT: &str = "/muster/";
/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 200;
const ETCD_PORT: u16 = 2379;

/// `store` in `config.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct StoreFile {
    directory: Option<PathBuf>,
    etcd: Option<EtcdFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct EtcdFile {
    endpoints: Vec<String>,
    prefix: Option<String>,
    tls: Option<TlsFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct TlsFile {
    ca: PathBuf,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Where the hub keeps what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In a directory of its own.
    Directory(PathBuf),
    /// In etcd, with other hubs.
    Etcd(Etcd),
}

/// An etcd that hubs share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    endpoints: Vec<EtcdEndpoint>,
    prefix: String,
    tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tls {
    ca: PathBuf,
    /// Certificate and key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Etcd {
    /// Reads the files that it names.
    ///
    /// # Errors
    /// A sentence for people about the file that cannot be used.
    pub fn settings(&self) -> Result<EtcdSettings, String> {
        let tls = self.tls.as_ref().map(|tls| {
            let identity = tls.identity.as_ref();
            etcd_tls(&tls.ca, identity.map(|(certificate, key)| (certificate.as_path(), key.as_path())))
        });
        let (endpoints, prefix) = (self.endpoints.clone(), self.prefix.clone());
        Ok(EtcdSettings { endpoints, prefix, tls: tls.transpose()? })
    }
}

impl StoreFile {
    /// What it says, with each problem named by its key.
    pub(super) fn settings(self, directory: &Path) -> Result<StoreSettings, Vec<String>> {
        let etcd = match (self.directory, self.etcd) {
            (Some(_), Some(_)) => return Err(vec!["store: give either directory or etcd".to_owned()]),
            (path, None) => {
                return Ok(StoreSettings::Directory(directory.join(path.unwrap_or_else(|| STORE.into()))));
            }
            (None, Some(etcd)) => etcd,
        };
        let mut problems = Vec::new();
        let with_tls = etcd.tls.is_some();
        let mut endpoints = Vec::new();
        for text in &etcd.endpoints {
            match endpoint(text, with_tls) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(problem) => problems.push(format!("store.etcd.endpoints: {problem}")),
            }
        }
        if etcd.endpoints.is_empty() {
            problems
                .push("store.etcd.endpoints: name at least one member, such as https://etcd-0:2379".into());
        }
        let mut prefix = etcd.prefix.unwrap_or_else(|| PREFIX_DEFAULT.to_owned());
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX {
            problems.push(format!("store.etcd.prefix: it must have from 1 to {PREFIX_BYTES_MAX} bytes"));
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let tls = etcd.tls.map(|tls| {
            let identity = match (tls.certificate, tls.key) {
                (Some(certificate), Some(key)) => Some((directory.join(certificate), directory.join(key))),
                (None, None) => None,
                _ => {
                    problems.push("store.etcd.tls: give certificate and key, or neither".to_owned());
                    None
                }
            };
            if tls.ca.as_os_str().is_empty() {
                problems.push(
                    "store.etcd.tls.ca: name the file of the CA that etcd's certificates are of".into(),
                );
            }
            Tls { ca: directory.join(tls.ca), identity }
        });
        if problems.is_empty() {
            Ok(StoreSettings::Etcd(Etcd { endpoints, prefix, tls }))
        } else {
            Err(problems)
        }
    }
}

/// `http[s]://HOST[:PORT]`, where the scheme must say what `tls` says, so that a missing `tls` is no downgrade.
fn endpoint(text: &str, with_tls: bool) -> Result<EtcdEndpoint, String> {
    let form = || format!("{text:?} is not of the form https://HOST:PORT");
    let uri: Uri = text.parse().map_err(|_| form())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(form)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(form());
    }
    match (uri.scheme_str(), with_tls) {
        (Some("https"), true) => {}
        (Some("http"), false) if is_loopback(&host) => {}
        (Some("http"), false) => {
            return Err(format!("{text} is not on this machine: use https, and give tls.ca"));
        }
        (Some("https"), false) => return Err(format!("{text} needs tls.ca")),
        (Some("http"), true) => return Err(format!("{text} is without TLS, and tls is given")),
        _ => return Err(form()),
    }
    Ok(EtcdEndpoint { host, port: authority.port_u16().unwrap_or(ETCD_PORT) })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<StoreSettings, String> {
        let file: StoreFile = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
        file.settings(Path::new("/hub")).map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn a_directory_is_the_default_and_may_be_elsewhere() {
        assert_eq!(read("{}").unwrap(), StoreSettings::Directory("/hub/store".into()));
        assert_eq!(read("directory: /data").unwrap(), StoreSettings::Directory("/data".into()));
        assert_eq!(read("directory: data").unwrap(), StoreSettings::Directory("/hub/data".into()));
    }

    #[test]
    fn etcd_has_members_a_prefix_and_files() {
        let yaml = "etcd: {endpoints: ['https://a:1', 'https://[::1]'], prefix: /fleet, \
                    tls: {ca: ca.crt, certificate: /etc/a.crt, key: a.key}}";
        let StoreSettings::Etcd(etcd) = read(yaml).unwrap() else { panic!("not etcd") };
        let shown: Vec<String> = etcd.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!((shown.join(" "), etcd.prefix), ("a:1 [::1]:2379".into(), "/fleet/".into()));
        let tls = etcd.tls.unwrap();
        assert_eq!(tls.ca, Path::new("/hub/ca.crt"));
        assert_eq!(tls.identity.unwrap(), ("/etc/a.crt".into(), "/hub/a.key".into()));
        assert!(read("etcd: {endpoints: ['http://127.0.0.1:2379']}").is_ok());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let yaml = "etcd: {endpoints: ['http://a:1', 'https://b:2', 'c:3', 'https://u@d'], prefix: ''}";
        let error = read(yaml).unwrap_err();
        for part in [
            "http://a:1 is not on this machine",
            "https://b:2 needs tls.ca",
            "\"c:3\" is not of the form",
            "\"https://u@d\" is not of the form",
            "prefix: it must have from 1",
        ] {
            assert!(error.contains(part), "{part} is missing in:\n{error}");
        }
        assert!(read("{directory: a, etcd: {}}").unwrap_err().contains("either directory or etcd"));
        assert!(read("etcd: {}").unwrap_err().contains("at least one member"));
        let half = "etcd: {endpoints: ['https://a:1'], tls: {certificate: a}}";
        let error = read(half).unwrap_err();
        assert!(
            error.contains("certificate and key, or neither") && error.contains("tls.ca: name"),
            "{error}"
        );
        assert!(read("etcd: {endpoint: x}").unwrap_err().contains("endpoint"));
    }
}
