//! How much is `10%` or `2` of a wave's clusters?

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::names::{NameError, deserialize_from_text, shown};

const PERCENT_PATTERN: &str = "^(100|[0-9]{1,2})%$";

/// A share from `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Percentage(u8);

impl Percentage {
    /// A share in percent; above 100 there is none.
    pub const fn new(percent: u8) -> Option<Percentage> {
        if percent <= 100 { Some(Percentage(percent)) } else { None }
    }

    /// The share in percent, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The share of what there is that may be deleted at once, unless a document says otherwise.
pub(crate) fn half() -> Percentage {
    const HALF: Percentage = Percentage::new(50).expect("50 is at most 100");
    HALF
}

impl FromStr for Percentage {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).and_then(Percentage::new).ok_or_else(|| {
            NameError(format!(
                "`{}` is not a percentage: expected a whole number from 0% to 100%",
                shown(text)
            ))
        })
    }
}

deserialize_from_text!(Percentage, "a percentage such as `10%`");

impl From<Percentage> for String {
    fn from(percentage: Percentage) -> String {
        percentage.to_string()
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl JsonSchema for Percentage {
    fn schema_name() -> Cow<'static, str> {
        "Percentage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PERCENT_PATTERN })
    }
}

/// A number of clusters, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many clusters.
    Count(u32),
    /// This share of the clusters.
    Share(Percentage),
}

impl Amount {
    /// How many this is of `total`; a share is rounded up, so that a share above zero of some
    /// clusters is at least one, and no amount is more than all.
    pub fn of(self, total: usize) -> usize {
        match self {
            Amount::Count(count) => usize::try_from(count).unwrap_or(usize::MAX).min(total),
            Amount::Share(share) => total.saturating_mul(usize::from(share.get())).div_ceil(100),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Amount::Count(count) => serializer.serialize_u32(*count),
            Amount::Share(share) => share.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 2 or a percentage such as 10%")
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Amount, E> {
                u32::try_from(count)
                    .map(Amount::Count)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(count), &self))
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Amount, E> {
                u32::try_from(count)
                    .map(Amount::Count)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map(Amount::Share).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "pattern": PERCENT_PATTERN }
            ]
        })
    }
}
