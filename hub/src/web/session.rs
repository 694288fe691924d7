//! How does a browser stay logged in?
//!
//! By a cookie with the user's token, which no script can read and no other site can have sent (`HttpOnly`,
//! `SameSite=Strict`, `__Host-` over TLS). Besides, a request with the cookie must come from a page of the hub, and
//! one that does something must have a body of JSON, which no form of another site can send unasked.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;

use super::answer::Refusal;

/// Names of the cookie, with TLS and without.
const SECURE_NAME: &str = "__Host-muster";
const PLAIN_NAME: &str = "muster";
/// Longest token taken, in bytes: an ID token with many groups.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

fn name(is_secure: bool) -> &'static str {
    if is_secure { SECURE_NAME } else { PLAIN_NAME }
}

/// The token in the cookie.
pub(super) fn token(is_secure: bool, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(found, _)| *found == name(is_secure))
        .map(|(_, token)| token.to_owned())
}

/// The cookie of a token. It goes with the browser.
pub(super) fn cookie(is_secure: bool, token: &str) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}", name(is_secure))
}

/// What takes the cookie away.
pub(super) fn no_cookie(is_secure: bool) -> String {
    format!("{}; Max-Age=0", cookie(is_secure, ""))
}

/// The token in the body of a login.
pub(super) fn token_in(body: &Bytes) -> Result<String, Refusal> {
    #[derive(serde::Deserialize)]
    struct Login {
        token: String,
    }
    // Without the error's words, which could hold some of the token.
    let login: Login = serde_json::from_slice(body)
        .map_err(|_| Refusal::invalid("send {\"token\": \"...\"}, a user token or an ID token"))?;
    let token = login.token.trim();
    let is_token =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_token(token) {
        return Err(Refusal::unauthenticated("this is no token; `muster-hub user-token` makes one"));
    }
    Ok(token.to_owned())
}

/// The header with which the services know the user.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, Refusal> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| Refusal::unauthenticated("the cookie holds no token; log in again"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Refuses what another site made a browser send. Browsers say where a request comes from.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
        }
        // Old browsers send no origin with what only reads, and curl never does.
        (None, None, _) => true,
        (None, Some(_), None) => false,
    };
    if is_ours { Ok(()) } else { Err(Refusal::forbidden("the request comes from another site")) }
}

/// Refuses what a form of another site could send.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::invalid("send JSON, with the header `Content-Type: application/json`"))
}
