//! What is an object called, and what does the server say about its kind?
//!
//! Names are shared (`Arc<str>`) because thousands of objects have the same few kinds.
use std::fmt;
use std::sync::Arc;

use muster_wire::v1::ObjectRef;
use ring::digest::{Context, SHA256};
use serde_json::Value;

/// A kind without its version: two versions of a kind are the same objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKind {
    /// API group; empty for the core group.
    pub(crate) group: Arc<str>,
    /// Kind, in singular and capitals, such as `ConfigMap`.
    pub(crate) kind: Arc<str>,
}

impl GroupKind {
    pub(crate) fn new(group: &str, kind: &str) -> Self {
        GroupKind { group: group.into(), kind: kind.into() }
    }

    /// Whether this is the kind of that group and name.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        *self.group == *group && *self.kind == *kind
    }

    /// Reads `Kind` or `Kind.group`, as ApplySet annotations spell it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        (!kind.is_empty()).then(|| GroupKind::new(group, kind))
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// A kind at one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Gvk {
    pub(crate) group_kind: GroupKind,
    /// Version without the group, such as `v1`.
    pub(crate) version: Arc<str>,
}

impl Gvk {
    #[cfg(test)]
    pub(crate) fn new(group: &str, version: &str, kind: &str) -> Self {
        Gvk { group_kind: GroupKind::new(group, kind), version: version.into() }
    }

    /// Reads the `apiVersion` and `kind` of an object.
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Gvk { group_kind: GroupKind::new(group, kind), version: version.into() }
    }

    /// `group/version`, or only the version for the core group.
    pub(crate) fn api_version(&self) -> String {
        match &*self.group_kind.group {
            "" => self.version.to_string(),
            group => format!("{group}/{}", self.version),
        }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group_kind, self.version)
    }
}

/// What discovery says of a kind: enough to build the address of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) gvk: Gvk,
    /// Name in addresses, such as `deployments`.
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// Identity of an object in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) kind: GroupKind,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

impl ObjectKey {
    pub(crate) fn new(kind: GroupKind, namespace: &str, name: &str) -> Self {
        ObjectKey { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The same in the protocol's words.
    pub(crate) fn to_ref(&self, version: &str) -> ObjectRef {
        ObjectRef {
            group: self.kind.group.to_string(),
            version: version.to_owned(),
            kind: self.kind.kind.to_string(),
            namespace: self.namespace.to_string(),
            name: self.name.to_string(),
        }
    }
}

/// `Kind.group/namespace/name`, or `Kind.group/name` for cluster-scoped objects.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// First half of a SHA-256: tells changed content from equal content.
pub(crate) type Digest = [u8; 16];

/// Digest of several pieces, with their bounds.
pub(crate) fn digest<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(&piece.len().to_le_bytes());
        context.update(piece);
    }
    let mut half = Digest::default();
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    half
}

/// The digest as text, in hexadecimal.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a digest in hexadecimal.
pub(crate) fn from_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(16 * digit(0)? + digit(1)?).ok()?;
    }
    Some(digest)
}

/// Walks down maps by name; `None` where the way ends.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The text at a path, or "".
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a path.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The items of the list at a path; none where there is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether the object is on its way out, and if so what it waits for.
pub(crate) fn going(live: &Value) -> Option<String> {
    let since = text(live, &["metadata", "deletionTimestamp"]);
    let finalizers: Vec<_> =
        items(live, &["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect();
    let waits = match finalizers.as_slice() {
        [] => String::new(),
        [one] => format!(" and waits for the finalizer {one}"),
        many => format!(" and waits for the finalizers {}", many.join(", ")),
    };
    (!since.is_empty()).then(|| format!("It is being deleted since {since}{waits}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_read_as_kubectl_writes_them() {
        let deployment = GroupKind::new("apps", "Deployment");
        assert_eq!(deployment.to_string(), "Deployment.apps");
        assert_eq!(GroupKind::parse("Deployment.apps"), Some(deployment.clone()));
        assert_eq!(GroupKind::parse("ConfigMap"), Some(GroupKind::new("", "ConfigMap")));
        assert_eq!(GroupKind::parse(""), None);
        assert_eq!(ObjectKey::new(deployment, "demo", "web").to_string(), "Deployment.apps/demo/web");
        assert_eq!(ObjectKey::new(GroupKind::new("", "Namespace"), "", "a").to_string(), "Namespace/a");
        assert_eq!(Gvk::of("apps/v1", "Deployment").api_version(), "apps/v1");
        assert_eq!(Gvk::of("v1", "Pod").api_version(), "v1");
    }

    #[test]
    fn what_is_going_says_what_it_waits_for() {
        let live =
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.org/b"]}});
        let expected = "It is being deleted since 2026-01-01T00:00:00Z and waits for the finalizer a.org/b.";
        assert_eq!(going(&live).as_deref(), Some(expected));
        assert_eq!(going(&json!({"metadata": {"finalizers": ["a"]}})), None);
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let sum = digest([b"a".as_slice()]);
        assert_eq!(from_hex(&hex(&sum)), Some(sum));
        for wrong in ["", "00", "+f112233445566778899aabbccddeeff0", "zz112233445566778899aabbccddeeff"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_digest_knows_where_pieces_end() {
        assert_ne!(digest([b"ab".as_slice(), b"c"]), digest([b"a".as_slice(), b"bc"]));
    }
}
