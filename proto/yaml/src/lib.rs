//! How does kubectl read this file, `apply -f` or `kustomize`?
//!
//! ```text
//! bytes -> parts (one for each document) -> nodes with their places -> JSON
//!         split.rs                   scan.rs, compose.rs, scalar.rs  node.rs
//! ```
//!
//! Kubernetes' tools do not read YAML 1.2, nor quite YAML 1.1: `0644` is the number 420, `on` is
//! true, `1.0` is the integer 1, a key given twice keeps its last value, and a line that begins
//! with `---` ends a document wherever it stands. A fleet repository has to mean the same to
//! Muster as it does to kubectl, so both its manifests and its own documents are read here, by
//! one set of rules.
//!
//! `kubectl kustomize` reads the objects it is given in another way: `on` is text, a date becomes a
//! timestamp, a key given twice is an error, a merge key never overrides a key that is written out
//! ([`kustomize_parts`], [`Reading::AsKustomize`]). Its own files (`kustomization.yaml`) are read as by
//! `-f`. Since it moves texts, not values, a node also says how it was written ([`Written`]).
//!
//! # Why a scanner of its own
//! serde_yaml hides whether a scalar had quotes, so `0644` and `"0644"` cannot be told apart; the
//! crates that read YAML 1.2 accept and refuse other texts than kubectl; the safe port of libyaml
//! panics on some malformed texts (`[!,`) and refuses some that kubectl reads (`{k:, 1}`). What is a
//! syntax error here decides whether a deployment goes out, so the scanner follows kubectl's, the
//! rest is small, and all of it is held to what kubectl says by `tests/kubectl-f.txt`.
//!
//! # Where it departs from kubectl
//! - What follows `...` or a complete document is ignored, as in kubectl, but a control character
//!   there is an error.
//! - A file that begins with `{` and is not JSON is read as YAML, as kubectl 1.36 does; 1.32
//!   refuses it.
//! - Limits ([`Limits`]).
//!
//! Pure: bytes in, values or errors out. No error text contains a scalar's value, since the
//! document may be a Secret.

#![forbid(unsafe_code)]

mod compose;
mod json;
mod node;
mod number;
mod scalar;
mod scan;
mod split;
mod write;

pub use compose::Reading;
pub use node::{Entry, Mark, Node, Value, Written};
pub use scalar::ScalarType;
pub use split::{Part, Syntax, kustomize_parts, parts};
pub use write::{folded_by_kustomize, to_yaml};

/// The value of a plain scalar (one without quotes and tag) with this text.
///
/// # Errors
/// Where JSON has no such value: `.inf`, `.nan`.
pub fn plain(text: &str, reading: Reading) -> Result<Value, Error> {
    compose::plain(text, reading)
}

/// A float as Kubernetes sees it, an integer if it has no fraction; `None` for infinities and what is
/// not a number, which JSON lacks.
#[must_use]
pub fn from_float(value: f64) -> Option<serde_json::Number> {
    number::from_f64(value)
}

/// The type that Kustomize's YAML library gives a plain scalar with this text.
#[must_use]
pub fn scalar_type(text: &str) -> ScalarType {
    scalar::type_of(text)
}

/// How much one file may ask of the reader. Every limit has an error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of a file in bytes.
    pub bytes_max: usize,
    /// Documents in one file.
    pub documents_max: usize,
    /// Mappings and sequences inside one another.
    pub depth_max: usize,
    /// Memory, in bytes, that copies of anchored values may take in one document. This is what
    /// stops a few nested aliases from growing into gigabytes.
    pub alias_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes_max: 16 << 20, documents_max: 20_000, depth_max: 128, alias_bytes_max: 16 << 20 }
    }
}

/// Why a document cannot be read, and where. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Error {
    /// The place in the file.
    pub at: Mark,
    /// What is wrong there, without the values found.
    pub message: String,
}

impl Error {
    pub(crate) fn new(at: Mark, message: impl Into<String>) -> Self {
        Error { at, message: message.into() }
    }

    /// The same error in a file where the text it was found in begins at `line`.
    pub(crate) fn below(mut self, line: usize) -> Self {
        self.at.line += line - 1;
        self
    }
}
