//! Is the body of a request an object of its kind, and which one?

use super::Call;
use super::options::Validation;
use crate::decode::{Problems, decode};
use crate::defaults;
use crate::kinds::Kind;
use crate::protobuf;
use crate::state::State;
use crate::status::{Cause, Failure};
use serde_json::{Map, Value, json};

/// How a refusal of unknown fields begins.
pub(super) const STRICT: &str = "strict decoding error";

/// The body as an object.
pub(super) fn parse_body(state: &State, call: &Call<'_>) -> Result<Value, Failure> {
    let media_type = call.request.content_type.split(';').next().unwrap_or_default().trim();
    let body = &call.request.body;
    let value: Value = match media_type {
        "" | "application/json" | "*/*" => serde_json::from_slice(body).map_err(|error| error.to_string()),
        "application/yaml" => serde_yaml::from_slice(body).map_err(|error| error.to_string()),
        "application/vnd.kubernetes.protobuf" => {
            protobuf::object(state.kinds.builtins(), body).ok_or_else(|| "malformed protobuf".to_owned())
        }
        _ => {
            let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(Failure::unsupported_media_type(accepted));
        }
    }
    .map_err(|error| Failure::bad_request(format!("the object provided is unrecognized: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(Failure::bad_request("the object provided is unrecognized: it is no JSON object")),
    }
}

/// The object must say that it is of the kind it is sent to.
pub(super) fn check_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let (api_version, name) = (&object["apiVersion"], &object["kind"]);
    if (api_version.is_null() && name.is_null()) && !kind.schema.custom() {
        return Ok(());
    }
    if name.as_str().is_none_or(str::is_empty) {
        return Err(Failure::bad_request("Object 'Kind' is missing in the request body"));
    }
    let expected = kind.api_version();
    if *name != kind.kind.as_str() || *api_version != expected.as_str() {
        let (name, given) = (name.as_str().unwrap_or_default(), api_version.as_str().unwrap_or_default());
        let group = expected.split_once('/').map_or("core", |(group, _)| group);
        let version = given.rsplit('/').next().unwrap_or_default();
        let into = &kind.kind;
        return Err(Failure::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {into}: converting ({version}.{name}) to \
             ({group}.{into}): unknown conversion"
        )));
    }
    Ok(())
}

/// The namespace in the object and the one in the path must agree.
pub(super) fn settle_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), Failure> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let wanted = call.place.namespace();
    if !given.is_empty() && given != wanted {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        match wanted.is_empty() {
            true => metadata.remove("namespace"),
            false => metadata.insert("namespace".to_owned(), json!(wanted)),
        };
    }
    Ok(())
}

/// Decodes and defaults an object; unknown fields are refused, warned of or ignored.
pub(super) fn read_object(
    kind: &Kind,
    value: &Value,
    validation: Validation,
) -> Result<(Value, Vec<String>), Failure> {
    let (mut object, problems) = decode(&kind.schema, value);
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    refuse_mistyped(kind, name, &problems)?;
    let unknown: Vec<String> =
        problems.unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    if validation == Validation::Strict && !unknown.is_empty() {
        return Err(Failure::bad_request(format!(
            "{of} in version {:?} cannot be handled as a {of}: {STRICT}: {}",
            kind.version,
            unknown.join(", "),
            of = kind.kind
        )));
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    defaults::fill(kind, &mut object);
    Ok((object, if validation == Validation::Warn { unknown } else { Vec::new() }))
}

fn refuse_mistyped(kind: &Kind, name: &str, problems: &Problems) -> Result<(), Failure> {
    if kind.schema.custom() {
        let mut causes: Vec<Cause> = problems
            .mistyped
            .iter()
            .map(|wrong| {
                let why =
                    format!("{} in body must be of type {}: {:?}", wrong.path, wrong.expected, wrong.found);
                Cause {
                    reason: "FieldValueTypeInvalid",
                    ..Cause::invalid(&wrong.path, &json!(wrong.found), &why)
                }
            })
            .collect();
        causes.extend(problems.missing.iter().map(|path| Cause::required(path, "")));
        return match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid(&kind.group, &kind.kind, name, causes)),
        };
    }
    match problems.mistyped.first() {
        None => Ok(()),
        Some(wrong) => Err(Failure::bad_request(format!(
            "{of} in version {:?} cannot be handled as a {of}: json: cannot unmarshal {} into Go struct field {of}.{} of \
             type {}",
            kind.version,
            if wrong.found == "integer" { "number" } else { wrong.found },
            wrong.field,
            go_type(wrong.expected),
            of = kind.kind
        ))),
    }
}

/// Makes a name from `generateName`.
pub(super) fn name_object(state: &mut State, object: &mut Value) {
    let metadata = &object["metadata"];
    if metadata["name"].as_str().is_none_or(str::is_empty)
        && let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty())
    {
        let kept: String = prefix.chars().take(58).collect();
        object["metadata"]["name"] = json!(format!("{kept}{}", state.ids.suffix()));
    }
}

/// What only the server sets.
pub(super) fn clear_system_fields(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "resourceVersion",
            "selfLink",
            "managedFields",
        ] {
            metadata.remove(field);
        }
    }
}

/// The type as Go calls it.
fn go_type(expected: &str) -> &str {
    match expected {
        "integer" => "int32",
        "boolean" => "bool",
        other => other,
    }
}
