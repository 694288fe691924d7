//! Has the Git server news? It says so itself, by a webhook, so that nobody waits for the next look.
//!
//! GitHub, Gitea and Forgejo sign what they send (`X-Hub-Signature-256`, HMAC-SHA256 of the body, also as
//! `X-Gitea-Signature`); GitLab sends the secret (`X-Gitlab-Token`). Nothing of the content is used: the hub looks for
//! itself, so a forged or repeated request could at worst make it look.

use std::{path::PathBuf, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use ring::hmac;
use tokio::sync::Notify;

use super::{Web, answer::Refusal};
use crate::{config::read_limited, hex::unhex};

/// Largest content that is read, in bytes. GitHub sends up to 25 MB for pushes of thousands of commits; those wait for
/// the next look.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest file with a secret, in bytes; and the shortest secret.
const SECRET_BYTES_MAX: u64 = 4 * 1024;
const SECRET_BYTES_MIN: usize = 16;

/// How a Git server is known, and who is told of its news.
#[derive(Clone)]
pub(crate) struct Hook {
    /// File with the secret that the server has as well; read again for each request.
    pub(crate) secret: PathBuf,
    /// Told of news.
    pub(crate) news: Arc<Notify>,
}

/// `POST /hooks/git`.
pub(super) async fn git(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let hook = web.hook.as_ref().ok_or_else(|| {
        Refusal::unknown("no webhook is taken here: set `repository.webhook-secret-file` of the hub")
    })?;
    let secret = read_limited(&hook.secret, SECRET_BYTES_MAX).map_err(|error| {
        tracing::error!("the secret of the Git webhook, {}, cannot be read: {error}", hook.secret.display());
        Refusal::internal("the secret of the webhook cannot be read")
    })?;
    let secret = secret.trim().as_bytes();
    if secret.len() < SECRET_BYTES_MIN {
        tracing::error!("the secret of the Git webhook, {}, is shorter than 16 bytes", hook.secret.display());
        return Err(Refusal::internal("the secret of the webhook cannot be used"));
    }
    if !is_genuine(&headers, &body, secret) {
        return Err(Refusal::unauthenticated("the request is not signed with the secret of the webhook"));
    }
    hook.news.notify_one();
    Ok(StatusCode::ACCEPTED)
}

/// Whether whoever sent this knows the secret.
fn is_genuine(headers: &HeaderMap, body: &[u8], secret: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    if let Some(token) = header("x-gitlab-token") {
        // Compared by way of a tag, which takes as long whatever is wrong with it.
        return hmac::verify(&key, secret, hmac::sign(&key, token.as_bytes()).as_ref()).is_ok();
    }
    let github = header("x-hub-signature-256").and_then(|value| value.strip_prefix("sha256="));
    let signature = github.or_else(|| header("x-gitea-signature")).and_then(unhex);
    signature.is_some_and(|signature| hmac::verify(&key, body, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genuine(name: &'static str, value: &str, body: &str) -> bool {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        is_genuine(&headers, body.as_bytes(), b"It's a Secret to Everybody")
    }

    #[test]
    fn servers_are_known_by_their_signature_or_secret() {
        // The example of GitHub's own documentation.
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let github = format!("sha256={signature}");
        assert!(genuine("x-hub-signature-256", &github, "Hello, World!"));
        assert!(genuine("x-gitea-signature", signature, "Hello, World!"));
        assert!(genuine("x-gitlab-token", "It's a Secret to Everybody", "anything"));
        for (name, value, body) in [
            ("x-hub-signature-256", github.as_str(), "Hello, World"),
            ("x-hub-signature-256", signature, "Hello, World!"),
            ("x-hub-signature-256", "sha256=", "Hello, World!"),
            ("x-hub-signature-256", "sha256=zz", "Hello, World!"),
            ("x-gitea-signature", &signature[..62], "Hello, World!"),
            ("x-gitlab-token", "It's a secret to everybody", "anything"),
            ("x-gitlab-token", "", "anything"),
            ("x-other", &github, "Hello, World!"),
        ] {
            assert!(!genuine(name, value, body), "{name}: {value}");
        }
    }
}
