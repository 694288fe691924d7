//! What shape does a custom kind have, by the structural schema in its CustomResourceDefinition?

use super::{Builtins, Field, Key, ListKind, Presence, Scalar, Schema, Shape, Structure, TypeId};
use serde_json::Value;
use std::sync::Arc;

/// Deeper schemas are cut off and treated as arbitrary values.
const DEPTH_MAX: usize = 64;

/// The schema of one version of a custom kind; `None` for the OpenAPI schema keeps everything.
pub(crate) fn custom(builtins: &Arc<Builtins>, open_api: Option<&Value>) -> Schema {
    let mut reader = Reader { builtins, own: Vec::new() };
    let root = match open_api {
        Some(schema) => reader.shape(schema, 0),
        None => Shape::Any,
    };
    let root = reader.with_object_fields(&root);
    let own = reader.own;
    Schema::new(builtins.clone(), own, root, true)
}

struct Reader<'a> {
    builtins: &'a Arc<Builtins>,
    own: Vec<Structure>,
}

impl Reader<'_> {
    fn add(&mut self, structure: Structure) -> TypeId {
        self.own.push(structure);
        TypeId(self.builtins.structures().len() + self.own.len() - 1)
    }

    /// Every object has apiVersion, kind and metadata, whatever its schema says of them.
    fn with_object_fields(&mut self, root: &Shape) -> Shape {
        let of = match root {
            Shape::Struct { of, .. } => *of,
            _ => self.add(Structure { open: true, ..Structure::default() }),
        };
        let index = of.0 - self.builtins.structures().len();
        let metadata = match self.builtins.named("meta.v1.ObjectMeta") {
            Some(of) => Shape::Struct { of, atomic: false },
            None => Shape::Any,
        };
        let fields = &mut self.own[index].fields;
        for name in ["apiVersion", "kind"] {
            fields.insert(name.to_owned(), field(Shape::Scalar(Scalar::String)));
        }
        fields.insert("metadata".to_owned(), field(metadata));
        Shape::Struct { of, atomic: false }
    }

    fn shape(&mut self, schema: &Value, depth: usize) -> Shape {
        let flag = |name: &str| schema[name] == Value::Bool(true);
        if depth > DEPTH_MAX {
            return Shape::Any;
        }
        if flag("x-kubernetes-int-or-string") {
            return Shape::Scalar(Scalar::IntOrString);
        }
        match schema["type"].as_str() {
            Some("string") => Shape::Scalar(Scalar::String),
            Some("integer") => Shape::Scalar(Scalar::Integer),
            Some("number") => Shape::Scalar(Scalar::Number),
            Some("boolean") => Shape::Scalar(Scalar::Boolean),
            Some("array") => {
                let of = Box::new(self.shape(&schema["items"], depth + 1));
                Shape::List { of, kind: list_kind(schema) }
            }
            Some("object") => self.object(schema, depth),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Shape {
        let atomic = schema["x-kubernetes-map-type"] == "atomic";
        let open = schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(true);
        if let Some(properties) = schema["properties"].as_object() {
            let mut fields = std::collections::BTreeMap::new();
            for (name, property) in properties {
                let mut known = field(self.shape(property, depth + 1));
                known.default = property.get("default").cloned();
                known.nullable = property["nullable"] == Value::Bool(true);
                fields.insert(name.clone(), known);
            }
            let required = schema["required"].as_array().into_iter().flatten();
            let required = required.filter_map(|name| name.as_str().map(str::to_owned)).collect();
            let of = self.add(Structure { name: String::new(), fields, open, required });
            return Shape::Struct { of, atomic };
        }
        if schema["additionalProperties"].is_object() {
            let of = Box::new(self.shape(&schema["additionalProperties"], depth + 1));
            return Shape::Map { of, atomic };
        }
        let of = self.add(Structure { open, ..Structure::default() });
        Shape::Struct { of, atomic }
    }
}

fn field(shape: Shape) -> Field {
    Field { shape, presence: Presence::Pointer, default: None, numbers: Vec::new(), nullable: false }
}

fn list_kind(schema: &Value) -> ListKind {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let properties = &schema["items"]["properties"];
            let key = |name: &str| Key {
                name: name.to_owned(),
                default: properties[name]["default"].as_str().map(str::to_owned),
            };
            ListKind::Map(keys.filter_map(Value::as_str).map(key).collect())
        }
        _ => ListKind::Atomic(None),
    }
}
