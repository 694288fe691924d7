//! What do the operations of a JSON patch (RFC 6902) make of an object?

use serde_json::Value;

/// More operations are refused, as by the API server.
const OPERATIONS_MAX: usize = 10_000;

/// Applies all operations, or none: the error says which one cannot be.
pub(crate) fn json_patch(target: &Value, patch: &Value) -> Result<Value, String> {
    let operations = patch.as_array().ok_or("a JSON patch is a list of operations")?;
    if operations.len() > OPERATIONS_MAX {
        return Err(format!("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}"));
    }
    let mut object = target.clone();
    for operation in operations {
        step(&mut object, operation)?;
    }
    Ok(object)
}

fn step(object: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |field: &str| operation[field].as_str().unwrap_or_default();
    let (kind, path) = (text("op"), text("path"));
    let missing =
        |path: &str| format!("{kind} operation does not apply: doc is missing path: {path:?}: missing value");
    let value = || operation.get("value").cloned().ok_or_else(|| format!("{kind} operation needs a value"));
    match kind {
        "add" => add(object, path, value()?).ok_or_else(|| missing(path)),
        "remove" => remove(object, path).map(drop).ok_or_else(|| missing(path)),
        "replace" => {
            let slot = object.pointer_mut(path).ok_or_else(|| missing(path))?;
            *slot = value()?;
            Ok(())
        }
        "move" => {
            let moved = remove(object, text("from")).ok_or_else(|| missing(text("from")))?;
            add(object, path, moved).ok_or_else(|| missing(path))
        }
        "copy" => {
            let copied = object.pointer(text("from")).cloned().ok_or_else(|| missing(text("from")))?;
            add(object, path, copied).ok_or_else(|| missing(path))
        }
        "test" => match object.pointer(path) {
            Some(found) if *found == value()? => Ok(()),
            _ => Err(format!("testing value {path} failed")),
        },
        other => Err(format!("Unexpected kind: {other}")),
    }
}

/// Splits a pointer into its parent and its last part, unescaped.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(fields) => {
            fields.insert(last, value);
        }
        Value::Array(items) => {
            let index = if last == "-" { items.len() } else { last.parse().ok()? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(fields) => fields.remove(&last),
        Value::Array(items) => {
            let index: usize = last.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}
