//! Who is a user, and how is that proved?

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::digest;

/// How users prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A certificate of the hub's CA.
    Certificate {
        /// When it was made.
        issued_at: Timestamp,
    },
    /// A token whose hash is in the hub's configuration.
    Token,
    /// An ID token of an OpenID Connect issuer.
    Oidc,
}

/// Somebody who asks the hub, other than the agent of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As bindings name it. Names from an issuer begin with the issuer's and a colon, which no other name has.
    pub name: String,
    /// Groups it is in, as its issuer says, each with the issuer's name and a colon before it.
    pub groups: Vec<String>,
    /// How it is known.
    pub proof: Proof,
    /// When that ends.
    pub expires_at: Option<Timestamp>,
}

impl User {
    /// As the audit log names it.
    #[must_use]
    pub fn actor(&self) -> String {
        match self.proof {
            Proof::Certificate { .. } => format!("operator/{}", self.name),
            Proof::Token | Proof::Oidc => format!("user/{}", self.name),
        }
    }
}

/// First part of every user token.
const PREFIX: &str = "muster-user";
/// Bytes of a user token's secret.
const SECRET_BYTES: usize = 32;
/// Longest text looked at.
const TEXT_BYTES_MAX: usize = 256;

/// SHA-256 of a whole user token. A token has 256 random bits, so nothing slower is needed to keep it.
pub type TokenHash = [u8; 32];

/// A new token for the user: `muster-user.NAME.SECRET`, and what the hub keeps of it.
#[must_use]
pub fn new_token(name: &str, secret: [u8; SECRET_BYTES]) -> (String, TokenHash) {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let token = format!("{PREFIX}.{name}.{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
    let hash = hash(&token);
    (token, hash)
}

fn hash(token: &str) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// Whether this is meant as a user token, good or not.
#[must_use]
pub(super) fn is_user_token(text: &str) -> bool {
    text.split('.').next() == Some(PREFIX)
}

/// A user of the hub's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUser {
    /// Its name.
    pub name: String,
    /// When its token ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// The users of the hub's configuration, by the hash of their token.
pub type TokenUsers = BTreeMap<TokenHash, TokenUser>;

/// Why a user token does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    Unknown,
    Expired { name: String },
}

/// Whose token this is. It is looked up by its hash, so the time that takes says nothing of any token.
pub(super) fn by_token(users: &TokenUsers, text: &str, now: Timestamp) -> Result<User, TokenRefusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TokenRefusal::Unknown);
    }
    let user = users.get(&hash(text)).ok_or(TokenRefusal::Unknown)?;
    if user.expires_at.is_some_and(|end| end <= now) {
        return Err(TokenRefusal::Expired { name: user.name.clone() });
    }
    Ok(User { name: user.name.clone(), groups: Vec::new(), proof: Proof::Token, expires_at: user.expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_user_until_its_end() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (token, hash) = new_token("ci", [7; 32]);
        let later = now + std::time::Duration::from_secs(60);
        let user = TokenUser { name: "ci".into(), expires_at: Some(later) };
        let users = TokenUsers::from([(hash, user)]);
        assert_eq!(by_token(&users, &token, now).unwrap().actor(), "user/ci");
        assert_eq!(by_token(&users, &token, later), Err(TokenRefusal::Expired { name: "ci".into() }));
        for wrong in
            ["", "muster-user.ci.", &token[..token.len() - 1], &format!("{token}x"), &"x".repeat(300)]
        {
            assert_eq!(by_token(&users, wrong, now), Err(TokenRefusal::Unknown), "{wrong}");
        }
        assert!(is_user_token(&token) && !is_user_token("eyJhbGciOi.x.y"));
        assert!(!format!("{users:?}").contains(&token));
    }
}
