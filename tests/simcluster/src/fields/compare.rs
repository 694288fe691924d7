//! What differs between two states of an object, path by path?

use super::{Node, Set, element};
use crate::schema::{Schema, Shape, View};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The paths in which two values differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) added: Set,
    pub(crate) removed: Set,
    pub(crate) modified: Set,
}

impl Comparison {
    pub(crate) fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }
}

/// What must be added to, removed from and modified in `old` to get `new`.
pub(crate) fn compare(schema: &Schema, shape: &Shape, old: &Value, new: &Value) -> Comparison {
    let found = walk(schema, shape, Some(old), Some(new));
    Comparison { added: found.added.below, removed: found.removed.below, modified: found.modified.below }
}

#[derive(Default)]
struct Found {
    added: Node,
    removed: Node,
    modified: Node,
}

impl Found {
    fn put(&mut self, element: &str, child: Found) {
        self.added.below.put(element, child.added);
        self.removed.below.put(element, child.removed);
        self.modified.below.put(element, child.modified);
    }
}

fn walk(schema: &Schema, shape: &Shape, old: Option<&Value>, new: Option<&Value>) -> Found {
    let mut found = Found::default();
    let (view_fits, both_empty) = (fits(shape, old) && fits(shape, new), is_empty(old) && is_empty(new));
    let view = match view_fits && !both_empty {
        true => schema.view(shape, &[old, new]),
        false => View::Leaf,
    };
    match view {
        View::Leaf => {
            if let (Some(old), Some(new)) = (old, new) {
                found.modified.member = old != new;
            }
        }
        View::Struct(structure) => {
            for (name, pair) in pairs(old, new) {
                let of = structure.shape(name).unwrap_or(&Shape::Any);
                found.put(&format!("f:{name}"), walk(schema, of, pair.0, pair.1));
            }
        }
        View::Map(of) => {
            for (name, pair) in pairs(old, new) {
                found.put(&format!("f:{name}"), walk(schema, of, pair.0, pair.1));
            }
        }
        View::List(of, kind) => {
            let (old_items, new_items) = (items(kind, old), items(kind, new));
            for element in
                old_items.keys().chain(new_items.keys().filter(|key| !old_items.contains_key(*key)))
            {
                let none = Vec::new();
                let (old, new) =
                    (old_items.get(element).unwrap_or(&none), new_items.get(element).unwrap_or(&none));
                let child = match (old.as_slice(), new.as_slice()) {
                    ([] | [_], [] | [_]) => walk(schema, of, old.first().copied(), new.first().copied()),
                    (old, new) => repeated(old, new),
                };
                found.put(element, child);
            }
        }
    }
    found.added.member |= old.is_none();
    found.removed.member |= new.is_none();
    found
}

/// An element that a list has more than once is compared as a whole.
fn repeated(old: &[&Value], new: &[&Value]) -> Found {
    let mut found = Found::default();
    found.added.member = old.is_empty();
    found.removed.member = new.is_empty();
    found.modified.member = !old.is_empty() && !new.is_empty() && old != new;
    found
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// Whether the value has the form its shape asks for, so that it can be descended into.
fn fits(shape: &Shape, value: Option<&Value>) -> bool {
    match (shape, value) {
        (_, None | Some(Value::Null)) => true,
        (Shape::Struct { .. } | Shape::Map { .. }, Some(value)) => value.is_object(),
        (Shape::List { .. }, Some(value)) => value.is_array(),
        _ => true,
    }
}

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

fn pairs<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> BTreeMap<&'a str, Pair<'a>> {
    let fields = |value: Option<&'a Value>| value.and_then(Value::as_object).into_iter().flat_map(Map::iter);
    let mut pairs: BTreeMap<&str, Pair<'_>> = BTreeMap::new();
    for (name, value) in fields(old) {
        pairs.entry(name).or_default().0 = Some(value);
    }
    for (name, value) in fields(new) {
        pairs.entry(name).or_default().1 = Some(value);
    }
    pairs
}

fn items<'a>(kind: &crate::schema::ListKind, value: Option<&'a Value>) -> BTreeMap<String, Vec<&'a Value>> {
    let mut found: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        if let Some(element) = element(kind, item) {
            found.entry(element).or_default().push(item);
        }
    }
    found
}
