//! What is an object after a configuration was applied to it?

use super::element;
use crate::schema::{ListKind, Schema, Shape, View};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// `live` with everything `applied` speaks of set to what it says.
pub(crate) fn merge(schema: &Schema, shape: &Shape, live: &Value, applied: &Value) -> Value {
    merge_both(schema, shape, Some(live), Some(applied)).unwrap_or(Value::Null)
}

fn merge_both(
    schema: &Schema,
    shape: &Shape,
    live: Option<&Value>,
    applied: Option<&Value>,
) -> Option<Value> {
    let (live, applied) = match (live, applied) {
        (Some(live), Some(applied)) => (live, applied),
        (one, other) => return one.or(other).cloned(),
    };
    match (schema.view(shape, &[Some(live), Some(applied)]), live, applied) {
        (View::Struct(structure), Value::Object(live), Value::Object(applied)) => {
            Some(merge_fields(schema, live, applied, |name| structure.shape(name).unwrap_or(&Shape::Any)))
        }
        (View::Map(of), Value::Object(live), Value::Object(applied)) => {
            Some(merge_fields(schema, live, applied, |_| of))
        }
        (View::List(of, kind), Value::Array(live), Value::Array(applied)) => {
            Some(Value::Array(merge_items(schema, of, kind, live, applied)))
        }
        // Null says nothing about the elements of a map or list that is there.
        (View::Struct(_) | View::Map(_) | View::List(..), live, Value::Null) => Some(live.clone()),
        _ => Some(applied.clone()),
    }
}

fn merge_fields<'a>(
    schema: &Schema,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
    shape: impl Fn(&str) -> &'a Shape,
) -> Value {
    let names: BTreeSet<&String> = live.keys().chain(applied.keys()).collect();
    let merged = names.into_iter().filter_map(|name| {
        let value = merge_both(schema, shape(name), live.get(name), applied.get(name))?;
        Some((name.clone(), value))
    });
    Value::Object(merged.collect())
}

/// The applied order holds for what both lists have. What only the live list has stays in front of the shared
/// element it stood in front of; new elements come between that and the shared element that follows them.
fn merge_items(
    schema: &Schema,
    of: &Shape,
    kind: &ListKind,
    live: &[Value],
    applied: &[Value],
) -> Vec<Value> {
    let keyed =
        |items: &[Value]| -> Vec<Option<String>> { items.iter().map(|item| element(kind, item)).collect() };
    let (live_keys, applied_keys) = (keyed(live), keyed(applied));
    let position: BTreeMap<&str, usize> =
        live_keys.iter().enumerate().rev().filter_map(|(i, key)| Some((key.as_deref()?, i))).collect();
    let wanted: BTreeSet<&str> = applied_keys.iter().flatten().map(String::as_str).collect();
    let only_live = |index: &usize| !live_keys[*index].as_deref().is_some_and(|key| wanted.contains(key));
    let shared: Vec<Option<usize>> =
        applied_keys.iter().map(|key| position.get(key.as_deref()?).copied()).collect();

    let mut result = Vec::with_capacity(live.len().max(applied.len()));
    let mut next_live = 0;
    for (index, item) in applied.iter().enumerate() {
        let next_shared = shared[index..].iter().flatten().next();
        let until = next_shared.copied().filter(|position| *position >= next_live).unwrap_or(live.len());
        result.extend((next_live..until).filter(only_live).map(|i| live[i].clone()));
        next_live = until;
        if shared[index] == Some(next_live) {
            next_live += 1;
        }
        result.extend(merge_both(schema, of, shared[index].map(|i| &live[i]), Some(item)));
    }
    result.extend((next_live..live.len()).filter(only_live).map(|i| live[i].clone()));
    result
}
