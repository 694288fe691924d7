//! How do two writers of one object meet: what does each own, what changed, how are their values merged?
//!
//! Plain functions over JSON values led by a [`Schema`](crate::schema::Schema):
//! `set` paths, `owned` value -> paths, `compare` two values -> added/removed/modified paths, `merge` of an applied
//! configuration into an object, `remove` of paths from an object.

mod compare;
mod merge;
mod owned;
mod remove;
mod set;
#[cfg(test)]
mod tests;

pub(crate) use compare::compare;
pub(crate) use merge::merge;
pub(crate) use owned::{named_fields_as_members, owned};
pub(crate) use remove::remove;
pub(crate) use set::{Node, Set, display};

use crate::schema::{Key, ListKind};
use serde_json::{Map, Value};

/// The path element of a list's item; `None` when the item lacks a key (or is no scalar in a set).
pub(crate) fn element(kind: &ListKind, item: &Value) -> Option<String> {
    match kind {
        ListKind::Atomic(_) => None,
        ListKind::Set => (!item.is_object() && !item.is_array()).then(|| format!("v:{item}")),
        ListKind::Map(keys) => {
            let mut found = Map::new();
            for Key { name, default } in keys {
                let value = match item.get(name) {
                    Some(value) if !value.is_null() => Some(value.clone()),
                    _ => default.clone().map(Value::String),
                };
                if let Some(value) = value {
                    found.insert(name.clone(), value);
                }
            }
            (!found.is_empty()).then(|| format!("k:{}", Value::Object(found)))
        }
    }
}
