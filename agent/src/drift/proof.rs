//! Can a live object be told to be in sync by looking at it, without a write?
//!
//! After a restart there is no remembered answer of the server to compare with. When the fields held for
//! us are exactly those Git names, and each has exactly Git's value, applying again could change nothing.
//! Anything less (a normalised quantity, a defaulted item in an atomic list) is not proven, and costs one
//! apply, which the server answers without writing when nothing differs.
use serde_json::{Map, Value};

use super::fields::has_keys;

/// Deepest nesting compared; anything deeper counts as not proven.
const DEPTH_MAX: usize = 64;

/// Whether `live`, with `fields` held by us, is what applying `desired` would make it.
pub(crate) fn proven_in_sync(desired: &Value, live: &Value, fields: &Value) -> bool {
    let Some(top) = desired.as_object() else { return false };
    let mut desired = top.clone();
    // The server leaves identity out of the fields it lists.
    desired.remove("apiVersion");
    desired.remove("kind");
    if let Some(Value::Object(metadata)) = desired.get_mut("metadata") {
        metadata.remove("name");
        metadata.remove("namespace");
        if metadata.is_empty() {
            desired.remove("metadata");
        }
    }
    map_equal(&desired, live, fields, 0)
}

fn equal(desired: &Value, live: &Value, fields: &Value, depth: usize) -> bool {
    let Some(owned) = fields.as_object() else { return false };
    if depth > DEPTH_MAX {
        return false;
    }
    match desired {
        Value::Object(map) if map.is_empty() => live.is_object() && nothing_inside(owned),
        Value::Array(list) if list.is_empty() => live.is_array() && nothing_inside(owned),
        // A leaf: an atomic value, compared whole.
        _ if owned.is_empty() => desired == live,
        Value::Object(map) => map_equal(map, live, fields, depth),
        Value::Array(list) => list_equal(list, live, owned, depth),
        _ => false,
    }
}

fn nothing_inside(owned: &Map<String, Value>) -> bool {
    owned.keys().all(|element| element == ".")
}

fn map_equal(desired: &Map<String, Value>, live: &Value, fields: &Value, depth: usize) -> bool {
    let Some(owned) = fields.as_object() else { return false };
    let wanted = desired.iter().filter(|(_, value)| !value.is_null());
    let all_wanted =
        wanted.clone().all(|(name, value)| match (owned.get(&format!("f:{name}")), live.get(name)) {
            (Some(fields), Some(live)) => equal(value, live, fields, depth + 1),
            _ => false,
        });
    let owned_count = owned.keys().filter(|element| *element != ".").count();
    all_wanted && owned_count == wanted.count()
}

fn list_equal(desired: &[Value], live: &Value, owned: &Map<String, Value>, depth: usize) -> bool {
    let Some(live) = live.as_array() else { return false };
    let elements: Vec<_> = owned.iter().filter(|(element, _)| *element != ".").collect();
    elements.len() == desired.len()
        && elements.iter().all(|(element, fields)| match element.split_once(':') {
            Some(("k", keys)) => {
                let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else { return false };
                let wanted: Vec<_> = desired.iter().filter(|item| has_keys(item, &keys)).collect();
                let found = live.iter().find(|item| has_keys(item, &keys));
                match (wanted.as_slice(), found) {
                    ([wanted], Some(found)) => item_equal(wanted, found, fields, &keys, depth + 1),
                    _ => false,
                }
            }
            Some(("v", value)) => {
                let Ok(value) = serde_json::from_str::<Value>(value) else { return false };
                desired.contains(&value) && live.contains(&value)
            }
            _ => false,
        })
}

/// Like [`equal`], but a key that Git leaves to its default may be listed among the fields.
fn item_equal(
    desired: &Value,
    live: &Value,
    fields: &Value,
    keys: &Map<String, Value>,
    depth: usize,
) -> bool {
    let (Some(desired), Some(owned)) = (desired.as_object(), fields.as_object()) else { return false };
    let owned: Map<String, Value> = owned
        .iter()
        .filter(|(element, _)| {
            let name = element.strip_prefix("f:").unwrap_or(element);
            desired.contains_key(name) || !keys.contains_key(name)
        })
        .map(|(element, fields)| (element.clone(), fields.clone()))
        .collect();
    map_equal(desired, live, &Value::Object(owned), depth)
}
