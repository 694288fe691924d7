//! What can an expression have as its value?

use std::rc::Rc;

use serde_json::Value as Json;

/// A value while an expression runs. Lists and maps of the object are not copied.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    /// A text of the object, or written in the expression.
    Borrowed(&'a str),
    List(Rc<[Value<'a>]>),
    Map(Rc<[(Value<'a>, Value<'a>)]>),
    /// A list or a map of the object.
    Json(&'a Json),
    /// What `a.?b` gives.
    Optional(Option<Rc<Value<'a>>>),
}

impl<'a> Value<'a> {
    pub(crate) fn of(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Value::Int(number),
                (None, Some(number)) => Value::Uint(number),
                (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Borrowed(text),
            Json::Array(_) | Json::Object(_) => Value::Json(json),
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Borrowed(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn from_text(text: impl Into<Rc<str>>) -> Value<'a> {
        Value::Text(text.into())
    }

    /// How many elements a list has.
    pub(crate) fn list_len(&self) -> Option<usize> {
        match self {
            Value::List(items) => Some(items.len()),
            Value::Json(Json::Array(items)) => Some(items.len()),
            _ => None,
        }
    }

    /// An element of a list.
    pub(crate) fn item(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Value::List(items) => items.get(index).cloned(),
            Value::Json(Json::Array(items)) => items.get(index).map(Value::of),
            _ => None,
        }
    }

    /// How many entries a map has.
    pub(crate) fn map_len(&self) -> Option<usize> {
        match self {
            Value::Map(entries) => Some(entries.len()),
            Value::Json(Json::Object(fields)) => Some(fields.len()),
            _ => None,
        }
    }

    /// The entry of a map with that text as its key.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Value::Json(Json::Object(fields)) => fields.get(name).map(Value::of),
            Value::Map(entries) => {
                let found = entries.iter().find(|(key, _)| key.text() == Some(name));
                found.map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// The keys of a map, in its order.
    pub(crate) fn keys(&self) -> Option<Vec<Value<'a>>> {
        match self {
            Value::Json(Json::Object(fields)) => {
                Some(fields.keys().map(|key| Value::Borrowed(key.as_str())).collect())
            }
            Value::Map(entries) => Some(entries.iter().map(|(key, _)| key.clone()).collect()),
            _ => None,
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Uint(_) => "a uint",
            Value::Double(_) => "a double",
            Value::Text(_) | Value::Borrowed(_) => "a string",
            Value::List(_) | Value::Json(Json::Array(_)) => "a list",
            Value::Map(_) | Value::Json(_) => "a map",
            Value::Optional(_) => "an optional value",
        }
    }
}
