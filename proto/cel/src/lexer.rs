//! Which words is an expression made of?

use crate::ParseError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
    End,
}

impl Token {
    /// The token in an error message. Texts are not shown.
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "a number".to_owned(),
            Token::Text(_) => "a text".to_owned(),
            Token::Word(word) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// Longer signs first.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// Splits an expression; each token with the place where it begins, in characters.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ParseError> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let at = lexer.at;
        let token = lexer.next()?;
        let end = token == Token::End;
        tokens.push((token, at));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn starts_with(&self, sign: &str) -> bool {
        sign.chars().enumerate().all(|(ahead, char)| self.peek(ahead) == Some(char))
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError { message: message.into(), at: self.at })
    }

    fn skip_blanks(&mut self) {
        loop {
            if self.starts_with("//") {
                while self.peek(0).is_some_and(|char| char != '\n') {
                    self.at += 1;
                }
            } else if self.peek(0).is_some_and(|char| matches!(char, ' ' | '\t' | '\n' | '\r' | '\x0c')) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        let Some(first) = self.peek(0) else { return Ok(Token::End) };
        let second = self.peek(1);
        match (first, second) {
            ('r' | 'R', Some('"' | '\'')) => {
                self.at += 1;
                self.text(true)
            }
            ('b' | 'B', Some('"' | '\'')) => self.fail("bytes are not supported; compare texts"),
            ('"' | '\'', _) => self.text(false),
            ('0'..='9', _) | ('.', Some('0'..='9')) => self.number(),
            ('a'..='z' | 'A'..='Z' | '_', _) => Ok(Token::Word(self.word())),
            _ => match SIGNS.iter().find(|sign| self.starts_with(sign)) {
                Some(sign) => {
                    self.at += sign.len();
                    Ok(Token::Sign(sign))
                }
                None => self.fail(format!("`{}` has no meaning here", first.escape_debug())),
            },
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(char) = self.peek(0).filter(|char| char.is_ascii_alphanumeric() || *char == '_') {
            word.push(char);
            self.at += 1;
        }
        word
    }

    fn digits(&mut self, into: &mut String) {
        while let Some(digit) = self.peek(0).filter(char::is_ascii_digit) {
            into.push(digit);
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        if self.starts_with("0x") || self.starts_with("0X") {
            self.at += 2;
            let digits = self.word();
            let (digits, unsigned) = strip_u(&digits);
            return match u64::from_str_radix(digits, 16) {
                Ok(number) => Ok(if unsigned { Token::Uint(number) } else { Token::Int(number) }),
                Err(_) => self.fail("this is not a hexadecimal number of 64 bits"),
            };
        }
        let mut text = String::new();
        self.digits(&mut text);
        let mut double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|char| char.is_ascii_digit()) {
            double = true;
            text.push('.');
            self.at += 1;
            self.digits(&mut text);
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            double = true;
            text.push('e');
            self.at += 1;
            if let Some(sign @ ('+' | '-')) = self.peek(0) {
                text.push(sign);
                self.at += 1;
            }
            self.digits(&mut text);
        }
        let suffix = self.word();
        let number = match (double, suffix.as_str()) {
            (true, "") => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Token::Double),
            (false, "") => text.parse().ok().map(Token::Int),
            (false, "u" | "U") => text.parse().ok().map(Token::Uint),
            _ => None,
        };
        number.map_or_else(|| self.fail("this is not a number of 64 bits"), Ok)
    }

    fn text(&mut self, raw: bool) -> Result<Token, ParseError> {
        let Some(quote) = self.peek(0) else { return self.fail("expected a text") };
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let quotes = if triple { 3 } else { 1 };
        let begin = self.at;
        self.at += quotes;
        let mut text = String::new();
        loop {
            let closed = (0..quotes).all(|ahead| self.peek(ahead) == Some(quote));
            match self.peek(0) {
                _ if closed => {
                    self.at += quotes;
                    return Ok(Token::Text(text));
                }
                None => return Err(ParseError { message: "this text has no end".to_owned(), at: begin }),
                Some('\n' | '\r') if !triple => return self.fail("a text in single quotes ends on its line"),
                Some('\\') if !raw => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(char) => {
                    text.push(char);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let Some(char) = self.peek(0) else { return self.fail("this text has no end") };
        self.at += 1;
        let plain = match char {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' | '`' | '?' => char,
            'x' | 'X' => return self.coded(2, 16),
            'u' => return self.coded(4, 16),
            'U' => return self.coded(8, 16),
            '0'..='3' => {
                self.at -= 1;
                return self.coded(3, 8);
            }
            _ => {
                return self
                    .fail(format!("`\\{}` is no escape; write `\\\\` for a backslash", char.escape_debug()));
            }
        };
        Ok(plain)
    }

    /// A character by its number.
    fn coded(&mut self, digits: usize, radix: u32) -> Result<char, ParseError> {
        let mut code = 0;
        for _ in 0..digits {
            let Some(digit) = self.peek(0).and_then(|char| char.to_digit(radix)) else {
                return self.fail(format!("expected {digits} digits"));
            };
            code = code * radix + digit;
            self.at += 1;
        }
        char::from_u32(code).map_or_else(|| self.fail("there is no such character"), Ok)
    }
}

fn strip_u(digits: &str) -> (&str, bool) {
    match digits.strip_suffix(['u', 'U']) {
        Some(digits) => (digits, true),
        None => (digits, false),
    }
}
