//! How is a path in jq's notation read?
//!
//! ```text
//! path      = term { "|" term }          term      = { step } | "select" "(" condition ")" [ steps ]
//! step      = "." name | "." string | "[" ( number | string | ) "]" | "?"
//! condition = all { "or" all }           all       = one { "and" one }
//! one       = path [ ( "==" | "!=" ) literal | "|" test ] [ "|" "not" ] | "(" condition ")" [ "|" "not" ]
//! ```
use serde_json::Value;

use super::{Comparison, Condition, FieldPathError, Segment};

/// Deepest nesting of brackets in conditions.
const DEPTH_MAX: usize = 32;

/// Names of jq that look like a path's beginning and are not in this part of it.
const TESTS: [&str; 3] = ["startswith", "endswith", "contains"];

/// Reads a whole path.
pub(super) fn path(text: &str) -> Result<Vec<Segment>, FieldPathError> {
    let mut reader = Reader { text, at: 0 };
    let segments = reader.path(false, 0)?;
    reader.blanks();
    if reader.at < text.len() {
        return reader.refuse("the end of the path, `|`, `.` or `[`");
    }
    if !segments.iter().any(|segment| !matches!(segment, Segment::Select(_))) {
        return Err(FieldPathError("the path names the whole object; name a field of it".to_owned()));
    }
    Ok(segments)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes a sign or word if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// Takes a word that ends there.
    fn word(&mut self, word: &str) -> bool {
        let before = self.at;
        let ends = |rest: &str| !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_');
        let found = self.take(word) && ends(self.rest());
        if !found {
            self.at = before;
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), FieldPathError> {
        if self.take(sign) { Ok(()) } else { self.refuse(&format!("`{sign}`")) }
    }

    fn refuse<T>(&self, expected: &str) -> Result<T, FieldPathError> {
        let rest = self.rest().trim_start();
        let word: String = rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
        let found = match (word.as_str(), rest.chars().next()) {
            ("", None) => "the end".to_owned(),
            ("", Some(char)) => format!("`{char}`"),
            (word, _) => format!("`{word}`"),
        };
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        Err(FieldPathError(format!(
            "at character {column} of the path: expected {expected}, found {found}. Of jq only paths and `select` with \
             `==`, `!=`, `startswith`, `endswith`, `contains`, `and`, `or`, `not` can be used"
        )))
    }

    /// Reads a path. Inside a condition it ends before a test.
    fn path(&mut self, inside: bool, depth: usize) -> Result<Vec<Segment>, FieldPathError> {
        let mut segments = self.term(depth)?;
        loop {
            let before = self.at;
            if !self.take("|") {
                return Ok(segments);
            }
            let test = TESTS.iter().chain(&["not"]).any(|test| {
                let start = self.at;
                let found = self.word(test);
                self.at = start;
                found
            });
            if inside && test {
                self.at = before;
                return Ok(segments);
            }
            segments.extend(self.term(depth)?);
        }
    }

    fn term(&mut self, depth: usize) -> Result<Vec<Segment>, FieldPathError> {
        let mut segments = Vec::new();
        if self.word("select") {
            self.expect("(")?;
            segments.push(Segment::Select(self.condition(depth + 1)?));
            self.expect(")")?;
        } else if !self.take(".") {
            return self.refuse("`.` or `select(`");
        } else if let Some(field) = self.field()? {
            segments.push(field);
        }
        loop {
            // Nothing may be between a step and the next, or `.a .b` would be a path.
            if self.rest().starts_with('[') {
                self.at += 1;
                segments.push(self.bracket()?);
            } else if self.rest().starts_with('.') {
                self.at += 1;
                match self.field()? {
                    Some(field) => segments.push(field),
                    None if self.rest().starts_with('[') => {}
                    None => return self.refuse("a name"),
                }
            } else if self.rest().starts_with('?') {
                // Places that are not there are never an error here.
                self.at += 1;
            } else {
                return Ok(segments);
            }
        }
    }

    fn field(&mut self) -> Result<Option<Segment>, FieldPathError> {
        if self.rest().starts_with('"') {
            return self.string().map(|name| Some(Segment::Field(name)));
        }
        let name: String =
            self.rest().chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
        self.at += name.len();
        Ok((!name.is_empty()).then_some(Segment::Field(name)))
    }

    fn bracket(&mut self) -> Result<Segment, FieldPathError> {
        if self.take("]") {
            return Ok(Segment::Each);
        }
        self.blanks();
        let segment = if self.rest().starts_with('"') {
            Segment::Field(self.string()?)
        } else {
            let number: String =
                self.rest().chars().take_while(|char| char.is_ascii_digit() || *char == '-').collect();
            match number.parse() {
                Ok(index) => {
                    self.at += number.len();
                    Segment::Item(index)
                }
                Err(_) => return self.refuse("a number, a text in quotes or `]`"),
            }
        };
        self.expect("]")?;
        Ok(segment)
    }

    fn string(&mut self) -> Result<String, FieldPathError> {
        match self.literal()? {
            Value::String(text) => Ok(text),
            _ => self.refuse("a text in quotes"),
        }
    }

    /// A JSON text, number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<Value, FieldPathError> {
        self.blanks();
        let expected = "a text in quotes, a number, true, false or null";
        if self.rest().starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
            let Some(Ok(value)) = values.next() else { return self.refuse(expected) };
            self.at += values.byte_offset();
            return Ok(value);
        }
        let belongs = |char: &char| char.is_ascii_alphanumeric() || "+-.".contains(*char);
        let text: String = self.rest().chars().take_while(belongs).collect();
        let Ok(value) = serde_json::from_str(&text) else { return self.refuse(expected) };
        self.at += text.len();
        Ok(value)
    }

    fn condition(&mut self, depth: usize) -> Result<Condition, FieldPathError> {
        if depth > DEPTH_MAX {
            return Err(FieldPathError(format!("brackets are nested deeper than {DEPTH_MAX}")));
        }
        let mut condition = self.all(depth)?;
        while self.word("or") {
            condition = Condition::Or(Box::new(condition), Box::new(self.all(depth)?));
        }
        Ok(condition)
    }

    fn all(&mut self, depth: usize) -> Result<Condition, FieldPathError> {
        let mut condition = self.one(depth)?;
        while self.word("and") {
            condition = Condition::And(Box::new(condition), Box::new(self.one(depth)?));
        }
        Ok(condition)
    }

    fn one(&mut self, depth: usize) -> Result<Condition, FieldPathError> {
        let mut condition = if self.take("(") {
            let inner = self.condition(depth + 1)?;
            self.expect(")")?;
            inner
        } else {
            let path = self.path(true, depth)?;
            Condition::Compare(path, self.comparison()?)
        };
        loop {
            let before = self.at;
            if self.take("|") && self.word("not") {
                condition = Condition::Not(Box::new(condition));
            } else {
                self.at = before;
                return Ok(condition);
            }
        }
    }

    fn comparison(&mut self) -> Result<Comparison, FieldPathError> {
        if self.take("==") {
            return self.literal().map(Comparison::Equal);
        }
        if self.take("!=") {
            return self.literal().map(Comparison::Differs);
        }
        let before = self.at;
        if self.take("|") {
            for test in TESTS {
                if self.word(test) {
                    self.expect("(")?;
                    self.blanks();
                    let part = self.string()?;
                    self.expect(")")?;
                    return Ok(match test {
                        "startswith" => Comparison::StartsWith(part),
                        "endswith" => Comparison::EndsWith(part),
                        _ => Comparison::Contains(part),
                    });
                }
            }
            self.at = before;
        }
        Ok(Comparison::Holds)
    }
}
