//! Is an object as the schema of its kind wants it?
//!
//! Only what an API server refuses or drops is a mistake: fields that do not exist, values of another type,
//! required fields that are missing, values an enumeration does not list. Formats, patterns and the like are
//! left to the server, which knows more about them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Flaw;
use crate::failure::nearest;
use crate::lint::locate::{FieldPath, Step};
use crate::lint::rule::Rule;

/// References that lead to references.
const REFERENCES_MAX: usize = 16;
/// Types whose values are written in more ways than their schema says, by the end of their names.
const LOOSE: [&str; 3] =
    ["pkg.api.resource.Quantity", "pkg.util.intstr.IntOrString", "pkg.runtime.RawExtension"];
/// Fields of every object that a schema of a definition need not name.
const ALWAYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

struct Checker<'s> {
    types: &'s BTreeMap<String, Value>,
    path: Vec<Step>,
    flaws: Vec<Flaw>,
}

/// What is wrong with an object. `schema` is that of its kind; `types` are those it refers to.
pub(super) fn object(object: &Value, schema: &Value, types: &BTreeMap<String, Value>) -> Vec<Flaw> {
    let mut checker = Checker { types, path: Vec::new(), flaws: Vec::new() };
    let (Some(fields), Some(schema)) = (object.as_object(), checker.resolve(schema)) else {
        return Vec::new();
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    checker.required(fields, schema);
    for (key, value) in fields {
        // The status is not what is applied.
        if key == "status" {
            continue;
        }
        match properties.and_then(|properties| properties.get(key)) {
            // What a definition says of metadata is at most a limit on its name.
            Some(field)
                if !ALWAYS.contains(&key.as_str()) || field.get("$ref").is_some() || has_reference(field) =>
            {
                checker.field(key, value, field);
            }
            Some(_) => {}
            None if ALWAYS.contains(&key.as_str()) => {}
            None => checker.unknown(key, schema),
        }
    }
    checker.flaws
}

/// OpenAPI v3 puts a reference that has a default into a list.
fn has_reference(schema: &Value) -> bool {
    schema.pointer("/allOf/0/$ref").is_some()
}

impl<'s> Checker<'s> {
    /// The schema itself, not a reference to it; `None` where anything may be.
    fn resolve(&self, mut schema: &'s Value) -> Option<&'s Value> {
        for _ in 0..REFERENCES_MAX {
            let one = match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                Some([one]) if has_reference(schema) => one,
                _ => schema,
            };
            let Some(reference) = one.get("$ref").and_then(Value::as_str) else { return Some(schema) };
            let name = reference.rsplit('/').next().unwrap_or(reference);
            if LOOSE.iter().any(|loose| name.ends_with(loose)) {
                return None;
            }
            schema = self.types.get(name)?;
        }
        None
    }

    fn field(&mut self, key: &str, value: &Value, schema: &'s Value) {
        self.path.push(Step::Key(key.to_owned()));
        self.value(value, schema);
        self.path.pop();
    }

    fn value(&mut self, value: &Value, schema: &'s Value) {
        // To a server a field that is null is a field that is not there.
        let Some(schema) = self.resolve(schema).filter(|_| !value.is_null()) else { return };
        let is = |key: &str| schema.get(key).and_then(Value::as_bool) == Some(true);
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        if is("x-kubernetes-int-or-string") || format == "int-or-string" {
            if !value.is_string() && !value.is_i64() && !value.is_u64() {
                self.wrong_type(value, "an integer or a string");
            }
            return;
        }
        // A whole object inside of another one says itself what it is.
        if is("x-kubernetes-embedded-resource") {
            return;
        }
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("object"), Value::Object(fields)) => self.fields(fields, schema),
            (Some("array"), Value::Array(items)) => self.items(items, schema),
            (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => {
                self.listed(value, schema);
            }
            (Some("number"), Value::Number(_)) => {}
            (Some("integer"), Value::Number(number)) if is_whole(number) => self.listed(value, schema),
            (Some(wanted @ ("object" | "array" | "string" | "boolean" | "number" | "integer")), _) => {
                self.wrong_type(value, in_words(wanted));
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, schema: &'s Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let keeps_unknown =
            schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true);
        self.required(fields, schema);
        for (key, value) in fields {
            match (properties.and_then(|properties| properties.get(key)), others) {
                (Some(field), _) => self.field(key, value, field),
                (None, Some(Value::Bool(true))) => {}
                (None, Some(other @ Value::Object(_))) => self.field(key, value, other),
                // An object of which nothing is said may hold anything.
                (None, _) if properties.is_none() || keeps_unknown => {}
                (None, _) => self.unknown(key, schema),
            }
        }
    }

    fn items(&mut self, items: &[Value], schema: &'s Value) {
        let Some(of) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.path.push(Step::Index(index));
            self.value(item, of);
            self.path.pop();
        }
    }

    fn required(&mut self, fields: &Map<String, Value>, schema: &'s Value) {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            let has_default = schema.pointer(&format!("/properties/{key}/default")).is_some();
            let is_there = fields.get(key).is_some_and(|value| !value.is_null());
            let is_status = self.path.is_empty() && key == "status";
            if !is_there && !has_default && !is_status {
                let path = FieldPath(self.path.clone());
                let of = if path.0.is_empty() { String::new() } else { format!("{path}: ") };
                let message = format!("{of}the required field `{key}` is missing");
                self.flaws.push(Flaw { rule: Rule::MissingField, path, message });
            }
        }
    }

    fn listed(&mut self, value: &Value, schema: &'s Value) {
        let Some(allowed) = schema.get("enum").and_then(Value::as_array) else { return };
        if !allowed.contains(value) {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            self.add(Rule::WrongType, &format!("expected one of {}", allowed.join(", ")));
        }
    }

    fn wrong_type(&mut self, value: &Value, wanted: &str) {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        self.add(Rule::WrongType, &format!("expected {wanted}, found {found}"));
    }

    fn unknown(&mut self, key: &str, schema: &Value) {
        self.path.push(Step::Key(key.to_owned()));
        let known = schema.get("properties").and_then(Value::as_object);
        let known = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let meant = nearest(key, known);
        let hint = meant.first().map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default();
        self.add(Rule::UnknownField, &format!("there is no such field{hint}"));
        self.path.pop();
    }

    fn add(&mut self, rule: Rule, message: &str) {
        let path = FieldPath(self.path.clone());
        self.flaws.push(Flaw { rule, message: format!("{path}: {message}"), path });
    }
}

/// Whether a number is an integer to Kubernetes, as 1.0 is.
fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn in_words(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "an integer",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flaws(spec: &Value, schema: &Value) -> Vec<String> {
        let types = BTreeMap::from([
            ("io.k8s.apimachinery.pkg.api.resource.Quantity".to_owned(), json!({"type": "string"})),
            (
                "Port".to_owned(),
                json!({"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer", "format": "int32"},
                    "target": {"type": "string", "format": "int-or-string"},
                }}),
            ),
            ("Loop".to_owned(), json!({"$ref": "#/definitions/Loop"})),
        ]);
        let kind = json!({"type": "object", "properties": {"metadata": {}, "spec": schema}});
        let whole = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": spec, "status": {"x": 1}});
        object(&whole, &kind, &types)
            .into_iter()
            .map(|flaw| format!("{} {}", flaw.rule, flaw.message))
            .collect()
    }

    #[test]
    fn what_a_server_takes_is_no_mistake() {
        let port = json!({"$ref": "#/definitions/Port"});
        let quantity = json!({"$ref": "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"});
        for (value, schema) in [
            (json!({"port": 80, "target": "http"}), port.clone()),
            (json!({"port": 80, "target": 8080}), port.clone()),
            (json!({"port": 80.0, "target": null}), json!({"allOf": [port], "default": {}})),
            (json!({"cpu": 1}), json!({"type": "object", "additionalProperties": quantity})),
            (json!({"anything": [1]}), json!({"type": "object"})),
            (
                json!({"a": 1, "b": 2}),
                json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-preserve-unknown-fields": true}),
            ),
            (
                json!({}),
                json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "default": 1}}}),
            ),
            (json!(1), json!({"$ref": "#/definitions/Loop"})),
            (json!(1), json!({"$ref": "#/definitions/Gone"})),
            (json!(["x"]), json!({})),
            (Value::Null, port),
        ] {
            assert_eq!(flaws(&value, &schema), [] as [String; 0], "{value} {schema}");
        }
    }

    #[test]
    fn what_a_server_refuses_or_drops_is() {
        let ports = json!({"type": "array", "items": {"$ref": "#/definitions/Port"}});
        for (value, expected) in [
            (json!([{"port": "80"}]), "wrong-type spec[0].port: expected an integer, found a string"),
            (json!([{"port": 1.5}]), "wrong-type spec[0].port: expected an integer, found a number"),
            (
                json!([{"port": 80, "target": true}]),
                "wrong-type spec[0].target: expected an integer or a string, found a boolean",
            ),
            (
                json!([{"port": 80, "prot": 1}]),
                "unknown-field spec[0].prot: there is no such field, did you mean `port`?",
            ),
            (json!([{}]), "missing-field spec[0]: the required field `port` is missing"),
            (json!({}), "wrong-type spec: expected a list, found a mapping"),
        ] {
            assert_eq!(flaws(&value, &ports), [expected]);
        }
        let listed = json!({"type": "string", "enum": ["a", "b"]});
        assert_eq!(flaws(&json!("c"), &listed), ["wrong-type spec: expected one of \"a\", \"b\""]);
    }
}
