//! What is left of an object without some of its fields?

use super::{Set, element};
use crate::schema::{Schema, Shape, View};
use serde_json::{Map, Value};

/// `value` without the fields and elements in `paths`; a map or list that loses all it had becomes null.
pub(crate) fn remove(schema: &Schema, shape: &Shape, value: &Value, paths: &Set) -> Value {
    match (schema.view(shape, &[Some(value)]), value) {
        (View::Struct(structure), Value::Object(fields)) => {
            remove_fields(schema, fields, paths, |name| structure.shape(name).unwrap_or(&Shape::Any))
        }
        (View::Map(of), Value::Object(fields)) => remove_fields(schema, fields, paths, |_| of),
        (View::List(of, kind), Value::Array(items)) => {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                match element(kind, item).and_then(|element| paths.node(&element)) {
                    Some(node) if node.member => {}
                    Some(node) => kept.push(remove(schema, of, item, &node.below)),
                    None => kept.push(item.clone()),
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        // Something inside an atomic value is to go: an atomic value goes as one.
        (View::Leaf, Value::Object(_) | Value::Array(_)) => Value::Null,
        _ => value.clone(),
    }
}

fn remove_fields<'a>(
    schema: &Schema,
    fields: &Map<String, Value>,
    paths: &Set,
    shape: impl Fn(&str) -> &'a Shape,
) -> Value {
    let mut kept = Map::new();
    for (name, value) in fields {
        match paths.node(&format!("f:{name}")) {
            Some(node) if node.member => {}
            Some(node) => {
                kept.insert(name.clone(), remove(schema, shape(name), value, &node.below));
            }
            None => {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}
