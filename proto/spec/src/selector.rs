//! Which clusters does a selector choose by their labels?

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::Cluster,
    names::{LabelKey, LabelValue},
    path::{Check, Problems},
};

/// A Kubernetes label selector: all of `matchLabels` and all of `matchExpressions` must hold.
/// An empty selector selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a label selector")]
pub struct Selector {
    /// Labels that must be present with exactly this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<LabelKey, LabelValue>,
    /// Conditions on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a condition with key, operator and values"
)]
pub struct Requirement {
    /// The label.
    pub key: LabelKey,
    /// How the label compares to the values.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<LabelValue>,
}

/// How a label compares to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "one of `In`, `NotIn`, `Exists`, `DoesNotExist`")]
pub enum Operator {
    /// The label is present with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl Selector {
    /// Whether these labels are selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.holds(|key| labels.get(key).map(String::as_str))
    }

    /// Whether a cluster is selected by its labels.
    pub fn selects(&self, cluster: &Cluster) -> bool {
        self.holds(|key| cluster.metadata.labels.get(key).map(LabelValue::as_str))
    }

    fn holds<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.match_labels.iter().all(|(key, value)| label(key.as_str()) == Some(value.as_str()))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(label(requirement.key.as_str())))
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl Check for Selector {
    fn check(&self, problems: &mut Problems) {
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let message = match (requirement.operator, requirement.values.is_empty()) {
                (Operator::In | Operator::NotIn, true) => {
                    "the operators `In` and `NotIn` need at least one value"
                }
                (Operator::Exists | Operator::DoesNotExist, false) => {
                    "the operators `Exists` and `DoesNotExist` take no values; remove them"
                }
                _ => continue,
            };
            problems.at(&["matchExpressions".into(), index.into(), "values".into()], message);
        }
    }
}
