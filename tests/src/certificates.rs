//! Who vouches for the servers and clients of a test? A certificate authority made for it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate (PEM) and its private key (PKCS#8 PEM).
#[derive(Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, PKCS#8 PEM.
    pub key: String,
}

/// A certificate authority that lives as long as this value; ECDSA P-256 throughout.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes a new authority of this common name.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new(name: &str) -> Result<Authority, rcgen::Error> {
        let mut params = params(name, None, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server certificate for these host names and addresses.
    ///
    /// # Errors
    /// A name is not ASCII, or no key can be made.
    pub fn server(&self, names: &[&str]) -> Result<Identity, rcgen::Error> {
        self.sign(
            params(names.first().unwrap_or(&"server"), None, names)?,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// What a TLS server of these names accepts connections with.
    ///
    /// # Errors
    /// As [`Authority::server`], as text.
    pub fn acceptor(&self, names: &[&str]) -> Result<TlsAcceptor, String> {
        let identity = self.server(names).map_err(|error| error.to_string())?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
        let certificate = certificate.map_err(|error| error.to_string())?;
        let key =
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .map_err(|error| error.to_string())?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// A client certificate; Kubernetes reads the common name as the user and the organisation as its group.
    ///
    /// # Errors
    /// No key can be made.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, rcgen::Error> {
        self.sign(params(user, group, &[])?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// A key pair of its own, as private (PKCS#8) and public PEM; the API server signs service account tokens
/// with one.
///
/// # Errors
/// No key can be made.
pub fn key_pair() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn params(name: &str, organisation: Option<&str>, hosts: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    Ok(params)
}
