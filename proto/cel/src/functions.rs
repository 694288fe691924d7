//! Which functions are there, and what do they give? One row a function.

use std::ops::RangeInclusive;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use crate::EvalError;
use crate::ast::{Kind, Node};
use crate::evaluate::Run;
use crate::value::Value;

/// Largest compiled regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// Steps it takes to compile a regular expression, for each byte of it.
const STEPS_PER_PATTERN_BYTE: usize = 20;

type Result<'a> = std::result::Result<Value<'a>, EvalError>;

/// A function or method.
pub(crate) struct Function {
    name: &'static str,
    /// Called as `a.name(b)`, `a` being its first argument; otherwise as `name(a, b)`.
    method: bool,
    /// How many arguments it takes.
    pub(crate) arguments: RangeInclusive<usize>,
    pub(crate) run: for<'a> fn(&mut Run<'a>, &[Value<'a>]) -> Result<'a>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! function {
    ($name:literal, $method:literal, $arguments:expr, $run:expr) => {
        Function { name: $name, method: $method, arguments: $arguments, run: $run }
    };
}

static FUNCTIONS: &[Function] = &[
    function!("size", false, 1..=1, size),
    function!("size", true, 1..=1, size),
    function!("int", false, 1..=1, int),
    function!("uint", false, 1..=1, uint),
    function!("double", false, 1..=1, double),
    function!("string", false, 1..=1, string),
    function!("bool", false, 1..=1, bool),
    function!("dyn", false, 1..=1, |_, values| Ok(values[0].clone())),
    function!("contains", true, 2..=2, |run, values| about(run, values, "contains", |text, part| text
        .contains(part))),
    function!("startsWith", true, 2..=2, |run, values| about(run, values, "startsWith", |text, part| text
        .starts_with(part))),
    function!("endsWith", true, 2..=2, |run, values| about(run, values, "endsWith", |text, part| text
        .ends_with(part))),
    function!("matches", true, 2..=2, matches),
    function!("matches", false, 2..=2, matches),
    function!("lowerAscii", true, 1..=1, |run, values| changed(
        run,
        values,
        "lowerAscii",
        str::to_ascii_lowercase
    )),
    function!("upperAscii", true, 1..=1, |run, values| changed(
        run,
        values,
        "upperAscii",
        str::to_ascii_uppercase
    )),
    function!("trim", true, 1..=1, |run, values| changed(run, values, "trim", |text| text.trim().to_owned())),
    function!("replace", true, 3..=3, replace),
    function!("split", true, 2..=2, split),
    function!("join", true, 1..=2, join),
    function!("orValue", true, 2..=2, or_value),
    function!("hasValue", true, 1..=1, |_, values| match &values[0] {
        Value::Optional(found) => Ok(Value::Bool(found.is_some())),
        other => Err(EvalError::overload("hasValue", &[other.type_name()])),
    }),
    function!("value", true, 1..=1, |_, values| match &values[0] {
        Value::Optional(Some(found)) => Ok(Value::clone(found)),
        Value::Optional(None) => Err(EvalError::missing("value")),
        other => Err(EvalError::overload("value", &[other.type_name()])),
    }),
];

/// The function or method of that name.
pub(crate) fn named(name: &str, method: bool) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name && function.method == method)
}

/// What can be told of a call before it runs: a regular expression that is written out is read.
pub(crate) fn check(function: &Function, arguments: &[Node]) -> std::result::Result<(), String> {
    match (function.name, arguments.get(1).map(|argument| &argument.kind)) {
        ("matches", Some(Kind::Text(pattern))) => regex(pattern).map(drop),
        _ => Ok(()),
    }
}

fn regex(pattern: &str) -> std::result::Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        _ => "this is not a regular expression (RE2 syntax)".to_owned(),
    })
}

fn types<'a>(values: &[Value<'a>]) -> Vec<&'static str> {
    values.iter().map(Value::type_name).collect()
}

fn size<'a>(run: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let value = &values[0];
    let size = match value.text() {
        Some(text) => {
            run.step_bytes(text.len())?;
            Some(text.chars().count())
        }
        None => value.list_len().or(value.map_len()),
    };
    let size = size.and_then(|size| i64::try_from(size).ok());
    size.map(Value::Int).ok_or_else(|| EvalError::overload("size", &types(values)))
}

fn int<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let number = match &values[0] {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        // Exclusive at both ends, as in cel-go: the bounds themselves are not exact as doubles.
        Value::Double(number) if *number > i64::MIN as f64 && *number < i64::MAX as f64 => {
            Some(number.trunc() as i64)
        }
        other => other.text().and_then(|text| text.parse().ok()),
    };
    number.map(Value::Int).ok_or_else(|| unconvertible("int", values))
}

fn uint<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let number = match &values[0] {
        Value::Uint(number) => Some(*number),
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Double(number) if *number >= 0.0 && *number < u64::MAX as f64 => Some(number.trunc() as u64),
        other => other.text().and_then(|text| text.parse().ok()),
    };
    number.map(Value::Uint).ok_or_else(|| unconvertible("uint", values))
}

fn double<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let number = match &values[0] {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        other => other.text().and_then(|text| text.parse().ok()),
    };
    number.map(Value::Double).ok_or_else(|| unconvertible("double", values))
}

fn string<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    match &values[0] {
        Value::Bool(bool) => Ok(Value::from_text(bool.to_string())),
        Value::Int(number) => Ok(Value::from_text(number.to_string())),
        Value::Uint(number) => Ok(Value::from_text(number.to_string())),
        Value::Double(number) => Ok(Value::from_text(number.to_string())),
        text @ (Value::Text(_) | Value::Borrowed(_)) => Ok(text.clone()),
        _ => Err(unconvertible("string", values)),
    }
}

fn bool<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    match (&values[0], values[0].text()) {
        (Value::Bool(bool), _) => Ok(Value::Bool(*bool)),
        (_, Some("true" | "True" | "TRUE" | "t" | "1")) => Ok(Value::Bool(true)),
        (_, Some("false" | "False" | "FALSE" | "f" | "0")) => Ok(Value::Bool(false)),
        _ => Err(unconvertible("bool", values)),
    }
}

fn unconvertible(name: &str, values: &[Value<'_>]) -> EvalError {
    EvalError::new(format!(
        "`{name}` cannot be made of this {}",
        values[0].type_name().trim_start_matches("a ")
    ))
}

/// The texts that a method is called with, and a step for every few bytes of the first two.
fn texts<'v>(
    run: &mut Run<'_>,
    values: &'v [Value<'_>],
    name: &str,
) -> std::result::Result<Vec<&'v str>, EvalError> {
    let texts: Option<Vec<_>> = values.iter().map(Value::text).collect();
    let texts = texts.ok_or_else(|| EvalError::overload(name, &types(values)))?;
    run.step_bytes(texts.iter().map(|text| text.len()).sum())?;
    Ok(texts)
}

fn about<'a>(
    run: &mut Run<'a>,
    values: &[Value<'a>],
    name: &str,
    holds: impl Fn(&str, &str) -> bool,
) -> Result<'a> {
    let texts = texts(run, values, name)?;
    Ok(Value::Bool(holds(texts[0], texts[1])))
}

fn changed<'a>(
    run: &mut Run<'a>,
    values: &[Value<'a>],
    name: &str,
    change: impl Fn(&str) -> String,
) -> Result<'a> {
    let texts = texts(run, values, name)?;
    Ok(Value::from_text(change(texts[0])))
}

fn matches<'a>(run: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let texts = texts(run, values, "matches")?;
    run.step_items(texts[1].len() * STEPS_PER_PATTERN_BYTE)?;
    // The engine is linear in the text, times the size of the pattern.
    run.step_items(texts[0].len().saturating_mul(texts[1].len()) / 64)?;
    regex(texts[1]).map(|regex| Value::Bool(regex.is_match(texts[0]))).map_err(EvalError::new)
}

fn replace<'a>(run: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let texts = texts(run, values, "replace")?;
    // At worst the new text stands before, between and after all bytes.
    let longest = (texts[0].len() + 1).saturating_mul(texts[2].len() + 1);
    run.step_bytes(longest)?;
    Ok(Value::from_text(texts[0].replace(texts[1], texts[2])))
}

fn split<'a>(run: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let texts = texts(run, values, "split")?;
    run.step_items(texts[0].len())?;
    let parts: Vec<_> = if texts[1].is_empty() {
        texts[0].chars().map(|char| Value::from_text(char.to_string())).collect()
    } else {
        texts[0].split(texts[1]).map(Value::from_text).collect()
    };
    Ok(Value::List(parts.into()))
}

fn join<'a>(run: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    let wrong = || EvalError::overload("join", &types(values));
    let separator = values.get(1).map_or(Some(""), Value::text).ok_or_else(wrong)?;
    let length = values[0].list_len().ok_or_else(wrong)?;
    let mut joined = String::new();
    for index in 0..length {
        let item = values[0].item(index).unwrap_or(Value::Null);
        let part = item.text().ok_or_else(wrong)?;
        run.step_bytes(part.len() + separator.len() + 16)?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part);
    }
    Ok(Value::Text(Rc::from(joined)))
}

fn or_value<'a>(_: &mut Run<'a>, values: &[Value<'a>]) -> Result<'a> {
    match &values[0] {
        Value::Optional(Some(found)) => Ok(Value::clone(found)),
        Value::Optional(None) => Ok(values[1].clone()),
        other => Err(EvalError::overload("orValue", &[other.type_name()])),
    }
}
