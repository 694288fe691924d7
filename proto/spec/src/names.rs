//! Which texts are names, and of what?
//!
//! Every name is a type of its own, checked once when it is read.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub(crate) String);

/// Longest RFC 1123 label and longest label value, in bytes.
pub(crate) const LABEL_BYTES_MAX: usize = 63;
/// Longest RFC 1123 subdomain, in bytes.
pub(crate) const SUBDOMAIN_BYTES_MAX: usize = 253;

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn check_label(what: &str, text: &str) -> Result<(), NameError> {
    if is_label(text) && text.len() <= LABEL_BYTES_MAX {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not the name of {what}: expected at most {LABEL_BYTES_MAX} lower-case letters, digits and `-`, \
         with a letter or digit at both ends",
        shown(text)
    )))
}

fn check_subdomain(what: &str, text: &str) -> Result<(), NameError> {
    if text.split('.').all(is_label) && text.len() <= SUBDOMAIN_BYTES_MAX {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not the name of {what}: expected at most {SUBDOMAIN_BYTES_MAX} lower-case letters, digits, `-` and \
         `.`, with a letter or digit at both ends of each part",
        shown(text)
    )))
}

/// The text of an error message quoting a value: long values are cut.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", text[..end].escape_debug())),
        None if text.chars().any(char::is_control) => Cow::Owned(text.escape_debug().to_string()),
        None => Cow::Borrowed(text),
    }
}

/// Deserialises a text by its `FromStr`, saying what was expected where there is no text.
macro_rules! deserialize_from_text {
    ($name:ident, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Visitor)
            }
        }
    };
}
pub(crate) use deserialize_from_text;

/// A checked text: conversions, display, serde by `TryFrom<String>` and a JSON schema.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr, { $($schema:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text).map(|()| $name(text))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $name::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ $($schema)* })
            }
        }
    };
}
pub(crate) use checked_text;

checked_text!(
    /// The name of a cluster: an RFC 1123 subdomain.
    ClusterName,
    |text| check_subdomain("a cluster", text),
    { "type": "string", "pattern": SUBDOMAIN, "maxLength": SUBDOMAIN_BYTES_MAX }
);
checked_text!(
    /// The name of an app: an RFC 1123 label, since it is the value of a label on every object.
    AppName,
    |text| check_label("an app", text),
    { "type": "string", "pattern": LABEL, "maxLength": LABEL_BYTES_MAX }
);
checked_text!(
    /// The name of a wave: an RFC 1123 label, since it is the name of a folder of pins.
    WaveName,
    |text| check_label("a wave", text),
    { "type": "string", "pattern": LABEL, "maxLength": LABEL_BYTES_MAX }
);
checked_text!(
    /// The name of a gate of a wave: an RFC 1123 label.
    GateName,
    |text| check_label("a gate", text),
    { "type": "string", "pattern": LABEL, "maxLength": LABEL_BYTES_MAX }
);
checked_text!(
    /// The name of a track: an RFC 1123 label, by default the name of its only app.
    TrackName,
    |text| check_label("a track", text),
    { "type": "string", "pattern": LABEL, "maxLength": LABEL_BYTES_MAX }
);
checked_text!(
    /// The name of a fleet: an RFC 1123 subdomain.
    FleetName,
    |text| check_subdomain("a fleet", text),
    { "type": "string", "pattern": SUBDOMAIN, "maxLength": SUBDOMAIN_BYTES_MAX }
);
checked_text!(
    /// The name of a pin: `WAVE.TRACK`.
    PinName,
    |text| check_subdomain("a pin", text),
    { "type": "string", "pattern": SUBDOMAIN, "maxLength": SUBDOMAIN_BYTES_MAX }
);
checked_text!(
    /// The name of a Kubernetes namespace: an RFC 1123 label.
    NamespaceName,
    |text| check_label("a namespace", text),
    { "type": "string", "pattern": LABEL, "maxLength": LABEL_BYTES_MAX }
);
checked_text!(
    /// The name of a Kubernetes service account: an RFC 1123 subdomain.
    ServiceAccountName,
    |text| check_subdomain("a service account", text),
    { "type": "string", "pattern": SUBDOMAIN, "maxLength": SUBDOMAIN_BYTES_MAX }
);
checked_text!(
    /// The key of a label: a name of at most 63 characters, with an optional `prefix/`.
    LabelKey,
    check_label_key,
    { "type": "string", "maxLength": SUBDOMAIN_BYTES_MAX + 1 + LABEL_BYTES_MAX }
);
checked_text!(
    /// The value of a label: at most 63 characters, or empty.
    LabelValue,
    check_label_value,
    { "type": "string", "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", "maxLength": LABEL_BYTES_MAX }
);

checked_text!(
    /// The name of a variable in manifests: letters, digits and `_`, with no digit in front, as in a shell.
    VariableName,
    check_variable,
    { "type": "string", "pattern": "^[_A-Za-z][_A-Za-z0-9]*$", "maxLength": SUBDOMAIN_BYTES_MAX }
);

impl From<AppName> for TrackName {
    fn from(name: AppName) -> TrackName {
        // Both are labels.
        TrackName(name.0)
    }
}

fn check_variable(text: &str) -> Result<(), NameError> {
    let fits = text.starts_with(|char: char| char == '_' || char.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && text.len() <= SUBDOMAIN_BYTES_MAX;
    if fits {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not the name of a variable: expected at most {SUBDOMAIN_BYTES_MAX} letters, digits and `_`, with no \
         digit in front",
        shown(text)
    )))
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= LABEL_BYTES_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn check_label_key(text: &str) -> Result<(), NameError> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| check_subdomain("", prefix).is_ok());
    if prefix_fits && is_label_text(name) {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not the key of a label: expected at most {LABEL_BYTES_MAX} letters, digits, `-`, `_` and `.`, with a \
         letter or digit at both ends, behind an optional domain and `/`",
        shown(text)
    )))
}

fn check_label_value(text: &str) -> Result<(), NameError> {
    if text.is_empty() || is_label_text(text) {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not the value of a label: expected at most {LABEL_BYTES_MAX} letters, digits, `-`, `_` and `.`, with \
         a letter or digit at both ends",
        shown(text)
    )))
}
