//! May this enrolment token be used, and by whom?
//!
//! A token reads `muster1.<id>.<secret>.<fingerprint>`: the id is public, of the secret the hub keeps
//! only the SHA-256, and the fingerprint pins the hub's CA. It is good for one cluster or those of a
//! pattern, until it expires, for a counted number of uses.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use muster_spec::ClusterName;
use ring::digest;
use subtle::ConstantTimeEq as _;

use crate::{authority::hex, pattern::Pattern};

/// First part of every token.
const PREFIX: &str = "muster1";
/// Bytes of an id; 2 hexadecimal digits each.
const ID_BYTES: usize = 8;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Longest text looked at.
const TEXT_BYTES_MAX: usize = 256;
/// Tokens kept at once.
pub const TOKENS_MAX: usize = 10_000;
/// Uses one token may have.
pub const USES_MAX: u32 = 1_000;
/// How long a token may live.
pub const TTL_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 30 * 3600);
/// Life of a token made without one.
pub const TTL_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// How long an expired token is still listed.
const KEPT_AFTER_END: Duration = Duration::from_secs(24 * 7 * 3600);

/// The public part of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl FromStr for TokenId {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 2 * ID_BYTES || !text.bytes().all(digit) {
            return Err(NotAToken);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for TokenId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Text that is not of the form of a token, or of a token's id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an enrolment token")]
pub struct NotAToken;

/// The part of a token that proves it. Its `Debug` shows nothing.
pub struct Secret([u8; SECRET_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl Secret {
    fn hash(&self) -> SecretHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        SecretHash(hash)
    }
}

/// A token as its holder has it.
#[derive(Debug)]
pub struct Presented {
    id: TokenId,
    secret: Secret,
    fingerprint: String,
}

impl Presented {
    /// A new token of this hub from random bytes.
    #[must_use]
    pub fn new(id: [u8; ID_BYTES], secret: [u8; SECRET_BYTES], fingerprint: &str) -> Self {
        Self { id: TokenId(hex(&id)), secret: Secret(secret), fingerprint: fingerprint.to_owned() }
    }

    /// The text to hand out, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let secret = BASE64_URL_SAFE_NO_PAD.encode(self.secret.0);
        format!("{PREFIX}.{}.{secret}.{}", self.id, self.fingerprint)
    }

    /// The public part.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }
}

impl FromStr for Presented {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches(['\r', '\n']); // files end with a newline
        if text.len() > TEXT_BYTES_MAX {
            return Err(NotAToken);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [PREFIX, id, secret, fingerprint] = parts[..] else {
            return Err(NotAToken);
        };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotAToken)?;
        let secret = Secret(bytes.try_into().map_err(|_| NotAToken)?);
        Ok(Self { id: id.parse()?, secret, fingerprint: fingerprint.to_owned() })
    }
}

/// What the hub keeps of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The public part.
    pub id: TokenId,
    /// Of the secret part.
    pub hash: SecretHash,
    /// Which clusters may enrol with it.
    pub cluster: Pattern,
    /// Labels a cluster that enrols with it has for the hub, whatever its agent says.
    pub labels: BTreeMap<String, String>,
    /// Who made it, as the audit log names callers.
    pub created_by: String,
    /// Made by somebody who administers only a part of the fleet.
    pub scoped: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it may still be used.
    pub uses_left: u32,
    /// Taken back before its end.
    pub revoked: bool,
}

/// Why a token does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token has this id, or it belongs to another hub.
    #[error("unknown")]
    Unknown,
    /// The id is known and the secret is wrong.
    #[error("wrong secret")]
    Secret,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// No uses are left.
    #[error("used up")]
    UsedUp,
    /// It was taken back.
    #[error("revoked")]
    Revoked,
    /// It is good, for another cluster.
    #[error("made for another cluster")]
    OtherCluster,
    /// It is older than the revocation of the cluster.
    #[error("made before the cluster was revoked")]
    Outdated,
    /// The cluster is known with other labels, and who made the token may not change them.
    #[error("the cluster is known with other labels")]
    OtherLabels,
}

impl Refusal {
    /// Its name in the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Secret => "token-wrong-secret",
            Self::Expired => "token-expired",
            Self::UsedUp => "token-used-up",
            Self::Revoked => "token-revoked",
            Self::OtherCluster => "token-for-another-cluster",
            Self::Outdated => "token-older-than-revocation",
            Self::OtherLabels => "token-for-other-labels",
        }
    }
}

/// What a new token is to be good for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which clusters may enrol with it.
    pub cluster: Pattern,
    /// Labels such a cluster then has.
    pub labels: BTreeMap<String, String>,
    /// How long from now.
    pub ttl: Duration,
    /// How often.
    pub uses: u32,
    /// Who makes it.
    pub created_by: String,
    /// Whether that is somebody who administers only a part of the fleet.
    pub scoped: bool,
}

/// All tokens of the hub.
#[derive(Debug, Default)]
pub struct Table {
    tokens: BTreeMap<TokenId, Token>,
    /// Of the CAs a token may name.
    fingerprints: Vec<String>,
}

impl Table {
    /// The tokens a store gave back, for the hub whose CAs have these fingerprints.
    #[must_use]
    pub fn restore(tokens: Vec<Token>, fingerprints: Vec<String>) -> Self {
        Self { tokens: tokens.into_iter().map(|token| (token.id.clone(), token)).collect(), fingerprints }
    }

    /// From now on tokens may name these CAs.
    pub fn trust(&mut self, fingerprints: Vec<String>) {
        self.fingerprints = fingerprints;
    }

    /// Adds a token; `None` when the table is full.
    pub fn create(&mut self, presented: &Presented, terms: Terms, now: Timestamp) -> Option<Token> {
        if self.tokens.len() >= TOKENS_MAX || self.tokens.contains_key(&presented.id) {
            return None;
        }
        let token = Token {
            id: presented.id.clone(),
            hash: presented.secret.hash(),
            cluster: terms.cluster,
            labels: terms.labels,
            created_by: terms.created_by,
            scoped: terms.scoped,
            created_at: now,
            expires_at: now.checked_add(terms.ttl).ok()?,
            uses_left: terms.uses,
            revoked: false,
        };
        self.tokens.insert(token.id.clone(), token.clone());
        Some(token)
    }

    /// Whether the token is good now for this cluster, whose certificates were last revoked at `revoked_at`.
    ///
    /// # Errors
    /// The reason, which is for the hub's log: callers learn only [`Refusal::OtherCluster`] and
    /// [`Refusal::Outdated`], and those only with the right secret.
    pub fn check(
        &self,
        presented: &Presented,
        cluster: &ClusterName,
        revoked_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<&Token, Refusal> {
        let token = self.tokens.get(&presented.id).ok_or(Refusal::Unknown)?;
        if !self.fingerprints.contains(&presented.fingerprint) {
            return Err(Refusal::Unknown);
        }
        if !bool::from(token.hash.0.ct_eq(&presented.secret.hash().0)) {
            return Err(Refusal::Secret);
        }
        if token.revoked {
            return Err(Refusal::Revoked);
        }
        if token.expires_at <= now {
            return Err(Refusal::Expired);
        }
        if token.uses_left == 0 {
            return Err(Refusal::UsedUp);
        }
        if !token.cluster.matches(cluster.as_str()) {
            return Err(Refusal::OtherCluster);
        }
        if revoked_at.is_some_and(|revoked_at| token.created_at <= revoked_at) {
            return Err(Refusal::Outdated);
        }
        Ok(token)
    }

    /// Takes one use of the token away and gives what is to be stored before anything is granted for it.
    ///
    /// # Errors
    /// As [`Table::check`].
    pub fn take(
        &mut self,
        presented: &Presented,
        cluster: &ClusterName,
        revoked_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Token, Refusal> {
        self.check(presented, cluster, revoked_at, now)?;
        let token = self.tokens.get_mut(&presented.id).ok_or(Refusal::Unknown)?;
        token.uses_left -= 1; // check refuses a token with none left
        Ok(token.clone())
    }

    /// Takes a token back; `None` when there is none with this id.
    pub fn revoke(&mut self, id: &TokenId) -> Option<Token> {
        let token = self.tokens.get_mut(id)?;
        token.revoked = true;
        Some(token.clone())
    }

    /// Forgets tokens that ended long ago and gives their ids.
    pub fn purge(&mut self, now: Timestamp) -> Vec<TokenId> {
        let ended = |token: &Token| now.duration_since(token.expires_at).unsigned_abs() > KEPT_AFTER_END;
        let gone: Vec<TokenId> = self
            .tokens
            .values()
            .filter(|token| token.expires_at < now && ended(token))
            .map(|token| token.id.clone())
            .collect();
        for id in &gone {
            self.tokens.remove(id);
        }
        gone
    }

    /// Takes in a token as another hub keeps it.
    pub fn learn(&mut self, token: Token) {
        self.tokens.insert(token.id.clone(), token);
    }

    /// Takes in that another hub forgot a token.
    pub fn forget(&mut self, id: &TokenId) {
        self.tokens.remove(id);
    }

    /// Of the CAs that tokens may name.
    #[must_use]
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// The token with this id.
    #[must_use]
    pub fn get(&self, id: &TokenId) -> Option<&Token> {
        self.tokens.get(id)
    }

    /// All tokens, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }
}

#[cfg(test)]
#[path = "tokens/tests.rs"]
mod tests;
