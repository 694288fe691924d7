//! What does a Cluster document say?

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ClusterName, LabelKey, LabelValue, Percentage,
    amount::half,
    path::{Check, Problems},
};

/// A cluster of the fleet: what selectors choose it by, and the values that differ in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Cluster {
    /// Name and labels.
    pub metadata: ClusterMetadata,
    /// What is its own.
    #[serde(default, skip_serializing_if = "ClusterSpec::is_empty")]
    pub spec: ClusterSpec,
}

/// What a cluster is called and what it is labelled with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping with the field `name`")]
pub struct ClusterMetadata {
    /// The name its agent enrols with.
    pub name: ClusterName,
    /// Labels that waves and apps select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
}

/// The fields under `spec` of the kind Cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct ClusterSpec {
    /// The largest share of the cluster's apps that may leave it at once, because a label, a selector or documents
    /// changed. More stay until this is raised. Up to three apps may always go whose documents are removed.
    #[serde(default = "half")]
    pub prune_limit: Percentage,
    /// Values of any form, for `{{ cluster.values.x.y }}` in an app's `source.path`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
}

impl ClusterSpec {
    fn is_empty(&self) -> bool {
        *self == ClusterSpec::default()
    }
}

impl Default for ClusterSpec {
    fn default() -> Self {
        ClusterSpec { prune_limit: half(), values: Map::new() }
    }
}

impl Cluster {
    /// A cluster without labels and values, for an agent whose cluster has no document yet.
    pub fn named(name: ClusterName) -> Cluster {
        Cluster { metadata: ClusterMetadata { name, labels: BTreeMap::new() }, spec: ClusterSpec::default() }
    }

    /// The name of the cluster.
    pub fn name(&self) -> &ClusterName {
        &self.metadata.name
    }
}

impl Check for Cluster {
    fn check(&self, _: &mut Problems) {}
}
