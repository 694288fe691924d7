//! Where in the text are we, and what stands here?

/// A place in a text, counted in characters from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) index: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

pub(super) struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    position: Position,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Cursor { text, offset: 0, position: Position { index: 0, line: 0, column: 0 } }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The byte so many bytes ahead; 0 behind the end. The text itself holds no 0.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.offset + ahead).copied().unwrap_or(0)
    }

    pub(super) fn here(&self) -> u8 {
        self.byte(0)
    }

    pub(super) fn is_end(&self) -> bool {
        self.offset >= self.text.len()
    }

    pub(super) fn is_blank(&self) -> bool {
        matches!(self.here(), b' ' | b'\t')
    }

    /// The bytes of the line break so many bytes ahead; 0 if there is none. Besides the usual ones
    /// YAML 1.1 knows the line breaks U+0085, U+2028 and U+2029.
    pub(super) fn break_length(&self, ahead: usize) -> usize {
        match (self.byte(ahead), self.byte(ahead + 1), self.byte(ahead + 2)) {
            (b'\r', b'\n', _) | (0xC2, 0x85, _) => 2,
            (b'\r' | b'\n', _, _) => 1,
            (0xE2, 0x80, 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_break(&self) -> bool {
        self.break_length(0) > 0
    }

    /// A line break or the end.
    pub(super) fn is_line_end(&self) -> bool {
        self.is_break() || self.is_end()
    }

    /// A blank, a line break or the end, so many bytes ahead.
    pub(super) fn is_space_at(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t' | 0) || self.break_length(ahead) > 0
    }

    /// `---` or `...` on its own at the beginning of a line.
    pub(super) fn is_document_indicator(&self, char: u8) -> bool {
        self.position.column == 0 && (0..3).all(|ahead| self.byte(ahead) == char) && self.is_space_at(3)
    }

    fn char(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    /// Steps over one character.
    pub(super) fn skip(&mut self) {
        let Some(char) = self.char() else { return };
        self.offset += char.len_utf8();
        self.position.index += 1;
        self.position.column += 1;
    }

    pub(super) fn skip_many(&mut self, chars: usize) {
        (0..chars).for_each(|_| self.skip());
    }

    /// Steps over a line break, if there is one.
    pub(super) fn skip_break(&mut self) {
        let length = self.break_length(0);
        if length > 0 {
            let is_crlf = self.here() == b'\r' && length == 2;
            self.offset += length;
            self.position.index += if is_crlf { 2 } else { 1 };
            self.position.line += 1;
            self.position.column = 0;
        }
    }

    /// Takes one character.
    pub(super) fn read(&mut self, into: &mut String) {
        if let Some(char) = self.char() {
            into.push(char);
            self.skip();
        }
    }

    /// Takes characters of one byte each for as long as they fit.
    pub(super) fn read_while(&mut self, into: &mut String, fits: impl Fn(u8) -> bool) {
        while fits(self.here()) && self.here().is_ascii() && !self.is_end() {
            self.read(into);
        }
    }

    /// Takes the rest of the line, without its break.
    pub(super) fn read_line(&mut self, into: &mut String) {
        while !self.is_line_end() {
            self.read(into);
        }
    }

    /// Takes a line break: `\n` for all but U+2028 and U+2029, which stay.
    pub(super) fn read_break(&mut self, into: &mut String) {
        match self.break_length(0) {
            0 => return,
            3 => into.extend(self.char()),
            _ => into.push('\n'),
        }
        self.skip_break();
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank() {
            self.skip();
        }
    }

    /// Steps over a comment, if one begins here, up to the end of the line.
    pub(super) fn skip_comment(&mut self) {
        if self.here() == b'#' {
            while !self.is_line_end() {
                self.skip();
            }
        }
    }

    /// The byte order mark inside a text.
    pub(super) fn is_byte_order_mark(&self) -> bool {
        self.offset == 0 && self.char() == Some('\u{FEFF}')
    }
}

/// Letters, digits, `_` and `-`: what names of anchors, tags and directives consist of.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
