//! Is an app to be left alone, by whose wish, why and until when?

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, value::MapAccessDeserializer},
};

use crate::names::{NameError, checked_text, shown};

checked_text!(
    /// A moment as RFC 3339 writes it: `2026-12-01T08:00:00Z`.
    Moment,
    check_moment,
    { "type": "string", "format": "date-time" }
);

fn check_moment(text: &str) -> Result<(), NameError> {
    text.parse::<Timestamp>().map(drop).map_err(|_| {
        NameError(format!("`{}` is not a moment; expected one such as 2026-12-01T08:00:00Z", shown(text)))
    })
}

impl Moment {
    /// The moment.
    pub fn timestamp(&self) -> Timestamp {
        self.as_str().parse().unwrap_or(Timestamp::MAX)
    }
}

/// Whether an app is suspended: `true`, `false`, or who wants it and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Suspend {
    /// It is kept in sync.
    #[default]
    No,
    /// It is suspended.
    Yes(Suspension),
}

/// Why an app is suspended. All of it is shown in its status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Suspension {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Suspend {
    /// The suspension, if there is one at `now`.
    pub fn at(&self, now: Timestamp) -> Option<&Suspension> {
        match self {
            Suspend::Yes(suspension)
                if suspension.until.as_ref().is_none_or(|until| now < until.timestamp()) =>
            {
                Some(suspension)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Suspension {
    /// As it follows the word "suspended": ` by alice until 2026-12-01T08:00:00Z: database migration`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        if let Some(until) = &self.until {
            write!(f, " until {until}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        Ok(())
    }
}

impl Serialize for Suspend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Suspend::No => serializer.serialize_bool(false),
            Suspend::Yes(suspension) if *suspension == Suspension::default() => {
                serializer.serialize_bool(true)
            }
            Suspend::Yes(suspension) => suspension.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Suspend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Suspend;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a mapping with `reason`, `by` and `until`")
            }

            fn visit_bool<E: de::Error>(self, suspended: bool) -> Result<Suspend, E> {
                Ok(if suspended { Suspend::Yes(Suspension::default()) } else { Suspend::No })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Suspend, A::Error> {
                Suspension::deserialize(MapAccessDeserializer::new(map)).map(Suspend::Yes)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Suspend {
    fn schema_name() -> Cow<'static, str> {
        "Suspend".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let suspension = generator.subschema_for::<Suspension>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, suspension] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_suspension_ends_at_its_time_and_says_why_it_is() {
        let until = Moment::try_from("2026-12-01T08:00:00Z".to_owned()).expect("a moment");
        let suspension = Suspension {
            reason: Some("database migration".to_owned()),
            by: Some("alice".to_owned()),
            until: Some(until),
        };
        let words = " by alice until 2026-12-01T08:00:00Z: database migration";
        assert_eq!(suspension.to_string(), words);
        let suspend = Suspend::Yes(suspension);
        assert!(suspend.at(at("2026-12-01T07:59:59Z")).is_some());
        assert!(suspend.at(at("2026-12-01T08:00:00Z")).is_none());
        assert!(Suspend::No.at(at("2026-12-01T07:00:00Z")).is_none());
    }
}
