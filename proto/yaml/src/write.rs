//! How is a value written so that every reader of YAML, Kubernetes included, reads it back?

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    Limits, Node, Reading, compose,
    scalar::{self, Resolved},
};

/// A key of more bytes needs a mark of its own to be told from text.
const SIMPLE_KEY_MAX: usize = 1000;

/// Writes a value as one YAML document, ending in a line break. Strings that any reader might take
/// for something else are in double quotes; keys keep their order.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Array(items) if !items.is_empty() => sequence(&mut text, items, 0),
        Value::Object(fields) if !fields.is_empty() => mapping(&mut text, fields, 0),
        _ => {
            scalar_text(&mut text, value);
            text.push('\n');
        }
    }
    text
}

/// What a text becomes when Kustomize writes it folded (`>`) and it is read again. Kustomize puts one
/// line break too many in front of a line that is more indented, as its writer looks at the first
/// character of the whole text to tell whether the next line is.
pub fn folded_by_kustomize(text: &str) -> String {
    let unfit = |char: char| {
        (char.is_control() && !matches!(char, '\n' | '\t' | '\u{85}'))
            || char > '\u{FFFF}'
            || char == '\u{FEFF}'
    };
    // Such texts are written in quotes.
    if text.is_empty() || text.ends_with(' ') || text.contains(" \n") || text.contains(unfit) {
        return text.to_owned();
    }
    let is_break = |char: char| matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let is_blank = |char: char| matches!(char, ' ' | '\t');
    let first = text.trim_start_matches(is_break).chars().next();
    let first_is_text = first.is_some_and(|char| !is_blank(char));
    let indented = text.starts_with(|char| char == ' ' || is_break(char));
    let chomping = match text.strip_suffix(is_break) {
        None => "-",
        Some(rest) if rest.is_empty() || rest.ends_with(is_break) => "+",
        Some(_) => "",
    };
    let mut written = format!("a: >{}{chomping}\n", if indented { "2" } else { "" });
    let (mut at_break, mut behind_blank) = (true, true);
    for char in text.chars() {
        if is_break(char) {
            if !at_break && !behind_blank && char == '\n' && first_is_text {
                written.push('\n');
            }
            written.push(char);
            at_break = true;
            continue;
        }
        if at_break {
            written.push_str("  ");
            behind_blank = is_blank(char);
        }
        written.push(char);
        at_break = false;
    }
    if chomping == "-" {
        written.push('\n');
    }
    let read = compose::document(&written, 1, Reading::AsKustomize, &Limits::default());
    match read.ok().flatten().as_ref().and_then(|node| node.get("a")).and_then(Node::as_str) {
        Some(read) => read.to_owned(),
        None => text.to_owned(),
    }
}

fn indent(text: &mut String, level: usize) {
    text.extend(std::iter::repeat_n("  ", level));
}

fn mapping(text: &mut String, fields: &serde_json::Map<String, Value>, level: usize) {
    for (position, (key, value)) in fields.iter().enumerate() {
        // The first key stands behind the dash of its list item, if there is one.
        if position > 0 || text.is_empty() || text.ends_with('\n') {
            indent(text, level);
        }
        let start = text.len();
        string(text, key);
        if text.len() - start > SIMPLE_KEY_MAX {
            text.insert_str(start, "? ");
            text.push('\n');
            indent(text, level);
        }
        text.push(':');
        nested(text, value, level);
    }
}

/// Writes the value behind a key.
fn nested(text: &mut String, value: &Value, level: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, items, level);
        }
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            mapping(text, fields, level + 1);
        }
        _ => {
            text.push(' ');
            scalar_text(text, value);
            text.push('\n');
        }
    }
}

fn sequence(text: &mut String, items: &[Value], level: usize) {
    for item in items {
        if text.is_empty() || text.ends_with('\n') {
            indent(text, level);
        }
        text.push_str("- ");
        match item {
            Value::Array(items) if !items.is_empty() => sequence(text, items, level + 1),
            Value::Object(fields) if !fields.is_empty() => mapping(text, fields, level + 1),
            _ => {
                scalar_text(text, item);
                text.push('\n');
            }
        }
    }
}

fn scalar_text(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Value::String(value) => string(text, value),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

fn string(text: &mut String, value: &str) {
    if is_plain(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            char if char.is_control()
                || matches!(char, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}') =>
            {
                let code = u32::from(char);
                let _ =
                    if code <= 0xFF { write!(text, "\\x{code:02X}") } else { write!(text, "\\u{code:04X}") };
            }
            char => text.push(char),
        }
    }
    text.push('"');
}

/// Whether a string is the same to every reader without quotes: it begins with a letter, has no
/// sign of YAML in it and does not resolve to anything else.
fn is_plain(value: &str) -> bool {
    value.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@'))
        && matches!(scalar::resolve(None, true, value.to_owned(), Reading::AsKubectl), Ok(Resolved::Text(_)))
}
