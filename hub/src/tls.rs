//! How does the hub speak TLS?
//!
//! TLS 1.3 with ring, HTTP/2 only, no session resumption (each connection proves itself anew). A client
//! certificate is optional here and demanded per service by [`crate::access`].

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use crate::authority::{Authority, AuthorityError, SERVER_LIFETIME, renewal_margin};

/// The one crypto provider.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificate the hub shows, and when it wants another.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    shown: RwLock<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
    names: Vec<ServerName<'static>>,
    renew_at: RwLock<Timestamp>,
}

impl ServerCertificate {
    /// Shows what was brought, or else makes the first one.
    pub(crate) fn new(
        authority: &Authority,
        names: Vec<ServerName<'static>>,
        brought: Option<&(String, String)>,
        now: Timestamp,
    ) -> Result<Arc<Self>, AuthorityError> {
        let provider = provider();
        let (key, renew_at) = show(authority, &names, brought, &provider, now)?;
        Ok(Arc::new(Self {
            shown: RwLock::new(Arc::new(key)),
            provider,
            names,
            renew_at: RwLock::new(renew_at),
        }))
    }

    /// Makes the next one if it is time; true when it did. Connections that are open keep theirs.
    pub(crate) fn renew(&self, authority: &Authority, now: Timestamp) -> Result<bool, AuthorityError> {
        if now < *self.renew_at.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(false);
        }
        self.replace(authority, None, now)?;
        Ok(true)
    }

    /// Shows what was brought, or else makes another one, whatever the time.
    pub(crate) fn replace(
        &self,
        authority: &Authority,
        brought: Option<&(String, String)>,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let (key, renew_at) = show(authority, &self.names, brought, &self.provider, now)?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        *self.renew_at.write().unwrap_or_else(PoisonError::into_inner) = renew_at;
        Ok(())
    }
}

/// What to show, and when to make another one: never for what was brought.
fn show(
    authority: &Authority,
    names: &[ServerName<'static>],
    brought: Option<&(String, String)>,
    provider: &Arc<CryptoProvider>,
    now: Timestamp,
) -> Result<(CertifiedKey, Timestamp), AuthorityError> {
    Ok(match brought {
        Some((chain, key)) => (authority.serve_brought((chain, key), names, provider, now)?, Timestamp::MAX),
        None => (authority.serve_as(names, provider, now)?, renewal(now)),
    })
}

fn renewal(now: Timestamp) -> Timestamp {
    now.checked_add(SERVER_LIFETIME - renewal_margin(SERVER_LIFETIME)).unwrap_or(Timestamp::MAX)
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Takes client certificates of the hub's CAs. Clients show theirs alone; what leads from it to a CA is added here,
/// so that they need not know of it.
#[derive(Debug)]
struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let all: Vec<CertificateDer<'_>> =
            self.intermediates.iter().cloned().chain(intermediates.iter().cloned()).collect();
        self.inner.verify_client_cert(end_entity, &all, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Who is taken for whom the certificate names.
pub(crate) fn client_verifier(
    authority: &Authority,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, AuthorityError> {
    let inner = WebPkiClientVerifier::builder_with_provider(authority.roots()?, provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| AuthorityError::Signing(error.to_string()))?;
    Ok(Arc::new(ClientVerifier { inner, intermediates: authority.intermediates().to_vec() }))
}

/// The server side of every connection.
pub(crate) fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    certificate: Arc<ServerCertificate>,
) -> Result<Arc<ServerConfig>, AuthorityError> {
    let provider = Arc::clone(&certificate.provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| AuthorityError::Signing(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The beginning of every client for HTTP: it follows no redirect, since who answers must not choose whom is asked.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    // Another part of the program may have chosen a provider already; then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_certificate_is_made_anew_when_a_third_of_its_life_is_left() {
        let now = Timestamp::now();
        let new = Authority::create(&[], &[], now).unwrap();
        let authority = Authority::load(&new.certificate, &new.key).unwrap();
        let certificate = ServerCertificate::new(&authority, Vec::new(), None, now).unwrap();
        let shown = || Arc::clone(&certificate.shown.read().unwrap());
        let first = shown();
        let day = std::time::Duration::from_secs(24 * 3600);
        assert!(!certificate.renew(&authority, now + day * 59).unwrap());
        assert!(certificate.renew(&authority, now + day * 61).unwrap());
        assert_ne!(first.cert[0], shown().cert[0]);
        assert!(!certificate.renew(&authority, now + day * 62).unwrap());
    }
}
