//! May this certificate signing request have a certificate?
//!
//! Only the public key is taken from it, and the proof that the caller holds the private key.
//! Names, extensions and attributes are the hub's to write.

use rcgen::{PublicKeyData as _, SubjectPublicKeyInfo};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

/// Largest request, in bytes; one with a P-384 key and nothing else is below 400.
pub const CSR_BYTES_MAX: usize = 4096;

/// Why a request gets no certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CsrError {
    /// Larger than [`CSR_BYTES_MAX`].
    #[error("the certificate signing request has {0} bytes; the limit is {CSR_BYTES_MAX}")]
    TooLarge(usize),
    /// Not PKCS#10 in DER.
    #[error("the certificate signing request is not PKCS#10 in DER")]
    Unreadable,
    /// RSA, another curve, or something newer.
    #[error("the key of the certificate signing request must be ECDSA P-256, ECDSA P-384 or Ed25519")]
    Algorithm,
    /// The caller does not hold the private key.
    #[error("the certificate signing request is not signed by its own key")]
    Signature,
}

/// The public key of a sound request.
///
/// # Errors
/// [`CsrError`] says what is wrong with it.
pub fn public_key(der: &[u8]) -> Result<SubjectPublicKeyInfo, CsrError> {
    if der.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge(der.len()));
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Unreadable)?;
    if !rest.is_empty() {
        return Err(CsrError::Unreadable);
    }
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| CsrError::Algorithm)?;
    let accepted = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if !accepted.iter().any(|algorithm| **algorithm == *key.algorithm()) {
        return Err(CsrError::Algorithm);
    }
    request.verify_signature().map_err(|_| CsrError::Signature)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn request(algorithm: &'static SignatureAlgorithm) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["spiffe://muster/operator/admin".to_owned()]).unwrap();
        let der = params.serialize_request(&key).unwrap().der().to_vec();
        (key, der)
    }

    #[test]
    fn the_key_is_taken_and_nothing_else() {
        for algorithm in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let (key, der) = request(algorithm);
            assert_eq!(public_key(&der).unwrap().der_bytes(), key.public_key_raw());
        }
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let (_, mut der) = request(&rcgen::PKCS_ED25519);
        let last = der.len() - 1;
        der[last] ^= 1;
        assert_eq!(public_key(&der).unwrap_err(), CsrError::Signature);
    }

    #[test]
    fn damaged_requests_are_refused_without_harm() {
        let (key, der) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        for length in 0..der.len() {
            assert!(public_key(&der[..length]).is_err(), "cut at {length}");
        }
        for index in 0..der.len() {
            let mut changed = der.clone();
            changed[index] ^= 0x40;
            // The reader is lenient with the tag around it all, which is not signed; the key is.
            let got = public_key(&changed).ok().map(|read| read.der_bytes().to_vec());
            assert!(got.is_none_or(|got| got == key.public_key_raw()), "changed at {index}");
        }
        let mut longer = der;
        longer.push(0);
        assert_eq!(public_key(&longer).unwrap_err(), CsrError::Unreadable);
        assert_eq!(public_key(&[0x30; 5000]).unwrap_err(), CsrError::TooLarge(5000));
    }
}
