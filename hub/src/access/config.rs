//! How are users and their roles written in `config.yaml`?
//!
//! ```yaml
//! access:                          # who may do what; what is not here is refused
//! - {user: admin, role: admin}
//! - {group: "corp:shop", role: promoter, labels: {env: dev}, apps: [shop-*]}
//! users:                           # users with a token; `muster-hub user-token` makes one
//! - {name: ci, token-sha256: 5f2c..., expires: 2027-01-01T00:00:00Z}
//! oidc:                            # issuers whose ID tokens are taken
//! - {name: corp, issuer: "https://login.example.org", client-id: muster, groups-claim: groups}
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    oidc::Issuer,
    policy::{Binding, Policy, Role, Scope, Subject},
    user::{TokenHash, TokenUser, TokenUsers},
};
use crate::{config::read_limited, hex::unhex, identity::OperatorName, pattern::Pattern};

/// Largest file of certificates looked at, in bytes.
const CA_BYTES_MAX: u64 = 1024 * 1024;

/// One rule of `access`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BindingText {
    user: Option<String>,
    group: Option<String>,
    role: Role,
    #[serde(default)]
    clusters: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    apps: Vec<String>,
    #[serde(default)]
    waves: Vec<String>,
}

/// One of `users`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct UserText {
    name: String,
    token_sha256: String,
    expires: Option<String>,
}

/// One of `revoked`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RevokedText {
    operator: String,
    before: String,
}

/// One of `oidc`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct IssuerText {
    name: String,
    issuer: String,
    client_id: String,
    #[serde(default = "subject")]
    username_claim: String,
    #[serde(default = "groups")]
    groups_claim: String,
    ca: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

/// Who may ask the hub what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Roles.
    pub policy: Policy,
    /// Users with tokens.
    pub users: TokenUsers,
    /// Issuers of ID tokens.
    pub issuers: Vec<Issuer>,
    /// Operators whose certificates from before a time are not taken.
    pub revoked: BTreeMap<String, Timestamp>,
}

impl Access {
    /// Reads the four lists; what is wrong with them goes to `problems`, each with its place in `path`.
    pub(crate) fn read(
        access: Vec<BindingText>,
        users: Vec<UserText>,
        oidc: Vec<IssuerText>,
        revoked: Vec<RevokedText>,
        path: &str,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut read = Self::default();
        let mut told = |list: &str, index: usize, problem: String| {
            problems.push(format!("{path}: {list}[{index}]: {problem}"));
        };
        let mut places = Vec::new();
        for (index, text) in access.into_iter().enumerate() {
            match binding(text) {
                Ok(binding) => {
                    read.policy.bindings.push(binding);
                    places.push(index);
                }
                Err(problem) => told("access", index, problem),
            }
        }
        for (index, text) in users.into_iter().enumerate() {
            match user(text) {
                Ok((hash, user)) => {
                    if read.users.insert(hash, user).is_some() {
                        told("users", index, "another user has the same token-sha256".to_owned());
                    }
                }
                Err(problem) => told("users", index, problem),
            }
        }
        let mut names = BTreeSet::new();
        let mut urls = BTreeSet::new();
        for (index, text) in oidc.into_iter().enumerate() {
            let (name, url) = (text.name.clone(), text.issuer.clone());
            match issuer(text) {
                Ok(_) if !names.insert(name) | !urls.insert(url) => {
                    told("oidc", index, "another issuer has the same name or issuer".to_owned());
                }
                Ok(issuer) => read.issuers.push(issuer),
                Err(problem) => told("oidc", index, problem),
            }
        }
        for (index, text) in revoked.into_iter().enumerate() {
            match revocation(&text) {
                // Of several the last time counts.
                Ok((name, before)) => {
                    let known = read.revoked.entry(name).or_insert(before);
                    *known = before.max(*known);
                }
                Err(problem) => told("revoked", index, problem),
            }
        }
        for (index, binding) in places.into_iter().zip(&read.policy.bindings) {
            let (Subject::User(name) | Subject::Group(name)) = &binding.subject;
            let unknown =
                name.split_once(':').map(|(issuer, _)| issuer).filter(|issuer| !names.contains(*issuer));
            if let Some(issuer) = unknown {
                told(
                    "access",
                    index,
                    format!("{name:?} is of an issuer {issuer:?}, and oidc has none of this name"),
                );
            }
        }
        read
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, String> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: crate::pattern::NotAPattern| error.to_string()))
        .collect()
}

fn binding(text: BindingText) -> Result<Binding, String> {
    let subject = match (text.user, text.group) {
        (Some(user), None) if !user.is_empty() => Subject::User(user),
        (None, Some(group)) if group.contains(':') => Subject::Group(group),
        (None, Some(group)) => {
            return Err(format!(
                "group {group:?} must begin with the name of its issuer in oidc and a colon"
            ));
        }
        _ => return Err("it must have either user or group".to_owned()),
    };
    if !text.waves.is_empty() && text.role != Role::Promoter {
        return Err("waves limit what is decided, so they go with the role promoter alone".to_owned());
    }
    let scope = Scope {
        clusters: patterns(&text.clusters)?,
        labels: text.labels,
        apps: patterns(&text.apps)?,
        waves: patterns(&text.waves)?,
    };
    Ok(Binding { subject, role: text.role, scope })
}

fn user(text: UserText) -> Result<(TokenHash, TokenUser), String> {
    let name: OperatorName =
        text.name.parse().map_err(|error: crate::identity::IdentityError| error.to_string())?;
    let hash = unhex(&text.token_sha256)
        .and_then(|bytes| TokenHash::try_from(bytes).ok())
        .ok_or("token-sha256 must be 64 hexadecimal digits, as `muster-hub user-token` prints them")?;
    let expires_at = match text.expires {
        None => None,
        Some(time) => Some(
            time.parse::<Timestamp>()
                .map_err(|_| format!("expires: {time:?} is not a time such as 2027-01-31T00:00:00Z"))?,
        ),
    };
    Ok((hash, TokenUser { name: name.to_string(), expires_at }))
}

fn revocation(text: &RevokedText) -> Result<(String, Timestamp), String> {
    let name: OperatorName =
        text.operator.parse().map_err(|error: crate::identity::IdentityError| error.to_string())?;
    let before = text
        .before
        .parse()
        .map_err(|_| format!("before: {:?} is not a time such as 2027-01-31T00:00:00Z", text.before))?;
    Ok((name.to_string(), before))
}

fn issuer(text: IssuerText) -> Result<Issuer, String> {
    let plain = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !plain(&text.name) {
        return Err(format!("name {:?} must be lower-case letters, digits and '-'", text.name));
    }
    let url: http::Uri = text.issuer.parse().map_err(|_| format!("issuer {:?} is not a URL", text.issuer))?;
    if url.scheme_str() != Some("https") || url.host().is_none_or(str::is_empty) || url.query().is_some() {
        return Err(format!("issuer {:?} must be https://HOST without a query", text.issuer));
    }
    if text.client_id.is_empty() {
        return Err("client-id must not be empty: tokens made for anybody would be taken".to_owned());
    }
    let ca = match text.ca {
        None => None,
        Some(path) => {
            let read = read_limited(&path, CA_BYTES_MAX);
            Some(read.map_err(|error| format!("ca {} cannot be read: {error}", path.display()))?)
        }
    };
    Ok(Issuer {
        name: text.name,
        url: text.issuer,
        client_id: text.client_id,
        username_claim: text.username_claim,
        groups_claim: text.groups_claim,
        ca,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::hex;

    #[derive(Deserialize)]
    struct Lists {
        #[serde(default)]
        access: Vec<BindingText>,
        #[serde(default)]
        users: Vec<UserText>,
        #[serde(default)]
        oidc: Vec<IssuerText>,
        #[serde(default)]
        revoked: Vec<RevokedText>,
    }

    fn read(yaml: &str) -> (Access, Vec<String>) {
        let lists: Lists = serde_yaml::from_str(yaml).unwrap();
        let mut problems = Vec::new();
        let access =
            Access::read(lists.access, lists.users, lists.oidc, lists.revoked, "config.yaml", &mut problems);
        (access, problems)
    }

    #[test]
    fn lists_are_read() {
        let hash = hex(&[7; 32]);
        let (access, problems) = read(&format!(
            "access:\n- {{user: admin, role: admin}}\n\
             - {{group: 'corp:shop', role: promoter, clusters: ['edge-*'], labels: {{env: dev}}, apps: [shop], waves: [dev]}}\n\
             users:\n- {{name: ci, token-sha256: {hash}, expires: 2027-01-01T00:00:00Z}}\n\
             oidc:\n- {{name: corp, issuer: 'https://login.test/realm', client-id: muster}}\n"
        ));
        assert_eq!(problems, [""; 0]);
        assert_eq!(access.policy.bindings.len(), 2);
        assert_eq!(access.policy.bindings[1].scope.clusters[0].to_string(), "edge-*");
        assert_eq!(access.users[&[7; 32]].name, "ci");
        assert_eq!((access.issuers[0].username_claim.as_str(), access.issuers[0].ca.as_ref()), ("sub", None));
    }

    #[test]
    fn everything_wrong_is_told_with_its_place() {
        let (hash, short) = (hex(&[7; 32]), hex(&[7; 31]));
        let (_, problems) = read(&format!(
            "access:\n- {{role: admin}}\n- {{user: a, group: 'a:b', role: admin}}\n- {{group: shop, role: viewer}}\n\
             - {{user: a, role: viewer, apps: ['Shop']}}\n- {{user: 'x:ada', role: viewer}}\n\
             - {{user: a, role: viewer, waves: [prod]}}\n\
             users:\n- {{name: 'a b', token-sha256: {hash}}}\n- {{name: a, token-sha256: {short}}}\n\
             - {{name: a, token-sha256: {hash}, expires: soon}}\n\
             - {{name: a, token-sha256: {hash}}}\n- {{name: b, token-sha256: {hash}}}\n\
             oidc:\n- {{name: Corp, issuer: 'https://a', client-id: m}}\n- {{name: a, issuer: 'http://a', client-id: m}}\n\
             - {{name: a, issuer: 'https://a', client-id: ''}}\n- {{name: a, issuer: 'https://a', client-id: m}}\n\
             - {{name: b, issuer: 'https://a', client-id: m}}\n\
             - {{name: c, issuer: 'https://c', client-id: m, ca: /no/such/file}}\n"
        ));
        let parts = [
            "config.yaml: access[0]: it must have either user or group",
            "access[1]: it must have either",
            "access[2]: group \"shop\" must begin with",
            "access[3]: \"Shop\" is neither",
            "access[4]: \"x:ada\" is of an issuer \"x\"",
            "access[5]: waves limit what is decided",
            "users[0]: \"a b\" is not",
            "users[1]: token-sha256 must be 64",
            "users[2]: expires: \"soon\"",
            "users[4]: another user",
            "oidc[0]: name \"Corp\"",
            "oidc[1]: issuer \"http://a\" must be https",
            "oidc[2]: client-id",
            "oidc[4]: another issuer",
            "oidc[5]: ca /no/such/file",
        ];
        for part in parts {
            assert!(
                problems.iter().any(|problem| problem.contains(part)),
                "{part} is missing in {problems:#?}"
            );
        }
        assert_eq!(problems.len(), parts.len(), "{problems:#?}");
    }
}
