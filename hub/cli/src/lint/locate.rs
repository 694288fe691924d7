//! Where in the repository does a field of a rendered object stand?
//!
//! An object knows the line it begins at. Its fields are looked up in that file again; what a patch or a
//! transformer put there is not found, and the object's own line stands for it.

use std::fmt;

use muster_render::Object;
use muster_yaml::{Limits, Mark, Node, Reading, Value};

use super::finding::At;
use crate::source::Files;

/// One step from an object to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A field.
    Key(String),
    /// An item of a list.
    Index(usize),
}

/// The way from an object to a field, shown as `spec.containers[0].image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldPath(pub(crate) Vec<Step>);

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.contains(['.', '/', ' ']) || key.is_empty() => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Where an object begins.
pub(crate) fn object(object: &Object) -> At {
    At { file: object.file.clone(), line: object.line, column: 0 }
}

/// Where a field of an object stands: its key, or the item of a list.
pub(crate) fn field(files: &Files, of: &Object, path: &FieldPath) -> At {
    let found = files.get(&of.file).and_then(|bytes| mark(bytes, of, path));
    found
        .map_or_else(|| object(of), |mark| At { file: of.file.clone(), line: mark.line, column: mark.column })
}

fn mark(bytes: &[u8], of: &Object, path: &FieldPath) -> Option<Mark> {
    let limits = Limits::default();
    let parts = muster_yaml::parts(bytes, &limits);
    let part = parts.into_iter().filter_map(Result::ok).take_while(|part| part.line <= of.line).last()?;
    let root = part.read(Reading::AsKubectl, &limits).ok()??;
    let root = begins_at(&root, of.line)?;
    // Another object may begin at the line by now: a list's item, or what a generator put there.
    if root.get("kind")?.as_str()? != of.kind() {
        return None;
    }
    let (mut node, mut rendered, mut mark) = (root, &of.value, root.at);
    for step in &path.0 {
        match step {
            Step::Key(key) => {
                let entry = node.entry(key)?;
                (node, mark) = (&entry.value, entry.at);
                rendered = rendered.get(key)?;
            }
            Step::Index(index) => {
                let Value::Sequence(items) = &node.value else { return None };
                node = items.get(*index)?;
                mark = node.at;
                rendered = rendered.get(*index)?;
            }
        }
    }
    // A patch may have put another value there.
    let is_same = match (&node.value, rendered) {
        (Value::Sequence(_), serde_json::Value::Array(_))
        | (Value::Mapping(_), serde_json::Value::Object(_)) => true,
        _ => node.clone().into_json() == *rendered,
    };
    is_same.then_some(mark)
}

/// The object that begins at a line: the document, or an item of a list.
fn begins_at(node: &Node, line: usize) -> Option<&Node> {
    if node.at.line == line && node.get("items").is_none() {
        return Some(node);
    }
    let Some(Node { value: Value::Sequence(items), .. }) = node.get("items") else {
        return (node.at.line == line).then_some(node);
    };
    items.iter().find_map(|item| begins_at(item, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    #[test]
    fn fields_are_found_in_documents_and_lists() {
        let text = "kind: A\nmetadata: {name: a}\n---\nkind: List\napiVersion: v1\nitems:\n- kind: B\n  spec:\n    list: [{image: x}]\n";
        let files = Files::from([("f.yaml".to_owned(), text.into())]);
        let value = serde_json::json!({"kind": "B", "spec": {"list": [{"image": "x"}]}});
        let of = Object { value, file: "f.yaml".to_owned(), line: 7 };
        let path = FieldPath(vec![key("spec"), key("list"), Step::Index(0), key("image")]);
        assert_eq!(path.to_string(), "spec.list[0].image");
        let at = field(&files, &of, &path);
        assert_eq!((at.line, at.column), (9, 13));
        let changed = Object {
            value: serde_json::json!({"kind": "B", "spec": {"list": [{"image": "patched"}]}}),
            ..of
        };
        assert_eq!(field(&files, &changed, &path), object(&changed));
    }
}
