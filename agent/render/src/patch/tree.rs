//! How do an object and its patch lie side by side while one is merged into the other?
//!
//! Nodes live in an arena and are named by number, since a merge puts one node into several places:
//! what a patch adds is afterwards walked as target and patch at once, and both see each change.

use std::collections::BTreeMap;

use muster_yaml::{Limits, Node, Part, Reading, ScalarType, Syntax};
use serde_json::Value;

/// How scalars were written, where that decides what a patch makes of them; everything that is
/// not here was written plainly.
///
/// Kustomize patches text, not values: `5` put where `"x"` stood becomes `"5"`, a string, and a
/// field left empty (`data:`) disappears from an object that is patched while one with `null` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Spelling {
    /// As JSON would write it, strings without quotes.
    #[default]
    Plain,
    /// A scalar in quotes or in a block (`|`).
    Quoted,
    /// A scalar in a folded block (`>`). Kustomize prints it as one, and not always as it was.
    Folded,
    /// A text in quotes or in a folded block that a patch put there in place of another, and that has the
    /// type it has in the patch to what comes after: `5` over `"x"` is `"5"`, and may not become `"a"`.
    Retyped(Style, ScalarType),
    /// A null of no characters.
    Empty,
    /// The same inside brackets or braces. Kustomize prints it as an empty text.
    EmptyInFlow,
    /// A scalar without quotes whose text is not the one JSON has for it: `0x10`, `1.0`, `True`.
    Text(String),
    /// The keys of a mapping that hold anything but [`Spelling::Plain`].
    Mapping(BTreeMap<String, Spelling>),
    /// The items of a list, cut off behind the last one that is not [`Spelling::Plain`].
    List(Vec<Spelling>),
}

impl Spelling {
    /// How the value of a key was written.
    pub(crate) fn key(&self, key: &str) -> &Spelling {
        match self {
            Spelling::Mapping(keys) => keys.get(key).unwrap_or(&Spelling::Plain),
            _ => &Spelling::Plain,
        }
    }

    /// How the value below some keys was written.
    pub(crate) fn at(&self, keys: &[String]) -> &Spelling {
        keys.iter().fold(self, |spelling, key| spelling.key(key))
    }

    /// How an item of a list was written.
    pub(crate) fn item(&self, position: usize) -> &Spelling {
        match self {
            Spelling::List(items) => items.get(position).unwrap_or(&Spelling::Plain),
            _ => &Spelling::Plain,
        }
    }

    /// Whether this is a text in quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        matches!(self, Spelling::Quoted | Spelling::Retyped(Style::Quoted, _))
    }

    /// The type of a text in quotes or in a folded block; nothing for all else.
    pub(crate) fn marked_type(&self) -> Option<ScalarType> {
        match self {
            Spelling::Quoted | Spelling::Folded => Some(ScalarType::Text),
            Spelling::Retyped(_, read) => Some(*read),
            _ => None,
        }
    }

    /// Whether this is a null of no characters.
    fn is_empty(&self) -> bool {
        matches!(self, Spelling::Empty | Spelling::EmptyInFlow)
    }

    /// Puts in place of values what Kustomize prints for them: an empty text for nothing inside brackets,
    /// a folded text folded once more.
    pub(crate) fn settle(&self, value: &mut Value) {
        match (self, value) {
            (Spelling::EmptyInFlow, value @ Value::Null) => *value = Value::String(String::new()),
            (Spelling::Folded | Spelling::Retyped(Style::Folded, _), Value::String(text)) => {
                *text = muster_yaml::folded_by_kustomize(text);
            }
            (Spelling::Mapping(keys), Value::Object(fields)) => {
                for (key, spelling) in keys {
                    if let Some(value) = fields.get_mut(key) {
                        spelling.settle(value);
                    }
                }
            }
            (Spelling::List(items), Value::Array(values)) => {
                items.iter().zip(values).for_each(|(spelling, value)| spelling.settle(value));
            }
            _ => {}
        }
    }

    /// Forgets how the values below some keys were written; lists on the way do not count.
    pub(crate) fn forget(&mut self, path: &[&str]) {
        match (self, path) {
            (spelling, []) => *spelling = Spelling::Plain,
            (Spelling::Mapping(keys), [key, rest @ ..]) => {
                if let Some(spelling) = keys.get_mut(*key) {
                    spelling.forget(rest);
                }
            }
            (Spelling::List(items), path) => items.iter_mut().for_each(|item| item.forget(path)),
            _ => {}
        }
    }

    /// How Kustomize writes a value that went through JSON, as an object does under a JSON patch:
    /// strings in quotes where they would be something else without, or in a block if they have
    /// several lines.
    pub(crate) fn printed(value: &Value) -> Spelling {
        match value {
            Value::String(text) if needs_quotes(text) => Spelling::Quoted,
            Value::Array(items) => Spelling::list(items.iter().map(Spelling::printed)),
            Value::Object(fields) => {
                Spelling::mapping(fields.iter().map(|(key, value)| (key.clone(), Spelling::printed(value))))
            }
            _ => Spelling::Plain,
        }
    }

    /// How Kustomize writes the texts of a ConfigMap that it generates.
    pub(crate) fn generated<'t>(texts: impl IntoIterator<Item = (&'t String, &'t Value)>) -> Spelling {
        let spelling = |text: &Value| match text.as_str() {
            Some(text) if is_more_in_old_yaml(text) => Spelling::Quoted,
            _ => Spelling::Plain,
        };
        Spelling::mapping(texts.into_iter().map(|(key, text)| (key.clone(), spelling(text))))
    }

    /// A mapping's spelling from those of its keys.
    pub(crate) fn mapping(keys: impl IntoIterator<Item = (String, Spelling)>) -> Spelling {
        let keys: BTreeMap<_, _> =
            keys.into_iter().filter(|(_, spelling)| *spelling != Spelling::Plain).collect();
        if keys.is_empty() { Spelling::Plain } else { Spelling::Mapping(keys) }
    }

    /// A list's spelling from those of its items.
    pub(crate) fn list(items: impl IntoIterator<Item = Spelling>) -> Spelling {
        let mut items: Vec<_> = items.into_iter().collect();
        while items.last() == Some(&Spelling::Plain) {
            items.pop();
        }
        if items.is_empty() { Spelling::Plain } else { Spelling::List(items) }
    }
}

/// Whether a string is not a plain scalar of this text.
fn needs_quotes(text: &str) -> bool {
    let means_text = |reading| {
        muster_yaml::plain(text, reading)
            .is_ok_and(|value| matches!(value, muster_yaml::Value::String(found) if found == text))
    };
    let Some(first) = text.chars().next() else { return true };
    let second = text.chars().nth(1);
    let is_mark = match first {
        '-' | '?' | ':' => second.is_none_or(char::is_whitespace),
        first => "#,[]{}&*!|>'\"%@`".contains(first),
    };
    is_mark
        || text.starts_with("---")
        || text.starts_with("...")
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.ends_with(':')
        || text.contains(": ")
        || text.contains(" #")
        || text.chars().any(char::is_control)
        || is_base_60(text)
        || muster_yaml::scalar_type(text) == ScalarType::Timestamp
        || !means_text(Reading::AsKubectl)
        || !means_text(Reading::AsKustomize)
}

/// Whether this is `yes`, `off` or the like.
fn is_old_boolean(text: &str) -> bool {
    matches!(muster_yaml::plain(text, Reading::AsKubectl), Ok(muster_yaml::Value::Bool(_)))
}

/// Whether YAML 1.1 takes a text for more than a text, so that Kustomize puts it in quotes where it
/// notices.
fn is_more_in_old_yaml(text: &str) -> bool {
    if text.is_empty() || text.contains('\n') {
        return false;
    }
    let part = Part { text: text.into(), line: 1, syntax: Syntax::Yaml };
    let node = part.read(Reading::AsKubectl, &Limits::default());
    !matches!(node, Ok(Some(Node { value: muster_yaml::Value::String(_), .. })))
}

/// `1:30` and the like, which YAML 1.1 takes for a number and Kustomize prints in quotes.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.contains(':')
        && unsigned.starts_with(|char: char| char.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'_'))
}

/// The number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(usize);

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// Null, by a text such as `null` or `~` or by no text.
    Null(Spelling),
    Scalar(Scalar),
    List(Vec<Id>),
    Mapping(Vec<(String, Id)>),
}

/// A string, number or boolean.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    value: Value,
    text: String,
    style: Style,
}

/// The signs around a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// None.
    Plain,
    /// Quotes, or the bar of a block.
    Quoted,
    /// The angle bracket of a folded block.
    Folded,
}

/// All nodes of one merge.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Shape>,
}

impl Tree {
    /// Takes a value in.
    pub(crate) fn insert(&mut self, value: Value, spelling: &Spelling) -> Id {
        let shape = match value {
            Value::Null if spelling.is_empty() => Shape::Null(spelling.clone()),
            Value::Null => Shape::Null(Spelling::Plain),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                Shape::List(items.map(|(at, item)| self.insert(item, spelling.item(at))).collect())
            }
            Value::Object(fields) => {
                let mut entries = Vec::with_capacity(fields.len());
                for (key, value) in fields {
                    let id = self.insert(value, spelling.key(&key));
                    entries.push((key, id));
                }
                Shape::Mapping(entries)
            }
            value => {
                let text = match (spelling, &value) {
                    (Spelling::Text(text), _) => text.clone(),
                    (_, Value::String(text)) => text.clone(),
                    (_, value) => value.to_string(),
                };
                let style = match spelling {
                    Spelling::Quoted => Style::Quoted,
                    Spelling::Folded => Style::Folded,
                    Spelling::Retyped(style, _) => *style,
                    _ => Style::Plain,
                };
                let value = match spelling.marked_type() {
                    None | Some(ScalarType::Text) => value,
                    Some(_) => muster_yaml::plain(&text, Reading::AsKustomize)
                        .map_or(value, muster_yaml::Value::into_json),
                };
                Shape::Scalar(Scalar { value, text, style })
            }
        };
        self.push(shape)
    }

    /// Adds a node.
    pub(crate) fn push(&mut self, shape: Shape) -> Id {
        self.nodes.push(shape);
        Id(self.nodes.len() - 1)
    }

    /// Gives a value back, and how it is spelt now.
    pub(crate) fn value(&self, id: Id) -> (Value, Spelling) {
        match self.shape(id) {
            Shape::Null(spelling) => (Value::Null, spelling.clone()),
            Shape::Scalar(scalar) => scalar.value(),
            Shape::List(items) => {
                let (values, spellings): (Vec<_>, Vec<_>) =
                    items.iter().map(|item| self.value(*item)).unzip();
                (Value::Array(values), Spelling::list(spellings))
            }
            Shape::Mapping(entries) => {
                let mut values = serde_json::Map::new();
                let mut spellings = BTreeMap::new();
                for (key, id) in entries {
                    let (value, spelling) = self.value(*id);
                    values.insert(key.clone(), value);
                    spellings.insert(key.clone(), spelling);
                }
                (Value::Object(values), Spelling::mapping(spellings))
            }
        }
    }

    /// What a node is.
    pub(crate) fn shape(&self, id: Id) -> &Shape {
        &self.nodes[id.0]
    }

    /// Puts something else where a node is, wherever that node stands.
    pub(crate) fn set(&mut self, id: Id, shape: Shape) {
        self.nodes[id.0] = shape;
    }

    pub(crate) fn is_null(&self, id: Id) -> bool {
        matches!(self.shape(id), Shape::Null(_))
    }

    pub(crate) fn is_mapping(&self, id: Id) -> bool {
        matches!(self.shape(id), Shape::Mapping(_))
    }

    pub(crate) fn is_empty_mapping(&self, id: Id) -> bool {
        matches!(self.shape(id), Shape::Mapping(entries) if entries.is_empty())
    }

    /// The text of a scalar; nothing for a mapping or list.
    pub(crate) fn text(&self, id: Id) -> &str {
        match self.shape(id) {
            Shape::Scalar(scalar) => &scalar.text,
            Shape::Null(spelling) if !spelling.is_empty() => "null",
            _ => "",
        }
    }

    pub(crate) fn items(&self, id: Id) -> &[Id] {
        match self.shape(id) {
            Shape::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entries(&self, id: Id) -> &[(String, Id)] {
        match self.shape(id) {
            Shape::Mapping(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn field(&self, id: Id, key: &str) -> Option<Id> {
        self.entries(id).iter().find(|(name, _)| name == key).map(|(_, id)| *id)
    }

    pub(crate) fn remove_field(&mut self, id: Id, key: &str) {
        if let Shape::Mapping(entries) = &mut self.nodes[id.0] {
            entries.retain(|(name, _)| name != key);
        }
    }

    /// Sets a field as Kustomize does: a scalar that was in quotes stays in quotes.
    pub(crate) fn set_field(&mut self, id: Id, key: &str, value: Id) {
        match self.field(id, key) {
            Some(old) if old == value => {}
            Some(old) => {
                let style =
                    if let Shape::Scalar(scalar) = self.shape(old) { scalar.style } else { Style::Plain };
                if let Shape::Scalar(scalar) = &mut self.nodes[value.0] {
                    scalar.style = style;
                }
                let shape = self.shape(value).clone();
                self.set(old, shape);
            }
            None => {
                if let Shape::Mapping(entries) = &mut self.nodes[id.0] {
                    entries.push((key.to_owned(), value));
                }
            }
        }
    }

    /// A new scalar written plainly: what looks like a whole number is one.
    pub(crate) fn plain(&mut self, text: &str) -> Id {
        let value = text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
        self.push(Shape::Scalar(Scalar { value, text: text.to_owned(), style: Style::Plain }))
    }

    /// What a node is, for messages.
    pub(crate) fn kind(&self, id: Id) -> &'static str {
        match self.shape(id) {
            Shape::Null(_) => "null",
            Shape::Scalar(_) => "a scalar",
            Shape::List(_) => "a list",
            Shape::Mapping(_) => "a mapping",
        }
    }
}

impl Scalar {
    fn value(&self) -> (Value, Spelling) {
        let quoted = |spelling| (Value::String(self.text.clone()), spelling);
        match self.style {
            Style::Plain => {}
            style if !self.value.is_string() => {
                return quoted(Spelling::Retyped(style, muster_yaml::scalar_type(&self.text)));
            }
            Style::Quoted => return quoted(Spelling::Quoted),
            Style::Folded => return quoted(Spelling::Folded),
        }
        let as_json = match &self.value {
            Value::String(text) if is_old_boolean(text) => return quoted(Spelling::Quoted),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let plain = as_json == self.text;
        (self.value.clone(), if plain { Spelling::Plain } else { Spelling::Text(self.text.clone()) })
    }
}
