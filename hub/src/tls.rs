//! How does the hub speak TLS?
//!
//! TLS 1.3 with ring, HTTP/2 only, no session resumption (each connection proves itself anew). A client
//! certificate is optional here and demanded per service by [`crate::access`].

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::ServerName,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
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
    /// Makes the first one.
    pub(crate) fn new(
        authority: &Authority,
        names: Vec<ServerName<'static>>,
        now: Timestamp,
    ) -> Result<Arc<Self>, AuthorityError> {
        let provider = provider();
        let key = authority.serve_as(&names, &provider, now)?;
        let renew_at = RwLock::new(renewal(now));
        Ok(Arc::new(Self { shown: RwLock::new(Arc::new(key)), provider, names, renew_at }))
    }

    /// Makes the next one if it is time; true when it did. Connections that are open keep theirs.
    pub(crate) fn renew(&self, authority: &Authority, now: Timestamp) -> Result<bool, AuthorityError> {
        if now < *self.renew_at.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(false);
        }
        let key = authority.serve_as(&self.names, &self.provider, now)?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        *self.renew_at.write().unwrap_or_else(PoisonError::into_inner) = renewal(now);
        Ok(true)
    }
}

fn renewal(now: Timestamp) -> Timestamp {
    now.checked_add(SERVER_LIFETIME - renewal_margin(SERVER_LIFETIME)).unwrap_or(Timestamp::MAX)
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The server side of every connection.
pub(crate) fn server_config(
    authority: &Authority,
    certificate: Arc<ServerCertificate>,
) -> Result<Arc<ServerConfig>, AuthorityError> {
    let failed = |error: &dyn std::fmt::Display| AuthorityError::Signing(error.to_string());
    let provider = Arc::clone(&certificate.provider);
    let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots()?, Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| failed(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(&error))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_certificate_is_made_anew_when_a_third_of_its_life_is_left() {
        let now = Timestamp::now();
        let new = Authority::create(&[], &[], now).unwrap();
        let authority = Authority::load(&new.certificate, &new.key).unwrap();
        let certificate = ServerCertificate::new(&authority, Vec::new(), now).unwrap();
        let shown = || Arc::clone(&certificate.shown.read().unwrap());
        let first = shown();
        let day = std::time::Duration::from_secs(24 * 3600);
        assert!(!certificate.renew(&authority, now + day * 59).unwrap());
        assert!(certificate.renew(&authority, now + day * 61).unwrap());
        assert_ne!(first.cert[0], shown().cert[0]);
        assert!(!certificate.renew(&authority, now + day * 62).unwrap());
    }
}
