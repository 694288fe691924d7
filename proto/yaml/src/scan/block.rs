//! What does a block scalar hold, `|` line by line or `>` folded?

use super::{Scanner, column};
use crate::Error;

/// What becomes of the line breaks at the end.
#[derive(Clone, Copy, PartialEq)]
enum Chomping {
    /// `-`: none stays.
    Strip,
    /// One stays.
    Clip,
    /// `+`: all stay.
    Keep,
}

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self) -> Result<String, Error> {
        let start = self.cursor.position();
        let literal = self.cursor.here() == b'|';
        self.cursor.skip();
        let (chomping, increment) = self.scan_block_header()?;
        let mut indent = (increment > 0).then(|| self.indent.max(0) + increment);
        let (mut text, mut leading_break, mut trailing_breaks) =
            (String::new(), String::new(), String::new());
        self.scan_block_breaks(&mut indent, &mut trailing_breaks, start)?;
        let mut leading_blank = false;
        while Some(column(self.cursor.position())) == indent && !self.cursor.is_end() {
            let blank = self.cursor.is_blank();
            // Lines that are more indented keep their breaks, others are folded.
            if !literal && !leading_blank && !blank && leading_break.starts_with('\n') {
                if trailing_breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading_break);
            }
            leading_break.clear();
            text.push_str(&trailing_breaks);
            trailing_breaks.clear();
            leading_blank = blank;
            self.cursor.read_line(&mut text);
            self.cursor.read_break(&mut leading_break);
            self.scan_block_breaks(&mut indent, &mut trailing_breaks, start)?;
        }
        if chomping != Chomping::Strip {
            text.push_str(&leading_break);
        }
        if chomping == Chomping::Keep {
            text.push_str(&trailing_breaks);
        }
        Ok(text)
    }

    /// The signs behind `|` or `>`, in either order, and the rest of that line.
    fn scan_block_header(&mut self) -> Result<(Chomping, isize), Error> {
        let mut chomping = self.scan_chomping();
        let increment = match self.cursor.here() {
            b'0' => return self.fail("the indentation of a block scalar is a digit from 1 to 9"),
            digit @ b'1'..=b'9' => {
                self.cursor.skip();
                isize::from(digit - b'0')
            }
            _ => 0,
        };
        if chomping.is_none() && increment > 0 {
            chomping = self.scan_chomping();
        }
        self.cursor.skip_blanks();
        self.cursor.skip_comment();
        if !self.cursor.is_line_end() {
            return self.fail("only a comment may follow | or > on its line");
        }
        self.cursor.skip_break();
        Ok((chomping.unwrap_or(Chomping::Clip), increment))
    }

    fn scan_chomping(&mut self) -> Option<Chomping> {
        let chomping = match self.cursor.here() {
            b'+' => Chomping::Keep,
            b'-' => Chomping::Strip,
            _ => return None,
        };
        self.cursor.skip();
        Some(chomping)
    }

    /// Takes empty lines and the indentation of the next line. Where the indentation is not known
    /// yet, the longest of these lines gives it.
    fn scan_block_breaks(
        &mut self,
        indent: &mut Option<isize>,
        breaks: &mut String,
        start: super::Position,
    ) -> Result<(), Error> {
        let mut longest = 0;
        loop {
            let inside =
                |scanner: &Self| indent.is_none_or(|indent| column(scanner.cursor.position()) < indent);
            while inside(self) && self.cursor.here() == b' ' {
                self.cursor.skip();
            }
            longest = longest.max(column(self.cursor.position()));
            if inside(self) && self.cursor.here() == b'\t' {
                return self.fail_at(start, "a block scalar is indented with a tab; use spaces");
            }
            if !self.cursor.is_break() {
                break;
            }
            self.cursor.read_break(breaks);
        }
        if indent.is_none() {
            *indent = Some(longest.max(self.indent + 1).max(1));
        }
        Ok(())
    }
}
