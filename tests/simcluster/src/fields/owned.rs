//! Which fields does a configuration speak of?

use super::{Node, Set, element};
use crate::schema::{Scalar, Schema, Shape, View};
use serde_json::Value;
use std::collections::BTreeMap;

/// The paths of all leaves of `value`, and of the elements of its maps and keyed lists. An error names a field that
/// the schema does not know or a list element without its keys.
pub(crate) fn owned(schema: &Schema, shape: &Shape, value: &Value) -> Result<Set, String> {
    walk(schema, shape, value, &mut String::new()).map(|node| node.below)
}

fn walk(schema: &Schema, shape: &Shape, value: &Value, path: &mut String) -> Result<Node, String> {
    let leaf = || Node { member: true, below: Set::default() };
    let mut below = Set::default();
    match (schema.view(shape, &[Some(value)]), value) {
        (_, Value::Null) => return Ok(leaf()),
        (View::Leaf, _) => {
            return match wrong_scalar(shape, value) {
                Some(expected) => Err(format!("{path}: expected {expected}, got {}", go_value(value))),
                None => Ok(leaf()),
            };
        }
        (View::Struct(structure), Value::Object(fields)) => {
            for (name, child) in fields {
                let length = path.len();
                path.push('.');
                path.push_str(name);
                let Some(of) = structure.shape(name) else {
                    return Err(format!("{path}: field not declared in schema"));
                };
                let mut node = walk(schema, of, child, path)?;
                node.member |= is_empty_object(child) || !structure.fields.contains_key(name);
                below.put(&format!("f:{name}"), node);
                path.truncate(length);
            }
        }
        (View::Map(of), Value::Object(fields)) => {
            for (name, child) in fields {
                let length = path.len();
                path.push('.');
                path.push_str(name);
                let mut node = walk(schema, of, child, path)?;
                node.member = true;
                below.put(&format!("f:{name}"), node);
                path.truncate(length);
            }
        }
        (View::List(of, kind), Value::Array(items)) => {
            let mut seen: BTreeMap<String, Node> = BTreeMap::new();
            for (index, item) in items.iter().enumerate() {
                let length = path.len();
                let Some(element) = element(kind, item) else {
                    return Err(format!(
                        "{path}: element {index}: associative list with keys has an element that omits its key fields"
                    ));
                };
                path.push_str(&super::display(&[&element]));
                let mut node = walk(schema, of, item, path)?;
                node.member = true;
                path.truncate(length);
                // An element that is there twice is owned as a whole only.
                let known = seen.contains_key(&element);
                seen.insert(element, if known { leaf() } else { node });
            }
            for (element, node) in seen {
                below.put(&element, node);
            }
        }
        (View::Struct(_) | View::Map(_), _) => {
            return Err(format!("{path}: expected map, got {}", go_value(value)));
        }
        (View::List(..), _) => return Err(format!("{path}: expected list, got {}", go_value(value))),
    }
    Ok(Node { member: false, below })
}

/// What a scalar should have been, if it is something else.
fn wrong_scalar(shape: &Shape, value: &Value) -> Option<&'static str> {
    match shape {
        Shape::Scalar(Scalar::String) if !value.is_string() => Some("string"),
        Shape::Scalar(Scalar::Integer | Scalar::Number) if !value.is_number() => {
            Some("numeric (int or float)")
        }
        Shape::Scalar(Scalar::Boolean) if !value.is_boolean() => Some("boolean"),
        _ => None,
    }
}

/// A value as these messages show it.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(_) => "string".to_owned(),
        Value::Number(_) | Value::Bool(_) => format!("&value.valueUnstructured{{Value:{value}}}"),
        Value::Array(_) => "list".to_owned(),
        Value::Object(_) => "map".to_owned(),
        Value::Null => "null".to_owned(),
    }
}

fn is_empty_object(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The same set, in which named fields that have owned fields below are members themselves.
pub(crate) fn named_fields_as_members(schema: &Schema, shape: &Shape, set: &Set) -> Set {
    let mut result = Set::default();
    for (element, node) in set.iter() {
        let (of, named) = child_shape(schema, shape, element);
        let below = named_fields_as_members(schema, of, &node.below);
        let member = node.member || (named && !node.below.is_empty());
        result.put(element, Node { member, below });
    }
    result
}

/// The shape under a path element, and whether it is a named field.
fn child_shape<'a>(schema: &'a Schema, shape: &'a Shape, element: &str) -> (&'a Shape, bool) {
    match shape {
        Shape::Struct { of, .. } => {
            let structure = schema.structure(*of);
            let name = element.strip_prefix("f:").unwrap_or(element);
            (structure.shape(name).unwrap_or(&Shape::Any), structure.fields.contains_key(name))
        }
        Shape::Map { of, .. } | Shape::List { of, .. } => (of, false),
        _ => (&Shape::Any, false),
    }
}
