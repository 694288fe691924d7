//! How does a person get an ID token, and the next one? By the device flow: they confirm a code in a browser, which may be on
//! another machine (RFC 8628, with the discovery of OpenID Connect).

use std::path::Path;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::{Certificate, Client};
use serde::Deserialize;

use crate::config::Oidc;

/// Longest answer of an issuer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Time for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Between two questions, unless the issuer says otherwise (RFC 8628, 3.2), and how much longer when it is asked too often.
const INTERVAL: u64 = 5;
const SLOWER: Duration = Duration::from_secs(5);
/// A token that ends so soon is not shown any more.
const NEARLY_OVER: i64 = 30;
/// What is asked for.
const SCOPES: &str = "openid profile email groups offline_access";

/// What an issuer gave.
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Device {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default = "interval")]
    interval: u64,
}

fn interval() -> u64 {
    INTERVAL
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<String>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What an answer to a question for tokens means.
enum Given {
    Tokens(Tokens),
    NotYet,
    TooOften,
}

/// Lets a person confirm in a browser, and waits for it. `tell` says where and which code.
///
/// # Errors
/// A sentence, never with a token.
pub(crate) async fn device(oidc: &Oidc, tell: impl Fn(&str)) -> Result<Tokens, String> {
    let client = client(oidc.ca_file.as_deref())?;
    let found = discover(&client, &oidc.issuer).await?;
    let endpoint = found.device_authorization_endpoint.ok_or("the issuer has no device flow")?;
    let asked = form(&[("client_id", &oidc.client_id), ("scope", SCOPES)]);
    let bytes = post(&client, &endpoint, asked).await?;
    let device: Device = serde_json::from_slice(&bytes).map_err(|_| refusal(&bytes))?;
    let address = device.verification_uri_complete.as_deref().unwrap_or(&device.verification_uri);
    tell(&format!("Open {address} and confirm the code {}", device.user_code));
    let ends = tokio::time::Instant::now() + Duration::from_secs(device.expires_in);
    let mut wait = Duration::from_secs(device.interval.max(1));
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    loop {
        tokio::time::sleep(wait).await;
        if tokio::time::Instant::now() > ends {
            return Err("the code is not good any more; try again".to_owned());
        }
        let asked = form(&[
            ("grant_type", grant),
            ("device_code", &device.device_code),
            ("client_id", &oidc.client_id),
        ]);
        match given(&post(&client, &found.token_endpoint, asked).await?)? {
            Given::Tokens(tokens) => return Ok(tokens),
            Given::NotYet => {}
            Given::TooOften => wait += SLOWER,
        }
    }
}

/// The next token; `None` where there is nothing to have it for.
///
/// # Errors
/// A sentence, never with a token.
pub(crate) async fn refresh(oidc: &Oidc) -> Result<Option<Tokens>, String> {
    let Some(refresh_token) = &oidc.refresh_token else { return Ok(None) };
    let client = client(oidc.ca_file.as_deref())?;
    let found = discover(&client, &oidc.issuer).await?;
    let asked = form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("client_id", &oidc.client_id),
    ]);
    match given(&post(&client, &found.token_endpoint, asked).await?)? {
        Given::Tokens(tokens) => Ok(Some(tokens)),
        Given::NotYet | Given::TooOften => Err("the issuer gives no new token".to_owned()),
    }
}

/// Whether an ID token is over, or nearly. One that cannot be read is left to the hub to judge.
pub(crate) fn is_over(id_token: &str, now: Timestamp) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = id_token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    claims.is_some_and(|claims| claims.exp <= now.as_second() + NEARLY_OVER)
}

fn client(ca: Option<&Path>) -> Result<Client, String> {
    // Another part of the program may have chosen a provider already; then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER_MAX);
    if let Some(file) = ca {
        let unusable = |why: String| format!("{}: {why}", file.display());
        let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| error.to_string())
}

async fn discover(client: &Client, issuer: &str) -> Result<Discovery, String> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    check(&address)?;
    let bytes = read(client.get(&address), &address).await?;
    let found: Discovery = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{address} is no description of an issuer: {error}"))?;
    if found.issuer != issuer {
        return Err(format!("{address} is of the issuer {}, not of {issuer}", found.issuer));
    }
    Ok(found)
}

async fn post(client: &Client, address: &str, body: String) -> Result<Vec<u8>, String> {
    check(address)?;
    let kind = "application/x-www-form-urlencoded";
    read(client.post(address).header("content-type", kind).body(body), address).await
}

/// Nothing secret goes to anybody without TLS.
fn check(address: &str) -> Result<(), String> {
    if address.starts_with("https://") { Ok(()) } else { Err(format!("{address} is not https")) }
}

async fn read(request: reqwest::RequestBuilder, address: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{address} does not answer: {}", error.without_url());
    let mut response = request.send().await.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(format!("{address} answers with more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

fn given(bytes: &[u8]) -> Result<Given, String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| refusal(bytes))?;
    match (answer.id_token, answer.error.as_deref()) {
        (Some(id_token), None) => Ok(Given::Tokens(Tokens { id_token, refresh_token: answer.refresh_token })),
        (_, Some("authorization_pending")) => Ok(Given::NotYet),
        (_, Some("slow_down")) => Ok(Given::TooOften),
        (_, Some("access_denied")) => Err("it was denied".to_owned()),
        (_, Some("expired_token")) => Err("the code is not good any more; try again".to_owned()),
        (None, None) => Err("the issuer gives no ID token; is the scope openid allowed?".to_owned()),
        (_, Some(_)) => Err(refusal(bytes)),
    }
}

/// What an issuer says when it refuses, without anything else of its answer.
fn refusal(bytes: &[u8]) -> String {
    let answer = serde_json::from_slice::<Answer>(bytes).ok();
    let said = answer.and_then(|answer| answer.error_description.or(answer.error));
    format!("the issuer refuses: {}", said.unwrap_or_else(|| "it gives no reason".to_owned()))
}

/// Fields as a form has them.
fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_hold_any_text() {
        assert_eq!(form(&[("a", "b c&d=é"), ("e", "x-._~")]), "a=b%20c%26d%3D%C3%A9&e=x-._~");
    }

    #[test]
    fn answers_are_told_apart() {
        let is = |text: &str| match given(text.as_bytes()) {
            Ok(Given::Tokens(tokens)) => format!("{} {:?}", tokens.id_token, tokens.refresh_token),
            Ok(Given::NotYet) => "not yet".to_owned(),
            Ok(Given::TooOften) => "too often".to_owned(),
            Err(why) => why,
        };
        assert_eq!(is(r#"{"id_token": "a", "refresh_token": "b", "token_type": "x"}"#), "a Some(\"b\")");
        assert_eq!(is(r#"{"error": "authorization_pending"}"#), "not yet");
        assert_eq!(is(r#"{"error": "slow_down"}"#), "too often");
        assert!(is(r#"{"access_token": "secret"}"#).contains("no ID token"));
        let refused = is(r#"{"error": "invalid_client", "error_description": "no such client"}"#);
        assert_eq!(refused, "the issuer refuses: no such client");
        assert_eq!(is("<html>secret</html>"), "the issuer refuses: it gives no reason");
    }

    #[test]
    fn a_token_is_over_a_little_before_its_end() {
        let token = |claims: &str| format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(is_over(&token(r#"{"exp": 1000}"#), now) && is_over(&token(r#"{"exp": 1029}"#), now));
        assert!(!is_over(&token(r#"{"exp": 1031}"#), now));
        assert!(!is_over("muster-user.ci.x", now) && !is_over("", now));
    }
}
