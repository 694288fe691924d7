//! What does a `ValueAddTransformer` put into fields?

use serde_json::{Map, Value, json};

use crate::{
    kustomize::{
        identity::Kinds,
        kustomization::ValueTarget,
        lookup::condition,
        resmap::ResMap,
        resource::{plain, text_of},
        visit::{kind_of, set_scalar, split_path},
    },
    patch::Selector,
};

use super::namespace::{self, Subjects};

/// The field whose change changes more than a text.
const NAMESPACE: &str = "metadata/namespace";

pub(super) fn run(
    map: &mut ResMap,
    text: &str,
    targets: &[ValueTarget],
    kinds: Kinds<'_>,
) -> Result<(), String> {
    for target in targets {
        let positions = match &target.selector {
            None => (0..map.list.len()).collect(),
            Some(fields) => map.select(&Selector::new(fields).map_err(|error| error.to_string())?, kinds),
        };
        for at in positions {
            let resource = &mut map.list[at];
            if target.field_path == NAMESPACE {
                namespace::one(resource, text, &[], false, Subjects::Default, kinds)?;
                continue;
            }
            let path = split_path(&target.field_path, '/');
            let path: Vec<_> = path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
            let name = format!("{} {}", resource.kind(), resource.name());
            put(&mut resource.value, &path, text, target.file_path_position)
                .map_err(|error| format!("{} of {name}: {error}", target.field_path))?;
        }
    }
    Ok(())
}

fn put(object: &mut Value, path: &[&str], text: &str, position: usize) -> Result<(), String> {
    let Some(place) = reach(object, path)? else { return Ok(()) };
    let text = match position.checked_sub(1) {
        None => text.to_owned(),
        Some(position) => with_part(&text_of(place), position, text),
    };
    set_scalar(place, plain(&text)?)
}

/// The value at a path, made where it is missing. Nothing is made below a null or of an item that is not there.
fn reach<'v>(value: &'v mut Value, path: &[&str]) -> Result<Option<&'v mut Value>, String> {
    let Some((part, rest)) = path.split_first() else { return Ok(Some(value)) };
    if *part == "*" {
        return Err("wildcard is not supported here".to_owned());
    }
    let condition = condition(part).transpose()?;
    let index = part.parse::<usize>().ok();
    if condition.is_none() && index.is_none() && *part != "-" {
        return match value {
            Value::Null => Ok(None),
            Value::Object(fields) => {
                let next = fields.entry(*part).or_insert_with(|| missing(rest));
                reach(next, rest)
            }
            other => Err(wrong_kind("MappingNode", other)),
        };
    }
    let items = match value {
        Value::Null => return Ok(None),
        Value::Array(items) => items,
        other => return Err(wrong_kind("SequenceNode", other)),
    };
    let item = match (condition, index) {
        (Some((name, wanted)), _) => Some(matching(items, name, wanted)),
        (None, Some(index)) => items.get_mut(index),
        (None, None) => items.last_mut(),
    };
    item.map_or(Ok(None), |item| reach(item, rest))
}

/// What a missing field is made as, so that the rest of the path fits in.
fn missing(rest: &[&str]) -> Value {
    match rest.first() {
        None => Value::String(String::new()),
        Some(part) if part.starts_with('[') || part.parse::<usize>().is_ok() => Value::Array(Vec::new()),
        Some(_) => Value::Object(Map::new()),
    }
}

/// The item with a field of this text, or one that is this text; a new one if there is none.
fn matching<'v>(items: &'v mut Vec<Value>, name: &str, wanted: &str) -> &'v mut Value {
    let is_wanted = |item: &Value| match name {
        "" => text_of(item) == wanted,
        name => item.get(name).is_some_and(|field| text_of(field) == wanted),
    };
    let at = items.iter().position(is_wanted).unwrap_or_else(|| {
        items.push(if name.is_empty() { Value::from(wanted) } else { json!({ name: wanted }) });
        items.len() - 1
    });
    &mut items[at]
}

fn wrong_kind(expected: &str, found: &Value) -> String {
    format!("wrong node kind: expected {expected} but got {}", kind_of(found))
}

/// A file's path with a part put in at a position, `/` in front not counted.
fn with_part(path: &str, position: usize, part: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{}{}", if is_absolute { "/" } else { "" }, parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        for (path, position, expected) in [
            ("", 0, "PEACH"),
            ("/", 0, "/PEACH"),
            ("pie", 0, "PEACH/pie"),
            ("/pie", 0, "/PEACH/pie"),
            ("raw", 1, "raw/PEACH"),
            ("/raw", 9, "/raw/PEACH"),
            ("/a/nice/warm/pie", 3, "/a/nice/warm/PEACH/pie"),
        ] {
            assert_eq!(with_part(path, position, "PEACH"), expected, "{path} {position}");
        }
    }
}
