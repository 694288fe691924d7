//! Which objects does a patch, replacement or other selector mean?

use std::collections::BTreeMap;

use regex::Regex;

use super::PatchError;
use crate::pattern;

/// The fields of a selector as the kustomization has them; what is empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SelectorFields {
    /// Pattern of the group.
    pub(crate) group: String,
    /// Pattern of the version.
    pub(crate) version: String,
    /// Pattern of the kind.
    pub(crate) kind: String,
    /// Pattern of the name.
    pub(crate) name: String,
    /// Pattern of the namespace.
    pub(crate) namespace: String,
    /// `a=b,c in (d, e)`, matched against labels.
    pub(crate) label_selector: String,
    /// The same against annotations.
    pub(crate) annotation_selector: String,
}

/// What a selector looks at. Names and namespaces match if the first or the present one does; a
/// namespace is `default` where a namespaced object names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'o> {
    /// Group of the object now.
    pub(crate) group: &'o str,
    /// Version of the object now.
    pub(crate) version: &'o str,
    /// Kind of the object now.
    pub(crate) kind: &'o str,
    /// The name it was read with and the name it has.
    pub(crate) names: [&'o str; 2],
    /// The namespace it was read with and the one it has.
    pub(crate) namespaces: [&'o str; 2],
    /// Its labels.
    pub(crate) labels: &'o BTreeMap<String, String>,
    /// Its annotations.
    pub(crate) annotations: &'o BTreeMap<String, String>,
}

/// A selector ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

impl Selector {
    /// Compiles the patterns, each of which has to match the whole text.
    ///
    /// # Errors
    /// When a pattern is no regular expression, or a selector cannot be read.
    pub(crate) fn new(fields: &SelectorFields) -> Result<Selector, PatchError> {
        Ok(Selector {
            group: whole(&fields.group)?,
            version: whole(&fields.version)?,
            kind: whole(&fields.kind)?,
            name: whole(&fields.name)?,
            namespace: whole(&fields.namespace)?,
            labels: requirements(&fields.label_selector)?,
            annotations: requirements(&fields.annotation_selector)?,
        })
    }

    /// Whether labels or annotations count at all: reading them is the dearest part of a candidate.
    pub(crate) fn looks_at_texts(&self) -> bool {
        !(self.labels.is_empty() && self.annotations.is_empty())
    }

    /// Whether the object is selected.
    pub(crate) fn matches(&self, object: &Candidate<'_>) -> bool {
        let any = |pattern: &Option<Regex>, texts: &[&str]| match pattern {
            Some(pattern) => texts.iter().any(|text| pattern.is_match(text)),
            None => true,
        };
        any(&self.group, &[object.group])
            && any(&self.version, &[object.version])
            && any(&self.kind, &[object.kind])
            && any(&self.name, &object.names)
            && any(&self.namespace, &object.namespaces)
            && self.labels.iter().all(|requirement| requirement.matches(object.labels))
            && self.annotations.iter().all(|requirement| requirement.matches(object.annotations))
    }
}

fn whole(text: &str) -> Result<Option<Regex>, PatchError> {
    if text.is_empty() {
        return Ok(None);
    }
    pattern::compile(&format!("^(?:{text})$"))
        .map(Some)
        .map_err(|error| PatchError::new(format!("error parsing regexp `{text}`: {error}")))
}

/// One condition of a label selector.
#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Above(least) => number().is_some_and(|number| number > *least),
            Test::Below(most) => number().is_some_and(|number| number < *most),
        }
    }
}

/// Reads `a=b, c!=d, e in (f, g), h notin (i), j, !k, l>1`.
fn requirements(text: &str) -> Result<Vec<Requirement>, PatchError> {
    let mut words = Words { rest: text };
    let mut requirements = Vec::new();
    if words.peek().is_empty() {
        return Ok(requirements);
    }
    loop {
        requirements.push(requirement(&mut words).ok_or_else(|| {
            PatchError::new(format!(
                "unable to parse requirement in selector `{text}`, found '{}'",
                words.peek()
            ))
        })?);
        match words.take() {
            "" => return Ok(requirements),
            "," if !words.peek().is_empty() => {}
            _ => {
                return Err(PatchError::new(format!(
                    "selector `{text}`: expected a comma between conditions"
                )));
            }
        }
    }
}

fn requirement(words: &mut Words<'_>) -> Option<Requirement> {
    if words.peek() == "!" {
        words.take();
        return Some(Requirement { key: word(words.take(), true)?, test: Test::Absent });
    }
    let key = word(words.take(), true)?;
    let test = match words.peek() {
        "" | "," => Test::Exists,
        "=" | "==" => {
            words.take();
            Test::In(vec![value(words)?])
        }
        "!=" => {
            words.take();
            Test::NotIn(vec![value(words)?])
        }
        ">" => {
            words.take();
            Test::Above(value(words)?.parse().ok()?)
        }
        "<" => {
            words.take();
            Test::Below(value(words)?.parse().ok()?)
        }
        "in" => {
            words.take();
            Test::In(values(words)?)
        }
        "notin" => {
            words.take();
            Test::NotIn(values(words)?)
        }
        _ => return None,
    };
    Some(Requirement { key, test })
}

/// A value, which may be empty.
fn value(words: &mut Words<'_>) -> Option<String> {
    match words.peek() {
        "" | "," => Some(String::new()),
        _ => word(words.take(), false),
    }
}

fn values(words: &mut Words<'_>) -> Option<Vec<String>> {
    if words.take() != "(" {
        return None;
    }
    let mut values = Vec::new();
    loop {
        match words.peek() {
            "," | ")" => values.push(String::new()),
            _ => values.push(word(words.take(), false)?),
        }
        match words.take() {
            ")" => return Some(values),
            "," => {}
            _ => return None,
        }
    }
}

/// Longest name, and longest value, of a label.
const LABEL_CHARS_MAX: usize = 63;

fn word(text: &str, key: bool) -> Option<String> {
    let (prefix, name) = text.rsplit_once('/').filter(|_| key).unwrap_or(("a", text));
    let ends_well = |text: &str| {
        text.starts_with(|char: char| char.is_ascii_alphanumeric())
            && text.ends_with(|char: char| char.is_ascii_alphanumeric())
    };
    let well_formed = ends_well(name)
        && name.len() <= LABEL_CHARS_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends_well(prefix)
        && prefix
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    well_formed.then(|| text.to_owned())
}

struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    fn next(&self) -> (&'t str, &'t str) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let is_sign = |char: char| matches!(char, '=' | '!' | '(' | ')' | ',' | '>' | '<');
        let length = match rest.as_bytes() {
            [b'=' | b'!', b'=', ..] => 2,
            [byte, ..] if is_sign(char::from(*byte)) => 1,
            _ => rest
                .find(|char: char| is_sign(char) || matches!(char, ' ' | '\t' | '\r' | '\n'))
                .unwrap_or(rest.len()),
        };
        rest.split_at(length)
    }

    fn peek(&self) -> &'t str {
        self.next().0
    }

    fn take(&mut self) -> &'t str {
        let (word, rest) = self.next();
        self.rest = rest;
        word
    }
}
