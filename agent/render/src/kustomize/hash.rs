//! Which suffix does the name of a generated object get?
//!
//! Ten characters of a SHA-256 over what Go's JSON makes of kind, type and data, with vowels and
//! what looks like one put in place of others, so that no word comes out.

use std::fmt::Write as _;

use ring::digest;
use serde_json::{Map, Value};

use super::resource::text_of;

/// The suffix of an object.
pub(crate) fn suffix(value: &Value) -> String {
    let text_or_mapping = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => Value::Object(fields.clone()),
        Some(value) => Value::String(text_of(value)),
        None => Value::String(String::new()),
    };
    let kind = value.get("kind").map(text_of).unwrap_or_default();
    let mut hashed = Map::new();
    let more = match kind.as_str() {
        "ConfigMap" => "binaryData",
        "Secret" => {
            hashed.insert("type".to_owned(), text_or_mapping(value.get("type")));
            "stringData"
        }
        _ => "",
    };
    hashed.insert("kind".to_owned(), Value::String(kind));
    // Kustomize looks for a field of the name `metadata/name`, which is never there.
    hashed.insert("name".to_owned(), Value::String(String::new()));
    hashed.insert("data".to_owned(), text_or_mapping(value.get("data")));
    if let Some(more_data @ Value::Object(_)) = value.get(more) {
        hashed.insert(more.to_owned(), more_data.clone());
    }
    encode(&go_json(&Value::Object(hashed)))
}

fn encode(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut hex = String::new();
    for byte in digest.as_ref().iter().take(5) {
        let _ = write!(hex, "{byte:02x}");
    }
    let letter = |char| match char {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().map(letter).collect()
}

/// JSON as Go writes it: keys sorted, and `<`, `>`, `&` and two kinds of line ends escaped.
fn go_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            let pairs: Vec<_> =
                keys.into_iter().map(|key| format!("{}:{}", go_string(key), go_json(&fields[key]))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go_json).collect::<Vec<_>>().join(",")),
        Value::String(text) => go_string(text),
        other => other.to_string(),
    }
}

fn go_string(text: &str) -> String {
    let mut json = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(char));
            }
            char => json.push(char),
        }
    }
    json.push('"');
    json
}
