//! What does a JSON object hold, and where?
//!
//! JSON is read by a reader of its own, as in kubectl: its strings and numbers follow JSON's rules
//! (`\/`, pairs of `\u` escapes, tabs between values), which YAML's do not cover.

use crate::{Entry, Error, Limits, Mark, Node, Reading, Value, Written, compose::Mapping, number};

/// The length in bytes of the JSON value at the beginning of the text.
pub(crate) fn length(text: &str, limits: &Limits) -> Result<usize, Error> {
    let mut cursor = Cursor::new(text, Reading::AsKubectl, limits.depth_max);
    cursor.measuring = true;
    cursor.value(1)?;
    Ok(cursor.offset)
}

/// Reads the JSON value at the beginning of the text, which begins at line `line` of its file.
pub(crate) fn document(text: &str, line: usize, reading: Reading, limits: &Limits) -> Result<Node, Error> {
    let mut cursor = Cursor::new(text, reading, limits.depth_max);
    cursor.value(1).map_err(|error| error.below(line))
}

struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
    /// An offset on this line and how many characters of the line stand before it, so that a long
    /// line is counted only once.
    counted: (usize, usize),
    reading: Reading,
    depth_max: usize,
    /// Only the syntax counts: a number out of range is JSON all the same.
    measuring: bool,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str, reading: Reading, depth_max: usize) -> Self {
        Cursor { text, offset: 0, line: 1, counted: (0, 0), reading, depth_max, measuring: false }
    }

    fn at(&mut self) -> Mark {
        let (offset, chars) = self.counted;
        let chars = chars + self.text[offset..self.offset].chars().count();
        self.counted = (self.offset, chars);
        Mark { line: self.line, column: chars + 1 }
    }

    fn fail<T>(&mut self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::new(self.at(), message))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.offset += 1;
            if byte == b'\n' {
                self.line += 1;
                self.counted = (self.offset, 0);
            }
        }
    }

    /// Takes a byte if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, Error> {
        self.skip_space();
        if depth > self.depth_max {
            return self.fail(format!("nested deeper than {} levels", self.depth_max));
        }
        let at = self.at();
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, value, written: Written::Plain })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.offset += 1;
        let mut mapping = Mapping::default();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Mapping(mapping.entries));
        }
        loop {
            self.skip_space();
            let at = self.at();
            if self.peek() != Some(b'"') {
                return self.fail("expected a key in double quotes");
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return self.fail("expected a colon behind the key");
            }
            let entry = Entry { at, value: self.value(depth + 1)?, key };
            mapping.put(entry, false, self.reading)?;
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Mapping(mapping.entries));
            }
            if !self.take(b',') {
                return self.fail("expected a comma or a closing brace");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.offset += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Sequence(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Sequence(items));
            }
            if !self.take(b',') {
                return self.fail("expected a comma or a closing bracket");
            }
        }
    }

    fn word(&mut self) -> Result<Value, Error> {
        for (word, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.text[self.offset..].starts_with(word) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        self.fail("expected a JSON value")
    }

    fn digits(&mut self) -> bool {
        let start = self.offset;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.offset += 1;
        }
        self.offset > start
    }

    fn number(&mut self) -> Result<Value, Error> {
        let start = self.offset;
        let at = self.at();
        self.take(b'-');
        let mut well_formed = self.take(b'0') || self.digits();
        let whole_end = self.offset;
        if self.take(b'.') {
            well_formed &= self.digits();
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            well_formed &= self.digits();
        }
        let text = &self.text[start..self.offset];
        if !well_formed {
            return Err(Error::new(at, "this is not a JSON number"));
        }
        if self.offset == whole_end
            && let Ok(integer) = text.parse::<i64>()
        {
            return Ok(Value::Number(integer.into()));
        }
        match text.parse::<f64>().ok().and_then(number::from_f64) {
            Some(number) => Ok(Value::Number(number)),
            None if self.measuring => Ok(Value::Null),
            None => Err(Error::new(at, "the number is too large")),
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        self.offset += 1;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.offset..];
            let Some(plain) = rest.find(|char: char| matches!(char, '"' | '\\') || char < ' ') else {
                return self.fail("the string has no closing quote");
            };
            string.push_str(&rest[..plain]);
            self.offset += plain;
            if self.take(b'"') {
                return Ok(string);
            }
            if !self.take(b'\\') {
                return self.fail("a control character in a string must be escaped");
            }
            string.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let Some(byte) = self.peek() else {
            return self.fail("the string has no closing quote");
        };
        let char = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return self.fail("unknown escape in a string"),
        };
        self.offset += 1;
        Ok(char)
    }

    /// `\uXXXX`, from the `u` on. Half a pair becomes U+FFFD, as in Go.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hex4()?;
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        let before = self.offset;
        if first < 0xDC00 && self.take(b'\\') && self.peek() == Some(b'u') {
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.offset = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let digits = self.text.get(self.offset + 1..self.offset + 5);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.offset += 5;
                Ok(code)
            }
            None => self.fail("\\u takes four hexadecimal digits"),
        }
    }
}
