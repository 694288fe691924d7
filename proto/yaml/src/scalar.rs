//! Which value does a scalar stand for: `on`, `0644`, `1e3`, `~`, `2020-01-01`?
//!
//! The rules are those of the YAML library inside kubectl, which reads YAML 1.1 with a few
//! departures: no base 60, dates stay text, octal also as `0o644`. Only plain scalars and scalars
//! with a tag of YAML's own are resolved; quoted and block scalars are strings.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, general_purpose::PAD},
};

use crate::{Reading, number};

mod date;

/// What a scalar resolved to, before it is a value or a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Only integers above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(String),
    /// A date, as Go writes it into JSON.
    Time(String),
}

/// A type of YAML's core schema, as Kustomize tells them apart: `1.` is a float and `1` is not,
/// though JSON writes both as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarType {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number without a point or an exponent.
    Int,
    /// Any other number.
    Float,
    /// A date, with or without a time.
    Timestamp,
    /// All else.
    Text,
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScalarType::Null => "null",
            ScalarType::Bool => "bool",
            ScalarType::Int => "int",
            ScalarType::Float => "float",
            ScalarType::Timestamp => "timestamp",
            ScalarType::Text => "str",
        })
    }
}

impl ScalarType {
    /// Whether a scalar of this type may have a text that would be of the `other` type by itself.
    #[must_use]
    pub fn accepts(self, other: ScalarType) -> bool {
        self == ScalarType::Text || self == other || (self == ScalarType::Float && other == ScalarType::Int)
    }
}

pub(crate) fn type_of(text: &str) -> ScalarType {
    match as_kustomize(None, true, text.to_owned()) {
        Ok(Resolved::Null) => ScalarType::Null,
        Ok(Resolved::Bool(_)) => ScalarType::Bool,
        Ok(Resolved::Int(_) | Resolved::Uint(_)) => ScalarType::Int,
        Ok(Resolved::Float(_)) => ScalarType::Float,
        Ok(Resolved::Time(_)) => ScalarType::Timestamp,
        Ok(Resolved::Text(_)) | Err(_) => ScalarType::Text,
    }
}

/// Base64 as Go reads it: padded, and whatever the unused bits at the end are.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// Resolves a scalar. `tag` is its tag in full, `plain` says that it was written without quotes
/// and without a tag. The error says what is wrong, without the text.
pub(crate) fn resolve(
    tag: Option<&str>,
    plain: bool,
    text: String,
    reading: Reading,
) -> Result<Resolved, String> {
    if reading == Reading::AsKustomize {
        return as_kustomize(tag, plain, text);
    }
    let Some(tag) = tag.filter(|tag| !tag.is_empty()) else {
        return Ok(if plain {
            resolve_plain(&text, true).unwrap_or(Resolved::Text(text))
        } else {
            Resolved::Text(text)
        });
    };
    let Some(short) = tag.strip_prefix(TAG_PREFIX) else {
        return Ok(Resolved::Text(text));
    };
    match short {
        "str" => Ok(Resolved::Text(text)),
        "binary" => binary(&text),
        "bool" | "int" | "float" | "null" | "timestamp" => {
            let dated = short == "timestamp";
            let found = if text.is_empty() { Some(Resolved::Null) } else { resolve_plain(&text, dated) };
            tagged(short, found.unwrap_or(Resolved::Text(text)))
        }
        _ => Ok(Resolved::Text(text)),
    }
}

/// The departures of Kustomize's library: only `true` and `false` are booleans, dates are times.
fn as_kustomize(tag: Option<&str>, plain: bool, text: String) -> Result<Resolved, String> {
    let short = tag.and_then(|tag| tag.strip_prefix(TAG_PREFIX));
    let undecided = short.is_none_or(|short| matches!(short, "bool" | "timestamp"));
    let read_plain = if tag.is_some_and(|tag| !tag.is_empty()) { short.is_some() } else { plain };
    if undecided && read_plain {
        let is_old_boolean = matches!(word(&text), Some(Resolved::Bool(_)))
            && !matches!(text.as_str(), "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
        if is_old_boolean {
            return match short {
                None => Ok(Resolved::Text(text)),
                Some(short) => Err(format!("the value is not what its tag !!{short} says")),
            };
        }
        if short != Some("bool")
            && let Some(time) = date::go_time(&text)
        {
            return Ok(Resolved::Time(time));
        }
    }
    resolve(tag, plain, text, Reading::AsKubectl)
}

fn tagged(tag: &str, found: Resolved) -> Result<Resolved, String> {
    match (tag, found) {
        ("bool", value @ Resolved::Bool(_))
        | ("null", value @ Resolved::Null)
        | ("int", value @ (Resolved::Int(_) | Resolved::Uint(_)))
        | ("float", value @ Resolved::Float(_)) => Ok(value),
        ("float", Resolved::Int(value)) => Ok(Resolved::Float(value as f64)),
        ("timestamp", Resolved::Text(text)) if is_timestamp(&text) => Ok(Resolved::Text(text)),
        _ => Err(format!("the value is not what its tag !!{tag} says")),
    }
}

fn binary(text: &str) -> Result<Resolved, String> {
    let compact: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let bytes = BASE64.decode(compact).map_err(|_| "the value tagged !!binary is not base64".to_owned())?;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // One replacement for each byte, as Go writes invalid UTF-8 into JSON.
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(Resolved::Text(text))
}

/// The value of a scalar that may be more than text; `None` where it is only text.
fn resolve_plain(text: &str, dated: bool) -> Option<Resolved> {
    let Some(first) = text.bytes().next() else {
        return Some(Resolved::Null);
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => special_float(text).or_else(|| finite(&without_separators(text)?)).map(Resolved::Float),
        b'+' | b'-' | b'0'..=b'9' => {
            if let Some(float) = special_float(text) {
                return Some(Resolved::Float(float));
            }
            if dated && is_timestamp(text) {
                return None;
            }
            numeric(&text.replace('_', ""))
        }
        _ => None,
    }
}

fn word(text: &str) -> Option<Resolved> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Resolved::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        _ => return None,
    })
}

fn special_float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The text without underscores, which may only stand between digits.
fn without_separators(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit =
        |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
    let misplaced = |(index, byte): (usize, &u8)| {
        *byte == b'_' && !(digit(index.checked_sub(1)) && digit(Some(index + 1)))
    };
    if bytes.iter().enumerate().any(misplaced) { None } else { Some(text.replace('_', "")) }
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

fn numeric(text: &str) -> Option<Resolved> {
    if let Some(value) = integer(text) {
        return Some(value);
    }
    if is_float(text) {
        return finite(text).map(Resolved::Float);
    }
    // What is left of the binary form: a sign after the prefix.
    let digits = text.strip_prefix("0b")?;
    i64::from_str_radix(digits, 2).ok().map(Resolved::Int)
}

fn integer(text: &str) -> Option<Resolved> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("+", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = radix(digits)?;
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let signed = if sign == "-" {
        i64::from_str_radix(&format!("-{digits}"), radix)
    } else {
        i64::from_str_radix(digits, radix)
    };
    match signed {
        Ok(value) => Some(Resolved::Int(value)),
        Err(_) if sign.is_empty() => u64::from_str_radix(digits, radix).ok().map(Resolved::Uint),
        Err(_) => None,
    }
}

fn radix(digits: &str) -> Option<(u32, &str)> {
    let bytes = digits.as_bytes();
    if bytes.first() != Some(&b'0') || bytes.len() == 1 {
        return Some((10, digits));
    }
    Some(match bytes[1] {
        b'x' | b'X' => (16, digits.get(2..)?),
        b'o' | b'O' => (8, digits.get(2..)?),
        b'b' | b'B' => (2, digits.get(2..)?),
        _ => (8, digits.get(1..)?),
    })
}

/// Digits with at most one point and an exponent: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Dates begin with four digits and a dash. They stay text, but what looks like one and is also a
/// number (there is no such text) would be a date first.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 5 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

/// A scalar used as a key, as text. The error says why it cannot be one.
pub(crate) fn key(resolved: Resolved) -> Result<String, &'static str> {
    Ok(match resolved {
        Resolved::Text(text) => text,
        Resolved::Bool(value) => value.to_string(),
        Resolved::Int(value) => value.to_string(),
        Resolved::Float(value) => number::float_key(value),
        Resolved::Null => return Err("a key is null; keys are strings"),
        Resolved::Time(_) => return Err("a key is a date; put it in quotes"),
        Resolved::Uint(_) => return Err("a key is a number above 64 bits; put it in quotes"),
    })
}
