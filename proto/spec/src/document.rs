//! Which kinds of documents are there, and where was one found?

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{API_VERSION, App, Cluster, Fleet, WavePin};

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Fleet`].
    Fleet,
    /// [`Cluster`].
    Cluster,
    /// [`App`].
    App,
    /// [`WavePin`].
    WavePin,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Fleet, Kind::Cluster, Kind::App, Kind::WavePin];

    /// The kind as documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Fleet => "Fleet",
            Kind::Cluster => "Cluster",
            Kind::App => "App",
            Kind::WavePin => "WavePin",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = crate::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::as_str);
            let alternatives = crate::decode::alternatives(text, &known);
            crate::NameError(format!("unknown kind `{}`{alternatives}", crate::names::shown(text)))
        })
    }
}

/// A document of any kind.
// They are read one by one and there are few: the size of the largest does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// The fleet.
    Fleet(Fleet),
    /// A cluster.
    Cluster(Cluster),
    /// An app.
    App(App),
    /// The pin of a track in a wave.
    WavePin(WavePin),
}

impl Document {
    /// Which kind this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Document::Fleet(_) => Kind::Fleet,
            Document::Cluster(_) => Kind::Cluster,
            Document::App(_) => Kind::App,
            Document::WavePin(_) => Kind::WavePin,
        }
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        match self {
            Document::Fleet(fleet) => fleet.metadata.name.as_str(),
            Document::Cluster(cluster) => cluster.metadata.name.as_str(),
            Document::App(app) => app.metadata.name.as_str(),
            Document::WavePin(pin) => pin.metadata.name.as_str(),
        }
    }

    /// The document as JSON, with `apiVersion` and `kind`; [`crate::parse_file`] reads it back.
    ///
    /// # Errors
    /// None for documents that were read: all their keys are strings and their numbers finite.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let mut value = match self {
            Document::Fleet(fleet) => serde_json::to_value(fleet),
            Document::Cluster(cluster) => serde_json::to_value(cluster),
            Document::App(app) => serde_json::to_value(app),
            Document::WavePin(pin) => serde_json::to_value(pin),
        }?;
        if let Value::Object(fields) = &mut value {
            fields.insert("apiVersion".to_owned(), API_VERSION.into());
            fields.insert("kind".to_owned(), self.kind().as_str().into());
        }
        Ok(value)
    }

    /// The document as YAML, ending in a line break; [`crate::parse_file`] reads it back.
    ///
    /// # Errors
    /// As [`Document::to_json`].
    pub fn to_yaml(&self) -> Result<String, serde_json::Error> {
        self.to_json().map(|value| muster_yaml::to_yaml(&value))
    }
}

/// What a document is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping with the field `name`")]
pub struct Metadata<N> {
    /// The name, unique among the documents of its kind.
    pub name: N,
}

/// Something read from a file, and where it stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    /// The file, relative to the repository.
    pub file: String,
    /// The line at which it begins, from 1.
    pub line: usize,
    /// The column at which it begins, from 1.
    pub column: usize,
}

impl<T> Located<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), file: self.file, line: self.line, column: self.column }
    }

    /// `file:line`, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}
