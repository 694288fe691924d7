//! What do the operators between two values give? Types are never turned into one another.

use std::cmp::Ordering;

use crate::EvalError;
use crate::ast::Operator;
use crate::evaluate::{Run, overflow};
use crate::value::Value;

type Result<'a> = std::result::Result<Value<'a>, EvalError>;

impl<'a> Run<'a> {
    pub(crate) fn binary(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<'a> {
        let wrong = || EvalError::overload(operator.text(), &[left.type_name(), right.type_name()]);
        let orders = |orders: fn(Ordering) -> bool, run: &mut Self| {
            let nan = |value: &Value<'_>| matches!(value, Value::Double(double) if double.is_nan());
            match run.order(left, right)? {
                Some(order) => Ok(Value::Bool(orders(order))),
                None if nan(left) || nan(right) => Ok(Value::Bool(false)),
                None => Err(wrong()),
            }
        };
        match operator {
            Operator::Equal => self.equal(left, right).map(Value::Bool),
            Operator::NotEqual => self.equal(left, right).map(|equal| Value::Bool(!equal)),
            Operator::Less => orders(Ordering::is_lt, self),
            Operator::LessOrEqual => orders(Ordering::is_le, self),
            Operator::Greater => orders(Ordering::is_gt, self),
            Operator::GreaterOrEqual => orders(Ordering::is_ge, self),
            Operator::In => self.contains(left, right),
            _ => match (left, right) {
                (Value::Int(one), Value::Int(other)) => int(operator, *one, *other),
                (Value::Uint(one), Value::Uint(other)) => uint(operator, *one, *other),
                (Value::Double(one), Value::Double(other)) => {
                    double(operator, *one, *other).ok_or_else(wrong)
                }
                _ if operator == Operator::Add => self.join(left, right),
                _ => Err(wrong()),
            },
        }
    }

    fn contains(&mut self, item: &Value<'a>, list: &Value<'a>) -> Result<'a> {
        if let Some(length) = list.list_len() {
            for index in 0..length {
                let Some(found) = list.item(index) else { break };
                if self.equal(&found, item)? {
                    return Ok(Value::Bool(true));
                }
            }
            return Ok(Value::Bool(false));
        }
        if list.map_len().is_some() {
            return Ok(Value::Bool(self.entry(list, item)?.is_some()));
        }
        Err(EvalError::overload("in", &[item.type_name(), list.type_name()]))
    }

    /// Texts and lists, one after the other.
    fn join(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<'a> {
        if let (Some(one), Some(other)) = (left.text(), right.text()) {
            self.step_bytes(one.len() + other.len())?;
            return Ok(Value::from_text(format!("{one}{other}")));
        }
        if let (Some(one), Some(other)) = (left.list_len(), right.list_len()) {
            self.step_items(one + other)?;
            let items = (0..one).filter_map(|index| left.item(index));
            let items: Vec<_> = items.chain((0..other).filter_map(|index| right.item(index))).collect();
            return Ok(Value::List(items.into()));
        }
        Err(EvalError::overload("+", &[left.type_name(), right.type_name()]))
    }
}

fn by_zero() -> EvalError {
    EvalError::new("a whole number is divided by zero")
}

fn int<'a>(operator: Operator, one: i64, other: i64) -> Result<'a> {
    let result = match operator {
        Operator::Add => one.checked_add(other),
        Operator::Subtract => one.checked_sub(other),
        Operator::Multiply => one.checked_mul(other),
        _ if other == 0 => return Err(by_zero()),
        Operator::Divide => one.checked_div(other),
        _ => one.checked_rem(other),
    };
    result.map(Value::Int).ok_or_else(overflow)
}

fn uint<'a>(operator: Operator, one: u64, other: u64) -> Result<'a> {
    let result = match operator {
        Operator::Add => one.checked_add(other),
        Operator::Subtract => one.checked_sub(other),
        Operator::Multiply => one.checked_mul(other),
        _ if other == 0 => return Err(by_zero()),
        Operator::Divide => one.checked_div(other),
        _ => one.checked_rem(other),
    };
    result.map(Value::Uint).ok_or_else(overflow)
}

/// There is no remainder of doubles.
fn double<'a>(operator: Operator, one: f64, other: f64) -> Option<Value<'a>> {
    Some(Value::Double(match operator {
        Operator::Add => one + other,
        Operator::Subtract => one - other,
        Operator::Multiply => one * other,
        Operator::Divide => one / other,
        _ => return None,
    }))
}
