//! What does a strategic merge patch make of an object of a built-in kind?
//!
//! As a merge patch, but lists with a merge key are merged element by element, and directives (`$patch`,
//! `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`) steer it.

use crate::schema::{ListKind, Schema, Shape};
use serde_json::{Map, Value};

/// Applies the patch; the error says which directive cannot be followed.
pub(crate) fn strategic(schema: &Schema, target: &Value, patch: &Value) -> Result<Value, String> {
    merge(schema, schema.root(), target, patch)
}

fn merge(schema: &Schema, shape: &Shape, target: &Value, patch: &Value) -> Result<Value, String> {
    let Value::Object(changes) = patch else {
        return Ok(patch.clone());
    };
    match changes.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let plain = changes.iter().filter(|(name, _)| *name != "$patch");
            return Ok(Value::Object(plain.map(|(name, value)| (name.clone(), value.clone())).collect()));
        }
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => return Err(format!("Unknown patch type: {other}")),
    }
    let mut fields = target.as_object().cloned().unwrap_or_default();
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|name, _| kept.iter().any(|keep| keep == name.as_str()));
    }
    for (name, change) in changes {
        if name.starts_with('$') {
            continue;
        }
        let of = child(schema, shape, name);
        let merged = match (change, fields.get(name)) {
            (Value::Null, _) => {
                fields.remove(name);
                continue;
            }
            (Value::Array(items), before) => {
                let before = before.and_then(Value::as_array).cloned().unwrap_or_default();
                Value::Array(merge_list(schema, of, &before, items)?)
            }
            (change, before) => merge(schema, of, before.unwrap_or(&Value::Null), change)?,
        };
        fields.insert(name.clone(), merged);
    }
    for (directive, wanted) in changes {
        let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(name) = directive.strip_prefix("$deleteFromPrimitiveList/") {
            if let Some(items) = fields.get_mut(name).and_then(Value::as_array_mut) {
                items.retain(|item| !wanted.contains(item));
            }
        } else if let Some(name) = directive.strip_prefix("$setElementOrder/") {
            let key = merge_key(child(schema, shape, name));
            if let Some(items) = fields.get_mut(name).and_then(Value::as_array_mut) {
                order(items, wanted, key.as_deref());
            }
        }
    }
    Ok(Value::Object(fields))
}

fn child<'a>(schema: &'a Schema, shape: &'a Shape, name: &str) -> &'a Shape {
    match shape {
        Shape::Struct { of, .. } => schema.structure(*of).shape(name).unwrap_or(&Shape::Any),
        Shape::Map { of, .. } => of,
        _ => &Shape::Any,
    }
}

/// The field that tells the elements apart, for lists of objects that merge.
fn merge_key(shape: &Shape) -> Option<String> {
    match shape {
        Shape::List { kind: ListKind::Map(keys), .. } => keys.first().map(|key| key.name.clone()),
        Shape::List { kind: ListKind::Atomic(key), .. } => key.clone(),
        _ => None,
    }
}

fn merge_list(
    schema: &Schema,
    shape: &Shape,
    target: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, String> {
    let is_replace = |item: &Value| item["$patch"] == "replace";
    let without_directive = || patch.iter().filter(|item| !is_replace(item)).cloned().collect();
    if patch.iter().any(is_replace) {
        return Ok(without_directive());
    }
    let Shape::List { of, kind } = shape else {
        return Ok(patch.to_vec());
    };
    if *kind == ListKind::Set {
        let mut items = target.to_vec();
        items.extend(patch.iter().filter(|item| !target.contains(item)).cloned());
        return Ok(items);
    }
    let Some(key) = merge_key(shape) else {
        return Ok(patch.to_vec());
    };
    let mut items = target.to_vec();
    for change in patch {
        let Some(wanted) = change.get(&key) else {
            return Err(format!("map: {change} does not contain declared merge key: {key}"));
        };
        let found = items.iter().position(|item| item.get(&key) == Some(wanted));
        match (change["$patch"] == "delete", found) {
            (true, _) => items.retain(|item| item.get(&key) != Some(wanted)),
            (false, Some(index)) => items[index] = merge(schema, of, &items[index], change)?,
            (false, None) => items.push(merge(schema, of, &Value::Null, change)?),
        }
    }
    Ok(items)
}

/// Puts the elements that are named into the named order; the others keep their place before the named ones that
/// followed them.
fn order(items: &mut [Value], wanted: &[Value], key: Option<&str>) {
    let identity = |item: &Value| match key {
        Some(key) => item.get(key).cloned().unwrap_or(Value::Null),
        None => item.clone(),
    };
    let rank = |item: &Value| wanted.iter().position(|one| identity(one) == identity(item));
    let mut named: Vec<Value> = items.iter().filter(|item| rank(item).is_some()).cloned().collect();
    named.sort_by_key(|item| rank(item));
    let mut named = named.into_iter();
    for slot in items.iter_mut() {
        if rank(slot).is_some()
            && let Some(next) = named.next()
        {
            *slot = next;
        }
    }
}
