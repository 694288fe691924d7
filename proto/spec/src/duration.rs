//! How long is `1h30m`?

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::names::{NameError, deserialize_from_text, shown};

/// A length of time as Go and Prometheus write it: whole numbers with the units `w`, `d`, `h`, `m`,
/// `s` and `ms`, largest first, each at most once: `3m`, `1h30m`, `250ms`. At most ten years.
///
/// Written back in its one canonical form, which stops at hours: `90s` is `1m30s`, `1d` is `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(into = "String")]
pub struct Duration {
    millis: u64,
}

/// Units and their milliseconds, largest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// The largest unit that is written.
const WRITTEN_FROM: usize = 2;
const MILLIS_MAX: u64 = 10 * 366 * 24 * 3_600_000;

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration { millis: 0 };

    /// A duration of whole seconds; longer than ten years is ten years.
    pub const fn from_secs(seconds: u64) -> Duration {
        let millis = seconds.saturating_mul(1000);
        Duration { millis: if millis > MILLIS_MAX { MILLIS_MAX } else { millis } }
    }

    /// The same duration as the standard library has it.
    pub const fn get(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }

    /// Whether this is no time at all.
    pub const fn is_zero(&self) -> bool {
        self.millis == 0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.get()
    }
}

impl FromStr for Duration {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let malformed = || {
            NameError(format!(
                "`{}` is not a duration: expected whole numbers with the units w, d, h, m, s, ms, largest first, such \
                 as `3m` or `1h30m`",
                shown(text)
            ))
        };
        let too_long = || NameError(format!("`{}` is longer than ten years", shown(text)));
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        if text.is_empty() {
            return Err(malformed());
        }
        let (mut rest, mut millis, mut units) = (text, 0_u64, &UNITS[..]);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
            let (amount, unit) = (&rest[..digits], &rest[digits..digits + letters]);
            if amount.is_empty() {
                return Err(malformed());
            }
            let found = units.iter().position(|(name, _)| *name == unit).ok_or_else(malformed)?;
            let amount: u64 = amount.parse().map_err(|_| too_long())?;
            millis = amount
                .checked_mul(units[found].1)
                .and_then(|part| millis.checked_add(part))
                .filter(|sum| *sum <= MILLIS_MAX)
                .ok_or_else(too_long)?;
            units = &units[found + 1..];
            rest = &rest[digits + letters..];
        }
        Ok(Duration { millis })
    }
}

deserialize_from_text!(Duration, "a duration such as `3m` or `1h30m`");

impl From<Duration> for String {
    fn from(duration: Duration) -> String {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (unit, millis) in &UNITS[WRITTEN_FROM..] {
            if rest >= *millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0|([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
            "minLength": 1
        })
    }
}
