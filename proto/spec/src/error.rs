//! What is wrong with a document, and where?

use std::fmt;

/// A mistake in a document. Shown as `apps/web.yaml:7:5: spec.sync.prun: unknown field, ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The file, relative to the repository.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The field, such as `spec.sync.prune`; empty when the whole document is meant.
    pub field: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// Kind and name of the document, as far as they could be read. A caller that acts on documents
    /// holds what this one named as it is: the document did not disappear, it cannot be read.
    pub document: Option<(String, String)>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpecError {}
