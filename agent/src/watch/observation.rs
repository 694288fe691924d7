//! What is kept of an object seen in the cluster?
//!
//! ```text
//! text of the server --Sighting: name, version--> news? --Observation: fields, health--> Seen, kept
//! ```
use std::borrow::Cow;
use std::panic::catch_unwind;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::applyset::PART_OF;
use crate::directives::Directives;
use crate::drift::our_fields;
use crate::health::{self, Health};
use crate::object::{Digest, GroupKind, ObjectKey, Resource, at, from_hex, going, number, text};
use crate::plan::hook::{self, Ran};
use crate::plan::wave::{self, Wave};
use crate::{APP_LABEL, CONTENT_ANNOTATION};

/// An object as a watch gave it, of which only the head has been read: when its version is known
/// already, that is all there is to know.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) resource: Arc<Resource>,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
    /// Versions grow; 0 when the server's cannot be read as a number.
    pub(crate) version: u64,
    /// The object as JSON.
    text: Box<RawValue>,
}

impl Sighting {
    /// Reads an object's head.
    ///
    /// # Errors
    /// It is no object with metadata.
    pub(crate) fn read(resource: &Arc<Resource>, text: &RawValue) -> serde_json::Result<Sighting> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            metadata: Metadata<'a>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata<'a> {
            #[serde(borrow, default)]
            namespace: Cow<'a, str>,
            #[serde(borrow)]
            name: Cow<'a, str>,
            #[serde(borrow, default)]
            uid: Cow<'a, str>,
            #[serde(borrow, default)]
            resource_version: Cow<'a, str>,
        }
        let Head { metadata } = serde_json::from_str(text.get())?;
        let kind = resource.gvk.group_kind.clone();
        Ok(Sighting {
            resource: resource.clone(),
            key: ObjectKey::new(kind, &metadata.namespace, &metadata.name),
            uid: metadata.uid.as_ref().into(),
            version: metadata.resource_version.parse().unwrap_or(0),
            text: text.to_owned(),
        })
    }

    /// The version as the server spells it; empty when it is no number.
    pub(crate) fn version_text(&self) -> String {
        if self.version == 0 { String::new() } else { self.version.to_string() }
    }

    /// Reads the whole object.
    ///
    /// # Errors
    /// It is nested deeper than anything sensible.
    pub(crate) fn observe(&self) -> serde_json::Result<Observation> {
        Ok(Observation::of(&self.resource, serde_json::from_str(self.text.get())?))
    }
}

/// One object as the server gave it. The body goes as soon as it has been compared.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) key: ObjectKey,
    pub(crate) seen: Seen,
    /// App its label names; empty when it has none.
    pub(crate) app: String,
    pub(crate) body: Value,
}

/// The part of an observation that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) resource: Arc<Resource>,
    pub(crate) uid: Box<str>,
    /// Versions grow; 0 when the server's cannot be read as a number.
    pub(crate) version: u64,
    /// Id of the ApplySet its label names; empty when it has none.
    pub(crate) part_of: Box<str>,
    /// Whether our manager has applied it. Labels alone prove nothing: controllers copy them, as the
    /// EndpointSlice of a Service shows.
    pub(crate) applied_by_us: bool,
    pub(crate) deleting: bool,
    /// `metadata.generation`: grows with every change of the spec; 0 for kinds without.
    pub(crate) generation: i64,
    /// What its deletion waits for, in a sentence.
    pub(crate) going: Option<Box<str>>,
    /// Digest of what Git said when it was applied last, as its annotation gives it.
    pub(crate) content: Option<Digest>,
    pub(crate) directives: Directives,
    pub(crate) health: Health,
    /// Wave of its app's sync, as its annotations say; 0 when they make no sense.
    pub(crate) wave: Wave,
    /// Which run of a hook it is, if it is one, and how that fares.
    pub(crate) ran: Option<Box<Ran>>,
}

impl Observation {
    /// Reads an object.
    pub(crate) fn of(resource: &Arc<Resource>, body: Value) -> Observation {
        let kind = &resource.gvk.group_kind;
        let meta = |name| text(&body, &["metadata", name]);
        let label = |name| text(&body, &["metadata", "labels", name]);
        let annotations = at(&body, &["metadata", "annotations"]).and_then(Value::as_object);
        let health = judge(kind, &body);
        Observation {
            key: ObjectKey::new(kind.clone(), meta("namespace"), meta("name")),
            app: label(APP_LABEL).to_owned(),
            seen: Seen {
                resource: resource.clone(),
                uid: meta("uid").into(),
                version: meta("resourceVersion").parse().unwrap_or(0),
                part_of: label(PART_OF).into(),
                applied_by_us: our_fields(&body).is_some(),
                deleting: !meta("deletionTimestamp").is_empty(),
                generation: number(&body, &["metadata", "generation"]).unwrap_or(0),
                going: going(&body).map(Into::into),
                content: from_hex(text(&body, &["metadata", "annotations", CONTENT_ANNOTATION])),
                directives: Directives::of(&body),
                wave: wave::read(annotations).unwrap_or_default(),
                ran: hook::ran(kind, &body, &health).map(Box::new),
                health,
            },
            body,
        }
    }
}

/// An object so odd that judging it fails is that object's problem, not its watch's.
fn judge(kind: &GroupKind, body: &Value) -> Health {
    catch_unwind(|| health::of(kind, body))
        .unwrap_or_else(|_| Health::unknown("Its health could not be judged: the agent failed on it."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;
    use serde_json::json;

    #[test]
    fn labels_without_our_apply_are_not_ours() {
        let gvk = Gvk::new("discovery.k8s.io", "v1", "EndpointSlice");
        let resource = Arc::new(Resource { gvk, plural: "endpointslices".to_owned(), namespaced: true });
        let body = json!({"metadata": {
            "name": "web-x", "namespace": "demo", "uid": "u", "resourceVersion": "12",
            "labels": {APP_LABEL: "web", PART_OF: "applyset-a-v1"},
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {}}],
        }});
        let observation = Observation::of(&resource, body);
        assert_eq!((observation.app.as_str(), observation.seen.version), ("web", 12));
        assert!(!observation.seen.applied_by_us && !observation.seen.deleting);
        assert_eq!(observation.key.to_string(), "EndpointSlice.discovery.k8s.io/demo/web-x");
    }
}
