//! How does one CA take the place of another without anybody noticing?
//!
//! ```text
//! settled ----prepare----> prepared --------switch--------> overlapping --------finish--------> settled
//! old signs   a new CA is made, the new one signs; who knows          the old one is forgotten
//!             signed by the old only the old one follows the
//!             one too           chain through that signature
//! ```
//! Between the steps agents learn the new CA over their streams. One that was away all the time still comes in
//! after the switch, and needs a new token only when it was away until after the end.
//!
//! Each step is a function from the texts of the files to other texts; [`super::files`] reads and writes them.

use jiff::Timestamp;
use rcgen::{CertificateParams, CidrSubnet, GeneralSubtree, Issuer, KeyPair, NameConstraints};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{
    AuthorityError, CA_LIFETIME, ISSUER_LIFETIME, NewAuthority, Serial, common_name, hex, params, random,
};

/// What the files of a CA hold, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// CAs that are trusted; tokens name the first one. `ca.crt`.
    pub ca: String,
    /// Key of the first one. `ca.key`; it may be kept elsewhere.
    pub ca_key: Option<String>,
    /// The certificate that signs, then those that lead from others to a trusted CA. `issuer.crt`.
    pub issuer: Option<String>,
    /// Key of the first of these. `issuer.key`.
    pub issuer_key: Option<String>,
    /// What the next step takes into use. `ca-next.pem`.
    pub next: Option<String>,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is one CA.
    Settled,
    /// Another one is trusted too, and does not sign yet.
    Prepared,
    /// The other one signs, and the old one is still trusted.
    Overlapping,
}

/// Why a step cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The files do not allow it.
    #[error("{0}")]
    NotNow(&'static str),
    /// A certificate cannot be read or made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl From<rcgen::Error> for RotateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Authority(error.into())
    }
}

/// All certificates of a text.
///
/// # Errors
/// When one cannot be read.
pub(super) fn certificates(
    text: &str,
    file: &'static str,
) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| AuthorityError::File { file, reason: error.to_string() })
}

/// One certificate as PEM.
#[must_use]
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    // Base64 is ASCII, so every cut is between characters.
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    debug_assert!(CertificateDer::from_pem_slice(pem.as_bytes()).is_ok());
    pem
}

fn pems(certificates: &[CertificateDer<'static>]) -> String {
    certificates.iter().map(pem).collect()
}

/// A certificate that signs for a CA, and its key.
///
/// # Errors
/// When it cannot be made.
pub(super) fn new_issuer(ca: &NewAuthority, now: Timestamp) -> Result<NewAuthority, AuthorityError> {
    let ca_key = KeyPair::from_pem(&ca.key)?;
    let root = CertificateDer::from_pem_slice(ca.certificate.as_bytes())
        .map_err(|error| AuthorityError::File { file: "ca.crt", reason: error.to_string() })?;
    let signer = Issuer::from_ca_cert_der(&root, ca_key)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let name = format!("Muster issuer {}", hex(&random::<4>()?));
    let (mut params, _) = params(&name, Serial::new(0)?, ISSUER_LIFETIME, now)?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    Ok(NewAuthority { certificate: params.signed_by(&key, &signer)?.pem(), key: key.serialize_pem() })
}

/// The names a CA may certify, to be given to another.
fn name_constraints(ca: &CertificateDer<'_>) -> Result<Option<NameConstraints>, AuthorityError> {
    let broken = |reason: String| AuthorityError::File { file: "ca.crt", reason };
    let (_, parsed) = X509Certificate::from_der(ca).map_err(|error| broken(error.to_string()))?;
    let Some(constraints) = parsed.name_constraints().map_err(|error| broken(error.to_string()))? else {
        return Ok(None);
    };
    let subtree = |name: &GeneralName<'_>| {
        let subtree = match name {
            GeneralName::DNSName(name) => Some(GeneralSubtree::DnsName((*name).to_owned())),
            GeneralName::IPAddress(bytes) => network(bytes),
            _ => None,
        };
        subtree.ok_or_else(|| broken(format!("its name constraint {name:?} cannot be given to another CA")))
    };
    let all = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
        subtrees.iter().flatten().map(|one| subtree(&one.base)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Some(NameConstraints {
        permitted_subtrees: all(&constraints.value.permitted_subtrees)?,
        excluded_subtrees: all(&constraints.value.excluded_subtrees)?,
    }))
}

/// An address and its mask, as RFC 5280 (4.2.1.10) writes them.
fn network(bytes: &[u8]) -> Option<GeneralSubtree> {
    let (address, mask) = bytes.split_at(bytes.len() / 2);
    let v4 = || Some(CidrSubnet::V4(address.try_into().ok()?, mask.try_into().ok()?));
    let v6 = || Some(CidrSubnet::V6(address.try_into().ok()?, mask.try_into().ok()?));
    v4().or_else(v6).map(GeneralSubtree::IpAddress)
}

impl Texts {
    /// How far a rotation is.
    ///
    /// # Errors
    /// When `ca.crt` cannot be read.
    pub fn stage(&self) -> Result<Stage, RotateError> {
        let trusted = certificates(&self.ca, "ca.crt")?.len();
        Ok(match (&self.next, trusted) {
            (Some(_), _) => Stage::Prepared,
            (None, 0 | 1) => Stage::Settled,
            (None, _) => Stage::Overlapping,
        })
    }

    /// Makes another CA for the same names and trusts it too.
    ///
    /// # Errors
    /// When the old CA's key is not there, or a rotation is under way.
    pub fn prepare(&self, now: Timestamp) -> Result<Self, RotateError> {
        if self.stage()? != Stage::Settled {
            return Err(RotateError::NotNow("a rotation is under way already"));
        }
        let ca_key = self.ca_key.as_ref().ok_or(RotateError::NotNow(
            "ca.key is not here: put it back for this step, or bring a new CA by hand (docs/operations.md)",
        ))?;
        let old = certificates(&self.ca, "ca.crt")?
            .into_iter()
            .next()
            .ok_or(RotateError::NotNow("ca.crt holds no certificate"))?;
        let old_signer =
            Issuer::from_ca_cert_der(&old, KeyPair::from_pem(ca_key).map_err(AuthorityError::from)?)?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        // The same names, and nothing else of the old one.
        let constraints = name_constraints(&old)?;
        let name = format!("Muster CA {}", hex(&random::<4>()?));
        let make = |path: u8| -> Result<CertificateParams, AuthorityError> {
            let (mut made, _) = params(&name, Serial::new(0)?, CA_LIFETIME, now)?;
            made.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(path));
            made.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
            made.name_constraints.clone_from(&constraints);
            made.distinguished_name = common_name(&name);
            Ok(made)
        };
        let mut own = make(2)?;
        own.use_authority_key_identifier_extension = false;
        let new = NewAuthority { certificate: own.self_signed(&key)?.pem(), key: key.serialize_pem() };
        let crossed = make(1)?.signed_by(&key, &old_signer)?.pem();
        let issuer = new_issuer(&new, now)?;
        let next = [&new.certificate, &new.key, &issuer.certificate, &issuer.key, &crossed]
            .map(String::as_str)
            .concat();
        Ok(Self { ca: format!("{}{}", self.ca, new.certificate), next: Some(next), ..self.clone() })
    }

    /// Lets the new CA sign.
    ///
    /// # Errors
    /// When none is prepared.
    pub fn switch(&self) -> Result<Self, RotateError> {
        let not_prepared = || RotateError::NotNow("no other CA is prepared");
        let next = self.next.as_ref().ok_or_else(not_prepared)?;
        let [new, issuer, crossed] =
            <[_; 3]>::try_from(certificates(next, "ca-next.pem")?).map_err(|_| not_prepared())?;
        let keys: Vec<String> = keys(next);
        let [ca_key, issuer_key] = <[String; 2]>::try_from(keys).map_err(|_| not_prepared())?;
        let old: Vec<_> =
            certificates(&self.ca, "ca.crt")?.into_iter().filter(|certificate| *certificate != new).collect();
        // Certificates the old ones signed stay good until the end of their time.
        let before = self.issuer.as_ref().map(|issuer| certificates(issuer, "issuer.crt")).transpose()?;
        let chain: Vec<_> = [issuer, crossed].into_iter().chain(before.into_iter().flatten()).collect();
        Ok(Self {
            ca: format!("{}{}", pem(&new), pems(&old)),
            ca_key: Some(ca_key),
            issuer: Some(pems(&chain)),
            issuer_key: Some(issuer_key),
            next: None,
        })
    }

    /// Forgets all CAs but the one that signs.
    ///
    /// # Errors
    /// When there is no other.
    pub fn finish(&self) -> Result<Self, RotateError> {
        if self.stage()? != Stage::Overlapping {
            return Err(RotateError::NotNow("there is no old CA to forget"));
        }
        let first = |text: &str, file| -> Result<String, RotateError> {
            Ok(certificates(text, file)?.first().map(pem).unwrap_or_default())
        };
        let issuer = self.issuer.as_ref().map(|issuer| first(issuer, "issuer.crt")).transpose()?;
        Ok(Self { ca: first(&self.ca, "ca.crt")?, issuer, ..self.clone() })
    }
}

/// The keys of a text, each as PEM.
fn keys(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    text.split(BEGIN)
        .skip(1)
        .filter_map(|rest| rest.split_once(END))
        .map(|(body, _)| format!("{BEGIN}{body}{END}\n"))
        .collect()
}
