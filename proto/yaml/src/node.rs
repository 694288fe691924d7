//! What was read, and where does each value stand in the file?

use std::fmt;

use serde_json::Number;

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl Mark {
    /// The first character of a file.
    pub const START: Mark = Mark { line: 1, column: 1 };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// A value and its place. A value that came through an alias keeps the place of its anchor.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub at: Mark,
    /// The value, as Kubernetes understands it.
    pub value: Value,
    /// How a scalar was written.
    pub written: Written,
}

/// How a scalar was written. Kustomize moves texts, not values, so this can decide what becomes of
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Written {
    /// As JSON writes it, strings without quotes; and all that is no scalar.
    #[default]
    Plain,
    /// In quotes or in a block (`|`).
    Quoted,
    /// In a block whose lines are folded (`>`); not inside brackets or braces.
    Folded,
    /// Not at all, which is null.
    Empty,
    /// Not at all, inside brackets or braces.
    EmptyInFlow,
    /// Without quotes, as this text, which JSON writes in another way: `0x10`, `1.0`, `~`.
    Text(String),
}

impl Written {
    pub(crate) fn of(text: &str, plain: bool, value: &Value) -> Written {
        let same = match value {
            _ if !plain => return Written::Quoted,
            Value::Null if text.is_empty() => return Written::Empty,
            Value::Null => text == "null",
            Value::Bool(value) => text == if *value { "true" } else { "false" },
            Value::Number(value) => text == value.to_string(),
            Value::String(value) => text == value,
            Value::Sequence(_) | Value::Mapping(_) => true,
        };
        if same { Written::Plain } else { Written::Text(text.to_owned()) }
    }
}

/// A value as JSON knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// A boolean, also when spelt `yes`, `on`, `n`, ...
    Bool(bool),
    /// A finite number; whole floats are integers.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file, each key once.
    Mapping(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub at: Mark,
    /// The key. Numbers and booleans used as keys have become text.
    pub key: String,
    /// The value under the key.
    pub value: Node,
}

impl Node {
    /// The value under a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value this is, in words for an error message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The value alone, as JSON.
    pub fn into_json(self) -> serde_json::Value {
        self.value.into_json()
    }
}

impl Value {
    /// The same as JSON, without places.
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(value),
            Value::Number(value) => serde_json::Value::Number(value),
            Value::String(value) => serde_json::Value::String(value),
            Value::Sequence(items) => items.into_iter().map(Node::into_json).collect(),
            Value::Mapping(entries) => serde_json::Value::Object(
                entries.into_iter().map(|entry| (entry.key, entry.value.into_json())).collect(),
            ),
        }
    }
}
