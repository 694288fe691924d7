//! What exactly is applied of an object, once it is known where its kind lives?
//!
//! The agent adds only its own labels to this, and `muster render` prints it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// Annotation that the agent puts on every object, with the digest of what Git said when it was applied last: so that
/// after a restart, what others changed can be told from what Git changed.
pub const CONTENT_ANNOTATION: &str = "muster.dev/content";

/// Namespace of objects for which neither they nor their app name one.
const DEFAULT_NAMESPACE: &str = "default";

/// Fields of `metadata` that only the server writes; manifests read from a cluster carry them along.
const SERVER_FIELDS: &[&str] =
    &["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"];

/// The namespace an object gets: its own, else its app's, else `default`; empty where its kind lives in none.
pub fn namespace<'a>(object: &'a Value, is_namespaced: bool, app_namespace: Option<&'a str>) -> &'a str {
    let written = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    match (is_namespaced, written) {
        (false, _) => "",
        (true, "") => app_namespace.unwrap_or(DEFAULT_NAMESPACE),
        (true, written) => written,
    }
}

/// Makes an object as it is applied: in that namespace (none when empty), without what only the server
/// writes, and with a Secret's `stringData` in its `data`, as the server would put it.
///
/// # Errors
/// What keeps it from being applied, as a sentence without any value of the object.
pub fn complete(mut object: Value, namespace: &str) -> Result<Value, String> {
    let is_secret = object.get("kind").and_then(Value::as_str) == Some("Secret")
        && object.get("apiVersion").and_then(Value::as_str) == Some("v1");
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err("This object has no metadata.".to_owned());
    };
    for field in SERVER_FIELDS {
        metadata.remove(*field);
    }
    metadata.remove("namespace");
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    if is_secret {
        fold_string_data(&mut object)?;
    }
    Ok(object)
}

/// The server never gives `stringData` back, so a changed value could not be seen otherwise.
fn fold_string_data(secret: &mut Value) -> Result<(), String> {
    let Some(object) = secret.as_object_mut() else { return Ok(()) };
    let strings = match object.remove("stringData") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(strings)) => strings,
        Some(_) => return Err("The stringData of this Secret is not a map.".to_owned()),
    };
    let data = object.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Some(data) = data.as_object_mut() else {
        return Err("The data of this Secret is not a map.".to_owned());
    };
    for (name, value) in strings {
        let Some(value) = value.as_str() else {
            return Err(format!("stringData.{name} of this Secret is not a string."));
        };
        data.insert(name, STANDARD.encode(value).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn namespaces_follow_scope_then_the_object_then_the_app() {
        let plain = json!({"metadata": {"name": "a"}});
        let named = json!({"metadata": {"name": "a", "namespace": "own"}});
        assert_eq!(namespace(&plain, true, Some("demo")), "demo");
        assert_eq!(namespace(&plain, true, None), "default");
        assert_eq!(namespace(&named, true, Some("demo")), "own");
        assert_eq!(namespace(&named, false, Some("demo")), "");
        assert_eq!(complete(plain, "demo").unwrap()["metadata"]["namespace"], "demo");
        assert_eq!(complete(named, "").unwrap()["metadata"].get("namespace"), None);
    }

    #[test]
    fn the_servers_fields_are_dropped() {
        let object =
            json!({"metadata": {"name": "a", "uid": "1", "creationTimestamp": null, "generation": 3}});
        assert_eq!(complete(object, "").unwrap(), json!({"metadata": {"name": "a"}}));
    }

    #[test]
    fn string_data_becomes_data() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "data": {"k": "b2xk", "o": "bw=="}, "stringData": {"k": "new"},
        });
        let applied = complete(secret, "").unwrap();
        assert_eq!(applied["data"], json!({"k": "bmV3", "o": "bw=="}));
        assert_eq!(applied.get("stringData"), None);
    }

    #[test]
    fn what_cannot_be_applied_is_refused_without_its_values() {
        let secret = |field: &str, value: Value| {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
            secret[field] = value;
            secret
        };
        assert!(complete(json!({}), "").is_err());
        assert!(complete(secret("stringData", json!(["hunter2"])), "").is_err());
        let error = complete(secret("stringData", json!({"pin": 1234})), "").unwrap_err();
        assert_eq!(error, "stringData.pin of this Secret is not a string.");
    }
}
