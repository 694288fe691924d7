//! In which form does the client want objects: whole, only their metadata, or as a table?

use super::table;
use crate::kinds::Kind;
use crate::status::Failure;
use crate::store::Record;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The form of objects in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
    Table,
}

/// Takes the first form the Accept header names that can be served.
pub(super) fn negotiate(accept: &str) -> Result<Form, Failure> {
    if accept.trim().is_empty() {
        return Ok(Form::Whole);
    }
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        if !matches!(media_type, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let parameter = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        match (parameter("as"), parameter("v")) {
            (None, _) => return Ok(Form::Whole),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => {
                return Ok(Form::Metadata);
            }
            (Some("Table"), Some("v1")) => return Ok(Form::Table),
            _ => {}
        }
    }
    Err(Failure::not_acceptable())
}

/// One object as text.
pub(super) fn object(
    form: Form,
    kind: &Kind,
    record: &Record,
    whole_rows: bool,
    now: Timestamp,
) -> bytes::Bytes {
    match form {
        Form::Whole => typed(kind, record),
        Form::Metadata => metadata(&record.value()).to_string().into(),
        Form::Table => table::one(kind, &record.value(), whole_rows, true, now).to_string().into(),
    }
}

/// The object in the version of `kind`.
pub(super) fn typed(kind: &Kind, record: &Record) -> bytes::Bytes {
    let stored = record.json();
    let prefix = type_prefix(kind);
    if stored.starts_with(prefix.as_bytes()) {
        return stored;
    }
    [prefix.as_bytes(), record.untyped_tail()].concat().into()
}

fn type_prefix(kind: &Kind) -> String {
    format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", kind.api_version(), kind.kind)
}

/// One item of a list. Items of built-in kinds carry no apiVersion and kind, those of custom kinds do.
pub(super) fn append_item(text: &mut Vec<u8>, form: Form, kind: &Kind, record: &Record) {
    match form {
        Form::Whole if kind.schema.custom() => text.extend_from_slice(&typed(kind, record)),
        Form::Whole => {
            text.push(b'{');
            text.extend_from_slice(record.untyped_tail());
        }
        Form::Metadata | Form::Table => {
            text.extend_from_slice(metadata(&record.value()).to_string().as_bytes());
        }
    }
}

/// The metadata of an object, as a PartialObjectMetadata.
pub(super) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
