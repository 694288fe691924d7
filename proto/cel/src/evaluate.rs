//! What does an expression give for an object?

use std::rc::Rc;

use serde_json::Value as Json;

use crate::EvalError;
use crate::ast::{Kind, Node};
use crate::value::Value;

/// So many bytes gone through are one step.
const BYTES_PER_STEP: usize = 16;

type Result<'a> = std::result::Result<Value<'a>, EvalError>;

/// One evaluation.
pub(crate) struct Run<'a> {
    object: &'a Json,
    steps_left: u64,
    /// Variables of the macros around, innermost last.
    pub(crate) variables: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(object: &'a Json, steps_max: u64) -> Self {
        Run { object, steps_left: steps_max, variables: Vec::new() }
    }

    /// Counts steps, before the work is done.
    pub(crate) fn step(&mut self, count: u64) -> std::result::Result<(), EvalError> {
        self.steps_left = self.steps_left.checked_sub(count).ok_or_else(EvalError::exhausted)?;
        Ok(())
    }

    pub(crate) fn step_bytes(&mut self, count: usize) -> std::result::Result<(), EvalError> {
        self.step(u64::try_from(count / BYTES_PER_STEP).unwrap_or(u64::MAX))
    }

    /// Counts the elements that something is about to make or go through.
    pub(crate) fn step_items(&mut self, count: usize) -> std::result::Result<(), EvalError> {
        self.step(u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(crate) fn value(&mut self, node: &'a Node) -> Result<'a> {
        self.step(1)?;
        match &node.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Bool(bool) => Ok(Value::Bool(*bool)),
            Kind::Int(number) => Ok(Value::Int(*number)),
            Kind::Uint(number) => Ok(Value::Uint(*number)),
            Kind::Double(number) => Ok(Value::Double(*number)),
            Kind::Text(text) => Ok(Value::Borrowed(text)),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.value(item));
                items.collect::<std::result::Result<Vec<_>, _>>().map(|items| Value::List(items.into()))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::This => Ok(Value::of(self.object)),
            Kind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).ok_or_else(|| EvalError::missing(name))
            }
            Kind::Field { operand, name, optional } => {
                let operand = self.value(operand)?;
                self.field(&operand, name, *optional)
            }
            Kind::Index { operand, key, optional } => {
                let (operand, key) = (self.value(operand)?, self.value(key)?);
                self.index(&operand, &key, *optional)
            }
            Kind::Has { operand, name } => {
                let operand = self.value(operand)?;
                match self.field(&operand, name, true)? {
                    Value::Optional(found) => Ok(Value::Bool(found.is_some())),
                    other => Ok(other),
                }
            }
            Kind::Not(operand) => match self.value(operand)? {
                Value::Bool(bool) => Ok(Value::Bool(!bool)),
                other => Err(EvalError::overload("!", &[other.type_name()])),
            },
            Kind::Negate(operand) => match self.value(operand)? {
                Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
                Value::Double(number) => Ok(Value::Double(-number)),
                other => Err(EvalError::overload("-", &[other.type_name()])),
            },
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, &left, &right)
            }
            Kind::And(parts) => self.logic(parts, false),
            Kind::Or(parts) => self.logic(parts, true),
            Kind::Choice { condition, yes, no } => match self.value(condition)? {
                Value::Bool(true) => self.value(yes),
                Value::Bool(false) => self.value(no),
                other => Err(EvalError::overload("?:", &[other.type_name()])),
            },
            Kind::Macro { kind, list, variable, condition, result } => {
                let list = self.value(list)?;
                self.comprehend(*kind, &list, variable, condition, result.as_deref())
            }
            Kind::Call { function, arguments } => {
                let arguments = arguments.iter().map(|argument| self.value(argument));
                let arguments = arguments.collect::<std::result::Result<Vec<_>, _>>()?;
                (function.run)(self, &arguments)
            }
        }
    }

    /// `&&` is false, and `||` is true, when one part is, even where another fails (cel-spec, "Logical
    /// Operators").
    fn logic(&mut self, parts: &'a [Node], decides: bool) -> Result<'a> {
        let mut failed = None;
        for part in parts {
            match self.value(part) {
                Ok(Value::Bool(bool)) if bool == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(other) => {
                    let name = if decides { "||" } else { "&&" };
                    failed.get_or_insert(EvalError::overload(name, &[other.type_name()]));
                }
                Err(error) if error.exhausted => return Err(error),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Result<'a> {
        let mut built: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for (key, value) in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_)) && key.text().is_none() {
                return Err(EvalError::new(format!("{} cannot be a key of a map", key.type_name())));
            }
            for (known, _) in &built {
                if self.equal(known, &key)? {
                    return Err(EvalError::new("a map has a key twice"));
                }
            }
            built.push((key, self.value(value)?));
        }
        Ok(Value::Map(built.into()))
    }

    /// `operand.name`; with `optional`, whether it is there is part of the value.
    fn field(&mut self, operand: &Value<'a>, name: &'a str, optional: bool) -> Result<'a> {
        match operand {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => self.field(&inner.clone(), name, true),
            _ if operand.map_len().is_some() => match operand.field(name) {
                Some(value) if optional => Ok(Value::Optional(Some(Rc::new(value)))),
                Some(value) => Ok(value),
                None if optional => Ok(Value::Optional(None)),
                None => Err(EvalError::missing(name)),
            },
            other => Err(EvalError::new(format!("{} has no field `{name}`", other.type_name()))),
        }
    }

    fn index(&mut self, operand: &Value<'a>, key: &Value<'a>, optional: bool) -> Result<'a> {
        if let Value::Optional(inner) = operand {
            return match inner {
                None => Ok(Value::Optional(None)),
                Some(inner) => self.index(&inner.clone(), key, true),
            };
        }
        let found = if let Some(length) = operand.list_len() {
            let index = match key {
                Value::Int(index) => usize::try_from(*index).ok(),
                Value::Uint(index) => usize::try_from(*index).ok(),
                Value::Double(index) if index.fract() == 0.0 && *index >= 0.0 => Some(*index as usize),
                other => return Err(EvalError::overload("[]", &["a list", other.type_name()])),
            };
            index.filter(|index| *index < length).and_then(|index| operand.item(index))
        } else if operand.map_len().is_some() {
            self.entry(operand, key)?
        } else {
            return Err(EvalError::overload("[]", &[operand.type_name(), key.type_name()]));
        };
        match found {
            Some(value) if optional => Ok(Value::Optional(Some(Rc::new(value)))),
            Some(value) => Ok(value),
            None if optional => Ok(Value::Optional(None)),
            None => Err(EvalError::missing(key.text().unwrap_or("such element"))),
        }
    }
}

pub(crate) fn overflow() -> EvalError {
    EvalError::new("a whole number is too large for 64 bits")
}
