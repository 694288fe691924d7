//! Whose ID token is this? (OpenID Connect Core 1.0, 3.1.3.7; JSON Web Token best practices, RFC 8725)
//!
//! ```text
//! token --issuer it claims--> one of the configured issuers --keys (discovery, JWKS)--> verify --> User
//! ```
//! Nothing in a token is believed before its signature is checked, but for which issuer's keys to check it with.

pub(super) mod keys;
mod ring;

use jiff::Timestamp;
use jsonwebtoken::{
    DecodingKey, Header, Validation,
    dangerous::insecure_decode_claims,
    decode, decode_header,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;

use super::user::{Proof, User};

/// Longest token looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the clocks of issuer and hub may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Groups taken from a token.
const GROUPS_MAX: usize = 500;
/// Longest name of a user or group, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// An issuer whose ID tokens the hub takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What stands before its users' and groups' names, with a colon.
    pub name: String,
    /// As its tokens name it; `https://`.
    pub url: String,
    /// For whom tokens must be made.
    pub client_id: String,
    /// Claim with the user's name.
    pub username_claim: String,
    /// Claim with the user's groups.
    pub groups_claim: String,
    /// Certificates to trust for it, PEM, in place of the system's.
    pub ca: Option<String>,
}

/// Why an ID token does not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is not a token this hub knows")]
    Malformed,
    #[error("its issuer {0:?} is not among those in the hub's configuration")]
    UnknownIssuer(String),
    #[error("the keys of its issuer cannot be had: {0}")]
    NoKeys(String),
    #[error("its issuer has no key like the one it is signed with")]
    UnknownKey,
    #[error("it is signed in a way that is not taken")]
    Algorithm,
    #[error("its signature is not good")]
    Signature,
    #[error("it expired at {0}")]
    Expired(Timestamp),
    #[error("it is good only from {0} on")]
    NotYet(Timestamp),
    #[error("it is made for somebody else")]
    Audience,
    #[error("its claim {0:?} is missing or not as it should be")]
    Claim(String),
}

impl Refusal {
    /// Its name in the audit log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Malformed => "bearer-unknown",
            Self::UnknownIssuer(_) => "oidc-unknown-issuer",
            Self::NoKeys(_) => "oidc-issuer-unreachable",
            Self::UnknownKey => "oidc-unknown-key",
            Self::Algorithm => "oidc-algorithm",
            Self::Signature => "oidc-signature",
            Self::Expired(_) => "oidc-expired",
            Self::NotYet(_) => "oidc-not-yet-valid",
            Self::Audience => "oidc-audience",
            Self::Claim(_) => "oidc-claim",
        }
    }
}

/// The issuer a token says it is from. Not checked yet.
pub(super) fn claimed_issuer<'a>(token: &str, issuers: &'a [Issuer]) -> Result<&'a Issuer, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let claims: Value = insecure_decode_claims(token).map_err(|_| Refusal::Malformed)?;
    let claimed = claims.get("iss").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
    let known = issuers.iter().find(|issuer| issuer.url == claimed);
    known.ok_or_else(|| Refusal::UnknownIssuer(claimed.chars().take(NAME_BYTES_MAX).collect()))
}

/// The user a token of this issuer is for.
pub(super) fn verify(token: &str, issuer: &Issuer, keys: &JwkSet, now: Timestamp) -> Result<User, Refusal> {
    ring::install();
    let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
    if !ring::ALGORITHMS.contains(&header.alg) {
        return Err(Refusal::Algorithm);
    }
    let key = key(&header, keys).ok_or(Refusal::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Refusal::Algorithm)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&issuer.url]);
    validation.set_audience(&[&issuer.client_id]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    // Time is passed in, and looked at below.
    validation.validate_exp = false;
    let claims = decode::<Value>(token, &key, &validation).map_err(|error| refusal(error.kind()))?.claims;

    let expires_at = time(&claims, "exp")?.ok_or_else(|| Refusal::Claim("exp".to_owned()))?;
    let leeway = jiff::SignedDuration::from_secs(LEEWAY);
    if now.duration_since(expires_at) >= leeway {
        return Err(Refusal::Expired(expires_at));
    }
    for claim in ["nbf", "iat"] {
        match time(&claims, claim)? {
            Some(from) if from.duration_since(now) > leeway => return Err(Refusal::NotYet(from)),
            _ => {}
        }
    }
    several_audiences(&claims, issuer)?;
    user(&claims, issuer, expires_at)
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat | ErrorKind::UnsupportedAlgorithm => {
            Refusal::Algorithm
        }
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            Refusal::Claim(claim.clone())
        }
        ErrorKind::InvalidIssuer => Refusal::Claim("iss".to_owned()),
        _ => Refusal::Malformed,
    }
}

/// The key a header means: by its id, or the only one of its kind there is.
fn key<'a>(header: &Header, keys: &'a JwkSet) -> Option<&'a Jwk> {
    let signs = |key: &&Jwk| {
        let use_is = key.common.public_key_use.as_ref();
        let algorithm = key.common.key_algorithm;
        use_is.is_none_or(|use_is| *use_is == PublicKeyUse::Signature)
            && algorithm.is_none_or(|algorithm| algorithm == KeyAlgorithm::from(header.alg))
    };
    let mut fitting = keys.keys.iter().filter(signs);
    match &header.kid {
        Some(id) => fitting.find(|key| key.common.key_id.as_ref() == Some(id)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// A NumericDate (RFC 7519): seconds, which may have a fraction.
fn time(claims: &Value, claim: &str) -> Result<Option<Timestamp>, Refusal> {
    let wrong = || Refusal::Claim(claim.to_owned());
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let whole = number.as_i64().or_else(|| {
                let seconds = number.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "bounded above, and only whole seconds count"
                )]
                Some(seconds as i64)
            });
            whole.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// With several audiences the token must have been given to us (`azp`).
fn several_audiences(claims: &Value, issuer: &Issuer) -> Result<(), Refusal> {
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|audiences| audiences.len() > 1);
    match claims.get("azp") {
        None if several => Err(Refusal::Claim("azp".to_owned())),
        Some(party) if party.as_str() != Some(&issuer.client_id) => Err(Refusal::Audience),
        _ => Ok(()),
    }
}

fn user(claims: &Value, issuer: &Issuer, expires_at: Timestamp) -> Result<User, Refusal> {
    let wrong = || Refusal::Claim(issuer.username_claim.clone());
    let is_name = |name: &str| {
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(|letter: char| letter.is_control())
    };
    let name = claims.get(&issuer.username_claim).and_then(Value::as_str).filter(|name| is_name(name));
    let name = name.ok_or_else(wrong)?;
    // An address that nobody verified may be anybody's.
    if issuer.username_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(Refusal::Claim("email_verified".to_owned()));
    }
    let groups = match claims.get(&issuer.groups_claim) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(group)) => vec![group.as_str()],
        _ => Vec::new(),
    };
    let prefixed = |name: &str| format!("{}:{name}", issuer.name);
    let groups = groups.into_iter().filter(|group| is_name(group)).take(GROUPS_MAX).map(prefixed).collect();
    Ok(User { name: prefixed(name), groups, proof: Proof::Oidc, expires_at: Some(expires_at) })
}

#[cfg(test)]
mod tests;
