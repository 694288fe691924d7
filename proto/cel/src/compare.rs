//! Which values are equal, and which is less? Numbers are compared by what they stand for, whatever their type.

use std::cmp::Ordering;

use crate::EvalError;
use crate::evaluate::Run;
use crate::value::Value;

/// Deepest lists and maps that are compared.
const DEPTH_MAX: u32 = 100;

impl<'a> Run<'a> {
    pub(crate) fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<bool, EvalError> {
        self.equal_at(left, right, 0)
    }

    fn equal_at(&mut self, left: &Value<'a>, right: &Value<'a>, depth: u32) -> Result<bool, EvalError> {
        self.step(1)?;
        if depth > DEPTH_MAX {
            return Err(EvalError::exhausted());
        }
        if let (Some(one), Some(other)) = (left.text(), right.text()) {
            self.step_bytes(one.len().min(other.len()))?;
            return Ok(one == other);
        }
        if let (Some(one), Some(other)) = (left.list_len(), right.list_len()) {
            if one != other {
                return Ok(false);
            }
            for index in 0..one {
                let (Some(one), Some(other)) = (left.item(index), right.item(index)) else {
                    return Ok(false);
                };
                if !self.equal_at(&one, &other, depth + 1)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if let (Some(one), Some(other)) = (left.map_len(), right.map_len()) {
            if one != other {
                return Ok(false);
            }
            for key in left.keys().unwrap_or_default() {
                let (Some(one), Some(other)) = (self.entry(left, &key)?, self.entry(right, &key)?) else {
                    return Ok(false);
                };
                if !self.equal_at(&one, &other, depth + 1)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Optional(Some(one)), Value::Optional(Some(other))) => {
                let (one, other) = (one.clone(), other.clone());
                return self.equal_at(&one, &other, depth + 1);
            }
            _ => numbers(left, right) == Some(Ordering::Equal),
        })
    }

    /// The entry of a map whose key is equal to that one.
    pub(crate) fn entry(&mut self, map: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
        if let (Value::Json(_), Some(name)) = (map, key.text()) {
            self.step(1)?;
            return Ok(map.field(name));
        }
        if let Value::Map(entries) = map {
            for (known, value) in entries.clone().iter() {
                if self.equal_at(known, key, DEPTH_MAX)? {
                    return Ok(Some(value.clone()));
                }
            }
        }
        Ok(None)
    }

    pub(crate) fn order(
        &mut self,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Result<Option<Ordering>, EvalError> {
        self.step(1)?;
        if let (Some(one), Some(other)) = (left.text(), right.text()) {
            self.step_bytes(one.len().min(other.len()))?;
            return Ok(Some(one.cmp(other)));
        }
        if let (Value::Bool(one), Value::Bool(other)) = (left, right) {
            return Ok(Some(one.cmp(other)));
        }
        Ok(numbers(left, right))
    }
}

/// Compares numbers of any type; none for what is no number, or not a number.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Double(one), Value::Double(other)) => one.partial_cmp(other),
        (Value::Double(double), whole) => whole_to_double(integer(whole)?, *double).map(Ordering::reverse),
        (whole, Value::Double(double)) => whole_to_double(integer(whole)?, *double),
        _ => Some(integer(left)?.cmp(&integer(right)?)),
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    }
}

/// Compares without the loss that turning a large whole number into a double brings.
fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond any whole number of 64 bits either way; inside, the conversion is exact.
    if double >= 2_f64.powi(64) {
        return Some(Ordering::Less);
    }
    if double < -(2_f64.powi(63)) {
        return Some(Ordering::Greater);
    }
    let floor = double.floor();
    let order = whole.cmp(&(floor as i128));
    Some(if order == Ordering::Equal && double > floor { Ordering::Less } else { order })
}
