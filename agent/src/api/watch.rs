//! What is a watch asked for, and what does each of its lines say?
//!
//! Bodies stay text: who reads the lines often needs no more than an object's name and version.
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Api, ApiError, Lines, Verb, collection_path, escape};
use crate::object::Resource;

/// What a watch is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchRequest<'a> {
    pub(crate) resource: &'a Resource,
    /// One namespace, or all when empty.
    pub(crate) namespace: &'a str,
    pub(crate) of: Of<'a>,
    pub(crate) from: From<'a>,
    /// When the server is to end the watch.
    pub(crate) seconds: u64,
}

/// Which objects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// Those that carry a label.
    Label(&'a str),
    /// The one with that name.
    Name(&'a str),
}

/// What comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From<'a> {
    /// What happens after that version.
    Version(&'a str),
    /// Each object there is, a bookmark marked as the end of them, then what happens: a list without
    /// pages, at the cost of one request (KEP-3157). Servers that cannot do it refuse with 422.
    Everything,
}

impl Api {
    /// Opens a watch.
    pub(crate) async fn watch(&self, request: &WatchRequest<'_>) -> Result<Lines, ApiError> {
        let response = self.send(Verb::Watch, &request.path(), "", Vec::new()).await?;
        Ok(Lines::new(response.into_body()))
    }
}

impl WatchRequest<'_> {
    fn path(&self) -> String {
        let collection = collection_path(self.resource, self.namespace);
        let selector = match self.of {
            Of::Label(label) => format!("labelSelector={}", escape(label)),
            Of::Name(name) => format!("fieldSelector=metadata.name%3D{}", escape(name)),
        };
        let from = match self.from {
            From::Version(version) => format!("resourceVersion={}", escape(version)),
            From::Everything => "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let seconds = self.seconds;
        format!("{collection}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&{selector}&{from}")
    }
}

/// One line of a watch.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    /// Nothing: servers send empty lines to keep connections open.
    Empty,
    /// An object was added or changed, or is there already.
    Exists(&'a RawValue),
    /// An object is gone, or is selected no more. The version is that of the change.
    Gone(&'a RawValue),
    /// Nothing has happened up to a version.
    Bookmark {
        version: Cow<'a, str>,
        /// All objects that there are have been sent.
        initial_end: bool,
    },
    /// The history is gone: everything has to be asked for again.
    Expired,
    /// The server gives up.
    Error(ApiError),
}

/// Reads one line.
///
/// # Errors
/// It is not what a watch sends.
pub(crate) fn read_line(line: &[u8]) -> Result<Line<'_>, ApiError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(Line::Empty);
    }
    // The error's text gives a position, never content, so no Secret can slip into it.
    let malformed = |error| ApiError::Malformed(format!("A watch event is not the JSON expected: {error}."));
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(malformed)?;
    match raw.r#type {
        "ADDED" | "MODIFIED" => Ok(Line::Exists(raw.object)),
        "DELETED" => Ok(Line::Gone(raw.object)),
        "BOOKMARK" => bookmark(raw.object).map_err(malformed),
        _ => failure(raw.object).map_err(malformed),
    }
}

fn bookmark(object: &RawValue) -> serde_json::Result<Line<'_>> {
    #[derive(Deserialize)]
    struct Bookmark<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata<'a> {
        #[serde(borrow)]
        resource_version: Cow<'a, str>,
        #[serde(default)]
        annotations: Annotations,
    }
    #[derive(Default, Deserialize)]
    struct Annotations {
        #[serde(default, rename = "k8s.io/initial-events-end")]
        initial_events_end: String,
    }
    let Bookmark { metadata } = serde_json::from_str(object.get())?;
    let initial_end = metadata.annotations.initial_events_end == "true";
    Ok(Line::Bookmark { version: metadata.resource_version, initial_end })
}

fn failure(object: &RawValue) -> serde_json::Result<Line<'_>> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Status {
        code: u16,
        message: String,
    }
    let status: Status = serde_json::from_str(object.get())?;
    Ok(if status.code == 410 { Line::Expired } else { Line::Error(ApiError::Unreachable(status.message)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;
    use serde_json::json;

    #[test]
    fn each_line_says_what_happened() {
        let body = json!({"metadata": {"resourceVersion": "5"}}).to_string();
        let line = |name: &str| format!(r#"{{"type":"{name}","object":{body}}}"#);
        assert!(matches!(read_line(line("ADDED").as_bytes()), Ok(Line::Exists(raw)) if raw.get() == body));
        assert!(matches!(read_line(line("MODIFIED").as_bytes()), Ok(Line::Exists(_))));
        assert!(matches!(read_line(line("DELETED").as_bytes()), Ok(Line::Gone(raw)) if raw.get() == body));
        assert!(matches!(read_line(line("BOOKMARK").as_bytes()),
            Ok(Line::Bookmark { version, initial_end: false }) if version == "5"));
        let end = json!({"type": "BOOKMARK", "object": {"metadata": {
            "resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}}});
        assert!(matches!(read_line(end.to_string().as_bytes()),
            Ok(Line::Bookmark { version, initial_end: true }) if version == "7"));
        assert!(matches!(read_line(b" "), Ok(Line::Empty)));
        let expired = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        assert!(matches!(read_line(expired), Ok(Line::Expired)));
        let broken = br#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}"#;
        assert!(matches!(read_line(broken), Ok(Line::Error(ApiError::Unreachable(_)))));
        assert!(read_line(br#"{"type":"ADDED","obj"#).is_err());
    }

    #[test]
    fn a_watch_asks_for_what_is_wanted_and_no_more() {
        let gvk = Gvk::of("coordination.k8s.io/v1", "Lease");
        let resource = &Resource { gvk, plural: "leases".to_owned(), namespaced: true };
        let request = WatchRequest {
            resource,
            namespace: "home",
            of: Of::Name("a"),
            from: From::Version("7"),
            seconds: 60,
        };
        assert_eq!(
            request.path(),
            "/apis/coordination.k8s.io/v1/namespaces/home/leases?watch=true&allowWatchBookmarks=true\
             &timeoutSeconds=60&fieldSelector=metadata.name%3Da&resourceVersion=7"
        );
        let all = WatchRequest { namespace: "", of: Of::Label("x/y"), from: From::Everything, ..request };
        assert_eq!(
            all.path(),
            "/apis/coordination.k8s.io/v1/leases?watch=true&allowWatchBookmarks=true&timeoutSeconds=60\
             &labelSelector=x%2Fy&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        );
    }
}
