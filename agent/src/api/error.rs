//! What did the API server's refusal mean, and is it worth asking again?
use std::time::Duration;

use http::{HeaderMap, header};
use serde::Deserialize;

use crate::shorten::shorten;

/// Longest message taken over from the server.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// Most fields of one manager that are all named.
const FIELDS_MAX: usize = 10;

/// A field that another manager holds, with another value than ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FieldConflict {
    /// The other field manager, as `managedFields` name it.
    pub(crate) manager: String,
    /// Such as `.spec.replicas`.
    pub(crate) field: String,
}

/// One reason why an object is not valid, as the server gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Cause {
    /// Such as `FieldValueInvalid`.
    pub(crate) reason: String,
    /// Such as `spec.selector`.
    pub(crate) field: String,
    pub(crate) message: String,
}

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
    /// Others hold fields that this apply sets to something else.
    #[error("{}", conflicts_sentence(.0))]
    Held(Vec<FieldConflict>),
    /// The object is not valid, or may not become what it would be (422).
    #[error("The API server rejected it (422): {message}")]
    Invalid { message: String, causes: Vec<Cause> },
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
            causes: Vec<Cause>,
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
            409 => match field_conflicts(&details.causes) {
                conflicts if conflicts.is_empty() => ApiError::Conflict(message),
                conflicts => ApiError::Held(conflicts),
            },
            422 => ApiError::Invalid { message, causes: details.causes },
            410 => ApiError::Gone,
            429 | 500..=599 => ApiError::Overloaded { code, message, retry_after },
            _ => ApiError::Rejected { code, message },
        }
    }
}

/// The conflicts of a server-side apply. Reason and message are those of
/// k8s.io/apimachinery, `StatusReasonConflict` with `CauseTypeFieldManagerConflict`:
/// `conflict with "NAME" with subresource "scale" using apps/v1 at TIME`.
fn field_conflicts(causes: &[Cause]) -> Vec<FieldConflict> {
    causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| FieldConflict { manager: quoted(&cause.message), field: cause.field.clone() })
        .collect()
}

/// The first quoted text of a sentence, as Go quotes; all of it when nothing is quoted.
fn quoted(text: &str) -> String {
    let Some(start) = text.find('"') else { return text.to_owned() };
    let mut names = serde_json::Deserializer::from_str(&text[start..]).into_iter::<String>();
    match names.next() {
        Some(Ok(name)) => name,
        _ => text[start..].split('"').nth(1).unwrap_or_default().to_owned(),
    }
}

/// Who holds what, in one sentence.
fn conflicts_sentence(conflicts: &[FieldConflict]) -> String {
    let mut held: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for conflict in conflicts {
        held.entry(&conflict.manager).or_default().push(&conflict.field);
    }
    let held: Vec<_> = held
        .into_iter()
        .map(|(manager, fields)| match fields.as_slice() {
            [.., last] if fields.len() > FIELDS_MAX => {
                format!("{manager} holds {} fields, from {} to {last}", fields.len(), fields[0])
            }
            fields => format!("{manager} holds {}", fields.join(", ")),
        })
        .collect();
    shorten(format!("{}.", held.join("; ")), MESSAGE_BYTES_MAX)
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
    fn a_conflict_over_fields_names_the_managers() {
        let status =
            br#"{"message": "Apply failed with 2 conflicts", "reason": "Conflict", "details": {"causes": [
            {"reason": "FieldManagerConflict", "field": ".spec.replicas",
             "message": "conflict with \"kube-controller-manager\" with subresource \"scale\" using apps/v1"},
            {"reason": "FieldManagerConflict", "field": ".spec.paused",
             "message": "conflict with \"by \\\"hand\\\"\" using apps/v1 at 2026-01-01T00:00:00Z"}]}}"#;
        let error = ApiError::from_refusal(409, &HeaderMap::new(), status);
        let held =
            |manager: &str, field: &str| FieldConflict { manager: manager.into(), field: field.into() };
        let expected =
            [held("kube-controller-manager", ".spec.replicas"), held("by \"hand\"", ".spec.paused")];
        assert_eq!(error, ApiError::Held(expected.into()));
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            "by \"hand\" holds .spec.paused; kube-controller-manager holds .spec.replicas."
        );
    }

    #[test]
    fn an_invalid_object_says_which_fields() {
        let status = br#"{"message": "Deployment.apps \"web\" is invalid: spec.selector: field is immutable",
            "reason": "Invalid", "details": {"causes": [
                {"reason": "FieldValueInvalid", "message": "field is immutable", "field": "spec.selector"}]}}"#;
        let ApiError::Invalid { causes, .. } = ApiError::from_refusal(422, &HeaderMap::new(), status) else {
            panic!("not invalid");
        };
        assert_eq!(
            (causes[0].field.as_str(), causes[0].reason.as_str()),
            ("spec.selector", "FieldValueInvalid")
        );
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
