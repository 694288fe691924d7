//! How do an app and a fleet say which objects are healthy?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, app::check_kind, path::Problems};

/// How the health of one kind is told from its objects, by CEL expressions over `self`. The first
/// that is true counts, in the order degraded, suspended, progressing, healthy; if none is, the
/// object is progressing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct HealthRule {
    /// The group of the kind; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// True when the object is healthy.
    pub healthy: Expression,
    /// True when the object is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressing: Option<Expression>,
    /// True when the object has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Expression>,
    /// True when the object is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Expression>,
}

/// Reports kinds that are none, and those with two rules.
pub(crate) fn check_rules(rules: &[HealthRule], problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        let first =
            rules[..index].iter().position(|other| (&other.group, &other.kind) == (&rule.group, &rule.kind));
        let steps = ["spec".into(), "health".into(), index.into()];
        check_kind(&rule.kind, &steps, problems);
        if let Some(first) = first {
            problems.at(&steps, format!("this kind already has a rule, spec.health[{first}]"));
        }
    }
}
