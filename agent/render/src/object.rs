//! Which Kubernetes objects does one file hold?

use std::fmt;

use muster_yaml::{Node, Reading, Value, Written};

use crate::{Limits, RenderError};

/// The group of Muster's own documents.
const MUSTER_GROUP: &str = "muster.dev";
/// Lists of lists: so deep they may be nested.
const LIST_DEPTH_MAX: usize = 8;

/// A Kubernetes object as it should be, and where it was found. It has `apiVersion`, `kind` and
/// `metadata.name`, all of them strings that are not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The object, a JSON object.
    pub value: serde_json::Value,
    /// The file, relative to the repository.
    pub file: String,
    /// The line at which it begins, from 1.
    pub line: usize,
}

impl Object {
    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// `apiVersion`: `v1` or `group/version`.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, if the manifest names one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty())
    }

    /// The group of `apiVersion`; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The version of `apiVersion`.
    pub fn version(&self) -> &str {
        self.api_version().split_once('/').map_or(self.api_version(), |(_, version)| version)
    }

    /// `file:line`, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// Shown as `Deployment web/frontend` or `ClusterRole admin`, for messages.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if !self.group().is_empty() {
            write!(f, ".{}", self.group())?;
        }
        match self.namespace() {
            Some(namespace) => write!(f, " {namespace}/{}", self.name()),
            None => write!(f, " {}", self.name()),
        }
    }
}

/// Reads the objects of one file.
pub(crate) fn read_file(
    file: &str,
    bytes: &[u8],
    limits: &Limits,
    objects: &mut Vec<Object>,
    errors: &mut Vec<RenderError>,
) {
    for part in muster_yaml::parts(bytes, &limits.yaml) {
        let node = part.and_then(|part| part.read(Reading::AsKubectl, &limits.yaml));
        match node {
            Ok(Some(node)) => read_node(file, node, 0, objects, errors),
            Ok(None) => {}
            Err(error) => errors.push(RenderError::at(file, error.at, error.message)),
        }
    }
}

fn read_node(
    file: &str,
    mut node: Node,
    depth: usize,
    objects: &mut Vec<Object>,
    errors: &mut Vec<RenderError>,
) {
    let mut fail = |at, message: &str| errors.push(RenderError::at(file, at, message));
    let Value::Mapping(entries) = &mut node.value else {
        return fail(node.at, "a manifest is a mapping with apiVersion, kind and metadata");
    };
    let is_empty = entries.is_empty();
    let items = entries.iter().position(|entry| entry.key == "items");
    let items = items.filter(|position| matches!(entries[*position].value.value, Value::Sequence(_)));
    let header = match header(&node) {
        Ok(header) => header,
        Err(_) if is_empty => return fail(node.at, "an empty mapping is no manifest; remove it"),
        Err((at, message)) => return fail(at, &message),
    };
    if header.group == MUSTER_GROUP {
        return;
    }
    if let Some(position) = items
        && header.is_list
    {
        if depth == LIST_DEPTH_MAX {
            return fail(node.at, "lists are nested too deep");
        }
        let Value::Mapping(mut entries) = node.value else { return };
        let Value::Sequence(items) = entries.swap_remove(position).value.value else { return };
        for mut item in items {
            complete_item(&mut item, &header);
            read_node(file, item, depth + 1, objects, errors);
        }
        return;
    }
    if header.is_list && header.item_kind.is_empty() {
        return match node.get("items").map(|items| &items.value) {
            Some(Value::Null) => {}
            Some(_) => fail(node.at, "the items of a List must be a list"),
            None => fail(node.at, "a List has items; this one has none"),
        };
    }
    match check_metadata(&node) {
        Ok(()) => {
            let line = node.at.line;
            objects.push(Object { value: node.into_json(), file: file.to_owned(), line });
        }
        Err((at, message)) => fail(at, &message),
    }
}

type Problem = (muster_yaml::Mark, String);

struct Header {
    group: String,
    api_version: String,
    /// The kind of a typed list's items: `Deployment` for `DeploymentList`; empty for `List`.
    item_kind: String,
    is_list: bool,
}

fn header(node: &Node) -> Result<Header, Problem> {
    let api_version = required(node, "apiVersion")?;
    let kind = required(node, "kind")?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
    let item_kind = kind.strip_suffix("List").unwrap_or_default().to_owned();
    Ok(Header { group, item_kind, is_list: kind.ends_with("List"), api_version: api_version.to_owned() })
}

/// Items of a typed list may leave out both of what the list already says, as in kubectl.
fn complete_item(item: &mut Node, list: &Header) {
    if list.item_kind.is_empty() {
        return;
    }
    let at = item.at;
    let Value::Mapping(entries) = &mut item.value else { return };
    if entries.iter().any(|entry| entry.key == "kind" || entry.key == "apiVersion") {
        return;
    }
    for (key, text) in [("kind", &list.item_kind), ("apiVersion", &list.api_version)] {
        let value = Node { at, value: Value::String(text.clone()), written: Written::Plain };
        entries.insert(0, muster_yaml::Entry { at, key: key.to_owned(), value });
    }
}

fn required<'n>(node: &'n Node, field: &str) -> Result<&'n str, Problem> {
    match node.get(field) {
        None => Err((
            node.at,
            format!("{field} is missing; every manifest has apiVersion, kind and metadata.name"),
        )),
        Some(value) => match value.as_str() {
            Some("") => Err((value.at, format!("{field} is empty"))),
            Some(text) => Ok(text),
            None => Err((value.at, format!("{field} must be a string, found {}", value.kind()))),
        },
    }
}

fn check_metadata(node: &Node) -> Result<(), Problem> {
    let Some(metadata) = node.get("metadata") else {
        return Err((node.at, "metadata.name is missing".to_owned()));
    };
    if !matches!(metadata.value, Value::Mapping(_)) {
        return Err((metadata.at, format!("metadata must be a mapping, found {}", metadata.kind())));
    }
    if let Some(namespace) = metadata.get("namespace")
        && !matches!(namespace.value, Value::String(_) | Value::Null)
    {
        return Err((
            namespace.at,
            format!("metadata.namespace must be a string, found {}", namespace.kind()),
        ));
    }
    let Some(name) = metadata.get("name") else {
        let message = match metadata.get("generateName") {
            Some(_) => {
                "metadata.generateName makes a new object at every sync; give the object a fixed metadata.name"
            }
            None => "metadata.name is missing",
        };
        return Err((metadata.at, message.to_owned()));
    };
    match name.as_str() {
        Some("") => Err((name.at, "metadata.name is empty".to_owned())),
        Some(_) => Ok(()),
        None => {
            Err((name.at, format!("metadata.name must be a string, found {}; put it in quotes", name.kind())))
        }
    }
}
