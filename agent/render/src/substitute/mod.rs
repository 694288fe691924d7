//! What becomes of `${name}` in the objects of an app that asks for it?
//!
//! As Flux's `postBuild` has it, which substitutes in the YAML text of each rendered object and reads
//! that again: what YAML would print without quotes takes the type that the new text has
//! (`replicas: ${replicas}` becomes a number, whether or not it had quotes in Git), what it would
//! print in quotes or in a block stays text. Here only strings that hold an expression are looked
//! at, one at a time, so that a value can never reach beyond the field it is put into.

mod expression;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use muster_yaml::Reading;
use serde_json::{Map, Value};

use crate::{Limits, Object, RenderError, kustomize::Tree, patch::Spelling};
use expression::{evaluate, parse};

/// The values of variables, by name.
pub type Substitutions = BTreeMap<String, String>;

/// Annotations or labels that keep an object as it is when they say `disabled`.
const OPT_OUTS: [&str; 2] = ["muster.dev/substitute", "kustomize.toolkit.fluxcd.io/substitute"];
const DISABLED: &str = "disabled";

/// Puts values in place of expressions in all objects that do not opt out. `tree` is only searched
/// for the lines of errors.
pub(crate) fn substitute(
    objects: &mut [Object],
    values: &Substitutions,
    tree: Tree<'_>,
    limits: &Limits,
) -> Result<(), Vec<RenderError>> {
    let values = clean(values);
    let mut errors = Vec::new();
    let mut work = Work { values: &values, limits, bytes: 0, path: Vec::new() };
    for object in objects.iter_mut().filter(|object| !opts_out(&object.value)) {
        let was = object.to_string();
        let changed = work.value(&mut object.value).and_then(|()| header(&object.value));
        if let Err(Flaw { message, name }) = changed {
            let field = shown(&work.path);
            let line = line_of(object, name.as_deref(), tree);
            let message = format!("{was}: {field}: {message}");
            errors.push(RenderError { file: object.file.clone(), line, column: 0, message });
        }
        work.path.clear();
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Flux joins the lines of a value, as several would break the YAML around them.
fn clean(values: &Substitutions) -> Substitutions {
    values.iter().map(|(name, value)| (name.clone(), value.replace('\n', ""))).collect()
}

fn opts_out(object: &Value) -> bool {
    ["annotations", "labels"].iter().any(|field| {
        let texts = object.get("metadata").and_then(|metadata| metadata.get(field));
        let says = |key| texts.and_then(|texts| texts.get(key)).and_then(Value::as_str) == Some(DISABLED);
        OPT_OUTS.iter().any(says)
    })
}

/// What went wrong in one field.
struct Flaw {
    message: String,
    /// The text that was looked at, to find its line.
    name: Option<String>,
}

impl Flaw {
    fn new(message: String) -> Flaw {
        Flaw { message, name: None }
    }
}

enum Step {
    Key(String),
    Item(usize),
}

struct Work<'w> {
    values: &'w Substitutions,
    limits: &'w Limits,
    /// What was put in place, of all objects.
    bytes: usize,
    /// The way to the field that is looked at; left as it is by an error.
    path: Vec<Step>,
}

impl Work<'_> {
    fn value(&mut self, value: &mut Value) -> Result<(), Flaw> {
        match value {
            Value::String(text) if text.contains('$') => {
                let in_list = matches!(self.path.last(), Some(Step::Item(_)));
                *value = self.scalar(text, in_list)?;
            }
            Value::Array(items) => {
                for (position, item) in items.iter_mut().enumerate() {
                    self.path.push(Step::Item(position));
                    self.value(item)?;
                    self.path.pop();
                }
            }
            Value::Object(fields) => self.mapping(fields)?,
            _ => {}
        }
        Ok(())
    }

    fn mapping(&mut self, fields: &mut Map<String, Value>) -> Result<(), Flaw> {
        for (key, value) in fields.iter_mut() {
            self.path.push(Step::Key(key.clone()));
            self.value(value)?;
            self.path.pop();
        }
        if !fields.keys().any(|key| key.contains('$')) {
            return Ok(());
        }
        let old = std::mem::take(fields);
        for (key, value) in old {
            let new = if key.contains('$') { self.text(&key)? } else { key };
            if fields.insert(new, value).is_some() {
                return Err(Flaw::new("two keys of the mapping become the same".to_owned()));
            }
        }
        Ok(())
    }

    /// The text with its expressions replaced.
    fn text(&mut self, text: &str) -> Result<String, Flaw> {
        let flaw = |message| Flaw { message, name: Some(text.to_owned()) };
        let pieces = parse(text).map_err(flaw)?;
        let new = evaluate(&pieces, self.values).map_err(flaw)?;
        self.bytes = self.bytes.saturating_add(new.len());
        if self.bytes > self.limits.bytes_max {
            let message = format!("substitution comes to more than {} bytes", self.limits.bytes_max);
            return Err(Flaw::new(message));
        }
        Ok(new)
    }

    fn scalar(&mut self, text: &str, in_list: bool) -> Result<Value, Flaw> {
        let is_plain = Spelling::printed(&Value::String(text.to_owned())) == Spelling::Plain;
        let new = self.text(text)?;
        if !is_plain || new == text {
            return Ok(Value::String(new));
        }
        self.read(&new, in_list).map_err(|message| Flaw { message, name: Some(text.to_owned()) })
    }

    /// The value of a text that stands behind a key, or behind the dash of a list.
    fn read(&self, text: &str, in_list: bool) -> Result<Value, String> {
        let document = if in_list { format!("- {text}\n") } else { format!("v: {text}\n") };
        let odd = "what the values make of this text is no YAML; put it in quotes (with `'\"'` as a value)";
        let mut parts = muster_yaml::parts(document.as_bytes(), &self.limits.yaml).into_iter();
        let (Some(Ok(part)), None) = (parts.next(), parts.next()) else { return Err(odd.to_owned()) };
        let node = part
            .read(Reading::AsKubectl, &self.limits.yaml)
            .map_err(|error| format!("{odd}: {}", error.message))?;
        match node.map(muster_yaml::Node::into_json) {
            Some(Value::Array(mut items)) if in_list && items.len() == 1 => Ok(items.swap_remove(0)),
            Some(Value::Object(mut fields)) if !in_list && fields.len() == 1 => {
                fields.remove("v").ok_or_else(|| odd.to_owned())
            }
            _ => Err(odd.to_owned()),
        }
    }
}

/// What every object has must still be there, and text.
fn header(object: &Value) -> Result<(), Flaw> {
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        let text = object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() {
            let field = pointer[1..].replace('/', ".");
            return Err(Flaw::new(format!("{field} is no text, or empty, once the variables are replaced")));
        }
    }
    match object.pointer("/metadata/namespace") {
        None | Some(Value::String(_) | Value::Null) => Ok(()),
        Some(_) => Err(Flaw::new("metadata.namespace is no text once the variables are replaced".to_owned())),
    }
}

/// `spec.containers[0].image`; the object as a whole has no name.
fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                let _ = write!(text, ".{key}");
            }
            Step::Item(position) => {
                let _ = write!(text, "[{position}]");
            }
        }
    }
    if text.is_empty() { "the object".to_owned() } else { text }
}

/// The line of a text, if it stands in the object's file as it is; else the object's.
fn line_of(object: &Object, text: Option<&str>, tree: Tree<'_>) -> usize {
    let start = object.line.saturating_sub(1);
    let found = text.and_then(|text| text.lines().find(|line| line.contains("${"))).and_then(|wanted| {
        let content = std::str::from_utf8(tree.get(&object.file)?.1).ok()?;
        content.lines().skip(start).position(|line| line.contains(wanted))
    });
    object.line + found.unwrap_or_default()
}
