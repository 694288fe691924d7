//! What do `${name}`, `${name:=default}` and the like stand for?
//!
//! The expressions of Flux's `postBuild` (its package envsubst, after bash), read strictly: what
//! Flux silently takes for nothing or for something else is an error here.

use std::collections::BTreeMap;

use super::pattern::Pattern;

/// Expressions inside one another.
const DEPTH_MAX: usize = 16;

/// A text taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Expression(Expression),
}

/// One `${...}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expression {
    name: String,
    function: Function,
}

#[derive(Debug, Clone, PartialEq)]
enum Function {
    /// `${name}`
    Value,
    /// `${#name}`
    Length,
    /// `${name^}`, `${name^^}`, `${name,}`, `${name,,}`
    Case { upper: bool, all: bool },
    /// `${name:=text}`, `${name:-text}`, `${name=text}`
    Default(Vec<Piece>),
    /// `${name:?message}`
    Required(Vec<Piece>),
    /// `${name:offset}`, `${name:offset:length}`
    Slice(Vec<Piece>, Option<Vec<Piece>>),
    /// `${name#pattern}`, `${name##pattern}`, `${name%pattern}`, `${name%%pattern}`
    Trim { start: bool, longest: bool, pattern: Vec<Piece> },
    /// `${name/from/to}`, `${name//from/to}`, `${name/#from/to}`, `${name/%from/to}`
    Replace { place: Occurrence, from: Vec<Piece>, to: Vec<Piece> },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Occurrence {
    First,
    All,
    Start,
    End,
}

/// Takes a text apart. `$$` stands for one `$`, which begins no expression.
///
/// # Errors
/// An expression that is none, by its first characters; never a value.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut parser = Parser { rest: text, depth: 0 };
    parser.pieces(&[], Escapes::Dollar)
}

/// What a backslash or a doubled dollar means in a part of an expression.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    /// `$$`
    Dollar,
    /// `$$`, `\/` and `\\`
    All,
    None,
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Text and expressions up to one of the characters, which is left, or the end.
    fn pieces(&mut self, ends: &[char], escapes: Escapes) -> Result<Vec<Piece>, String> {
        let (mut pieces, mut text) = (Vec::new(), String::new());
        loop {
            if self.rest.starts_with("${") {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Expression(self.expression()?));
                continue;
            }
            match self.rest.chars().next() {
                Some(next) if !ends.contains(&next) => {}
                _ => break,
            }
            if escapes != Escapes::None && self.take("$$") {
                text.push('$');
            } else if escapes == Escapes::All && self.take("\\/") {
                text.push('/');
            } else if escapes == Escapes::All && self.take("\\\\") {
                text.push('\\');
            } else if let Some(next) = self.next() {
                text.push(next);
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    fn expression(&mut self) -> Result<Expression, String> {
        let whole = self.rest;
        let bad = |why: &str| {
            let shown: String = whole.chars().take_while(|char| !char.is_control()).take(32).collect();
            format!("`{shown}`: {why}; write `$${{` if no variable is meant")
        };
        self.take("${");
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(bad("expressions are nested too deep"));
        }
        let is_length = self.take("#");
        let name = self.name();
        if name.is_empty() {
            return Err(bad("a variable's name (letters, digits, _) must follow `${`"));
        }
        let function = if is_length { Function::Length } else { self.function().map_err(|why| bad(&why))? };
        if !self.take("}") {
            return Err(bad("`}` is missing behind it, or what stands before that is not known here"));
        }
        self.depth -= 1;
        Ok(Expression { name, function })
    }

    fn name(&mut self) -> String {
        let end = self.rest.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name.to_owned()
    }

    fn function(&mut self) -> Result<Function, String> {
        for (operator, upper, all) in
            [("^^", true, true), ("^", true, false), (",,", false, true), (",", false, false)]
        {
            if self.take(operator) {
                return Ok(Function::Case { upper, all });
            }
        }
        if self.take(":=") || self.take(":-") || self.take("=") {
            return Ok(Function::Default(self.pieces(&['}'], Escapes::None)?));
        }
        if self.take(":?") {
            return Ok(Function::Required(self.pieces(&['}'], Escapes::None)?));
        }
        if self.rest.starts_with(":+") || self.rest.starts_with(['+', '-', '?']) {
            return Err(
                "`+`, `:+`, `-` and `?` are not supported, nor does Flux do what bash does there".to_owned()
            );
        }
        for (operator, start, longest) in
            [("##", true, true), ("#", true, false), ("%%", false, true), ("%", false, false)]
        {
            if self.take(operator) {
                return Ok(Function::Trim { start, longest, pattern: self.some(&['}'], Escapes::None)? });
            }
        }
        for (operator, place) in [
            ("//", Occurrence::All),
            ("/#", Occurrence::Start),
            ("/%", Occurrence::End),
            ("/", Occurrence::First),
        ] {
            if self.take(operator) {
                let from = self.some(&['/', '}'], Escapes::All)?;
                if !self.take("/") {
                    return Err("a second `/` and the replacement are missing".to_owned());
                }
                return Ok(Function::Replace { place, from, to: self.pieces(&['}'], Escapes::All)? });
            }
        }
        if self.take(":") {
            let offset = self.some(&[':', '}'], Escapes::None)?;
            let length = if self.take(":") { Some(self.some(&['}'], Escapes::None)?) } else { None };
            return Ok(Function::Slice(offset, length));
        }
        Ok(Function::Value)
    }

    /// Like [`Parser::pieces`], but at least one.
    fn some(&mut self, ends: &[char], escapes: Escapes) -> Result<Vec<Piece>, String> {
        let pieces = self.pieces(ends, escapes)?;
        if pieces.is_empty() {
            Err("something is missing behind the operator".to_owned())
        } else {
            Ok(pieces)
        }
    }
}

/// Puts values in place of expressions.
///
/// # Errors
/// Which variable has no value, or what is asked of it that it cannot give; never a value.
pub(crate) fn evaluate(pieces: &[Piece], values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Expression(expression) => text.push_str(&expression.evaluate(values)?),
        }
    }
    Ok(text)
}

impl Expression {
    fn evaluate(&self, values: &BTreeMap<String, String>) -> Result<String, String> {
        let Expression { name, function } = self;
        let value = values.get(name).map(String::as_str);
        match function {
            Function::Default(default) => match value.unwrap_or_default() {
                "" => return evaluate(default, values),
                value => return Ok(value.to_owned()),
            },
            Function::Required(message) => match value.unwrap_or_default() {
                "" => {
                    return Err(format!("the variable `{name}` is required: {}", evaluate(message, values)?));
                }
                value => return Ok(value.to_owned()),
            },
            _ => {}
        }
        let Some(value) = value else {
            return Err(format!(
                "the variable `{name}` has no value: give it one under spec.substitute.values of the App, or a \
                 default (`${{{name}:=default}}`)"
            ));
        };
        Ok(match function {
            Function::Value | Function::Default(_) | Function::Required(_) => value.to_owned(),
            Function::Length => value.chars().count().to_string(),
            Function::Case { upper, all: true } if *upper => value.to_uppercase(),
            Function::Case { all: true, .. } => value.to_lowercase(),
            Function::Case { upper, all: false } => first_letter(value, *upper),
            Function::Slice(offset, length) => {
                let number = |pieces: &Vec<Piece>, what: &str| {
                    let text = evaluate(pieces, values)?;
                    let number = text.trim().parse::<i32>();
                    number.map_err(|_| format!("the {what} for the variable `{name}` is not a number"))
                };
                let length = length.as_ref().map(|length| number(length, "length")).transpose()?;
                slice(value, number(offset, "offset")?, length)
                    .ok_or_else(|| format!("the length for the variable `{name}` is negative"))?
            }
            Function::Trim { start, longest, pattern } => {
                let pattern = Pattern::new(&evaluate(pattern, values)?);
                let pattern =
                    pattern.map_err(|why| format!("the pattern for the variable `{name}` {why}"))?;
                if *start { pattern.trim_start(value, *longest) } else { pattern.trim_end(value, *longest) }
                    .to_owned()
            }
            Function::Replace { place, from, to } => {
                replace(value, *place, &evaluate(from, values)?, &evaluate(to, values)?)
            }
        })
    }
}

fn first_letter(value: &str, upper: bool) -> String {
    let mut chars = value.chars();
    let Some(first) = chars.next() else { return String::new() };
    let first: String = if upper { first.to_uppercase().collect() } else { first.to_lowercase().collect() };
    first + chars.as_str()
}

/// So many characters from one on; a negative offset counts from the end. `None` for a negative length.
fn slice(value: &str, offset: i32, length: Option<i32>) -> Option<String> {
    let count = value.chars().count();
    let steps = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    let from = if offset < 0 { count.saturating_sub(steps) } else { steps };
    let length = match length {
        None => count,
        Some(length) => usize::try_from(length).ok()?,
    };
    Some(value.chars().skip(from).take(length).collect())
}

/// Replaces a text, which is no pattern, as in Flux.
fn replace(value: &str, place: Occurrence, from: &str, to: &str) -> String {
    match place {
        // Everything contains the empty text; bash replaces none of it.
        _ if from.is_empty() => value.to_owned(),
        Occurrence::First => value.replacen(from, to, 1),
        Occurrence::All => value.replace(from, to),
        Occurrence::Start => match value.strip_prefix(from) {
            Some(rest) => format!("{to}{rest}"),
            None => value.to_owned(),
        },
        Occurrence::End => match value.strip_suffix(from) {
            Some(rest) => format!("{rest}{to}"),
            None => value.to_owned(),
        },
    }
}
