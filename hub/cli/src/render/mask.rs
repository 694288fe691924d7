//! What of an object must not be shown?

use serde_json::Value;

/// Stands for a value. It is no base64, so that a masked Secret cannot be applied by mistake.
const MASK: &str = "***";
/// A copy of the whole object, values included, that `kubectl apply` leaves behind.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Puts a mask over the values of a Secret; any other object stays as it is. True when something was masked.
pub(crate) fn mask(object: &mut Value) -> bool {
    let is_secret = object.get("kind").and_then(Value::as_str) == Some("Secret");
    if !is_secret {
        return false;
    }
    let mut is_masked = false;
    for field in ["data", "stringData"] {
        match object.get_mut(field) {
            Some(Value::Object(values)) => {
                for value in values.values_mut() {
                    *value = MASK.into();
                    is_masked = true;
                }
            }
            // Of the wrong type, and perhaps a value all the same.
            Some(other) if !other.is_null() => {
                *other = MASK.into();
                is_masked = true;
            }
            _ => {}
        }
    }
    let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(copy) = annotations.and_then(|annotations| annotations.get_mut(LAST_APPLIED)) {
        *copy = MASK.into();
        is_masked = true;
    }
    is_masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_value_of_a_secret_is_left() {
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "a", "annotations": {LAST_APPLIED: "{hunter2}", "team": "shop"}},
            "data": {"key": "hunter2"}, "stringData": ["hunter2"],
        });
        assert!(mask(&mut secret));
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
        assert_eq!(secret["data"], json!({"key": "***"}));
        assert_eq!(secret["metadata"]["annotations"]["team"], "shop");
    }

    #[test]
    fn other_objects_stay_as_they_are() {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "value"}});
        let mut masked = config.clone();
        assert!(!mask(&mut masked));
        assert_eq!(masked, config);
        assert!(!mask(&mut json!({"kind": "Secret", "metadata": {"name": "empty"}})));
    }
}
