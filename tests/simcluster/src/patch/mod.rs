//! What does a patch make of an object? (JSON patch, merge patch, strategic merge patch.)

mod json_patch;
mod strategic;
#[cfg(test)]
mod tests;

pub(crate) use json_patch::json_patch;
pub(crate) use strategic::strategic;

use serde_json::{Map, Value};

/// Merge patch (RFC 7386): null removes, objects merge, anything else replaces.
pub(crate) fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut fields = target.as_object().cloned().unwrap_or_else(Map::new);
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            let merged = merge(fields.get(name).unwrap_or(&Value::Null), change);
            fields.insert(name.clone(), merged);
        }
    }
    Value::Object(fields)
}
