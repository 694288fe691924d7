//! What do the operations of a JSON patch (RFC 6902) make of an object?
//!
//! Read and applied as Kustomize does, which differs from the RFC: `replace` of a key that is not
//! there adds it, `copy` of one gives null, indexes may be negative and count from the end, and a
//! pointer's text before its first slash does not count.

use muster_yaml::{Limits, Node, Part, Reading, Syntax};
use serde_json::Value;

use super::PatchError;

/// The operations of one patch, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operations(Vec<Operation>);

#[derive(Debug, Clone, PartialEq)]
struct Operation {
    kind: String,
    path: Option<String>,
    from: Option<String>,
    /// What the operation adds or expects; none if it has no `value`.
    value: Option<Value>,
}

/// The items that one patch may make of an object, so that a few copies of the whole into itself
/// do not grow without end.
const COPIED_MAX: usize = 1 << 20;

impl Operations {
    /// Reads the text of a patch: JSON if it begins with `[`, else YAML, of which the first
    /// document counts.
    ///
    /// # Errors
    /// When the text is no list of mappings.
    pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Operations, PatchError> {
        let value = if text.starts_with('[') {
            serde_json::from_str(text)
                .map_err(|error| PatchError::new(format!("the JSON patch is not JSON: {error}")))?
        } else {
            first_document(text, limits)?
        };
        let operations = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            _ => return Err(PatchError::new("a JSON patch is a list of operations")),
        };
        operations.into_iter().map(operation).collect::<Result<_, _>>().map(Operations)
    }

    /// Whether an operation puts something in the place of all annotations, or takes them away.
    pub(crate) fn replaces_annotations(&self) -> bool {
        let above = |path: &Option<String>| {
            matches!(path.as_deref(), Some("/metadata/annotations" | "/metadata" | ""))
        };
        self.0.iter().any(|operation| match operation.kind.as_str() {
            "test" => false,
            "move" => above(&operation.path) || above(&operation.from),
            _ => above(&operation.path),
        })
    }

    /// Applies the operations one after another.
    ///
    /// # Errors
    /// When one does not apply; the object is then as before.
    pub(crate) fn apply(&self, target: &mut Value) -> Result<(), PatchError> {
        let mut document = target.clone();
        let mut copied = 0;
        for (position, operation) in self.0.iter().enumerate() {
            operation.apply(&mut document, &mut copied).map_err(|error| {
                PatchError::new(format!("operation {} ({}): {error}", position + 1, operation.kind))
            })?;
        }
        if !document.is_object() {
            return Err(PatchError::new("the patch leaves no mapping"));
        }
        *target = document;
        Ok(())
    }
}

/// Makes of integers what they are once Go has read them from JSON: they go through a float.
pub(crate) fn as_json_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(read) = number.as_f64().and_then(muster_yaml::from_float) {
                *number = read;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_json_numbers),
        Value::Object(fields) => fields.values_mut().for_each(as_json_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The first document of a text, which ends where it ends: a block scalar there has no last line
/// break that is not written.
fn first_document(text: &str, limits: &Limits) -> Result<Value, PatchError> {
    let part = Part { text: text.into(), line: 1, syntax: Syntax::Yaml };
    match part.read(Reading::AsKubectl, limits) {
        Ok(node) => Ok(node.map(Node::into_json).unwrap_or_default()),
        Err(error) => Err(PatchError::new(format!("the patch cannot be read: {error}"))),
    }
}

fn operation(item: Value) -> Result<Operation, PatchError> {
    let Value::Object(mut fields) = item else {
        return Err(PatchError::new("an operation of a JSON patch is a mapping with op and path"));
    };
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Ok(Operation {
        kind: text(fields.remove("op")).unwrap_or_else(|| "unknown".to_owned()),
        path: text(fields.remove("path")),
        from: text(fields.remove("from")),
        value: fields.remove("value"),
    })
}

impl Operation {
    fn apply(&self, document: &mut Value, copied: &mut usize) -> Result<(), PatchError> {
        match self.kind.as_str() {
            "add" => add(document, self.path()?, self.value.clone().unwrap_or_default()),
            "remove" => remove(document, self.path()?).map(drop),
            "replace" => self.replace(document),
            "move" => {
                get(document, self.from()?)?;
                let value = remove(document, self.from()?)?;
                add(document, self.path()?, value)
            }
            "copy" => {
                let value = get(document, self.from()?)?;
                *copied += size(&value);
                if *copied > COPIED_MAX {
                    return Err(PatchError::new("the patch copies too much"));
                }
                add(document, self.path()?, value)
            }
            "test" => self.test(document),
            _ => Err(PatchError::new("Unexpected kind; op is add, remove, replace, move, copy or test")),
        }
    }

    fn path(&self) -> Result<&str, PatchError> {
        self.path.as_deref().ok_or_else(|| PatchError::new("the operation has no path"))
    }

    fn from(&self) -> Result<&str, PatchError> {
        self.from.as_deref().ok_or_else(|| PatchError::new("the operation has no from"))
    }

    fn replace(&self, document: &mut Value) -> Result<(), PatchError> {
        let path = self.path()?;
        let value = self.value.clone().unwrap_or_default();
        if path.is_empty() {
            *document = value;
            return Ok(());
        }
        let (parent, key) = parent(document, path)?;
        match parent {
            Value::Object(fields) => {
                fields.insert(key, value);
            }
            Value::Array(items) => {
                let index = index(&key, items.len(), items.len())?;
                items[index] = value;
            }
            _ => return Err(missing(path)),
        }
        Ok(())
    }

    fn test(&self, document: &mut Value) -> Result<(), PatchError> {
        let path = self.path()?;
        let found = if path.is_empty() { document.clone() } else { get(document, path)? };
        let Some(expected) = &self.value else {
            return Err(PatchError::new(format!("testing value {path} failed: the operation has no value")));
        };
        if found == *expected { Ok(()) } else { Err(PatchError::new(format!("testing value {path} failed"))) }
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn missing(path: &str) -> PatchError {
    PatchError::new(format!("doc is missing path: {path}"))
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// An index below `end`, which may be negative: -1 is `end - 1`.
fn index(key: &str, end: usize, length: usize) -> Result<usize, PatchError> {
    let number: i64 =
        key.parse().map_err(|_| PatchError::new(format!("value was not a proper array index: '{key}'")))?;
    let end = i64::try_from(end).unwrap_or(i64::MAX);
    let absolute = if number < 0 { end.saturating_add(number) } else { number };
    match usize::try_from(absolute) {
        Ok(index) if absolute < end => Ok(index),
        _ => Err(PatchError::new(format!("Unable to access invalid index: {number} (of {length} items)"))),
    }
}

/// What holds the last part of a path, and that part.
fn parent<'d>(document: &'d mut Value, path: &str) -> Result<(&'d mut Value, String), PatchError> {
    let Some((_, tokens)) = path.split_once('/') else { return Err(missing(path)) };
    let mut tokens: Vec<String> = tokens.split('/').map(unescaped).collect();
    let last = tokens.pop().unwrap_or_default();
    let mut at = document;
    for token in tokens {
        at = match at {
            Value::Object(fields) => fields.get_mut(&token).ok_or_else(|| missing(path))?,
            Value::Array(items) => {
                let index = index(&token, items.len(), items.len()).map_err(|_| missing(path))?;
                &mut items[index]
            }
            _ => return Err(missing(path)),
        };
    }
    match at {
        Value::Object(_) | Value::Array(_) => Ok((at, last)),
        _ => Err(missing(path)),
    }
}

/// The value at a path; null for a key that is not there.
fn get(document: &mut Value, path: &str) -> Result<Value, PatchError> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Array(items) => {
            let index = index(&key, items.len(), items.len())?;
            Ok(items[index].clone())
        }
        parent => Ok(parent.get(&key).cloned().unwrap_or_default()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = index(&key, items.len() + 1, items.len())?;
            items.insert(index, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, PatchError> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(fields) => fields
            .remove(&key)
            .ok_or_else(|| PatchError::new(format!("Unable to remove nonexistent key: {key}"))),
        Value::Array(items) => {
            let index = index(&key, items.len(), items.len())?;
            Ok(items.remove(index))
        }
        _ => Err(missing(path)),
    }
}
