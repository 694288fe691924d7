//! What does an editor need to check these documents while they are written?

use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{API_VERSION, App, Cluster, Fleet, Kind, WavePin};

/// The JSON schema of each kind of document.
pub fn schemas() -> Vec<(Kind, Value)> {
    let schema = |kind: Kind| {
        let generator = SchemaSettings::draft2020_12().into_generator();
        match kind {
            Kind::Fleet => generator.into_root_schema_for::<Fleet>(),
            Kind::Cluster => generator.into_root_schema_for::<Cluster>(),
            Kind::App => generator.into_root_schema_for::<App>(),
            Kind::WavePin => generator.into_root_schema_for::<WavePin>(),
        }
    };
    Kind::ALL.into_iter().map(|kind| (kind, with_kind(schema(kind), kind))).collect()
}

/// Adds what the structs leave out, because it is the same for all documents of a kind.
fn with_kind(mut schema: Schema, kind: Kind) -> Value {
    let object = schema.ensure_object();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.insert("apiVersion".to_owned(), json!({ "const": API_VERSION }));
        properties.insert("kind".to_owned(), json!({ "const": kind.as_str() }));
    }
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.insert(0, "kind".into());
        required.insert(0, "apiVersion".into());
    }
    schema.to_value()
}
