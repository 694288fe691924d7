//! Does a message carry a Secret's value?
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Shorter values are too common to be looked for: masking them would only garble the message, and they
/// are no secrets.
const VALUE_BYTES_MIN: usize = 4;

/// Takes the values of a Secret, encoded and decoded, out of a message about it.
pub(super) fn mask(message: &str, secret: &[u8]) -> String {
    let secret: Value = serde_json::from_slice(secret).unwrap_or(Value::Null);
    let mut values = Vec::new();
    for field in ["data", "stringData"] {
        collect(secret.get(field).unwrap_or(&Value::Null), &mut values);
    }
    let decoded: Vec<_> = values
        .iter()
        .filter_map(|value| STANDARD.decode(value).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    values.extend(decoded);
    values.retain(|value| value.len() >= VALUE_BYTES_MIN);
    // Longest first: a value may be part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(message.to_owned(), |message, value| message.replace(value.as_str(), "***"))
}

fn collect(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| collect(value, values)),
        Value::Array(list) => list.iter().for_each(|value| collect(value, values)),
        Value::String(text) => values.push(text.clone()),
        Value::Number(number) => values.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_as_written_and_as_decoded() {
        let secret = br#"{"data": {"a": "aHVudGVyMg==", "b": "not base64!"}}"#;
        let message = "data[a] aHVudGVyMg== is hunter2, data[b] is not base64!";
        assert_eq!(mask(message, secret), "data[a] *** is ***, data[b] is ***");
    }
}
