//! How is the JSON API described?
//!
//! As an OpenAPI 3.1 document, made from the descriptors of the protocol. What each field means is told in the `.proto`
//! files.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use serde_json::{Value, json};

use super::transcode::Methods;

/// The document.
pub(super) fn document(methods: &Methods) -> Value {
    let mut schemas = Schemas::default();
    let mut paths = BTreeMap::new();
    for (path, method) in methods.iter() {
        paths.insert(format!("/api{path}"), operation(method, &mut schemas));
    }
    schemas.0.insert(
        "Error".to_owned(),
        json!({
            "type": "object",
            "properties": {
                "code": { "type": "string", "description": "a name of google.rpc.Code" },
                "message": { "type": "string" },
            },
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The methods of muster.v1 with JSON in place of messages. What streams is asked with GET \
                            and answers with server-sent events.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas.0,
        },
    })
}

fn operation(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let service = method.parent_service().name().to_owned();
    let (input, output) = (schemas.of(&method.input()), schemas.of(&method.output()));
    let refused = json!({
        "description": "why not",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    let mut operation = json!({ "operationId": format!("{service}.{}", method.name()), "tags": [service] });
    if method.is_server_streaming() {
        operation["parameters"] = json!([{
            "name": "request", "in": "query", "content": { "application/json": { "schema": input } },
        }]);
        operation["responses"] = json!({
            "200": {
                "description": "an event for each message; one named `error` is the last",
                "content": { "text/event-stream": { "schema": output } },
            },
            "default": refused,
        });
        return json!({ "get": operation });
    }
    operation["requestBody"] = json!({ "content": { "application/json": { "schema": input } } });
    operation["responses"] = json!({
        "200": { "description": "the answer", "content": { "application/json": { "schema": output } } },
        "default": refused,
    });
    json!({ "post": operation })
}

#[derive(Default)]
struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// A reference to a message's schema, which is made if it is not there yet.
    fn of(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => return json!({ "type": "string", "format": "date-time" }),
            "google.protobuf.Duration" => return json!({ "type": "string", "pattern": "^-?[0-9.]+s$" }),
            _ => {}
        }
        let name = message.name().to_owned();
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), Value::Null); // so that one within itself ends
            let fields: BTreeMap<_, _> =
                message.fields().map(|field| (field.json_name().to_owned(), self.field(&field))).collect();
            self.0.insert(name.clone(), json!({ "type": "object", "properties": fields }));
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let values = self.kind(&entry.map_entry_value_field().kind());
            return json!({ "type": "object", "additionalProperties": values });
        }
        let one = self.kind(&field.kind());
        match field.cardinality() {
            Cardinality::Repeated => json!({ "type": "array", "items": one }),
            Cardinality::Optional | Cardinality::Required => one,
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(message) => self.of(message),
            Kind::Enum(words) => names(words),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                json!({ "type": "string", "pattern": "^-?[0-9]+$" })
            }
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => {
                json!({ "type": "integer" })
            }
        }
    }
}

fn names(words: &EnumDescriptor) -> Value {
    let names: Vec<_> = words.values().map(|value| value.name().to_owned()).collect();
    json!({ "type": "string", "enum": names })
}
