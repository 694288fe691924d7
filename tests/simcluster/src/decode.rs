//! Is this JSON a value of its kind, and how does the API server write it back?
//!
//! Built-in kinds pass through Go structs: unknown fields vanish, zero values are left out or written depending on the
//! field, quantities become canonical. Custom kinds are pruned, defaulted and checked by their structural schema.

use crate::quantity;
use crate::schema::{Presence, Scalar, Schema, Shape, Structure};
use serde_json::{Map, Value, json};

/// Deeper values are refused.
const DEPTH_MAX: usize = 128;

/// What decoding found besides the value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    /// Paths of fields the kind does not have; they are dropped.
    pub(crate) unknown: Vec<String>,
    /// Values of the wrong type: the request is refused.
    pub(crate) mistyped: Vec<Mistyped>,
    /// Fields that a custom kind requires and that are not there.
    pub(crate) missing: Vec<String>,
}

/// A value of the wrong type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistyped {
    pub(crate) path: String,
    pub(crate) field: String,
    pub(crate) found: &'static str,
    pub(crate) expected: &'static str,
}

/// The value as the server would write it.
pub(crate) fn decode(schema: &Schema, value: &Value) -> (Value, Problems) {
    let mut decoder =
        Decoder { schema, problems: Problems::default(), path: String::new(), fields: Vec::new() };
    let decoded = decoder.value(schema.root(), value, 0);
    (decoded, decoder.problems)
}

/// The object a create starts from: nothing but the zero values that are always written.
pub(crate) fn zero(schema: &Schema, api_version: &str, kind: &str) -> Value {
    let (mut object, _) = decode(schema, &json!({}));
    if schema.custom() {
        object = json!({});
    }
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    object
}

struct Decoder<'a> {
    schema: &'a Schema,
    problems: Problems,
    path: String,
    /// The same without indices and map keys, as Go's decoder names fields.
    fields: Vec<&'a str>,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, shape: &'a Shape, value: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        match (shape, value) {
            (Shape::Any, value) => value.clone(),
            (Shape::Scalar(scalar), value) => self.scalar(*scalar, value),
            (Shape::Struct { of, .. }, Value::Object(fields)) => {
                let structure = self.schema.structure(*of);
                // Metadata has a Go type in custom kinds too.
                match self.schema.custom() && structure.name != "meta.v1.ObjectMeta" {
                    true => self.custom_fields(structure, fields, depth),
                    false => self.fields(structure, fields, depth),
                }
            }
            (Shape::Map { of, .. }, Value::Object(fields)) => {
                let mut kept = Map::new();
                for (name, child) in fields {
                    let at = self.enter(name);
                    kept.insert(name.clone(), self.element(of, child, depth));
                    self.path.truncate(at);
                }
                Value::Object(kept)
            }
            (Shape::List { of, .. }, Value::Array(items)) => {
                let mut kept = Vec::with_capacity(items.len());
                for (index, child) in items.iter().enumerate() {
                    let at = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    kept.push(self.element(of, child, depth));
                    self.path.truncate(at);
                }
                Value::Array(kept)
            }
            (Shape::List { .. }, value) => self.mistyped(value, "array"),
            (Shape::Struct { .. } | Shape::Map { .. }, value) => self.mistyped(value, "object"),
        }
    }

    /// An element of a list or map: null becomes the zero value of a Go type.
    fn element(&mut self, of: &'a Shape, value: &Value, depth: usize) -> Value {
        match (value, self.schema.custom()) {
            (Value::Null, false) => zero_value(self, of, depth + 1),
            _ => self.value(of, value, depth + 1),
        }
    }

    fn fields(&mut self, structure: &'a Structure, fields: &Map<String, Value>, depth: usize) -> Value {
        let mut kept = Map::new();
        for name in fields.keys().filter(|name| !structure.fields.contains_key(*name)) {
            let at = self.enter(name);
            self.problems.unknown.push(self.path.clone());
            self.path.truncate(at);
        }
        for (name, field) in &structure.fields {
            let at = self.enter(name);
            self.fields.push(name);
            let value = match fields.get(name) {
                None | Some(Value::Null) => match field.presence {
                    Presence::Omitted | Presence::Pointer => None,
                    Presence::Null => Some(Value::Null),
                    Presence::Always => Some(zero_value(self, &field.shape, depth + 1)),
                },
                Some(value) => {
                    let value = self.value(&field.shape, value, depth + 1);
                    (field.presence != Presence::Omitted || !is_zero(&value)).then_some(value)
                }
            };
            if let Some(value) = value {
                kept.insert(name.clone(), value);
            }
            self.fields.pop();
            self.path.truncate(at);
        }
        Value::Object(kept)
    }

    fn custom_fields(
        &mut self,
        structure: &'a Structure,
        fields: &Map<String, Value>,
        depth: usize,
    ) -> Value {
        let mut kept = Map::new();
        for (name, value) in fields {
            let at = self.enter(name);
            match structure.fields.get(name) {
                // Null stands for absent where it is no value and there is a default to take its place.
                Some(field) if value.is_null() && !field.nullable && field.default.is_some() => {}
                Some(field) if value.is_null() && field.nullable => {
                    kept.insert(name.clone(), Value::Null);
                }
                Some(field) => {
                    let value = self.value(&field.shape, value, depth + 1);
                    kept.insert(name.clone(), value);
                }
                None if structure.open => {
                    kept.insert(name.clone(), value.clone());
                }
                None => self.problems.unknown.push(self.path.clone()),
            }
            self.path.truncate(at);
        }
        for (name, field) in &structure.fields {
            let at = self.enter(name);
            if let (false, Some(default)) = (kept.contains_key(name), &field.default) {
                let value = self.value(&field.shape, default, depth + 1);
                kept.insert(name.clone(), value);
            }
            if structure.required.contains(name) && !kept.contains_key(name) {
                self.problems.missing.push(self.path.clone());
            }
            self.path.truncate(at);
        }
        Value::Object(kept)
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) -> Value {
        let (fits, expected) = match scalar {
            Scalar::String | Scalar::Time => (value.is_string(), "string"),
            Scalar::Bytes => (value.is_string(), "base64 data"),
            Scalar::Integer => (value.is_i64() || value.is_u64(), "integer"),
            Scalar::Number => (value.is_number(), "number"),
            Scalar::Boolean => (value.is_boolean(), "boolean"),
            Scalar::Quantity => {
                let text =
                    value.as_str().map(str::to_owned).or_else(|| value.as_number().map(|n| n.to_string()));
                match text.and_then(|text| quantity::canonical(&text)) {
                    Some(canonical) => return Value::String(canonical),
                    None => (false, "quantity"),
                }
            }
            Scalar::IntOrString => {
                (value.is_string() || value.is_i64() || value.is_u64(), "integer or string")
            }
        };
        if fits { value.clone() } else { self.mistyped(value, expected) }
    }

    fn mistyped(&mut self, value: &Value, expected: &'static str) -> Value {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let (path, field) = (self.path.clone(), self.fields.join("."));
        self.problems.mistyped.push(Mistyped { path, field, found, expected });
        Value::Null
    }

    fn enter(&mut self, name: &str) -> usize {
        let at = self.path.len();
        if at > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        at
    }
}

fn zero_value<'a>(decoder: &mut Decoder<'a>, shape: &'a Shape, depth: usize) -> Value {
    match shape {
        Shape::Scalar(Scalar::String) => json!(""),
        Shape::Scalar(Scalar::Integer | Scalar::Number | Scalar::IntOrString) => json!(0),
        Shape::Scalar(Scalar::Boolean) => json!(false),
        Shape::Scalar(Scalar::Quantity) => json!("0"),
        Shape::Struct { .. } => decoder.value(shape, &json!({}), depth),
        Shape::Scalar(Scalar::Time | Scalar::Bytes) | Shape::Any | Shape::Map { .. } | Shape::List { .. } => {
            Value::Null
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Builtins, custom};

    #[test]
    fn built_in_kinds_are_written_as_go_writes_them() {
        let schema = Builtins::load().schema("apps/v1", "Deployment").unwrap();
        let object = json!({
            "metadata": {"name": "web", "labels": {}, "annotations": null},
            "spec": {"replicas": 0, "minReadySeconds": 0, "paused": false, "colour": "red"},
        });
        let (decoded, problems) = decode(&schema, &object);
        assert_eq!(problems.unknown, ["spec.colour"]);
        assert_eq!(decoded["metadata"], json!({"name": "web"}));
        let spec = &decoded["spec"];
        assert_eq!(spec["replicas"], 0, "zero replicas are a value");
        assert!(spec.get("minReadySeconds").is_none() && spec.get("paused").is_none());
        assert_eq!(spec["strategy"], json!({}));
        assert_eq!(spec["template"]["spec"]["containers"], Value::Null);
        let (_, problems) = decode(&schema, &json!({"spec": {"replicas": "two", "template": []}}));
        let found: Vec<(&str, &str)> =
            problems.mistyped.iter().map(|one| (one.path.as_str(), one.found)).collect();
        assert_eq!(found, [("spec.replicas", "string"), ("spec.template", "array")]);
    }

    #[test]
    fn custom_kinds_are_pruned_and_defaulted() {
        let open_api = json!({"type": "object", "properties": {"spec": {
            "type": "object", "required": ["size"],
            "properties": {
                "size": {"type": "integer"},
                "colour": {"type": "string", "default": "red"},
                "maybe": {"type": "string", "nullable": true},
            },
        }}});
        let schema = custom(&Builtins::load(), Some(&open_api));
        let (decoded, problems) =
            decode(&schema, &json!({"spec": {"colour": null, "maybe": null, "extra": 1}}));
        assert_eq!(decoded["spec"], json!({"colour": "red", "maybe": null}));
        assert_eq!(
            (problems.unknown, problems.missing),
            (vec!["spec.extra".to_owned()], vec!["spec.size".to_owned()])
        );
    }
}
