//! Who signed a commit, and is it somebody who is allowed to? And how are our own signed?
//!
//! The signatures are those that Git makes with `gpg.format = ssh`: an SSH signature of the commit without
//! its header `gpgsig`, for the namespace `git` (PROTOCOL.sshsig of OpenSSH). Who is allowed is listed in a file
//! as `gpg.ssh.allowedSignersFile` names one (ssh-keygen(1), "ALLOWED SIGNERS"). Keys are Ed25519 or RSA of 2048 bits
//! and more; signatures of OpenPGP and X.509 count as none.

use std::path::Path;

use gix::hash::{Kind as HashKind, ObjectId};
use gix::objs::CommitRefIter;
use ring::signature::{
    ED25519, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig};

use crate::error::tidy;
use crate::objects::{Fault, Reader};
use crate::{GitError, Mirror, Revision};

/// What Git's signatures are for, so that one made for something else is none.
const NAMESPACE: &str = "git";
/// Largest file of keys that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSigners {
    /// Who, and their key.
    keys: Vec<(String, KeyData)>,
}

impl AllowedSigners {
    /// Reads a file of allowed signers.
    ///
    /// # Errors
    /// [`GitError::Credentials`] when it cannot be read, or a line says something that is not understood: a rule
    /// that is passed over could be one that keeps somebody out.
    pub fn read(file: &Path) -> Result<AllowedSigners, GitError> {
        let unusable = |reason: String| GitError::Credentials { file: file.to_owned(), reason };
        AllowedSigners::parse(&read(file)?).map_err(unusable)
    }

    /// The signers in a text of the same form; a sentence says what is wrong in which line.
    ///
    /// # Errors
    /// See above.
    pub fn parse(text: &str) -> Result<AllowedSigners, String> {
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, key) = signer(line).map_err(|reason| format!("line {}: {reason}", number + 1))?;
            keys.push((name, key));
        }
        if keys.is_empty() { Err("it names nobody".to_owned()) } else { Ok(AllowedSigners { keys }) }
    }

    /// These and one more.
    #[must_use]
    pub fn and(mut self, name: &str, key: &SigningKey) -> AllowedSigners {
        self.keys.push((name.to_owned(), key.public.clone()));
        self
    }

    fn name(&self, key: &KeyData) -> Option<&str> {
        self.keys.iter().find(|(_, allowed)| allowed == key).map(|(name, _)| name.as_str())
    }
}

/// `PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT]`.
fn signer(line: &str) -> Result<(String, KeyData), String> {
    let (name, rest) = line.split_once(char::is_whitespace).ok_or("expected NAME KEYTYPE KEY")?;
    let rest = rest.trim_start();
    let (options, key) = match rest.find("ssh-").filter(|at| *at > 0) {
        Some(at) => (rest[..at].trim(), &rest[at..]),
        None => ("", rest),
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let namespaces = option.strip_prefix("namespaces=").map(|list| list.trim_matches('"'));
        if namespaces != Some(NAMESPACE) {
            return Err(format!("the option {option} is not supported; only namespaces=\"git\" is"));
        }
    }
    let mut words = key.split_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else {
        return Err("expected NAME KEYTYPE KEY".to_owned());
    };
    let key = PublicKey::from_openssh(&format!("{kind} {data}"));
    let key = key.map_err(|error| format!("the key cannot be read: {error}"))?;
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Rsa(_) => Ok((name.to_owned(), key.key_data().clone())),
        other => Err(format!("keys of the type {} are not supported; use ssh-ed25519", other.algorithm())),
    }
}

/// A key that signs commits.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: KeyData,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("fingerprint", &self.fingerprint()).finish()
    }
}

impl SigningKey {
    /// Reads a private key as `ssh-keygen -t ed25519` makes it, without a passphrase.
    ///
    /// # Errors
    /// [`GitError::Credentials`], never with anything of the key.
    pub fn read(file: &Path) -> Result<SigningKey, GitError> {
        let unusable =
            |reason: &str| GitError::Credentials { file: file.to_owned(), reason: reason.to_owned() };
        let key = PrivateKey::from_openssh(read(file)?)
            .map_err(|_| unusable("it is no private key in the format of OpenSSH"))?;
        if key.is_encrypted() {
            return Err(unusable("it needs a passphrase; make one without for the hub alone"));
        }
        let pair =
            key.key_data().ed25519().ok_or_else(|| unusable("only keys of the type ed25519 can sign"))?;
        let public = KeyData::from(pair.public);
        let pair = Ed25519KeyPair::from_seed_and_public_key(pair.private.as_ref(), pair.public.as_ref())
            .map_err(|_| unusable("its two halves do not belong together"))?;
        Ok(SigningKey { pair, public })
    }

    /// The key's fingerprint, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The signature of a commit's text, armoured, as the header `gpgsig` holds it.
    pub(crate) fn sign(&self, commit: &[u8]) -> Result<String, String> {
        let sign = || {
            let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, commit)?;
            let signature = Signature::new(Algorithm::Ed25519, self.pair.sign(&data).as_ref())?;
            SshSig::new(self.public.clone(), NAMESPACE, HashAlg::Sha512, signature)?.to_pem(LineEnding::LF)
        };
        sign().map_err(|error: ssh_key::Error| error.to_string())
    }
}

fn read(file: &Path) -> Result<String, GitError> {
    use std::io::Read as _;
    let unusable =
        |error: std::io::Error| GitError::Credentials { file: file.to_owned(), reason: error.to_string() };
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(unusable)?;
    Ok(text)
}

impl Mirror {
    /// Who of the allowed signed a commit.
    ///
    /// # Errors
    /// [`GitError::Unsigned`] when nobody of them did; others as [`read`](Mirror::read).
    pub fn signed_by(&self, revision: &Revision, allowed: &AllowedSigners) -> Result<String, GitError> {
        let found = signed_by(&self.reader(), revision.id(), allowed);
        let found = found.map_err(|fault| self.explain(*revision, &fault))?;
        found.map_err(|reason| GitError::Unsigned { revision: *revision, reason })
    }
}

fn signed_by(
    reader: &Reader,
    id: ObjectId,
    allowed: &AllowedSigners,
) -> Result<Result<String, String>, Fault> {
    let data = reader.commit_data(id)?;
    let parts = CommitRefIter::signature(&data, HashKind::Sha1);
    let parts = parts.map_err(|error| Fault::Malformed(id, tidy(&error.to_string())))?;
    let Some((signature, signed)) = parts else { return Ok(Err("it has no signature".to_owned())) };
    Ok(check(&signature, &signed.to_bstring(), allowed))
}

/// Whose signature this is of the text, if it is one and theirs counts.
fn check(signature: &[u8], text: &[u8], allowed: &AllowedSigners) -> Result<String, String> {
    let signature =
        SshSig::from_pem(signature).map_err(|_| "its signature is not one of an SSH key".to_owned())?;
    let key = signature.public_key();
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let Some(name) = allowed.name(key) else {
        return Err(format!("it is signed with the key {fingerprint}, which is nobody's who may"));
    };
    if signature.namespace() != NAMESPACE {
        return Err(format!("its signature is for {:?}, not for Git", tidy(signature.namespace())));
    }
    let data =
        SshSig::signed_data(NAMESPACE, signature.hash_alg(), text).map_err(|error| error.to_string())?;
    if is_valid(key, signature.signature(), &data) {
        Ok(name.to_owned())
    } else {
        Err(format!("its signature with the key {fingerprint} is not of this commit"))
    }
}

fn is_valid(key: &KeyData, signature: &Signature, data: &[u8]) -> bool {
    let bytes = signature.as_bytes();
    match (key, signature.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => {
            UnparsedPublicKey::new(&ED25519, key.0).verify(data, bytes).is_ok()
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let rule: &RsaParameters = match hash {
                HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                _ => return false,
            };
            match (key.n.as_positive_bytes(), key.e.as_positive_bytes()) {
                (Some(n), Some(e)) => RsaPublicKeyComponents { n, e }.verify(rule, data, bytes).is_ok(),
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn signers_are_read_as_openssh_writes_them() {
        let text = format!("# who\n\nann@example.org {KEY} laptop\nbob namespaces=\"git\" {KEY}\n");
        let allowed = AllowedSigners::parse(&text).unwrap();
        assert_eq!(allowed.keys.len(), 2);
        assert_eq!(allowed.name(&allowed.keys[0].1), Some("ann@example.org"));
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
        for (text, expected) in [
            (String::new(), "names nobody"),
            (format!("ann {KEY}\nbob"), "line 2: expected NAME KEYTYPE KEY"),
            (format!("ann cert-authority {KEY}"), "line 1: the option cert-authority is not supported"),
            (format!("ann valid-before=\"20260101\" {KEY}"), "the option valid-before=\"20260101\""),
            (format!("ann namespaces=\"file\" {KEY}"), "the option namespaces=\"file\""),
            ("ann ssh-ed25519 AAAA".to_owned(), "the key cannot be read"),
            (format!("ann {ecdsa}"), "line 1:"),
        ] {
            let error = AllowedSigners::parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_signature_are_refused() {
        let allowed = AllowedSigners::parse(&format!("ann {KEY}")).unwrap();
        for signature in ["", "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----", "\u{0}\u{1}"]
        {
            assert!(
                check(signature.as_bytes(), b"text", &allowed).unwrap_err().contains("not one of an SSH key")
            );
        }
    }
}
