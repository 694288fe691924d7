//! Which certificates does the hub's CA make?
//!
//! ```text
//! CA (10 years, ca.key) --signs--> the hub's own server certificate (90 days, re-made while running)
//!                       --signs--> one client certificate per cluster (24 hours, renewed by its agent)
//!                       --signs--> one client certificate per operator (1 year)
//! ```
//! The CA may certify only the host names it was made for (RFC 5280 name constraints) and no further CA.

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

use crate::identity::Identity;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of the CA certificate.
const CA_LIFETIME: Duration = Duration::from_secs(24 * 3652 * 3600);
/// Life of the hub's own certificate; a new one is made when a third of it is left.
pub const SERVER_LIFETIME: Duration = Duration::from_secs(24 * 90 * 3600);
/// Life of an operator's certificate.
pub const OPERATOR_LIFETIME: Duration = Duration::from_secs(24 * 365 * 3600);
/// Certificates are valid from a little earlier, for clocks that go behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

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

/// A new CA: certificate and key, both PEM.
pub struct NewAuthority {
    /// To be read by anyone.
    pub certificate: String,
    /// To be read by the hub alone.
    pub key: String,
}

/// A certificate and, where it was made here, its key.
pub struct Issued {
    /// DER.
    pub certificate: CertificateDer<'static>,
    /// End of its life.
    pub expires_at: Timestamp,
    /// Serial number, hexadecimal.
    pub serial: String,
}

/// The hub's certificate authority, ready to sign.
pub struct Authority {
    certificate: CertificateDer<'static>,
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
    lifetime: Duration,
    now: Timestamp,
) -> Result<(CertificateParams, Timestamp), AuthorityError> {
    let mut serial = random::<16>()?;
    serial[0] = serial[0] & 0x3f | 0x40; // positive, and of the same length always
    let expires_at = now
        .checked_add(lifetime)
        .map_err(|error| AuthorityError::Signing(format!("its end is out of range: {error}")))?;
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
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
        let (mut params, _) = params(&name, CA_LIFETIME, now)?;
        params.use_authority_key_identifier_extension = false;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
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

    /// Reads what [`Authority::create`] made.
    ///
    /// # Errors
    /// When either cannot be read, or they do not belong together.
    pub fn load(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let broken = |file, reason: String| AuthorityError::File { file, reason };
        let key = KeyPair::from_pem(key).map_err(|error| broken("ca.key", error.to_string()))?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| broken("ca.crt", error.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| broken("ca.crt", error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(broken("ca.key", "it is not the key of ca.crt".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer })
    }

    /// The CA's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the CA's certificate in DER, hexadecimal: what enrolment tokens pin.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.certificate).as_ref())
    }

    /// What clients and the hub trust: this CA and nothing else.
    ///
    /// # Errors
    /// When the certificate is no trust anchor.
    pub fn roots(&self) -> Result<Arc<RootCertStore>, AuthorityError> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .map_err(|error| AuthorityError::File { file: "ca.crt", reason: error.to_string() })?;
        Ok(Arc::new(roots))
    }

    /// A client certificate for the holder of `key`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn certify(
        &self,
        identity: &Identity,
        key: &impl PublicKeyData,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let name = match identity {
            Identity::Cluster(name) => format!("cluster {name}"),
            Identity::Operator(name) => format!("operator {name}"),
        };
        // A common name has at most 64 characters (RFC 5280); nothing reads it but people.
        let name: String = name.chars().take(64).collect();
        let (mut params, expires_at) = params(&name, lifetime, now)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
        let serial = params.serial_number.as_ref().map(|serial| hex(serial.as_ref())).unwrap_or_default();
        let certificate = params.signed_by(key, &self.issuer)?.der().clone();
        Ok(Issued { certificate, expires_at, serial })
    }

    /// A new server certificate and key for the given names and this host, with the CA behind it in the
    /// chain, so that an agent can find the CA by the hash in its token.
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
        let (mut params, _) = params("muster-hub", SERVER_LIFETIME, now)?;
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
        self.try_as_client(&certificate, &all, provider, now)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        rustls::sign::CertifiedKey::from_der(vec![certificate, self.certificate.clone()], key, provider)
            .map_err(|error| AuthorityError::Signing(error.to_string()))
    }

    /// Looks at a server certificate with a client's eyes.
    fn try_as_client(
        &self,
        certificate: &CertificateDer<'_>,
        names: &[&ServerName<'static>],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots()?, Arc::clone(provider))
            .build()
            .map_err(|error| AuthorityError::Signing(error.to_string()))?;
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
        for name in names {
            verifier.verify_server_cert(certificate, &[], name, &[], now).map_err(|error| {
                AuthorityError::Name { name: name.to_str().into(), reason: error.to_string() }
            })?;
        }
        Ok(())
    }
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
#[path = "authority/tests.rs"]
mod tests;
