//! Where does each document of a file begin and end?
//!
//! kubectl looks at lines before it looks at YAML: a line that begins with `---` ends a document,
//! also inside a block scalar. A file whose first character is `{` is read as JSON objects one
//! after the other, and as YAML from the first one that is not JSON.

use std::borrow::Cow;

use crate::{Error, Limits, Mark, Node, Reading, Value, compose, json};

/// How a part of a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// YAML.
    Yaml,
    /// A JSON object.
    Json,
}

/// One document of a file, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The text, with line ends as `\n`.
    pub text: Cow<'a, str>,
    /// The line of the file at which the text begins, from 1.
    pub line: usize,
    /// YAML or JSON.
    pub syntax: Syntax,
}

impl Part<'_> {
    fn owned(self) -> Part<'static> {
        Part { text: Cow::Owned(self.text.into_owned()), line: self.line, syntax: self.syntax }
    }

    /// Reads the document; `None` when it is empty, null or only comments.
    ///
    /// # Errors
    /// Where it is not YAML (or JSON) that Kubernetes can use, or exceeds a limit.
    pub fn read(&self, reading: Reading, limits: &Limits) -> Result<Option<Node>, Error> {
        let node = match self.syntax {
            Syntax::Json => Some(json::document(&self.text, self.line, reading, limits)?),
            Syntax::Yaml => compose::document(&self.text, self.line, reading, limits)?,
        };
        Ok(node.filter(|node| node.value != Value::Null))
    }
}

/// The separator of documents, at the beginning of a line.
const SEPARATOR: &str = "---";
/// How far into a file kubectl looks for the `{` that makes it JSON.
const JSON_WINDOW: usize = 4096;
/// After this many JSON objects kubectl does not take the rest for YAML any more.
const JSON_SURE_AFTER: usize = 2;

/// Splits a file into its documents. Where the file cannot be split any further the last item is
/// the error, so the documents before it can still be used.
pub fn parts<'a>(bytes: &'a [u8], limits: &Limits) -> Vec<Result<Part<'a>, Error>> {
    if bytes.len() > limits.bytes_max {
        let message = format!("the file has {} bytes; {} are allowed", bytes.len(), limits.bytes_max);
        return vec![Err(Error::new(Mark::START, message))];
    }
    match decode(bytes) {
        Ok(Cow::Borrowed(text)) => split(text, limits),
        Ok(Cow::Owned(text)) => split(&text, limits).into_iter().map(|part| part.map(Part::owned)).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Splits a file into its documents as Kustomize does: a document ends at a line that begins with
/// `---`, unless this is the first line, and JSON is read as the YAML it also is. A file that is not
/// UTF-8 is an error.
pub fn kustomize_parts<'a>(bytes: &'a [u8], limits: &Limits) -> Vec<Result<Part<'a>, Error>> {
    if bytes.len() > limits.bytes_max {
        let message = format!("the file has {} bytes; {} are allowed", bytes.len(), limits.bytes_max);
        return vec![Err(Error::new(Mark::START, message))];
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![Err(Error::new(Mark::START, "the file is not UTF-8"))];
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let (mut parts, mut from, mut start, mut offset, mut line) = (Vec::new(), 1, 0, 0, 1);
    for full in text.split_inclusive('\n') {
        let end = offset + full.len();
        // The line before has to end, and this one, too, so the first and the last line do not count.
        if offset > start
            && full.ends_with('\n')
            && let Some(behind) = full.strip_prefix(SEPARATOR)
        {
            let behind = behind.trim();
            if !behind.is_empty() && !behind.starts_with('#') {
                let message = "only a comment may follow the separator --- on its line";
                parts.push(Err(Error::new(Mark { line, column: 1 }, message)));
                return parts;
            }
            parts.push(Ok(Part { text: unix_lines(&text[start..offset]), line: from, syntax: Syntax::Yaml }));
            (start, from) = (end, line + 1);
        }
        offset = end;
        line += 1;
        if parts.len() > limits.documents_max {
            let message = format!("the file has more than {} documents", limits.documents_max);
            parts.push(Err(Error::new(Mark { line, column: 1 }, message)));
            return parts;
        }
    }
    parts.push(Ok(Part { text: unix_lines(&text[start..]), line: from, syntax: Syntax::Yaml }));
    parts
}

fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

/// The text of a file: a byte order mark decides between UTF-8 and UTF-16. Without one, bytes that
/// are not UTF-8 become U+FFFD; behind the mark of UTF-8 they are an error. All this as in kubectl.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let decoded = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
        let odd = (!odd.is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        Cow::Owned(decoded.chain(odd).collect())
    };
    Ok(match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => match std::str::from_utf8(rest) {
            Ok(text) => Cow::Borrowed(text),
            Err(error) => {
                let valid = String::from_utf8_lossy(&rest[..error.valid_up_to()]);
                let line = 1 + newlines(&valid);
                let column = 1 + valid.rsplit('\n').next().unwrap_or_default().chars().count();
                return Err(Error::new(
                    Mark { line, column },
                    "the file is not UTF-8, though its first bytes say so",
                ));
            }
        },
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        _ => String::from_utf8_lossy(bytes),
    })
}

fn split<'t>(text: &'t str, limits: &Limits) -> Vec<Result<Part<'t>, Error>> {
    let mut parts = Vec::new();
    let (mut rest, mut line) = (text, 1);
    if looks_like_json(text) {
        match json_objects(text, limits, &mut parts) {
            Ok((yaml, at)) => (rest, line) = (yaml, at),
            Err(error) => {
                parts.push(Err(error));
                rest = "";
            }
        }
    }
    yaml_documents(rest, line, &mut parts);
    if parts.len() > limits.documents_max {
        parts.truncate(limits.documents_max);
        let at = parts.iter().rev().find_map(|part| part.as_ref().ok()).map_or(1, |part| part.line);
        let message = format!("the file has more than {} documents", limits.documents_max);
        parts.push(Err(Error::new(Mark { line: at, column: 1 }, message)));
    }
    parts
}

fn looks_like_json(text: &str) -> bool {
    let window = (0..=JSON_WINDOW.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..window].trim_start().starts_with('{')
}

/// Takes JSON objects off the front of the text. Returns what is left, to be read as YAML, and
/// the line it begins at.
fn json_objects<'t>(
    text: &'t str,
    limits: &Limits,
    parts: &mut Vec<Result<Part<'t>, Error>>,
) -> Result<(&'t str, usize), Error> {
    let mut rest = text;
    let mut line = 1;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        if trimmed.is_empty() {
            return Ok(("", line));
        }
        let start = line + newlines(&rest[..rest.len() - trimmed.len()]);
        match json::length(trimmed, limits) {
            Ok(length) => {
                parts.push(Ok(Part {
                    text: Cow::Borrowed(&trimmed[..length]),
                    line: start,
                    syntax: Syntax::Json,
                }));
                line = start + newlines(&trimmed[..length]);
                rest = &trimmed[length..];
            }
            Err(error) if parts.len() >= JSON_SURE_AFTER => return Err(error.below(start)),
            // Behind an object the rest of its line is skipped if it is blank.
            Err(_) => {
                let blank = rest.len() - rest.trim_start().len();
                let skipped = rest[..blank].find('\n').map_or(blank, |newline| newline + 1);
                return Ok((&rest[skipped..], line + newlines(&rest[..skipped])));
            }
        }
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn yaml_documents<'t>(text: &'t str, first_line: usize, parts: &mut Vec<Result<Part<'t>, Error>>) {
    let (mut start, mut start_line) = (0, first_line);
    let (mut offset, mut line) = (0, first_line);
    let mut push = |from: usize, to: usize, line: usize| {
        let chunk = &text[from..to];
        // kubectl reads lines, so the last one always ends, too.
        let text = if chunk.contains('\r') || !chunk.ends_with('\n') {
            let lines = chunk.strip_suffix('\n').unwrap_or(chunk).split('\n');
            Cow::Owned(lines.flat_map(|line| [line.strip_suffix('\r').unwrap_or(line), "\n"]).collect())
        } else {
            Cow::Borrowed(chunk)
        };
        parts.push(Ok(Part { text, line, syntax: Syntax::Yaml }));
    };
    for full in text.split_inclusive('\n') {
        let end = offset + full.len();
        if let Some(behind) = full.strip_prefix(SEPARATOR) {
            let behind = behind.trim();
            if !behind.is_empty() && !behind.starts_with('#') {
                if offset > start {
                    push(start, offset, start_line);
                }
                let message = "only a comment may follow the separator --- on its line";
                parts.push(Err(Error::new(Mark { line, column: 1 }, message)));
                return;
            }
            // In front of a document the separator belongs to it.
            if offset > start {
                push(start, offset, start_line);
                (start, start_line) = (end, line + 1);
            }
        }
        offset = end;
        line += 1;
    }
    if offset > start {
        push(start, offset, start_line);
    }
}
