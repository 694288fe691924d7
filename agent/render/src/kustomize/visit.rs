//! Where in an object is the field that a spec means?

use muster_yaml::Reading;
use serde_json::{Map, Value};

use super::{
    resource::Resource,
    specs::{FieldPath, FieldSpec},
};

/// What is made of a field that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// Nothing: what is missing is left out.
    Nothing,
    /// An empty text.
    Scalar,
    /// An empty mapping.
    Mapping,
}

/// Splits a path; a delimiter behind a backslash belongs to the key.
pub(crate) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts = path.split(delimiter).peekable();
    let mut keys: Vec<String> = Vec::new();
    if path.starts_with(delimiter) && path.len() > delimiter.len_utf8() {
        parts.next();
    }
    for part in parts {
        match keys.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => keys.push(part.to_owned()),
        }
    }
    keys
}

/// Calls `set` with every value of an object that a spec means.
pub(crate) fn each(
    resource: &mut Resource,
    spec: &FieldSpec,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    if !resource.is_selected(&spec.gvk) {
        return Ok(());
    }
    each_at(resource, &spec.path, if spec.create { make } else { Make::Nothing }, set)
}

/// Calls `set` with every value at a path of an object, whatever its kind.
pub(crate) fn each_at(
    resource: &mut Resource,
    path: &FieldPath,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    walk(&mut resource.value, path.keys(), make, set).map_err(|message| {
        format!("considering field '{path}' of {} {}: {message}", resource.kind(), resource.name())
    })
}

fn walk(
    value: &mut Value,
    path: &[String],
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else {
        return set(value);
    };
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, path, make, set)),
        Value::Object(fields) => match field(fields, key, rest.is_empty(), make)? {
            Some(next) => walk(next, rest, make, set),
            None => Ok(()),
        },
        _ => Err("expected sequence or mapping node".to_owned()),
    }
}

fn field<'v>(
    fields: &'v mut Map<String, Value>,
    key: &str,
    is_last: bool,
    make: Make,
) -> Result<Option<&'v mut Value>, String> {
    let (key, is_list) = match key.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (key, false),
    };
    if key.is_empty() {
        return Err("cannot set or create an empty field name".to_owned());
    }
    let empty = || match make {
        _ if is_list => Value::Array(Vec::new()),
        Make::Scalar if is_last => Value::String(String::new()),
        _ => Value::Object(Map::new()),
    };
    let creates = make != Make::Nothing;
    if creates && !is_list && !fields.contains_key(key) {
        fields.insert(key.to_owned(), empty());
    }
    let found = fields.get_mut(key);
    Ok(found.map(|value| {
        if value.is_null() && (is_list || creates) {
            *value = empty();
        }
        value
    }))
}

/// What a value is, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "SequenceNode",
        Value::Object(_) => "MappingNode",
        _ => "ScalarNode",
    }
}

/// Puts a value where there is a scalar.
pub(crate) fn set_scalar(place: &mut Value, new: Value) -> Result<(), String> {
    if place.is_object() || place.is_array() {
        return Err(format!("wrong node kind: expected ScalarNode but got {}", kind_of(place)));
    }
    *place = new;
    Ok(())
}

/// Refuses keys that Kustomize adds without quotes, and then cannot read again: `123`, `true`.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    match muster_yaml::plain(key, Reading::AsKustomize) {
        Ok(muster_yaml::Value::String(text)) if text == key => Ok(()),
        _ => {
            Err(format!("the key '{key}' is not a string to YAML, which Kustomize cannot handle; rename it"))
        }
    }
}

/// Sets a key of a mapping to a text. Nothing happens to a null.
pub(crate) fn set_entry(place: &mut Value, key: &str, text: &str) -> Result<(), String> {
    match place {
        Value::Object(fields) => {
            if !fields.contains_key(key) {
                check_key(key)?;
            }
            fields.insert(key.to_owned(), Value::from(text));
            Ok(())
        }
        Value::Null => Ok(()),
        other => Err(format!("wrong node kind: expected MappingNode but got {}", kind_of(other))),
    }
}
