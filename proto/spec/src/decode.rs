//! How does a read document become one of our structs, and which field is to blame if it does not?
//!
//! A serde deserializer over [`Node`]s. Each mapping and list adds its step to an error on the way
//! out, so an error arrives with the path of its field. To report more than the first error the
//! offending field is taken out and the rest is tried again.

use std::fmt;

use muster_yaml::{Entry, Mark, Node, Value};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected},
    forward_to_deserialize_any,
};

use crate::path::{Path, Step};

/// So many errors of one document are reported.
const ERRORS_MAX: usize = 20;
/// How alike an unknown name must be to a known one to suggest it (1 is equal).
const ALIKE_FROM: f64 = 0.7;

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) path: Path,
    pub(crate) at: Mark,
    pub(crate) message: String,
}

/// Decodes a document, or says everything that is wrong with its fields.
pub(crate) fn decode<T: for<'n> Deserialize<'n>>(root: &Node) -> Result<T, Vec<Failure>> {
    let mut failures: Vec<Failure> = Vec::new();
    let mut node = root.clone();
    loop {
        let error = match T::deserialize(Source(&node)) {
            Ok(value) if failures.is_empty() => return Ok(value),
            Ok(_) => return Err(failures),
            Err(error) => error,
        };
        let mut path: Vec<Step> = error.path;
        path.reverse();
        let mut field = path.clone();
        field.extend(error.missing.clone().map(Step::Key));
        // Missing only because it was taken out: the reason is reported already.
        if failures.iter().any(|failure| failure.path.0 == field || starts_with(&failure.path.0, &field)) {
            return Err(failures);
        }
        let at = if error.on_key { key_mark(&node, &path) } else { Path(path.clone()).locate(&node) };
        failures.push(Failure { path: Path(field), at, message: error.message });
        if failures.len() == ERRORS_MAX || error.missing.is_some() || !take_out(&mut node, &path) {
            return Err(failures);
        }
    }
}

fn starts_with(path: &[Step], prefix: &[Step]) -> bool {
    path.len() > prefix.len() && path[..prefix.len()] == *prefix
}

fn key_mark(root: &Node, path: &[Step]) -> Mark {
    let Some((Step::Key(key), parents)) = path.split_last() else {
        return root.at;
    };
    let mut node = root;
    for step in parents {
        node = match (step, &node.value) {
            (Step::Index(index), Value::Sequence(items)) => items.get(*index).unwrap_or(node),
            (Step::Key(key), _) => node.get(key).unwrap_or(node),
            _ => node,
        };
    }
    node.entry(key).map_or(node.at, |entry| entry.at)
}

/// Takes the field out of its mapping; a list loses nothing (its items would change their
/// numbers) but is taken out whole.
fn take_out(root: &mut Node, path: &[Step]) -> bool {
    let Some(last) = path.iter().rposition(|step| matches!(step, Step::Key(_))) else {
        return false;
    };
    let mut node = root;
    for step in &path[..last] {
        let next = match (step, &mut node.value) {
            (Step::Key(key), Value::Mapping(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            (Step::Index(index), Value::Sequence(items)) => items.get_mut(*index),
            _ => None,
        };
        let Some(next) = next else { return false };
        node = next;
    }
    match (&path[last], &mut node.value) {
        (Step::Key(key), Value::Mapping(entries)) => {
            let before = entries.len();
            entries.retain(|entry| entry.key != *key);
            entries.len() < before
        }
        _ => false,
    }
}

/// An error under way to the root; the path is innermost first.
#[derive(Debug)]
pub(crate) struct Error {
    path: Vec<Step>,
    on_key: bool,
    missing: Option<String>,
    message: String,
}

impl Error {
    fn new(message: String) -> Self {
        Error { path: Vec::new(), on_key: false, missing: None, message }
    }

    fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found_text = found_text(found);
        let hint = match found {
            Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
                if expected.to_string() == "a string" =>
            {
                "; put it in quotes"
            }
            _ => "",
        };
        Error::new(format!("expected {}, found {found_text}{hint}", expected_text(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::new(format!("expected {}, found {}", expected_text(expected), found_text(found)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Error::new(format!("unknown field{}", alternatives(field, expected)));
        error.on_key = true;
        error
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let variant_text = crate::names::shown(variant);
        Error::new(format!("unknown value `{variant_text}`{}", alternatives(variant, expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Error::new("this field is required".to_owned());
        error.missing = Some(field.to_owned());
        error
    }
}

/// What serde calls by the names of Rust's types, in the words of YAML.
fn expected_text(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "u32" => "a whole number from 0 on".to_owned(),
        other => other.to_owned(),
    }
}

fn found_text(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("the boolean {value}"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the string `{}`", crate::names::shown(text)),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// The known name that this one resembles most, if any does.
pub(crate) fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let alike = |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    known
        .iter()
        .map(|candidate| (alike(candidate), *candidate))
        .filter(|(score, _)| *score >= ALIKE_FROM)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// What a name could have been: the one it resembles, and all there are.
pub(crate) fn alternatives(name: &str, known: &[&str]) -> String {
    let listed = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (closest(name, known), known.len()) {
        (_, 0) => ", there are none here".to_owned(),
        (Some(meant), 1) => format!(", did you mean `{meant}`?"),
        (Some(meant), _) => format!(", did you mean `{meant}`? Expected one of {listed}"),
        (None, 1) => format!(", expected {listed}"),
        (None, _) => format!(", expected one of {listed}"),
    }
}

struct Source<'n>(&'n Node);

impl<'de> de::Deserializer<'de> for Source<'de> {
    type Error = Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(de::Error::custom("the number is out of range")),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Mapping(entries) => visitor.visit_map(Fields { entries, next: 0 }),
        }
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Null => Err(de::Error::invalid_type(Unexpected::Unit, &visitor)),
            Value::Bool(value) => Err(de::Error::invalid_type(Unexpected::Bool(*value), &visitor)),
            Value::Number(_) => Err(de::Error::invalid_type(Unexpected::Other("a number"), &visitor)),
            Value::Sequence(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            Value::Mapping(_) => Err(de::Error::invalid_type(Unexpected::Map, &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'n> {
    items: &'n [Node],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.get(self.next) else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Source(item)).map(Some).map_err(|error| error.under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Fields<'n> {
    entries: &'n [Entry],
    next: usize,
}

impl<'de> de::MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.get(self.next) else {
            return Ok(None);
        };
        let key: de::value::BorrowedStrDeserializer<'_, Error> =
            de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|error| {
            let mut error = error.under(Step::Key(entry.key.clone()));
            error.on_key = true;
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let entry =
            self.entries.get(self.next).ok_or_else(|| Error::new("a value without a key".to_owned()))?;
        self.next += 1;
        seed.deserialize(Source(&entry.value)).map_err(|error| error.under(Step::Key(entry.key.clone())))
    }
}
