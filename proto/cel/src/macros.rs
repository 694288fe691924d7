//! What do `all`, `exists`, `exists_one`, `filter` and `map` give?

use crate::EvalError;
use crate::ast::{Macro, Node};
use crate::evaluate::Run;
use crate::value::Value;

type Result<'a> = std::result::Result<Value<'a>, EvalError>;

impl<'a> Run<'a> {
    /// Goes through a list, or through the keys of a map.
    pub(crate) fn comprehend(
        &mut self,
        kind: Macro,
        list: &Value<'a>,
        variable: &'a str,
        condition: &'a Node,
        result: Option<&'a Node>,
    ) -> Result<'a> {
        let items = self.elements(list)?;
        match kind {
            Macro::All => self.decide(items, variable, condition, false),
            Macro::Exists => self.decide(items, variable, condition, true),
            Macro::ExistsOne => {
                let kept = self.keep(items, variable, condition)?;
                Ok(Value::Bool(kept.len() == 1))
            }
            Macro::Filter => Ok(Value::List(self.keep(items, variable, condition)?.into())),
            Macro::Map => {
                let (items, body) = match result {
                    Some(result) => (self.keep(items, variable, condition)?, result),
                    None => (items, condition),
                };
                let mapped = items.into_iter().map(|item| self.with(variable, item, body));
                Ok(Value::List(mapped.collect::<std::result::Result<Vec<_>, _>>()?.into()))
            }
        }
    }

    fn elements(&mut self, list: &Value<'a>) -> std::result::Result<Vec<Value<'a>>, EvalError> {
        if let Some(length) = list.list_len() {
            self.step_items(length)?;
            return Ok((0..length).filter_map(|index| list.item(index)).collect());
        }
        self.step_items(list.map_len().unwrap_or(0))?;
        list.keys()
            .ok_or_else(|| EvalError::new(format!("{} has no elements to go through", list.type_name())))
    }

    /// The body with one element as its variable.
    fn with(&mut self, variable: &'a str, item: Value<'a>, body: &'a Node) -> Result<'a> {
        self.variables.push((variable, item));
        let value = self.value(body);
        self.variables.pop();
        value
    }

    /// As `&&` (or, when `decides`, `||`) over all elements.
    fn decide(
        &mut self,
        items: Vec<Value<'a>>,
        variable: &'a str,
        condition: &'a Node,
        decides: bool,
    ) -> Result<'a> {
        let mut failed = None;
        for item in items {
            match self.with(variable, item, condition) {
                Ok(Value::Bool(bool)) if bool == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(other) => drop(failed.get_or_insert(no_bool(&other))),
                Err(error) if error.exhausted => return Err(error),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn keep(
        &mut self,
        items: Vec<Value<'a>>,
        variable: &'a str,
        condition: &'a Node,
    ) -> std::result::Result<Vec<Value<'a>>, EvalError> {
        let mut kept = Vec::new();
        for item in items {
            match self.with(variable, item.clone(), condition)? {
                Value::Bool(true) => kept.push(item),
                Value::Bool(false) => {}
                other => return Err(no_bool(&other)),
            }
        }
        Ok(kept)
    }
}

fn no_bool(value: &Value<'_>) -> EvalError {
    EvalError::new(format!("the condition of a macro gives {}, expected true or false", value.type_name()))
}
