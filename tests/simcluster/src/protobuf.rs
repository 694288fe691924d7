//! Which object is this, in protobuf? (What `kubectl create` and other clients in Go send for built-in kinds.)
//!
//! Only reading: answers are JSON, which all clients take. The numbers of the fields are in the table of shapes.

use crate::schema::{Builtins, Scalar, Schema, Shape, Structure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every Kubernetes message begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper messages are refused.
const DEPTH_MAX: usize = 64;

/// One value on the wire.
#[derive(Clone, Copy, Debug)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

type Fields<'a> = BTreeMap<u64, Vec<Wire<'a>>>;

/// The object in a Kubernetes envelope; `None` when it is malformed or of no built-in kind.
pub(crate) fn object(builtins: &Arc<Builtins>, message: &[u8]) -> Option<Value> {
    let envelope = fields(message.strip_prefix(MAGIC)?)?;
    let of = fields(bytes(&envelope, 1)?)?;
    let (api_version, kind) = (text(&of, 1), text(&of, 2));
    let schema = match kind.as_str() {
        "DeleteOptions" => builtins.schema("meta.k8s.io/v1", &kind)?,
        _ => builtins.schema(&api_version, &kind)?,
    };
    let mut object = value(&schema, schema.root(), &Wire::Bytes(bytes(&envelope, 2)?), 0)?;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    Some(object)
}

fn fields(mut message: &[u8]) -> Option<Fields<'_>> {
    let mut found = Fields::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut message)?),
            1 => {
                let (number, rest) = message.split_first_chunk::<8>()?;
                message = rest;
                Wire::Number(u64::from_le_bytes(*number))
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Wire::Bytes(bytes)
            }
            _ => return None,
        };
        found.entry(tag >> 3).or_default().push(wire);
    }
    Some(found)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn bytes<'a>(fields: &Fields<'a>, number: u64) -> Option<&'a [u8]> {
    match fields.get(&number)?.last()? {
        Wire::Bytes(bytes) => Some(bytes),
        Wire::Number(_) => None,
    }
}

fn text(fields: &Fields<'_>, number: u64) -> String {
    bytes(fields, number).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

fn number(fields: &Fields<'_>, number: u64) -> u64 {
    match fields.get(&number).and_then(|values| values.last()) {
        Some(Wire::Number(value)) => *value,
        _ => 0,
    }
}

fn value(schema: &Schema, shape: &Shape, wire: &Wire<'_>, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match (shape, wire) {
        (Shape::Struct { of, .. }, Wire::Bytes(message)) => {
            structure(schema, schema.structure(*of), message, depth + 1)
        }
        // A message around JSON text, for values of any form.
        (Shape::Any | Shape::Map { .. }, Wire::Bytes(message)) => {
            serde_json::from_slice(bytes(&fields(message)?, 1)?).ok()
        }
        (Shape::Scalar(scalar), wire) => scalar_value(*scalar, wire),
        _ => None,
    }
}

fn structure(schema: &Schema, structure: &Structure, message: &[u8], depth: usize) -> Option<Value> {
    let outer = fields(message)?;
    let mut object = Map::new();
    for (name, field) in &structure.fields {
        let Some((last, embedded)) = field.numbers.split_last() else { continue };
        // An embedded structure is a message of its own.
        let mut inner = outer.clone();
        for number in embedded {
            inner = bytes(&inner, *number).and_then(fields).unwrap_or_default();
        }
        let Some(wires) = inner.get(last) else { continue };
        let found = match &field.shape {
            Shape::List { of, .. } => {
                let items: Option<Vec<Value>> =
                    wires.iter().map(|wire| value(schema, of, wire, depth)).collect();
                Value::Array(items?)
            }
            Shape::Map { of, .. } if **of != Shape::Any => entries(schema, of, wires, depth)?,
            shape => value(schema, shape, wires.last()?, depth)?,
        };
        object.insert(name.clone(), found);
    }
    Some(Value::Object(object))
}

/// A map is a list of messages of key and value.
fn entries(schema: &Schema, of: &Shape, wires: &[Wire<'_>], depth: usize) -> Option<Value> {
    let mut map = Map::new();
    for wire in wires {
        let Wire::Bytes(entry) = wire else { return None };
        let entry = fields(entry)?;
        let found = match entry.get(&2).and_then(|values| values.last()) {
            Some(wire) => value(schema, of, wire, depth)?,
            None => json!(""),
        };
        map.insert(text(&entry, 1), found);
    }
    Some(Value::Object(map))
}

fn scalar_value(scalar: Scalar, wire: &Wire<'_>) -> Option<Value> {
    Some(match (scalar, wire) {
        (Scalar::String, Wire::Bytes(bytes)) => json!(String::from_utf8_lossy(bytes)),
        (Scalar::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Scalar::Integer, Wire::Number(number)) => json!(number.cast_signed()),
        (Scalar::Number, Wire::Number(number)) => json!(f64::from_bits(*number)),
        (Scalar::Boolean, Wire::Number(number)) => json!(*number != 0),
        (Scalar::Quantity, Wire::Bytes(message)) => json!(text(&fields(message)?, 1)),
        (Scalar::IntOrString, Wire::Bytes(message)) => {
            let parts = fields(message)?;
            match number(&parts, 1) {
                0 => json!(number(&parts, 2).cast_signed()),
                _ => json!(text(&parts, 3)),
            }
        }
        (Scalar::Time, Wire::Bytes(message)) => {
            let parts = fields(message)?;
            let nanoseconds = i32::try_from(number(&parts, 2)).ok()?;
            let time = jiff::Timestamp::new(number(&parts, 1).cast_signed(), nanoseconds).ok()?;
            let format = if nanoseconds == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
            json!(time.strftime(format).to_string())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::object;
    use crate::schema::Builtins;
    use serde_json::json;

    /// A field of bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let message = [field(1, &field(1, b"typed")), field(2, &entry)].concat();
        let of = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let envelope = [b"k8s\0".to_vec(), field(1, &of), field(2, &message)].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "typed"}, "data": {"k": "v"},
        });
        let builtins = Builtins::load();
        assert_eq!(object(&builtins, &envelope), Some(expected));
        assert_eq!(object(&builtins, &envelope[..envelope.len() - 1]), None);
        assert_eq!(object(&builtins, b"k8s\0\xff"), None);
    }
}
