//! Who is this cluster, to the hub?
//!
//! A key pair made here, a certificate of the hub's CA that names the cluster, and the CAs to trust for that hub:
//! more than one while the hub changes from one to another. Whether an identity
//! can still be used is decided from what it says and the time alone.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::pin::Fingerprint;

/// What comes before the cluster's name in a certificate.
const CLUSTER: &str = "spiffe://muster/cluster/";

/// CAs that are kept of a hub.
const CAS_MAX: usize = 8;

/// A key pair that has no certificate yet.
pub(super) struct Key(KeyPair);

impl Key {
    /// ECDSA P-256.
    pub(super) fn generate() -> Result<Self, String> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(|error| error.to_string())
    }

    /// PKCS#10, DER. It names nobody: the hub writes its own names.
    pub(super) fn request(&self) -> Result<Vec<u8>, String> {
        let params = CertificateParams::default();
        let request = params.serialize_request(&self.0).map_err(|error| error.to_string())?;
        Ok(request.der().to_vec())
    }
}

/// A certificate with its key, and the CAs to trust.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    cas: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    key: Vec<u8>,
    /// As the certificate names it.
    pub(super) cluster: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

// Written by hand so that the key cannot get into a log.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("cluster", &self.cluster)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Puts together what the hub answered and the key that was kept here.
    pub(super) fn new(certificate: Vec<u8>, cas: Vec<Vec<u8>>, key: &Key) -> Result<Self, String> {
        Self::read(certificate.into(), bundle(cas)?, key.0.serialize_der())
    }

    /// The same, which trusts these CAs from now on.
    pub(super) fn trusting(&self, cas: Vec<Vec<u8>>) -> Result<Self, String> {
        Ok(Self { cas: bundle(cas)?, ..self.clone() })
    }

    /// Reads what [`Self::to_pem`] wrote.
    pub(super) fn from_pem(certificate: &[u8], key: &[u8], ca: &[u8]) -> Result<Self, String> {
        let pem = |what: &str, pem: &[u8]| {
            CertificateDer::from_pem_slice(pem).map_err(|_| format!("{what} is not a certificate in PEM"))
        };
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(key).map_err(|_| "tls.key is not a PKCS#8 key in PEM")?;
        let cas: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca).collect();
        let cas = cas.map_err(|_| "ca.crt is not certificates in PEM")?;
        if cas.is_empty() {
            return Err("ca.crt holds no certificate".to_owned());
        }
        Self::read(pem("tls.crt", certificate)?, cas, key.secret_pkcs8_der().to_vec())
    }

    /// Certificate, key and CAs, PEM.
    pub(super) fn to_pem(&self) -> [String; 3] {
        let pem = |label: &str, der: &[u8]| pem(label, der);
        let cas = self.cas.iter().map(|ca| pem("CERTIFICATE", ca)).collect();
        [pem("CERTIFICATE", &self.certificate), pem("PRIVATE KEY", &self.key), cas]
    }

    /// The CAs, to be trusted.
    pub(super) fn cas(&self) -> &[CertificateDer<'static>] {
        &self.cas
    }

    /// What TLS shows.
    pub(super) fn for_tls(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], PrivatePkcs8KeyDer::from(self.key.clone()).into())
    }

    /// When to ask for the next one: at two thirds of its life.
    pub(super) fn renew_at(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        let life = Duration::try_from(life).unwrap_or_default();
        self.not_before.checked_add(life * 2 / 3).unwrap_or(self.not_after)
    }

    /// Why it cannot be used by this cluster now, if it cannot.
    pub(super) fn fault(&self, cluster: &str, now: Timestamp) -> Option<String> {
        if self.cluster != cluster {
            return Some(format!("its certificate is for cluster {}", self.cluster));
        }
        (self.not_after <= now).then(|| format!("its certificate expired at {}", self.not_after))
    }

    fn read(
        certificate: CertificateDer<'static>,
        cas: Vec<CertificateDer<'static>>,
        key: Vec<u8>,
    ) -> Result<Self, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("the certificate cannot be read: {error}");
        let pair =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(&*key), &PKCS_ECDSA_P256_SHA256)
                .map_err(|error| format!("the key cannot be read: {error}"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| unreadable(&error))?;
        if parsed.public_key().subject_public_key.data != pair.public_key_raw() {
            return Err("the certificate is for another key".to_owned());
        }
        let names = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?;
        let cluster = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .find_map(|name| match name {
                GeneralName::URI(uri) => uri.strip_prefix(CLUSTER),
                _ => None,
            })
            .ok_or("the certificate names no cluster")?
            .to_owned();
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| unreadable(&error))
        };
        let (not_before, not_after) =
            (time(parsed.validity().not_before)?, time(parsed.validity().not_after)?);
        Ok(Self { certificate, cas, key, cluster, not_before, not_after })
    }

    /// The hashes of its CAs.
    pub(super) fn fingerprints(&self) -> Vec<Fingerprint> {
        self.cas.iter().map(|ca| Fingerprint::of(ca)).collect()
    }
}

/// CAs as the hub sent them, if they can be trusted at all: an agent with none could never come back.
fn bundle(cas: Vec<Vec<u8>>) -> Result<Vec<CertificateDer<'static>>, String> {
    if cas.is_empty() || cas.len() > CAS_MAX {
        return Err(format!("the hub names {} CAs, and it must name 1 to {CAS_MAX}", cas.len()));
    }
    let mut roots = rustls::RootCertStore::empty();
    let mut read = Vec::with_capacity(cas.len());
    for ca in cas {
        let ca = CertificateDer::from(ca);
        roots.add(ca.clone()).map_err(|error| format!("a CA of the hub cannot be used: {error}"))?;
        read.push(ca);
    }
    Ok(read)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::hub::testing::Authority;

    fn identity(cluster: &str) -> Identity {
        let (authority, key) = (Authority::new(), Key::generate().unwrap());
        let certificate = authority.client(&key.request().unwrap(), cluster, Duration::from_secs(3_000));
        Identity::new(certificate, vec![authority.der().to_vec()], &key).unwrap()
    }

    #[test]
    fn an_identity_survives_being_kept() {
        let identity = identity("dev");
        let [certificate, key, ca] = identity.to_pem();
        let read = Identity::from_pem(certificate.as_bytes(), key.as_bytes(), ca.as_bytes()).unwrap();
        assert!(read == identity);
        assert!(!format!("{identity:?}").contains("key"));
        let swapped = Identity::from_pem(ca.as_bytes(), key.as_bytes(), ca.as_bytes());
        assert_eq!(swapped.unwrap_err(), "the certificate is for another key");
        assert!(Identity::from_pem(b"", key.as_bytes(), ca.as_bytes()).is_err());
        assert!(Identity::from_pem(certificate.as_bytes(), key.as_bytes(), b"").is_err());
    }

    #[test]
    fn several_cas_are_kept_and_what_cannot_be_trusted_is_not_taken() {
        let identity = identity("dev");
        let old = identity.cas()[0].to_vec();
        let both = identity.trusting(vec![old.clone(), Authority::new().der().to_vec()]).unwrap();
        let [certificate, key, cas] = both.to_pem();
        let read = Identity::from_pem(certificate.as_bytes(), key.as_bytes(), cas.as_bytes()).unwrap();
        assert!(read == both && read.fingerprints().len() == 2);
        for wrong in [vec![], vec![old.clone(), b"garbage".to_vec()], vec![old; 9]] {
            assert!(identity.trusting(wrong).is_err());
        }
    }

    #[test]
    fn it_is_used_until_it_expires_and_only_by_its_cluster() {
        let identity = identity("dev");
        let now = Timestamp::now();
        assert_eq!(identity.fault("dev", now), None);
        assert_eq!(identity.fault("prod", now), Some("its certificate is for cluster dev".to_owned()));
        assert!(identity.fault("dev", now + 2.hours()).unwrap().starts_with("its certificate expired at 20"));
        let life = identity.not_after.duration_since(identity.not_before).as_secs();
        assert_eq!(identity.renew_at().duration_since(identity.not_before).as_secs(), life * 2 / 3);
    }
}
