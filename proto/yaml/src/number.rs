//! Which number does Kubernetes see, once a value has gone through Go's JSON and back?
//!
//! On that way integers beyond 64 signed bits turn into floats, and floats without a fraction are
//! printed without one, so they come back as integers.

use serde_json::Number;

/// Whole floats below this are printed by Go without an exponent, so they read back as integers.
const EXPONENT_FROM: f64 = 1e21;

/// A float as Kubernetes sees it; `None` for infinities and what is not a number, which JSON lacks.
pub(crate) fn from_f64(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < EXPONENT_FROM {
        // The shortest digits that read back as this float, padded with zeros: Go prints the same.
        let digits = value.to_string();
        if let Ok(integer) = digits.parse::<i64>() {
            return Some(Number::from(integer));
        }
        if let Ok(integer) = digits.parse::<u64>() {
            return Some(Number::from(integer));
        }
    }
    Number::from_f64(value)
}

/// An unsigned integer as Kubernetes sees it.
pub(crate) fn from_u64(value: u64) -> Number {
    i64::try_from(value).map_or_else(
        // Every u64 is a finite float, so the fallback is only for the type.
        |_| from_f64(value as f64).unwrap_or_else(|| Number::from(value)),
        Number::from,
    )
}

/// How a float used as a mapping key is written. Kubernetes prints it with the precision of 32
/// bits, and with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn float_key(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    let value = value as f32;
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_floats_are_integers_and_the_rest_stays() {
        let cases = [
            (1.0, "1"),
            (-0.0, "0"),
            (1e3, "1000"),
            (1e18, "1000000000000000000"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (1e23, "1e+23"),
            (0.1, "0.1"),
            (1e-7, "1e-7"),
        ];
        for (value, expected) in cases {
            let number = from_f64(value).unwrap();
            assert_eq!(number.to_string(), expected);
        }
        assert_eq!(from_f64(f64::NAN), None);
        assert_eq!(from_f64(f64::INFINITY), None);
    }
}
