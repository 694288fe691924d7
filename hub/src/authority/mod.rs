//! Which certificates does the hub's CA make?
//!
//! ```text
//! CA (10 years) --> issuer (5 years) --> the hub's own server certificate (90 days, re-made while running)
//!                                    --> one client certificate per cluster (24 hours, renewed by its agent)
//!                                    --> one client certificate per operator (1 year)
//! ```
//! The CA may certify only the host names it was made for (RFC 5280 name constraints). Its key is needed to make
//! issuers and to rotate, and not to run the hub. A CA that was brought does as well: see [`files`].

pub mod files;
pub mod rotate;

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, SanType,
    SerialNumber,
};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject as _,
    },
};

use self::rotate::Texts;
use crate::identity::Identity;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of the certificate that signs for the CA.
const ISSUER_LIFETIME: Duration = Duration::from_secs(24 * 1826 * 3600);
/// CAs that may be trusted at once.
const ROOTS_MAX: usize = 8;
/// Life of the CA certificate.
const CA_LIFETIME: Duration = Duration::from_secs(24 * 3652 * 3600);
/// Life of the hub's own certificate; a new one is made when a third of it is left.
pub const SERVER_LIFETIME: Duration = Duration::from_secs(24 * 90 * 3600);
/// Life of an operator's certificate.
pub const OPERATOR_LIFETIME: Duration = Duration::from_secs(24 * 365 * 3600);
/// Certificates are valid from a little earlier, for clocks that go behind.
pub(crate) const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// Why no certificate could be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Key or certificate file that is not what it should be.
    #[error(
        "{file} cannot be used: {reason}; restore it from a backup, or run `muster-hub init` for a new CA"
    )]
    File {
        /// Which of the two.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate made for the hub would not be accepted by agents.
    #[error(
        "agents would not accept this hub under the name {name}: {reason}; the CA is made for the names given to \
         `muster-hub init` with --address and --permit-domain"
    )]
    Name {
        /// The name in question.
        name: String,
        /// What a client would say.
        reason: String,
    },
    /// rcgen or rustls could not do it.
    #[error("a certificate could not be made: {0}")]
    Signing(String),
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Signing(error.to_string())
    }
}

/// Bytes nobody can guess.
///
/// # Errors
/// When the operating system has none.
pub fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AuthorityError::Random)?;
    Ok(bytes)
}

/// A new certificate that can sign, and its key, both PEM.
pub struct NewAuthority {
    /// To be read by anyone.
    pub certificate: String,
    /// To be read by the hub alone.
    pub key: String,
}

/// A certificate that was made.
pub struct Issued {
    /// DER.
    pub certificate: CertificateDer<'static>,
    /// End of its life.
    pub expires_at: Timestamp,
    /// Serial number.
    pub serial: Serial,
}

/// A serial number of this CA: `01` in two bits, 6 random bits, the generation (4 bytes, big endian), 11 random
/// bytes. So a certificate itself says which generation it is of, and what was given out before a revocation is
/// known without a list of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial([u8; SERIAL_BYTES]);

const SERIAL_BYTES: usize = 16;

impl Serial {
    fn new(generation: u32) -> Result<Self, AuthorityError> {
        let mut serial = random::<SERIAL_BYTES>()?;
        serial[0] = serial[0] & 0x3f | 0x40; // positive, and of the same length always
        serial[1..5].copy_from_slice(&generation.to_be_bytes());
        Ok(Self(serial))
    }

    /// The generation in a serial number; 0 where it is not of this form, such as a brought CA's own.
    #[must_use]
    pub fn generation_of(serial: &[u8]) -> u32 {
        let form = serial.len() == SERIAL_BYTES && serial.first().is_some_and(|first| first & 0xc0 == 0x40);
        let generation = serial.get(1..5).and_then(|bytes| bytes.try_into().ok());
        generation.filter(|_| form).map_or(0, u32::from_be_bytes)
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

/// The hub's certificate authority, ready to sign.
pub struct Authority {
    /// What is trusted; tokens name the first one.
    roots: Vec<CertificateDer<'static>>,
    /// The certificate that signs, then those that lead from it and its predecessors to what is trusted. Empty
    /// when the first root signs itself.
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
}

/// Names every server certificate has, so that the hub can be reached from its own host.
fn local_names() -> [ServerName<'static>; 3] {
    let localhost = ServerName::try_from("localhost").expect("localhost is a DNS name");
    let v4: IpAddr = std::net::Ipv4Addr::LOCALHOST.into();
    let v6: IpAddr = std::net::Ipv6Addr::LOCALHOST.into();
    [localhost, ServerName::IpAddress(v4.into()), ServerName::IpAddress(v6.into())]
}

fn subtree(name: &ServerName<'_>) -> GeneralSubtree {
    match name {
        ServerName::IpAddress(address) => match IpAddr::from(*address) {
            IpAddr::V4(v4) => GeneralSubtree::IpAddress(CidrSubnet::V4(v4.octets(), [0xff; 4])),
            IpAddr::V6(v6) => GeneralSubtree::IpAddress(CidrSubnet::V6(v6.octets(), [0xff; 16])),
        },
        other => GeneralSubtree::DnsName(other.to_str().into_owned()),
    }
}

fn alternative_name(name: &ServerName<'_>) -> Result<SanType, AuthorityError> {
    Ok(match name {
        ServerName::IpAddress(address) => SanType::IpAddress((*address).into()),
        other => SanType::DnsName(Ia5String::try_from(other.to_str().into_owned())?),
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// Parameters all certificates share, and when the certificate ends.
fn params(
    name: &str,
    serial: Serial,
    lifetime: Duration,
    now: Timestamp,
) -> Result<(CertificateParams, Timestamp), AuthorityError> {
    let expires_at = now
        .checked_add(lifetime)
        .map_err(|error| AuthorityError::Signing(format!("its end is out of range: {error}")))?;
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    params.not_before = at(now - BACKDATED);
    params.not_after = at(expires_at);
    params.distinguished_name = common_name(name);
    params.use_authority_key_identifier_extension = true;
    Ok((params, expires_at))
}

impl Authority {
    /// Makes a CA that may certify the given host names, what is below the given domains, and this host.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn create(
        names: &[ServerName<'static>],
        domains: &[ServerName<'static>],
        now: Timestamp,
    ) -> Result<NewAuthority, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let name = format!("Muster CA {}", hex(&random::<4>()?));
        let (mut params, _) = params(&name, Serial::new(0)?, CA_LIFETIME, now)?;
        params.use_authority_key_identifier_extension = false;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(2));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let mut permitted: Vec<GeneralSubtree> = Vec::new();
        for name in names.iter().chain(domains).chain(&local_names()) {
            let subtree = subtree(name);
            if !permitted.contains(&subtree) {
                permitted.push(subtree);
            }
        }
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
        Ok(NewAuthority { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// Reads a CA from its files.
    ///
    /// # Errors
    /// When a text cannot be read, or they do not belong together.
    pub fn from_texts(texts: &Texts) -> Result<Self, AuthorityError> {
        let missing = |file| AuthorityError::File { file, reason: "it is not there".to_owned() };
        match (&texts.issuer, &texts.issuer_key) {
            (Some(issuer), key) => {
                let key = key.as_ref().ok_or_else(|| missing(files::ISSUER_KEY))?;
                Self::read(&texts.ca, Some(issuer), (key, files::ISSUER_KEY))
            }
            (None, _) => {
                let key = texts.ca_key.as_ref().ok_or_else(|| missing(files::CA_KEY))?;
                Self::read(&texts.ca, None, (key, files::CA_KEY))
            }
        }
    }

    /// A CA that signs itself.
    ///
    /// # Errors
    /// When either cannot be read, or they do not belong together.
    pub fn load(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        Self::read(certificate, None, (key, files::CA_KEY))
    }

    fn read(
        ca: &str,
        issuer: Option<&String>,
        (key, key_file): (&str, &'static str),
    ) -> Result<Self, AuthorityError> {
        let broken = |file, reason: String| AuthorityError::File { file, reason };
        let roots = rotate::certificates(ca, files::CA_CERTIFICATE)?;
        if roots.is_empty() || roots.len() > ROOTS_MAX {
            return Err(broken(
                files::CA_CERTIFICATE,
                format!("it holds {} certificates, and must hold 1 to {ROOTS_MAX}", roots.len()),
            ));
        }
        let chain = match issuer {
            Some(issuer) => rotate::certificates(issuer, files::ISSUER_CERTIFICATE)?,
            None => Vec::new(),
        };
        let file = if issuer.is_some() { files::ISSUER_CERTIFICATE } else { files::CA_CERTIFICATE };
        let signer = if issuer.is_some() { chain.first() } else { roots.first() };
        let signer = signer.ok_or_else(|| broken(file, "it holds no certificate".to_owned()))?;
        let key = KeyPair::from_pem(key).map_err(|error| broken(key_file, error.to_string()))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(signer).map_err(|error| broken(file, error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(broken(key_file, format!("it is not the key of {file}")));
        }
        let issuer = Issuer::from_ca_cert_der(signer, key)?;
        Ok(Self { roots, chain, issuer })
    }

    /// The CA that tokens name, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.roots[0] // there is at least one, see read
    }

    /// All that is trusted, DER; the one that tokens name first.
    #[must_use]
    pub fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// What may stand between a client's certificate and what is trusted.
    #[must_use]
    pub fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// SHA-256 of the CA that tokens name, in DER, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.certificate())
    }

    /// What clients and the hub trust, and nothing else.
    ///
    /// # Errors
    /// When a certificate is no trust anchor.
    pub fn roots(&self) -> Result<Arc<RootCertStore>, AuthorityError> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).map_err(|error| AuthorityError::File {
                file: files::CA_CERTIFICATE,
                reason: error.to_string(),
            })?;
        }
        Ok(Arc::new(roots))
    }

    /// A client certificate for the holder of `key`, of the given generation.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn certify(
        &self,
        identity: &Identity,
        key: &impl PublicKeyData,
        generation: u32,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let name = match identity {
            Identity::Cluster(name) => format!("cluster {name}"),
            Identity::Operator(name) => format!("operator {name}"),
        };
        // A common name has at most 64 characters (RFC 5280); nothing reads it but people.
        let name: String = name.chars().take(64).collect();
        let serial = Serial::new(generation)?;
        let (mut params, expires_at) = params(&name, serial, lifetime, now)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
        let certificate = params.signed_by(key, &self.issuer)?.der().clone();
        Ok(Issued { certificate, expires_at, serial })
    }

    /// A new server certificate and key for the given names and this host, with what leads to the CAs and the CAs
    /// themselves behind it, so that an agent can find its CA by the hash in its token.
    ///
    /// # Errors
    /// When a client would not accept it for one of the names.
    pub fn serve_as(
        &self,
        names: &[ServerName<'static>],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<rustls::sign::CertifiedKey, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let (mut params, _) = params("muster-hub", Serial::new(0)?, SERVER_LIFETIME, now)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut all: Vec<&ServerName<'static>> = Vec::new();
        let local = local_names();
        for name in names.iter().chain(&local) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        params.subject_alt_names = all.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        self.shown(vec![certificate], key, &all, provider, now)
    }

    /// A server certificate that was brought: its chain and key, PEM.
    ///
    /// # Errors
    /// When it cannot be read, or a client would not accept it for one of the names.
    pub fn serve_brought(
        &self,
        (chain, key): (&str, &str),
        names: &[ServerName<'static>],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<rustls::sign::CertifiedKey, AuthorityError> {
        let chain = rotate::certificates(chain, files::SERVER_CERTIFICATE)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| AuthorityError::File { file: files::SERVER_KEY, reason: error.to_string() })?;
        if chain.is_empty() {
            let reason = "it holds no certificate".to_owned();
            return Err(AuthorityError::File { file: files::SERVER_CERTIFICATE, reason });
        }
        self.shown(chain, key, &names.iter().collect::<Vec<_>>(), provider, now)
    }

    /// What is shown to clients, once it was looked at with a client's eyes.
    fn shown(
        &self,
        mut chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        names: &[&ServerName<'static>],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<rustls::sign::CertifiedKey, AuthorityError> {
        for certificate in self.chain.iter().chain(&self.roots) {
            if !chain.contains(certificate) {
                chain.push(certificate.clone());
            }
        }
        self.try_as_client(&chain, names, provider, now)?;
        rustls::sign::CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| AuthorityError::Signing(error.to_string()))
    }

    /// Looks at a server certificate with a client's eyes.
    fn try_as_client(
        &self,
        chain: &[CertificateDer<'static>],
        names: &[&ServerName<'static>],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots()?, Arc::clone(provider))
            .build()
            .map_err(|error| AuthorityError::Signing(error.to_string()))?;
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
        let (certificate, intermediates) =
            chain.split_first().ok_or_else(|| AuthorityError::Signing("the chain is empty".to_owned()))?;
        for name in names {
            verifier.verify_server_cert(certificate, intermediates, name, &[], now).map_err(|error| {
                AuthorityError::Name { name: name.to_str().into(), reason: error.to_string() }
            })?;
        }
        Ok(())
    }
}

/// SHA-256 of a certificate in DER, hexadecimal.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex(digest::digest(&digest::SHA256, certificate).as_ref())
}

/// A certificate that signs for a new CA, and its key.
///
/// # Errors
/// When it cannot be made.
pub fn new_issuer(ca: &NewAuthority, now: Timestamp) -> Result<NewAuthority, AuthorityError> {
    rotate::new_issuer(ca, now)
}

/// How long before its end a certificate with this lifetime is to be re-made: a third of it.
#[must_use]
pub fn renewal_margin(lifetime: Duration) -> Duration {
    lifetime / 3
}

/// The shortest and longest life a cluster's certificate may be given.
pub const CLUSTER_LIFETIME_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=DAY.saturating_mul(90);

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests;
