//! With which keys does an issuer sign? (OpenID Connect Discovery 1.0, RFC 7517)
//!
//! They are fetched when the first token comes, kept, and fetched again when they are old or a token names a key
//! that is not among them, but never more often than [`PAUSE`], whatever callers send.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::jwk::JwkSet;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use super::Issuer;

/// How long keys are used before they are looked at again.
const FRESH: Duration = Duration::from_secs(3600);
/// How long keys are used when the issuer cannot be asked.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Least time between two questions to an issuer.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Keys of one issuer looked at.
const KEYS_MAX: usize = 100;

/// The keys of all issuers.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    issuers: Mutex<HashMap<String, Arc<Mutex<Held>>>>,
}

/// The keys of one issuer. Whoever needs them waits while somebody fetches them.
#[derive(Debug, Default)]
struct Held {
    keys: Option<(Arc<JwkSet>, Instant)>,
    asked_at: Option<Instant>,
    problem: String,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    /// The issuer's keys. `unsatisfied` says that those given before do not do.
    ///
    /// # Errors
    /// Why there are none, for people.
    pub(crate) async fn of(
        &self,
        issuer: &Issuer,
        unsatisfied: Option<&Arc<JwkSet>>,
    ) -> Result<Arc<JwkSet>, String> {
        let held = {
            let mut issuers = self.issuers.lock().await;
            let key = format!("{}\n{}", issuer.url, issuer.ca.as_deref().unwrap_or_default());
            Arc::clone(issuers.entry(key).or_default())
        };
        let mut held = held.lock().await;
        let now = Instant::now();
        let good = held.keys.as_ref().filter(|(keys, fetched_at)| {
            now.duration_since(*fetched_at) < FRESH
                && unsatisfied.is_none_or(|before| !Arc::ptr_eq(before, keys))
        });
        if let Some((keys, _)) = good {
            return Ok(Arc::clone(keys));
        }
        if held.asked_at.is_none_or(|asked_at| now.duration_since(asked_at) >= PAUSE) {
            held.asked_at = Some(now);
            match tokio::time::timeout(PATIENCE * 2, fetch(issuer)).await {
                Ok(Ok(keys)) => held.keys = Some((Arc::new(keys), now)),
                Ok(Err(problem)) => held.problem = problem,
                Err(_) => held.problem = "it did not answer in time".to_owned(),
            }
        }
        match &held.keys {
            Some((keys, fetched_at)) if now.duration_since(*fetched_at) < KEPT => Ok(Arc::clone(keys)),
            _ => Err(held.problem.clone()),
        }
    }
}

async fn fetch(issuer: &Issuer) -> Result<JwkSet, String> {
    let mut builder =
        crate::tls::http_client().https_only(true).timeout(PATIENCE).pool_max_idle_per_host(0).referer(false);
    if let Some(ca) = &issuer.ca {
        let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).map_err(chain)?;
        builder = builder.tls_certs_only(certificates);
    }
    let client = builder.build().map_err(chain)?;
    let url = format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
    let discovery: Discovery = get(&client, &url).await?;
    if discovery.issuer != issuer.url {
        return Err(format!("{url} is of issuer {:?}", discovery.issuer));
    }
    let mut keys: JwkSet = get(&client, &discovery.jwks_uri).await?;
    keys.keys.truncate(KEYS_MAX);
    Ok(keys)
}

async fn get<T: DeserializeOwned>(client: &reqwest::Client, url: &str) -> Result<T, String> {
    let mut response = client.get(url).send().await.map_err(chain)?;
    if !response.status().is_success() {
        return Err(format!("{url} answers {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(chain)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("{url} answers with more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| format!("{url} answers with something else: {error}"))
}

/// All that is known of an error, outermost first.
#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn chain(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
