//! Which fields does a mapping have, and are they of the right type?
//!
//! Kustomize reads its own documents through Go's JSON: the case of a field's name does not count,
//! null is as good as nothing, and a value of another type is an error.

use std::collections::BTreeMap;

use muster_yaml::{Entry, Mark, Node, Value, Written};

/// What is wrong, and where in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: Mark,
    pub(crate) message: String,
}

pub(crate) type Found<T> = Result<T, Problem>;

pub(crate) fn problem<T>(at: Mark, message: impl Into<String>) -> Found<T> {
    Err(Problem { at, message: message.into() })
}

/// The fields of one mapping, each taken once.
pub(crate) struct Fields<'n> {
    /// Where the mapping begins.
    pub(crate) at: Mark,
    /// The way to the mapping, for messages: `images[0].`, or nothing at the top.
    path: String,
    entries: Vec<(&'n Entry, bool)>,
}

impl<'n> Fields<'n> {
    /// The fields of a node; a null has none.
    pub(crate) fn of(node: &'n Node, path: &str) -> Found<Self> {
        let entries = match &node.value {
            Value::Null => Vec::new(),
            Value::Mapping(entries) => entries.iter().map(|entry| (entry, false)).collect(),
            _ => return problem(node.at, format!("{path} must be a mapping, found {}", node.kind())),
        };
        let path = if path.is_empty() { String::new() } else { format!("{path}.") };
        Ok(Fields { at: node.at, path, entries })
    }

    /// Takes the entry of a field, unless it is null. Of several the last one counts.
    pub(crate) fn entry(&mut self, name: &str) -> Option<&'n Entry> {
        let mut found = None;
        for (entry, taken) in &mut self.entries {
            if entry.key.eq_ignore_ascii_case(name) {
                *taken = true;
                found = Some(*entry);
            }
        }
        found.filter(|entry| entry.value.value != Value::Null)
    }

    pub(crate) fn node(&mut self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A string, empty if it is not there.
    pub(crate) fn string(&mut self, name: &str) -> Found<String> {
        let path = self.path(name);
        self.node(name).map_or(Ok(String::new()), |node| string(node, &path))
    }

    /// A boolean, false if it is not there.
    pub(crate) fn boolean(&mut self, name: &str) -> Found<bool> {
        match self.node(name) {
            None => Ok(false),
            Some(Node { value: Value::Bool(value), .. }) => Ok(*value),
            Some(node) => {
                problem(node.at, format!("{} must be true or false, found {}", self.path(name), node.kind()))
            }
        }
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &str) -> Found<Option<i64>> {
        let Some(node) = self.node(name) else { return Ok(None) };
        match &node.value {
            Value::Number(number) if number.as_i64().is_some() => Ok(number.as_i64()),
            _ => {
                problem(node.at, format!("{} must be a whole number, found {}", self.path(name), node.kind()))
            }
        }
    }

    /// A list; none if it is not there.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        mut item: impl FnMut(&'n Node, &str) -> Found<T>,
    ) -> Found<Vec<T>> {
        let path = self.path(name);
        match self.node(name) {
            None => Ok(Vec::new()),
            Some(Node { value: Value::Sequence(items), .. }) => items
                .iter()
                .enumerate()
                .map(|(position, node)| item(node, &format!("{path}[{position}]")))
                .collect(),
            Some(node) => problem(node.at, format!("{path} must be a list, found {}", node.kind())),
        }
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, name: &str) -> Found<Vec<String>> {
        self.list(name, string)
    }

    /// A mapping from strings to strings; none if it is not there.
    pub(crate) fn map(&mut self, name: &str) -> Found<Option<BTreeMap<String, String>>> {
        let path = self.path(name);
        let Some(node) = self.node(name) else { return Ok(None) };
        let Value::Mapping(entries) = &node.value else {
            return problem(node.at, format!("{path} must be a mapping, found {}", node.kind()));
        };
        let pair = |entry: &Entry| {
            string(&entry.value, &format!("{path}.{}", entry.key)).map(|value| (entry.key.clone(), value))
        };
        entries.iter().map(pair).collect::<Found<_>>().map(Some)
    }

    /// Refuses fields that nobody took, unless the mapping is one of [`node_of`].
    pub(crate) fn finish(self) -> Found<()> {
        if self.at.column == 0 {
            return Ok(());
        }
        match self.entries.iter().find(|(_, taken)| !taken) {
            None => Ok(()),
            Some((entry, _)) => problem(entry.at, format!("unknown field \"{}{}\"", self.path, entry.key)),
        }
    }
}

/// The string that a node is. A number is not one, not even where a string is meant, unless the node is
/// one of [`node_of`].
pub(crate) fn string(node: &Node, path: &str) -> Found<String> {
    match &node.value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Number(number) if node.at.column == 0 => Ok(number.to_string()),
        Value::Bool(value) if node.at.column == 0 => Ok(value.to_string()),
        _ => problem(node.at, format!("{path} must be a string, found {}; put it in quotes", node.kind())),
    }
}

/// A JSON value as a node whose parts all stand in one line. This is how Kustomize reads what is not
/// the kustomization itself (replacements in files, transformers that are objects), where it passes
/// over fields that it does not know.
pub(crate) fn node_of(value: &serde_json::Value, line: usize) -> Node {
    use serde_json::Value as Json;
    let at = Mark { line, column: 0 };
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Sequence(items.iter().map(|item| node_of(item, line)).collect()),
        Json::Object(fields) => Value::Mapping(
            fields
                .iter()
                .map(|(key, value)| Entry { at, key: key.clone(), value: node_of(value, line) })
                .collect(),
        ),
    };
    Node { at, value, written: Written::Plain }
}
