//! What keeps an app from being rendered, and where?

use std::fmt;

/// One reason why an app cannot be rendered. Its text never holds a value from a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The file or directory, relative to the repository.
    pub file: String,
    /// Line, from 1; 0 when the file or directory as a whole is meant.
    pub line: usize,
    /// Column, from 1; 0 when a whole line or file is meant.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl RenderError {
    pub(crate) fn at_file(file: &str, message: impl Into<String>) -> Self {
        RenderError { file: file.to_owned(), line: 0, column: 0, message: message.into() }
    }

    pub(crate) fn at(file: &str, mark: muster_yaml::Mark, message: impl Into<String>) -> Self {
        RenderError { file: file.to_owned(), line: mark.line, column: mark.column, message: message.into() }
    }

    /// `file:line:column`, or as much of it as is meant.
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) => self.file.clone(),
            (line, 0) => format!("{}:{line}", self.file),
            (line, column) => format!("{}:{line}:{column}", self.file),
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for RenderError {}

/// So many errors are written out; the rest is counted.
const SHOWN_MAX: usize = 20;

/// Everything that keeps an app from being rendered, at least one reason; shown one to a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderErrors(pub Vec<RenderError>);

impl fmt::Display for RenderErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

impl std::error::Error for RenderErrors {}
