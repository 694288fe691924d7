//! Is this the hub the enrolment token is for?
//!
//! Before it has a certificate the agent knows of the hub only what the token says: the SHA-256 of its
//! CA's certificate. A server is that hub if the chain it shows holds the certificate with that hash,
//! and is valid under it for the name that was asked for, by the ordinary rules.

use std::sync::Arc;

use ring::digest;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Longest token text looked at, in bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 1024;

/// SHA-256 of a certificate, DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this certificate.
    pub(super) fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }

    /// As the protocol has it.
    pub(super) fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Reads 64 hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
        }
        Some(Self(bytes))
    }
}

/// The CA's hash in `muster1.<id>.<secret>.<hash>`. The message of an error never holds the token.
pub(super) fn fingerprint(token: &str) -> Result<Fingerprint, String> {
    let wrong =
        || "it does not hold a token, such as `muster token create` prints (muster1. and three more parts)";
    if token.len() > TOKEN_BYTES_MAX {
        return Err(format!("it has more than {TOKEN_BYTES_MAX} bytes"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    match parts.as_slice() {
        ["muster1", id, secret, hash] if !id.is_empty() && !secret.is_empty() => {
            Fingerprint::parse(hash).ok_or_else(|| wrong().to_owned())
        }
        _ => Err(wrong().to_owned()),
    }
}

/// Trusts servers under the one CA with a given hash.
#[derive(Debug)]
pub(super) struct PinnedCa {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl PinnedCa {
    /// Trusts the CA with this hash.
    pub(super) fn new(fingerprint: Fingerprint, provider: Arc<CryptoProvider>) -> Self {
        Self { fingerprint, provider }
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned =
            intermediates.iter().find(|certificate| Fingerprint::of(certificate) == self.fingerprint);
        let pinned = pinned.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The configuration allows TLS 1.3 only, so no server gets here.
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::Authority;

    fn verify(pinned: &Authority, chain: &[CertificateDer<'static>], name: &str) -> Result<(), Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = PinnedCa::new(Fingerprint::of(pinned.der()), provider);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let (first, rest) = chain.split_first().unwrap();
        verifier.verify_server_cert(first, rest, &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn the_pinned_ca_must_be_in_the_chain_and_have_signed_for_this_name() {
        let (hub, other) = (Authority::new(), Authority::new());
        let chain = |by: &Authority, shown: &Authority| {
            vec![by.server("localhost").0.into(), CertificateDer::from(shown.der().to_vec())]
        };
        assert_eq!(verify(&hub, &chain(&hub, &hub), "localhost"), Ok(()));
        let invalid = |result| matches!(result, Err(Error::InvalidCertificate(_)));
        assert!(invalid(verify(&hub, &chain(&hub, &hub), "example.com")), "another name");
        assert!(invalid(verify(&other, &chain(&hub, &hub), "localhost")), "another CA");
        assert!(invalid(verify(&hub, &chain(&other, &hub), "localhost")), "the CA shown did not sign");
        assert!(invalid(verify(&hub, &chain(&hub, &hub)[..1], "localhost")), "no CA in the chain");
    }

    #[test]
    fn tokens_are_read_and_never_repeated() {
        let hash = "0f".repeat(32);
        let token = format!("muster1.abc.secret.{hash}");
        assert_eq!(fingerprint(&token), Ok(Fingerprint([0x0f; 32])));
        for wrong in
            ["", "muster1.abc.secret", &format!("muster2.abc.secret.{hash}"), &token[..token.len() - 2]]
        {
            let error = fingerprint(wrong).unwrap_err();
            assert!(!error.contains("secret."), "{error}");
        }
    }
}
