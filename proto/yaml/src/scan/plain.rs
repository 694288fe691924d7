//! How far does a scalar without quotes go?

use super::{Scanner, column};
use crate::Error;

impl Scanner<'_> {
    pub(super) fn scan_plain(&mut self) -> Result<String, Error> {
        let indent = self.indent + 1;
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.cursor.is_document_indicator(b'-') || self.cursor.is_document_indicator(b'.') {
                break;
            }
            if self.cursor.here() == b'#' {
                break;
            }
            while !self.cursor.is_space_at(0) && !self.ends_plain() {
                gap.close(&mut text);
                self.cursor.read(&mut text);
            }
            if !self.cursor.is_blank() && !self.cursor.is_break() {
                break;
            }
            while self.cursor.is_blank() || self.cursor.is_break() {
                let tab = self.cursor.here() == b'\t';
                if tab && gap.has_break && column(self.cursor.position()) < indent {
                    return self.fail("a tab indents this line; use spaces");
                }
                gap.take(self);
            }
            if self.flow_level == 0 && column(self.cursor.position()) < indent {
                break;
            }
        }
        if gap.has_break {
            self.key_allowed = true;
        }
        Ok(text)
    }

    /// A colon in front of a blank, and in flow context also what structures it.
    fn ends_plain(&self) -> bool {
        match self.cursor.here() {
            b':' => self.cursor.is_space_at(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }
}

/// Blanks and line breaks between two words of a scalar. A single break becomes a space, of more
/// the first is dropped.
#[derive(Default)]
pub(super) struct Gap {
    pub(super) has_break: bool,
    blanks: String,
    first_break: String,
    more_breaks: String,
}

impl Gap {
    /// A gap behind a line break that was escaped, which counts for nothing itself.
    pub(super) fn escaped() -> Self {
        Gap { has_break: true, ..Gap::default() }
    }

    /// Takes the blank or line break at the cursor.
    pub(super) fn take(&mut self, scanner: &mut Scanner<'_>) {
        if scanner.cursor.is_blank() {
            if self.has_break {
                scanner.cursor.skip();
            } else {
                scanner.cursor.read(&mut self.blanks);
            }
        } else if self.has_break {
            scanner.cursor.read_break(&mut self.more_breaks);
        } else {
            self.blanks.clear();
            scanner.cursor.read_break(&mut self.first_break);
            self.has_break = true;
        }
    }

    /// Writes the gap as it reads in the value, and begins a new one.
    pub(super) fn close(&mut self, text: &mut String) {
        if !self.has_break {
            text.push_str(&self.blanks);
        } else if !self.first_break.starts_with('\n') {
            text.push_str(&self.first_break);
            text.push_str(&self.more_breaks);
        } else if self.more_breaks.is_empty() {
            text.push(' ');
        } else {
            text.push_str(&self.more_breaks);
        }
        *self = Gap::default();
    }
}
