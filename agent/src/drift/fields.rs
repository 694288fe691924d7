//! Which fields are ours, and what did the server make of their values?
//!
//! The format is Kubernetes' FieldsV1: `f:name` is a field, `k:{...}` an item of a list by its keys,
//! `v:...` an item of a set, `i:n` an item by position, `.` the element itself, `{}` a leaf.
//! Source: k8s.io/apimachinery, `FieldsV1` in meta/v1/types.go.
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

/// Marks, in our own copy of a field set, a leaf whose being there is all that we own: we applied `{}`
/// or `[]`, and what others put inside is theirs.
const PRESENCE: &str = "?";

/// Deepest field followed. The API server refuses deeper schemas long before.
const DEPTH_MAX: usize = 64;

/// Hashes stay inside the process; a random key keeps anyone from crafting equal ones.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Place of a field in an object, as the elements of FieldsV1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// The elements, outermost first.
    pub(crate) fn elements(&self) -> &[String] {
        &self.0
    }

    /// The value there, if any.
    pub(crate) fn find<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, element| step(value, element))
    }
}

/// `.spec.template.spec.containers[name="web"].image`; names that need it are quoted.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for element in &self.0 {
            match element.split_once(':') {
                Some(("f", name)) if name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) => {
                    write!(f, ".{name}")?;
                }
                Some(("f", name)) => write!(f, "[{name:?}]")?,
                Some(("k", keys)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
                Some((_, value)) => write!(f, "[{value}]")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Goes one element down.
pub(crate) fn step<'a>(value: &'a Value, element: &str) -> Option<&'a Value> {
    let (sort, name) = element.split_once(':')?;
    match sort {
        "f" => value.get(name),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(name).ok()?;
            value.as_array()?.iter().find(|item| has_keys(item, &keys))
        }
        "v" => {
            let wanted: Value = serde_json::from_str(name).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        "i" => value.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Whether an item is the one with these keys. A key the item lacks matches: Git may leave out a key
/// that has a default, such as a port's protocol.
pub(super) fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    item.is_object()
        && keys.iter().all(|(name, wanted)| item.get(name).is_none_or(|found| found == wanted))
        && keys.keys().any(|name| item.get(name).is_some())
}

/// The fields we own of one object, with a hash of each value as the server gave it after our apply.
/// A few hundred bytes, so that thousands can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Projection {
    /// FieldsV1 as JSON, leaves in order; with [`PRESENCE`] marks.
    fields: Arc<str>,
    /// Hash of each leaf's value.
    leaves: Box<[u64]>,
}

impl Projection {
    /// Remembers the values an object has now in the given fields. `desired` is what was applied.
    pub(crate) fn of(fields: &Value, desired: &Value, object: &Value) -> Projection {
        let mut fields = fields.clone();
        mark_presence(&mut fields, Some(desired), 0);
        let mut leaves = Vec::new();
        walk(&fields, &mut Vec::new(), Some(object), &mut |_, hash| leaves.push(hash));
        Projection { fields: fields.to_string().into(), leaves: leaves.into() }
    }

    /// Whether one of the fields is this one, contains it or is in it. `field` is spelled as the API server
    /// spells it in conflicts, such as `.spec.containers[name="web"].image`.
    pub(crate) fn has(&self, field: &str) -> bool {
        let fields: Value = serde_json::from_str(&self.fields).unwrap_or_default();
        let mut found = false;
        walk(&fields, &mut Vec::new(), None, &mut |path, _| {
            found |= is_within(&spelled(path), field) || is_within(field, &spelled(path));
        });
        found
    }

    /// No field at all: an object in which no change is seen.
    pub(crate) fn nothing() -> Projection {
        Projection { fields: "null".into(), leaves: Box::default() }
    }

    /// The fields whose value in `object` is not the remembered one.
    pub(crate) fn differs(&self, object: &Value) -> Vec<Path> {
        let fields: Value = serde_json::from_str(&self.fields).unwrap_or_default();
        let mut paths = Vec::new();
        let mut before = self.leaves.iter();
        walk(&fields, &mut Vec::new(), Some(object), &mut |path, hash| {
            if before.next() != Some(&hash) {
                paths.push(Path(path.iter().map(|element| (*element).to_owned()).collect()));
            }
        });
        paths
    }
}

/// Whether a path is `outer` or something below it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A path as structured-merge-diff prints it (`fieldpath.Path.String`).
fn spelled(path: &[&str]) -> String {
    let mut text = String::new();
    for element in path {
        match element.split_once(':') {
            Some(("f", name)) => text.extend([".", name]),
            Some(("k", keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                text.extend(["[", &keys.join(","), "]"]);
            }
            Some(("v", value)) => text.extend(["[=", value, "]"]),
            Some((_, index)) => text.extend(["[", index, "]"]),
            None => {}
        }
    }
    text
}

/// Field sets that are the same for many objects, kept once: what comes from one template has one shape.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: HashSet<Arc<str>>,
    /// Field sets after the last time that those without a user were let go.
    in_use: usize,
}

/// Field sets below which nothing is let go.
const SHAPES_MIN: usize = 64;

impl Shapes {
    /// Lets a projection use a field set that is kept already, if there is one that is the same.
    pub(crate) fn share(&mut self, projection: &mut Projection) {
        if Arc::strong_count(&projection.fields) > 1 {
            return;
        }
        if let Some(known) = self.known.get(&*projection.fields) {
            projection.fields = known.clone();
            return;
        }
        if self.known.len() >= 2 * self.in_use.max(SHAPES_MIN) {
            self.known.retain(|fields| Arc::strong_count(fields) > 1);
            self.in_use = self.known.len();
        }
        self.known.insert(projection.fields.clone());
    }
}

/// Marks the leaves where we applied an empty map or list.
fn mark_presence(fields: &mut Value, desired: Option<&Value>, depth: usize) {
    let Value::Object(children) = fields else { return };
    if children.is_empty() {
        let empty = match desired {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            _ => false,
        };
        if empty {
            children.insert(PRESENCE.to_owned(), Value::Object(Map::new()));
        }
        return;
    }
    if depth < DEPTH_MAX {
        for (element, child) in children.iter_mut() {
            mark_presence(child, desired.and_then(|value| step(value, element)), depth + 1);
        }
    }
}

/// Calls `leaf` for every owned leaf in an order that depends on the fields alone.
fn walk<'a>(
    fields: &'a Value,
    path: &mut Vec<&'a str>,
    value: Option<&Value>,
    leaf: &mut impl FnMut(&[&'a str], u64),
) {
    let Value::Object(children) = fields else { return };
    let only_self = children.keys().all(|element| element == "." || element == PRESENCE);
    if children.is_empty() {
        return leaf(path, hash(value));
    }
    if only_self {
        return leaf(path, u64::from(value.is_some()));
    }
    if path.len() == DEPTH_MAX {
        return leaf(path, hash(value));
    }
    for (element, child) in children {
        if element != "." {
            path.push(element);
            walk(child, path, value.and_then(|value| step(value, element)), leaf);
            path.pop();
        }
    }
}

fn hash(value: Option<&Value>) -> u64 {
    let mut hasher = KEY.build_hasher();
    match value {
        None => hasher.write_u8(0),
        Some(value) => hash_into(value, &mut hasher),
    }
    hasher.finish()
}

/// Maps are hashed without regard to the order of their keys, so it does not matter how they are kept.
fn hash_into(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => hasher.write_u8(1),
        Value::Bool(flag) => hasher.write_u8(2 + u8::from(*flag)),
        Value::Number(number) => {
            hasher.write_u8(4);
            hasher.write(number.to_string().as_bytes());
            hasher.write_u8(0xff);
        }
        Value::String(text) => {
            hasher.write_u8(5);
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
        Value::Array(list) => {
            hasher.write_u8(6);
            hasher.write_usize(list.len());
            for item in list {
                hash_into(item, hasher);
            }
        }
        Value::Object(map) => {
            hasher.write_u8(7);
            let sum = map.iter().fold(0u64, |sum, (name, item)| {
                let mut entry = KEY.build_hasher();
                entry.write(name.as_bytes());
                entry.write_u8(0xff);
                hash_into(item, &mut entry);
                sum.wrapping_add(entry.finish())
            });
            hasher.write_u64(sum);
        }
    }
}
