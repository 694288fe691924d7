//! What do anchors, tags and directives say?

use super::{Kind, Position, Scanner, cursor::is_word};
use crate::Error;

/// A version number has at most so many digits.
const VERSION_DIGITS_MAX: usize = 2;

impl Scanner<'_> {
    /// `&name` or `*name`.
    pub(super) fn scan_anchor(&mut self) -> Result<Kind, Error> {
        let is_alias = self.cursor.here() == b'*';
        self.cursor.skip();
        let mut name = String::new();
        self.cursor.read_while(&mut name, is_word);
        let ends = self.cursor.is_space_at(0)
            || matches!(self.cursor.here(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return self.fail("the name of an anchor (&) or alias (*) consists of letters, digits, _ and -");
        }
        Ok(if is_alias { Kind::Alias(name) } else { Kind::Anchor(name) })
    }

    /// `!name`, `!!name`, `!handle!name` or `!<uri>`.
    pub(super) fn scan_tag(&mut self) -> Result<Kind, Error> {
        let start = self.cursor.position();
        let (mut handle, mut suffix);
        if self.cursor.byte(1) == b'<' {
            self.cursor.skip_many(2);
            handle = String::new();
            suffix = self.scan_tag_uri("", start)?;
            if self.cursor.here() != b'>' {
                return self.fail("a tag !<...> lacks its closing >");
            }
            self.cursor.skip();
        } else {
            handle = self.scan_tag_handle(false)?;
            if handle.len() > 1 && handle.ends_with('!') {
                suffix = self.scan_tag_uri("", start)?;
            } else {
                suffix = self.scan_tag_uri(&handle, start)?;
                handle = "!".to_owned();
                if suffix.is_empty() {
                    (handle, suffix) = (suffix, handle);
                }
            }
        }
        if !self.cursor.is_space_at(0) {
            return self.fail("a blank or a line break must follow a tag");
        }
        Ok(Kind::Tag { handle, suffix })
    }

    fn scan_tag_handle(&mut self, directive: bool) -> Result<String, Error> {
        if self.cursor.here() != b'!' {
            return self.fail("a tag begins with !");
        }
        let mut handle = String::new();
        self.cursor.read(&mut handle);
        self.cursor.read_while(&mut handle, is_word);
        if self.cursor.here() == b'!' {
            self.cursor.read(&mut handle);
        } else if directive && handle != "!" {
            return self.fail("the handle of a %TAG directive ends with !");
        }
        Ok(handle)
    }

    /// The rest of a tag behind its `head`, which begins with `!` if it is not empty.
    fn scan_tag_uri(&mut self, head: &str, start: Position) -> Result<String, Error> {
        let mut bytes: Vec<u8> = head.bytes().skip(1).collect();
        let mut found = !head.is_empty();
        loop {
            let byte = self.cursor.here();
            if byte == b'%' {
                self.scan_uri_escape(&mut bytes, start)?;
            } else if is_word(byte) || b";/?:@&=+$,.!~*'()[]".contains(&byte) {
                bytes.push(byte);
                self.cursor.skip();
            } else {
                break;
            }
            found = true;
        }
        if !found {
            return self.fail_at(start, "a tag lacks its name");
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// One character written as `%XX` for each of its bytes.
    fn scan_uri_escape(&mut self, bytes: &mut Vec<u8>, start: Position) -> Result<(), Error> {
        let mut left = None;
        while left != Some(0) {
            let digit = |ahead| char::from(self.cursor.byte(ahead)).to_digit(16);
            let (b'%', Some(high), Some(low)) = (self.cursor.here(), digit(1), digit(2)) else {
                return self.fail_at(start, "a tag has an escape without two hexadecimal digits");
            };
            // Two hexadecimal digits make a byte.
            let octet = u8::try_from(high * 16 + low).unwrap_or(u8::MAX);
            let width = match octet {
                0x00..=0x7F => 1_usize,
                0xC0..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF7 => 4,
                _ => 0,
            };
            left = match left {
                None if width > 0 => Some(width - 1),
                Some(count) if octet & 0xC0 == 0x80 => Some(count - 1),
                _ => return self.fail_at(start, "a tag has an escape that is not UTF-8"),
            };
            bytes.push(octet);
            self.cursor.skip_many(3);
        }
        Ok(())
    }

    /// `%YAML 1.1` or `%TAG ! prefix`, with the rest of its line.
    pub(super) fn scan_directive(&mut self) -> Result<Kind, Error> {
        self.cursor.skip();
        let start = self.cursor.position();
        let mut name = String::new();
        self.cursor.read_while(&mut name, is_word);
        if !self.cursor.is_space_at(0) {
            return self.fail("a blank must follow the name of a directive");
        }
        let kind = match name.as_str() {
            "YAML" => self.scan_version()?,
            "TAG" => self.scan_tag_directive(start)?,
            _ => return self.fail_at(start, "unknown directive; a value that begins with % needs quotes"),
        };
        self.cursor.skip_blanks();
        self.cursor.skip_comment();
        if !self.cursor.is_line_end() {
            return self.fail("only a comment may follow a directive on its line");
        }
        self.cursor.skip_break();
        Ok(kind)
    }

    fn scan_version(&mut self) -> Result<Kind, Error> {
        self.cursor.skip_blanks();
        let major = self.scan_version_number()?;
        if self.cursor.here() != b'.' {
            return self.fail("a version consists of two numbers, such as 1.1");
        }
        self.cursor.skip();
        let minor = self.scan_version_number()?;
        Ok(Kind::VersionDirective { major, minor })
    }

    fn scan_version_number(&mut self) -> Result<u8, Error> {
        let mut digits = String::new();
        self.cursor.read_while(&mut digits, |byte| byte.is_ascii_digit());
        match digits.parse::<u8>() {
            Ok(number) if digits.len() <= VERSION_DIGITS_MAX => Ok(number),
            _ => self.fail("a version consists of two numbers, such as 1.1"),
        }
    }

    fn scan_tag_directive(&mut self, start: Position) -> Result<Kind, Error> {
        self.cursor.skip_blanks();
        let handle = self.scan_tag_handle(true)?;
        if !self.cursor.is_blank() {
            return self.fail("a blank must follow the handle of a %TAG directive");
        }
        self.cursor.skip_blanks();
        let prefix = self.scan_tag_uri("", start)?;
        if !self.cursor.is_space_at(0) {
            return self.fail("a blank or a line break must follow a %TAG directive");
        }
        Ok(Kind::TagDirective { handle, prefix })
    }
}
