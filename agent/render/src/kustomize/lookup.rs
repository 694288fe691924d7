//! Which value of an object does a dotted path name?

use serde_json::Value;

use super::{
    resource::text_of,
    shared::{Place, Step},
    visit::{kind_of, split_path},
};

/// Splits `spec.containers.[name=a.b].image`; points in brackets belong to the key. Brackets without
/// `=` only hold a key together: `data.[a.b]`.
pub(crate) fn dotted(path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut parts = split_path(path, '.').into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            keys.push(part);
            continue;
        }
        let mut bracketed = part;
        for more in parts.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&more);
            if more.ends_with(']') {
                break;
            }
        }
        if bracketed.contains('=') {
            keys.push(bracketed);
        } else {
            keys.push(bracketed.trim_matches(['[', ']']).to_owned());
        }
    }
    keys
}

/// The name and the value in `[name=value]`.
pub(crate) fn condition(part: &str) -> Option<Result<(&str, &str), String>> {
    let inside = part.strip_prefix('[')?.strip_suffix(']')?;
    Some(
        inside.split_once('=').ok_or_else(|| {
            "list path element must contain fieldName=fieldValue for element to match".to_owned()
        }),
    )
}

/// The value at a path; `None` where there is none.
pub(crate) fn value<'v>(root: &'v Value, path: &[String]) -> Result<Option<&'v Value>, String> {
    Ok(find(root, path)?.map(|(value, _)| value))
}

/// The value at a path and the way to it; `None` where there is none.
pub(crate) fn find<'v>(root: &'v Value, path: &[String]) -> Result<Option<(&'v Value, Place)>, String> {
    let (mut value, mut way) = (root, Vec::new());
    for part in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let Some((next, step)) = step(value, part)? else { return Ok(None) };
        value = next;
        way.push(step);
    }
    Ok(Some((value, Place(way))))
}

fn step<'v>(value: &'v Value, part: &str) -> Result<Option<(&'v Value, Step)>, String> {
    let wrong = |expected: &str| format!("wrong node kind: expected {expected} but got {}", kind_of(value));
    if part == "*" {
        return Err("wildcard is not supported in the field path of a source".to_owned());
    }
    let index = part.parse::<i64>();
    let condition = condition(part).transpose()?;
    if index.is_err() && part != "-" && condition.is_none() {
        return match value {
            Value::Null => Ok(None),
            Value::Object(fields) => Ok(fields.get(part).map(|field| (field, Step::Key(part.to_owned())))),
            _ => Err(wrong("MappingNode")),
        };
    }
    let items = match value {
        Value::Array(items) => items,
        Value::Null => return Ok(None),
        _ => return Err(wrong("SequenceNode")),
    };
    let index = match (index, condition) {
        (Ok(index), _) => {
            Some(usize::try_from(index).map_err(|_| format!("array index {index} cannot be negative"))?)
        }
        (Err(_), Some(("", wanted))) => items.iter().position(|item| text_of(item) == wanted),
        (Err(_), Some((name, wanted))) => items.iter().position(|item| {
            item.get(name).is_some_and(|field| !field.is_null() && text_of(field) == wanted)
        }),
        (Err(_), None) => items.len().checked_sub(1),
    };
    Ok(index.and_then(|index| Some((items.get(index)?, Step::Index(index)))))
}
