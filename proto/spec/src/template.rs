//! What does `apps/{{ cluster.labels.env }}/web` mean for a cluster?

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Cluster,
    names::{NameError, deserialize_from_text, shown},
};

/// Longest path, before and after filling in, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// Longest value of a variable, before and after filling in, in bytes.
const VALUE_BYTES_MAX: usize = 16 << 10;
const FIELDS: &str = "cluster.name, cluster.labels.KEY or cluster.values.KEY.KEY";

/// A path in a repository with places to fill in from a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct PathTemplate {
    text: String,
    pieces: Vec<Piece>,
}

/// The value of a variable, with places to fill in from a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ValueTemplate {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name,
    Label(String),
    Value(Vec<String>),
}

/// Why an app has no directory or no values for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The cluster lacks the label. Add it to the Cluster document or do not select the cluster.
    #[error("{field} names cluster.labels.{label}, which the cluster `{cluster}` does not have")]
    NoLabel {
        /// The field of the App document.
        field: String,
        /// The label.
        label: String,
        /// The cluster.
        cluster: String,
    },
    /// The cluster lacks the value. Add it to the Cluster document or do not select the cluster.
    #[error("{field} names cluster.values.{value}, which the cluster `{cluster}` does not have")]
    NoValue {
        /// The field of the App document.
        field: String,
        /// The value, with dots.
        value: String,
        /// The cluster.
        cluster: String,
    },
    /// The value cannot be a piece of a text. Change it in the Cluster document.
    #[error(
        "cluster.values.{value} of the cluster `{cluster}` is not a string, number or boolean, so it cannot stand in {field}"
    )]
    NotText {
        /// The field of the App document.
        field: String,
        /// The value, with dots.
        value: String,
        /// The cluster.
        cluster: String,
    },
    /// The value that results is too long. Shorten it.
    #[error("{field} comes to more than 16384 bytes for the cluster `{cluster}`")]
    TooLong {
        /// The field of the App document.
        field: String,
        /// The cluster.
        cluster: String,
    },
    /// The path that results leaves the repository or is no path.
    #[error("spec.source.path is `{path}` for the cluster `{cluster}`, which {problem}")]
    BadPath {
        /// The path that results.
        path: String,
        /// The cluster.
        cluster: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl PathTemplate {
    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn resolve(&self, cluster: &Cluster) -> Result<String, TemplateError> {
        let path = fill(&self.pieces, cluster, "spec.source.path")?;
        clean(&path).map_err(|problem| TemplateError::BadPath {
            path: shown(&path).into_owned(),
            cluster: named(cluster),
            problem,
        })
    }
}

impl ValueTemplate {
    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value for a cluster; `field` is where it stands in the App document.
    pub(crate) fn resolve(&self, cluster: &Cluster, field: &str) -> Result<String, TemplateError> {
        let value = fill(&self.pieces, cluster, field)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(TemplateError::TooLong { field: field.to_owned(), cluster: named(cluster) });
        }
        Ok(value)
    }
}

/// The text of a template for a cluster.
fn fill(pieces: &[Piece], cluster: &Cluster, field: &str) -> Result<String, TemplateError> {
    let mut filled = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Name => filled.push_str(cluster.metadata.name.as_str()),
            Piece::Label(key) => match cluster.metadata.labels.get(key.as_str()) {
                Some(value) => filled.push_str(value.as_str()),
                None => {
                    let (field, label) = (field.to_owned(), key.clone());
                    return Err(TemplateError::NoLabel { field, label, cluster: named(cluster) });
                }
            },
            Piece::Value(keys) => filled.push_str(&value_text(keys, cluster, field)?),
        }
    }
    Ok(filled)
}

fn named(cluster: &Cluster) -> String {
    cluster.metadata.name.to_string()
}

fn value_text(keys: &[String], cluster: &Cluster, field: &str) -> Result<String, TemplateError> {
    let value = keys.iter().enumerate().try_fold(None, |value: Option<&Value>, (position, key)| {
        let next =
            if position == 0 { cluster.spec.values.get(key) } else { value.and_then(|value| value.get(key)) };
        next.map(Some)
    });
    let (field, name, cluster) = (field.to_owned(), keys.join("."), named(cluster));
    match value.flatten() {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        Some(_) => Err(TemplateError::NotText { field, value: name, cluster }),
        None => Err(TemplateError::NoValue { field, value: name, cluster }),
    }
}

/// The path without `./` in front and `/` behind, or what keeps it from being one.
fn clean(path: &str) -> Result<String, &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("is longer than 1024 bytes");
    }
    if path.starts_with('/') {
        return Err("is absolute; paths are relative to the root of the repository");
    }
    if path.chars().any(|char| char == '\\' || char.is_control()) {
        return Err("contains a backslash or a control character");
    }
    if path.trim().is_empty() {
        return Err("is empty; write `.` for the root of the repository");
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path == "." || path.is_empty() {
        return Ok(String::new());
    }
    for part in path.split('/') {
        match part {
            "" => return Err("has an empty part between two slashes"),
            "." | ".." => return Err("has a part `.` or `..`; a path does not leave its repository"),
            _ => {}
        }
    }
    Ok(path.to_owned())
}

fn piece(inside: &str) -> Result<Piece, NameError> {
    let unknown =
        || Err(NameError(format!("`{{{{ {} }}}}` is not known here; expected {FIELDS}", shown(inside))));
    if inside == "cluster.name" {
        return Ok(Piece::Name);
    }
    if let Some(key) = inside.strip_prefix("cluster.labels.") {
        return match key.parse::<crate::LabelKey>() {
            Ok(key) => Ok(Piece::Label(key.into())),
            Err(error) => Err(error),
        };
    }
    match inside.strip_prefix("cluster.values.") {
        Some(keys) if keys.split('.').all(|key| !key.is_empty() && !key.contains(char::is_whitespace)) => {
            Ok(Piece::Value(keys.split('.').map(str::to_owned).collect()))
        }
        _ => unknown(),
    }
}

/// Takes a template apart.
fn pieces(text: &str) -> Result<Vec<Piece>, NameError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let Some(close) = rest[open..].find("}}") else {
            return Err(NameError("`{{` without a closing `}}`".to_owned()));
        };
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        pieces.push(piece(rest[open + 2..open + close].trim())?);
        rest = &rest[open + close + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

impl FromStr for PathTemplate {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let pieces = pieces(text)?;
        // With a stand-in for what is filled in, so that a path that can never be clean is found
        // when the document is read.
        let sample: String =
            pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "x" }).collect();
        clean(&sample).map_err(|problem| NameError(format!("the path `{}` {problem}", shown(text))))?;
        Ok(PathTemplate { text: text.to_owned(), pieces })
    }
}

impl FromStr for ValueTemplate {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > VALUE_BYTES_MAX {
            return Err(NameError(format!(
                "the value has {} bytes; at most {VALUE_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        Ok(ValueTemplate { text: text.to_owned(), pieces: pieces(text)? })
    }
}

deserialize_from_text!(ValueTemplate, "a text such as `eu-west` or `\"3\"`");

impl From<ValueTemplate> for String {
    fn from(template: ValueTemplate) -> String {
        template.text
    }
}

impl JsonSchema for ValueTemplate {
    fn schema_name() -> Cow<'static, str> {
        "ValueTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": VALUE_BYTES_MAX })
    }
}

deserialize_from_text!(PathTemplate, "a path such as `apps/web`");

impl From<PathTemplate> for String {
    fn from(template: PathTemplate) -> String {
        template.text
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for PathTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PathTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": PATH_BYTES_MAX, "pattern": "^[^/]" })
    }
}
