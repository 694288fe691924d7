//! Which certificates do the clusters show?

use crate::Error;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// The certificate authority of a simulation and the server certificate that all its clusters share.
#[derive(Clone)]
pub(crate) struct Authority {
    /// The CA certificate, for kubeconfigs.
    pub(crate) pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes keys and certificates for 127.0.0.1, ::1 and localhost.
    pub(crate) fn new() -> Result<Authority, Error> {
        let certificate = |error: rcgen::Error| Error::Certificate(error.to_string());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "simulated cluster CA");
        let key = KeyPair::generate().map_err(certificate)?;
        let authority = params.self_signed(&key).map_err(certificate)?;
        let issuer = Issuer::new(params, key);

        let names = vec!["127.0.0.1".to_owned(), "::1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).map_err(certificate)?;
        params.distinguished_name.push(DnType::CommonName, "simulated kube-apiserver");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate().map_err(certificate)?;
        let server = params.signed_by(&server_key, &issuer).map_err(certificate)?;

        let chain =
            vec![CertificateDer::from(server.der().to_vec()), CertificateDer::from(authority.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = |error: rustls::Error| Error::Certificate(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Authority { pem: authority.pem(), server: Arc::new(config) })
    }
}
