//! What does a scalar in quotes hold?

use super::{Position, Scanner, plain::Gap};
use crate::Error;

impl Scanner<'_> {
    pub(super) fn scan_quoted(&mut self) -> Result<String, Error> {
        let start = self.cursor.position();
        let quote = self.cursor.here();
        self.cursor.skip();
        let mut text = String::new();
        loop {
            if self.cursor.is_document_indicator(b'-') || self.cursor.is_document_indicator(b'.') {
                return self.fail_at(start, "the document ends before the closing quote of this text");
            }
            if self.cursor.is_end() {
                return self.fail_at(start, "the closing quote of this text is missing");
            }
            let mut gap = Gap::default();
            while !self.cursor.is_space_at(0) {
                let (here, next) = (self.cursor.here(), self.cursor.byte(1));
                if here == quote && quote == b'\'' && next == b'\'' {
                    text.push('\'');
                    self.cursor.skip_many(2);
                } else if here == quote {
                    break;
                } else if here == b'\\' && quote == b'"' && self.cursor.break_length(1) > 0 {
                    self.cursor.skip();
                    self.cursor.skip_break();
                    gap = Gap::escaped();
                    break;
                } else if here == b'\\' && quote == b'"' {
                    let char = self.scan_escape(start)?;
                    text.push(char);
                } else {
                    self.cursor.read(&mut text);
                }
            }
            if self.cursor.here() == quote {
                break;
            }
            while self.cursor.is_blank() || self.cursor.is_break() {
                gap.take(self);
            }
            gap.close(&mut text);
        }
        self.cursor.skip();
        Ok(text)
    }

    fn scan_escape(&mut self, start: Position) -> Result<char, Error> {
        let digits = match self.cursor.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            byte => {
                let Some(char) = simple_escape(byte) else {
                    return self.fail("unknown escape; to write a backslash double it or use single quotes");
                };
                self.cursor.skip_many(2);
                return Ok(char);
            }
        };
        self.cursor.skip_many(2);
        let mut code = 0_u32;
        for ahead in 0..digits {
            let Some(digit) = char::from(self.cursor.byte(ahead)).to_digit(16) else {
                return self.fail("an escape lacks its hexadecimal digits");
            };
            // Eight digits fill 32 bits; what is too large for a character is found below.
            code = (code << 4) | digit;
        }
        self.cursor.skip_many(digits);
        match char::from_u32(code) {
            Some(char) => Ok(char),
            None => self.fail_at(start, "an escape in this text is no Unicode character"),
        }
    }
}

fn simple_escape(byte: u8) -> Option<char> {
    Some(match byte {
        b'0' => '\0',
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\u{B}',
        b'f' => '\u{C}',
        b'r' => '\r',
        b'e' => '\u{1B}',
        b' ' => ' ',
        b'"' => '"',
        b'\'' => '\'',
        b'\\' => '\\',
        b'N' => '\u{85}',
        b'_' => '\u{A0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    })
}
