//! What is in the directory of a hub?
//!
//! ```text
//! DIR/ca.*, issuer.*  certificates and keys of the CA, see crate::authority::files
//! DIR/config.yaml     settings, see crate::config
//! DIR/operator.yaml   hub, CA, certificate and key for `muster`     0600
//! DIR/store/          what the hub keeps, see crate::store          0700
//! ```

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use serde::Serialize;

use crate::{
    address::Address,
    authority::{
        Authority, AuthorityError, OPERATOR_LIFETIME,
        files::{self, CA_CERTIFICATE, CA_KEY, FileError, ISSUER_CERTIFICATE, ISSUER_KEY, LoadError},
        new_issuer,
        rotate::{Texts, pem},
    },
    config::{CONFIG_FILE, ConfigError, RunFlags, Settings},
    identity::{Identity, OperatorName},
};

/// What `muster` is configured with.
pub const OPERATOR_FILE: &str = "operator.yaml";
/// Folder of the store.
pub const STORE: &str = "store";
/// Name of the operator `init` makes a certificate for.
pub const FIRST_OPERATOR: &str = "admin";

/// Why a hub's directory could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is a hub already.
    #[error(
        "{0} exists already; choose another directory, or remove it if that hub and its CA are not needed"
    )]
    Exists(PathBuf),
    /// A file cannot be made or read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A domain that is none.
    #[error("{0:?} is not a DNS domain")]
    Domain(String),
    /// The CA does not do.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The settings are not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configuration that cannot be written as YAML.
    #[error("the configuration cannot be written: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

impl From<FileError> for InitError {
    fn from(FileError { path, error }: FileError) -> Self {
        Self::File { path, error }
    }
}

impl From<LoadError> for InitError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::File(error) => error.into(),
            LoadError::Authority(error) => error.into(),
        }
    }
}

impl From<rcgen::Error> for InitError {
    fn from(error: rcgen::Error) -> Self {
        Self::Authority(error.into())
    }
}

/// What a new hub is to be.
#[derive(Clone, Debug)]
pub struct NewHub {
    /// Under which names it is reached; at least one.
    pub addresses: Vec<Address>,
    /// Domains below which it may get names later.
    pub permit_domains: Vec<String>,
}

/// What [`init`] made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Path of the operator's configuration.
    pub operator: PathBuf,
    /// SHA-256 of the CA's certificate.
    pub fingerprint: String,
}

/// What `muster` reads from `--config`.
#[derive(Debug, Serialize)]
struct OperatorConfig {
    hub: String,
    ca: String,
    certificate: String,
    key: String,
}

#[derive(Debug, Serialize)]
struct FirstConfig<'a> {
    addresses: &'a [Address],
}

/// Makes the directory of a new hub.
///
/// # Errors
/// When there is a hub already, or something cannot be written.
pub fn init(directory: &Path, new: &NewHub, now: Timestamp) -> Result<Made, InitError> {
    for name in [CA_CERTIFICATE, CA_KEY, ISSUER_CERTIFICATE, ISSUER_KEY, CONFIG_FILE, OPERATOR_FILE] {
        let path = directory.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(InitError::Exists(path));
        }
    }
    let names: Vec<ServerName<'static>> = new.addresses.iter().map(|address| address.host.clone()).collect();
    let domain = |domain: &String| match ServerName::try_from(domain.clone()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(name),
        _ => Err(InitError::Domain(domain.clone())),
    };
    let domains = new.permit_domains.iter().map(domain).collect::<Result<Vec<_>, _>>()?;
    let ca = Authority::create(&names, &domains, now)?;
    let issuer = new_issuer(&ca, now)?;
    let texts = Texts {
        ca: ca.certificate,
        ca_key: Some(ca.key),
        issuer: Some(issuer.certificate),
        issuer_key: Some(issuer.key),
        next: None,
    };
    let authority = Authority::from_texts(&texts)?;
    // Shows now, not when the hub is first started, whether clients will accept it.
    authority.serve_as(&names, &crate::tls::provider(), now)?;
    let first = FIRST_OPERATOR.parse().map_err(|error: crate::identity::IdentityError| InitError::File {
        path: directory.join(OPERATOR_FILE),
        error: io::Error::other(error),
    })?;
    let operator = operator_config(&authority, &new.addresses, &first, now)?;
    let config = format!(
        "# Settings of muster-hub. Flags and MUSTER_HUB_* win over this file; `muster-hub run --help` lists them.\n\
         # Under which names the hub is reached: its certificate is made for these.\n{}\
         # Where it listens.\n\
         #listen: 0.0.0.0:8443\n\
         # Life of the certificates given to clusters; their agents renew them in time.\n\
         #certificate-lifetime: 24h\n\
         # How often agents say something; three in silence mean unreachable.\n\
         #heartbeat: 10s\n\
         #log-format: text\n\
         #log: info\n\
         # Who may do what: viewer, promoter or admin, for all or some clusters and apps (docs/access.md). What is\n\
         # not here is refused. Changes to access, users and oidc count at once.\n\
         access:\n- user: {FIRST_OPERATOR}\n  role: admin\n",
        serde_yaml::to_string(&FirstConfig { addresses: &new.addresses })?
    );

    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| InitError::File { path: directory.into(), error })?;
    files::write(directory, &Texts::default(), &texts)?;
    write_new(directory, CONFIG_FILE, 0o644, &config)?;
    write_new(directory, OPERATOR_FILE, 0o600, &operator)?;
    let sync = fs::File::open(directory).and_then(|directory| directory.sync_all());
    sync.map_err(|error| InitError::File { path: directory.into(), error })?;
    Ok(Made { operator: directory.join(OPERATOR_FILE), fingerprint: authority.fingerprint() })
}

/// A new certificate for an operator, as the text of an operator.yaml.
///
/// # Errors
/// When the directory has no usable CA or settings.
pub fn operator(directory: &Path, name: &OperatorName, now: Timestamp) -> Result<String, InitError> {
    let settings = Settings::read(RunFlags { dir: directory.into(), ..RunFlags::default() })?;
    operator_config(&authority(directory)?, &settings.addresses, name, now)
}

/// The CA in a hub's directory.
///
/// # Errors
/// When its files cannot be read or do not belong together.
pub fn authority(directory: &Path) -> Result<Authority, InitError> {
    Ok(files::load(directory)?)
}

fn operator_config(
    authority: &Authority,
    addresses: &[Address],
    name: &OperatorName,
    now: Timestamp,
) -> Result<String, InitError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let issued = authority.certify(&Identity::Operator(name.clone()), &key, 0, OPERATOR_LIFETIME, now)?;
    let config = OperatorConfig {
        hub: addresses.first().map(|address| format!("https://{address}")).unwrap_or_default(),
        ca: authority.trusted().iter().map(pem).collect(),
        certificate: pem(&issued.certificate),
        key: key.serialize_pem(),
    };
    Ok(format!(
        "# Lets its holder act as operator {name} at the Muster hub until {}. Keep it secret.\n{}",
        issued.expires_at,
        serde_yaml::to_string(&config)?
    ))
}

/// Writes a file that must not exist, and waits for the disk.
fn write_new(directory: &Path, name: &str, mode: u32, text: &str) -> Result<(), InitError> {
    let path = directory.join(name);
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.clone()),
        _ => InitError::File { path: path.clone(), error },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _};
    use tempfile::TempDir;

    use super::*;
    use crate::identity::Credential;

    fn new(address: &str) -> NewHub {
        NewHub { addresses: vec![address.parse().unwrap()], permit_domains: vec!["later.test".into()] }
    }

    #[test]
    fn a_new_hub_has_what_it_and_its_operator_need() {
        let parent = TempDir::new().unwrap();
        let directory = parent.path().join("hub");
        let made = init(&directory, &new("hub.test:8443"), Timestamp::now()).unwrap();
        let mode = |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("ca.key"), mode("operator.yaml"), mode(".")), (0o600, 0o600, 0o700));
        assert_eq!((mode("issuer.key"), mode("ca.crt")), (0o600, 0o644));

        let settings = Settings::read(RunFlags { dir: directory.clone(), ..RunFlags::default() }).unwrap();
        assert_eq!(settings.addresses, new("hub.test:8443").addresses);
        let authority = authority(&directory).unwrap();
        assert_eq!(authority.fingerprint(), made.fingerprint);

        let operator: serde_yaml::Value =
            serde_yaml::from_str(&fs::read_to_string(made.operator).unwrap()).unwrap();
        let text = |key: &str| operator[key].as_str().unwrap().to_owned();
        assert_eq!(text("hub"), "https://hub.test:8443");
        let certificate = CertificateDer::from_pem_slice(text("certificate").as_bytes()).unwrap();
        assert_eq!(
            Credential::read(&certificate).unwrap().identity.to_string(),
            "spiffe://muster/operator/admin"
        );
        let provider = crate::tls::provider();
        let verifier = crate::tls::client_verifier(&authority, provider).unwrap();
        verifier.verify_client_cert(&certificate, &[], UnixTime::now()).unwrap();
        assert!(PrivateKeyDer::from_pem_slice(text("key").as_bytes()).is_ok());
        assert_eq!(&CertificateDer::from_pem_slice(text("ca").as_bytes()).unwrap(), authority.certificate());
    }

    #[test]
    fn an_existing_hub_is_not_overwritten() {
        let directory = TempDir::new().unwrap();
        let now = Timestamp::now();
        init(directory.path(), &new("hub.test:1"), now).unwrap();
        let key = fs::read(directory.path().join("ca.key")).unwrap();
        assert!(matches!(init(directory.path(), &new("hub.test:1"), now), Err(InitError::Exists(_))));
        fs::remove_file(directory.path().join("operator.yaml")).unwrap();
        assert!(matches!(init(directory.path(), &new("hub.test:1"), now), Err(InitError::Exists(_))));
        assert_eq!(fs::read(directory.path().join("ca.key")).unwrap(), key);
    }

    #[test]
    fn further_operators_get_certificates_of_their_own() {
        let directory = TempDir::new().unwrap();
        init(directory.path(), &new("[::1]:8443"), Timestamp::now()).unwrap();
        let text = operator(directory.path(), &"eve".parse().unwrap(), Timestamp::now()).unwrap();
        assert!(text.contains("hub: https://[::1]:8443") && text.contains("operator eve"), "{text}");
    }

    #[test]
    fn nothing_is_written_when_a_domain_is_wrong() {
        let parent = TempDir::new().unwrap();
        let directory = parent.path().join("hub");
        let new = NewHub { permit_domains: vec!["not a domain".into()], ..new("hub.test:1") };
        assert!(matches!(init(&directory, &new, Timestamp::now()), Err(InitError::Domain(_))));
        assert!(!directory.exists());
    }
}
