//! What did the API server's refusal mean, and is it worth asking again?
use std::time::Duration;

use http::{HeaderMap, header};
use serde::Deserialize;

use crate::shorten::shorten;

/// Longest message taken over from the server.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// Why a request failed. Texts are sentences that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The object, its namespace or its kind is not there. `kind` is the plural the server names.
    #[error("{message}")]
    NotFound { kind: String, message: String },
    /// The history asked for is gone: list again.
    #[error("The API server no longer has that version.")]
    Gone,
    /// Somebody else wrote in between, or it exists already: read again.
    #[error("{0}")]
    Conflict(String),
    /// The server will not take it as it is; asking again is of use only after a change.
    #[error("The API server rejected it ({code}): {message}")]
    Rejected { code: u16, message: String },
    /// Too many requests, or an overloaded server: wait, then ask again.
    #[error("The API server is overloaded ({code}): {message}")]
    Overloaded { code: u16, message: String, retry_after: Option<Duration> },
    /// No connection, or it broke: ask again. A write may have happened.
    #[error("The API server cannot be reached: {0}.")]
    Unreachable(String),
    /// No answer in time: ask again. A write may have happened.
    #[error("The API server did not answer in time.")]
    Timeout,
    /// An answer that makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// This agent does not lead (any more): nothing was sent.
    #[error("This agent does not lead, so nothing was written.")]
    NotLeading,
}

impl ApiError {
    /// Whether the same request may succeed by itself a little later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            ApiError::Conflict(_)
                | ApiError::Overloaded { .. }
                | ApiError::Unreachable(_)
                | ApiError::Timeout
        )
    }

    /// How long the server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn from_client(error: &kube::Error) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        ApiError::Unreachable(shorten(text, MESSAGE_BYTES_MAX))
    }

    pub(super) fn from_refusal(code: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            message: String,
            details: Option<Details>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Details {
            kind: String,
            retry_after_seconds: u64,
        }
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let details = status.details.unwrap_or_default();
        let message = match status.message.as_str() {
            "" => shorten(String::from_utf8_lossy(body).trim().to_owned(), MESSAGE_BYTES_MAX),
            message => shorten(message.to_owned(), MESSAGE_BYTES_MAX),
        };
        let header = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let seconds = header.unwrap_or(details.retry_after_seconds);
        // A minute is more than any server asks for; a wrong value must not stop the agent.
        let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.min(60)));
        // What an object with a value of the wrong type gets, as if the server were at fault.
        let does_not_fit = code == 500 && message.starts_with("failed to create typed patch object");
        match code {
            500 if does_not_fit => ApiError::Rejected { code, message },
            404 => ApiError::NotFound { kind: details.kind, message },
            409 => ApiError::Conflict(message),
            410 => ApiError::Gone,
            429 | 500..=599 => ApiError::Overloaded { code, message, retry_after },
            _ => ApiError::Rejected { code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_code() {
        let none = HeaderMap::new();
        let status = br#"{"message":"namespaces \"a\" not found","details":{"kind":"namespaces"}}"#;
        assert!(matches!(ApiError::from_refusal(404, &none, status),
            ApiError::NotFound { kind, .. } if kind == "namespaces"));
        assert!(ApiError::from_refusal(409, &none, b"{}").is_transient());
        assert!(ApiError::from_refusal(503, &none, b"not json").is_transient());
        assert!(!ApiError::from_refusal(422, &none, b"{}").is_transient());
        assert_eq!(ApiError::from_refusal(410, &none, b""), ApiError::Gone);
        assert!(ApiError::from_refusal(500, &none, b"etcdserver: no leader").is_transient());
        let untyped = br#"{"message":"failed to create typed patch object (a/b; v1, Kind=ConfigMap): ..."}"#;
        assert!(!ApiError::from_refusal(500, &none, untyped).is_transient(), "asking again is of no use");
    }

    #[test]
    fn the_wait_asked_for_is_kept_to_and_bounded() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "3".parse().unwrap());
        assert_eq!(ApiError::from_refusal(429, &headers, b"").retry_after(), Some(Duration::from_secs(3)));
        headers.insert(header::RETRY_AFTER, "86400".parse().unwrap());
        assert_eq!(ApiError::from_refusal(429, &headers, b"").retry_after(), Some(Duration::from_secs(60)));
        let body = br#"{"details":{"retryAfterSeconds":2}}"#;
        let error = ApiError::from_refusal(500, &HeaderMap::new(), body);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    }
}
