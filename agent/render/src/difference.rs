//! In which fields do two states of an object differ?
use std::fmt;

use serde_json::{Map, Value};

use crate::applied::CONTENT_ANNOTATION;

/// Most fields named of one object.
const FIELDS_MAX: usize = 100;

/// Deepest nesting looked into; what is deeper is compared whole.
const DEPTH_MAX: usize = 64;

/// Fields of `metadata` that the server writes at every change.
const SERVER_FIELDS: &[&str] =
    &["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// One field that differs. Values are JSON; none where the field is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Such as `.spec.replicas` or `.data["a.b"]`.
    pub path: String,
    /// The value in the first state.
    pub before: Option<String>,
    /// The value in the second.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{path}: {before} -> {after}"),
            (Some(before), None) => write!(f, "{path}: {before} -> removed"),
            (None, Some(after)) => write!(f, "{path}: {after} added"),
            (None, None) => f.write_str(path),
        }
    }
}

/// The fields in which two states of an object differ, at most a hundred, what the API server alone writes left out.
/// The values of a Secret are masked, also where an annotation repeats them.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let is_secret = |object: &Value| object.get("kind").and_then(Value::as_str) == Some("Secret");
    let mut walk = Walk { secret: is_secret(before) || is_secret(after), found: Vec::new() };
    walk.compare("", Some(&stripped(before)), Some(&stripped(after)), 0);
    walk.found.truncate(FIELDS_MAX);
    walk.found
}

fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(top) = object.as_object_mut() {
        top.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(*field);
        }
        // The agent's own mark of the content changes with it and says no more.
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(CONTENT_ANNOTATION);
        }
        // None, and none in it, are the same.
        for field in ["labels", "annotations"] {
            if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
                metadata.remove(field);
            }
        }
    }
    object
}

struct Walk {
    secret: bool,
    found: Vec<Difference>,
}

impl Walk {
    fn compare(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>, depth: usize) {
        match (before, after) {
            _ if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) if depth < DEPTH_MAX => {
                let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
                for name in names {
                    self.compare(&child(path, name), before.get(name), after.get(name), depth + 1);
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after)))
                if depth < DEPTH_MAX && before.len() == after.len() =>
            {
                for (index, (before, after)) in before.iter().zip(after).enumerate() {
                    self.compare(&format!("{path}[{index}]"), Some(before), Some(after), depth + 1);
                }
            }
            _ => {
                let (before, after) = (self.show(path, before), self.show(path, after));
                self.found.push(Difference { path: path.to_owned(), before, after });
            }
        }
    }

    fn show(&self, path: &str, value: Option<&Value>) -> Option<String> {
        let open = [".metadata.labels", ".metadata.name", ".type", ".immutable", ".kind", ".apiVersion"];
        let masked = self.secret && !open.iter().any(|open| path.starts_with(open));
        value.map(|value| if masked { "\"***\"".to_owned() } else { value.to_string() })
    }
}

fn child(path: &str, name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain { format!("{path}.{name}") } else { format!("{path}[{:?}]", name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(before: &Value, after: &Value) -> Vec<String> {
        differences(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_that_differ_are_named_with_both_values() {
        let live = json!({
            "metadata": {"labels": {"a/b": "1"}, "resourceVersion": "5", "generation": 2, "managedFields": []},
            "spec": {"replicas": 5, "list": [{"x": 1}, {"x": 2}], "gone": true},
            "status": {"ready": 1},
        });
        let wanted = json!({
            "metadata": {"labels": {"a/b": "2"}, "resourceVersion": "6", "generation": 3, "annotations": {}},
            "spec": {"replicas": 2, "list": [{"x": 1}, {"x": 3}], "new": "y"},
            "status": {"ready": 0},
        });
        assert_eq!(
            shown(&live, &wanted),
            [
                ".metadata.labels[\"a/b\"]: \"1\" -> \"2\"",
                ".spec.gone: true -> removed",
                ".spec.list[1].x: 2 -> 3",
                ".spec.new: \"y\" added",
                ".spec.replicas: 5 -> 2",
            ]
        );
        assert_eq!(shown(&live, &live), [""; 0]);
    }

    #[test]
    fn the_values_of_a_secret_are_masked_wherever_they_are() {
        let secret = |value: &str| {
            let last = format!("{{\"data\":{{\"password\":\"{value}\"}}}}");
            json!({
                "kind": "Secret",
                "metadata": {
                    "labels": {"tier": value.len().to_string()},
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last},
                },
                "data": {"password": value},
            })
        };
        let shown = shown(&secret("aHVudGVyMg=="), &secret("c2VjcmV0MTIz"));
        let all = shown.join("\n");
        assert!(!all.contains("aHVudGVyMg==") && !all.contains("c2VjcmV0MTIz"), "{all}");
        assert!(shown.contains(&".data.password: \"***\" -> \"***\"".to_owned()), "{all}");
        // A whole map that comes or goes is no way out either.
        let whole = differences(&json!({}), &secret("aHVudGVyMg=="));
        assert!(!format!("{whole:?}").contains("aHVudGVyMg=="));
    }
}
