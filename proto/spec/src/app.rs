//! What does an App document say?

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AppName, Cluster, Duration, FieldPath, FieldPointer, GitReference, HealthRule, JqPath, Metadata,
    NamespaceName, PathTemplate, Percentage, RepositoryUrl, Selector, ServiceAccountName, Suspend,
    TemplateError, TrackName, ValueTemplate, VariableName, Window,
    amount::half,
    fleet::check_interval,
    health::check_rules,
    path::{Check, Problems},
    window::check_windows,
};

/// A set of Kubernetes objects, the directory they are in and the clusters they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct App {
    /// The name of the app.
    pub metadata: Metadata<AppName>,
    /// What the app is.
    pub spec: AppSpec,
}

/// The fields under `spec` of the kind App.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct AppSpec {
    /// Which clusters run the app; `{}` selects all.
    pub clusters: Selector,
    /// Where its manifests are.
    pub source: Source,
    /// Replace `${name}` in the rendered objects; without it they are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute: Option<Substitute>,
    /// The namespace of objects that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// How it is kept in sync.
    #[serde(default)]
    pub sync: Sync,
    /// Apps of the same cluster that must be Synced and Healthy before this one is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<AppName>,
    /// Apps of one track move through the waves together. By default an app is its own track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackName>,
    /// How the health of a kind is told. Goes before the fleet's rule for the kind, and before Muster's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthRule>,
}

/// Where an app's manifests are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Source {
    /// The directory, relative to the root of the repository (`.` is the root). May contain
    /// `{{ cluster.name }}`, `{{ cluster.labels.KEY }}` and `{{ cluster.values.KEY.KEY }}`.
    pub path: PathTemplate,
    /// Another repository than the one this document is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepositoryUrl>,
    /// Branch, tag or reference of that other repository; its default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "ref")]
    pub reference: Option<GitReference>,
}

/// What stands in place of `${name}`, `${name:=default}` and the like in the rendered objects, in the
/// form of Flux's `postBuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Substitute {
    /// The variables and their values. A value may contain `{{ cluster.name }}`,
    /// `{{ cluster.labels.KEY }}` and `{{ cluster.values.KEY.KEY }}`.
    #[serde(default)]
    pub values: BTreeMap<VariableName, ValueTemplate>,
}

/// How an app is kept in sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Sync {
    /// Delete objects of the app that have left Git.
    #[serde(default = "yes")]
    pub prune: bool,
    /// The largest share of the app's objects that may be deleted at once because they left Git. More
    /// waits until this is raised. Up to three objects may always go.
    #[serde(default = "half")]
    pub prune_limit: Percentage,
    /// What happens where somebody else holds an object, or a field of it, that Git names.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// Undo changes made in the cluster. Without it they are reported as OutOfSync.
    #[serde(default = "yes")]
    pub self_heal: bool,
    /// Change nothing in the cluster for now: `true`, or a mapping that says why and until when.
    #[serde(default)]
    pub suspend: Suspend,
    /// When changes from Git are made, and when not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How often Git is asked for this app's sake, if more often than the fleet says. From 1s on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// A service account in `spec.namespace` in whose name the app is applied, so that it can do
    /// no more than that account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountName>,
    /// Fields that others may change without it being drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_differences: Vec<IgnoreDifference>,
    /// How long a sync may take, waiting for health included.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often and when a failed sync is tried again before the next interval.
    #[serde(default)]
    pub retry: Retry,
}

fn yes() -> bool {
    true
}

fn default_timeout() -> Duration {
    Duration::from_secs(300)
}

impl Default for Sync {
    fn default() -> Self {
        Sync {
            prune: true,
            prune_limit: half(),
            conflicts: Conflicts::default(),
            self_heal: true,
            suspend: Suspend::No,
            windows: Vec::new(),
            interval: None,
            service_account: None,
            ignore_differences: Vec::new(),
            timeout: default_timeout(),
            retry: Retry::default(),
        }
    }
}

/// What happens where somebody else holds an object, or a field of it, that Git names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "one of `Known`, `Force`, `Refuse`")]
pub enum Conflicts {
    /// What kubectl and other deployment tools hold is taken over; anybody else's is an error.
    #[default]
    Known,
    /// Everything is taken over, objects of another ApplySet included.
    Force,
    /// Nothing is taken over.
    Refuse,
}

/// Fields of some objects that are not Git's business: others may change them, and what they made of them
/// is kept when the object is applied. At least one of the three lists is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct IgnoreDifference {
    /// The group of the objects; empty for the core group, `*` for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind of the objects; `*` for any.
    pub kind: String,
    /// The namespace of the objects; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// The name of the object; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The fields, as JSON pointers (RFC 6901).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json_pointers: Vec<FieldPointer>,
    /// The fields, as paths in jq's notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jq_path_expressions: Vec<JqPath>,
    /// Field managers, as `managedFields` names them: whatever fields they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_fields_managers: Vec<String>,
}

impl IgnoreDifference {
    /// The fields that pointers and paths name.
    pub fn paths(&self) -> Vec<FieldPath> {
        let pointers = self.json_pointers.iter().map(|pointer| FieldPath::of_pointer(pointer.as_str()));
        // A text that is no path was refused when it was read.
        let paths = self.jq_path_expressions.iter().filter_map(|path| FieldPath::of_jq(path.as_str()).ok());
        pointers.chain(paths).collect()
    }
}

/// How often and when something that failed is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Retry {
    /// How many times; 0 waits for the next interval.
    #[serde(default = "default_retries")]
    #[schemars(range(max = 100))]
    pub limit: u32,
    /// How long to wait in between.
    #[serde(default)]
    pub backoff: Backoff,
}

fn default_retries() -> u32 {
    5
}

impl Default for Retry {
    fn default() -> Self {
        Retry { limit: default_retries(), backoff: Backoff::default() }
    }
}

/// A wait that grows with every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Backoff {
    /// The first wait.
    #[serde(default = "default_backoff")]
    pub duration: Duration,
    /// By how much each wait is longer than the one before: 1 to 10.
    #[serde(default = "default_factor")]
    #[schemars(range(min = 1, max = 10))]
    pub factor: u32,
    /// The longest wait.
    #[serde(default = "default_backoff_max")]
    pub max_duration: Duration,
}

fn default_backoff() -> Duration {
    Duration::from_secs(5)
}

fn default_factor() -> u32 {
    2
}

fn default_backoff_max() -> Duration {
    Duration::from_secs(180)
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { duration: default_backoff(), factor: default_factor(), max_duration: default_backoff_max() }
    }
}

impl App {
    /// The name of the app.
    pub fn name(&self) -> &AppName {
        &self.metadata.name
    }

    /// The directory of the app's manifests for a cluster, relative to the root of the repository
    /// and without `.`, `..` or empty parts; empty for the root itself.
    ///
    /// # Errors
    /// When the path names a label or value the cluster does not have, or leaves the repository.
    pub fn source_path(&self, cluster: &Cluster) -> Result<String, TemplateError> {
        self.spec.source.path.resolve(cluster)
    }

    /// The values of the variables in the app's objects for a cluster, by name; `None` when nothing
    /// is to be replaced.
    ///
    /// # Errors
    /// When a value names a label or value the cluster does not have, or becomes too long.
    pub fn substitutions(
        &self,
        cluster: &Cluster,
    ) -> Result<Option<BTreeMap<String, String>>, TemplateError> {
        let Some(substitute) = &self.spec.substitute else { return Ok(None) };
        let values = substitute.values.iter().map(|(name, value)| {
            let field = format!("spec.substitute.values.{name}");
            Ok((name.to_string(), value.resolve(cluster, &field)?))
        });
        values.collect::<Result<_, _>>().map(Some)
    }

    /// The track the app moves on: its own name unless the document says otherwise.
    pub fn track(&self) -> TrackName {
        self.spec.track.clone().unwrap_or_else(|| self.metadata.name.clone().into())
    }
}

/// Longest name of a field manager that Kubernetes takes.
const MANAGER_BYTES_MAX: usize = 128;
/// The field manager of Muster's agents.
const AGENT_MANAGER: &str = "muster-agent";
const RETRIES_MAX: u32 = 100;
const FACTORS: std::ops::RangeInclusive<u32> = 1..=10;

impl Check for App {
    fn check(&self, problems: &mut Problems) {
        problems.inside(&["spec".into(), "clusters".into()], &self.spec.clusters);
        let source = &self.spec.source;
        if source.reference.is_some() && source.repo.is_none() {
            let message = "`ref` belongs to another repository; give its address in `repo` or remove `ref`";
            problems.at(&["spec".into(), "source".into(), "ref".into()], message);
        }
        problems.inside(&["spec".into(), "sync".into()], &self.spec.sync);
        if self.spec.sync.service_account.is_some() && self.spec.namespace.is_none() {
            let message = "a service account is looked up in `spec.namespace`; give that too";
            problems.at(&["spec".into(), "sync".into(), "serviceAccount".into()], message);
        }
        for (index, name) in self.spec.depends_on.iter().enumerate() {
            let steps = ["spec".into(), "dependsOn".into(), index.into()];
            if *name == self.metadata.name {
                problems.at(&steps, "an app cannot depend on itself");
            } else if self.spec.depends_on[..index].contains(name) {
                problems.at(&steps, format!("`{name}` is listed twice"));
            }
        }
        check_rules(&self.spec.health, problems);
    }
}

impl Check for Sync {
    fn check(&self, problems: &mut Problems) {
        if let Some(interval) = self.interval {
            check_interval(interval, &["interval".into()], problems);
        }
        check_windows(&self.windows, &["windows".into()], problems);
        for (index, _) in self.windows.iter().enumerate().filter(|(_, window)| !window.apps.is_empty()) {
            let steps = ["windows".into(), index.into(), "apps".into()];
            problems.at(&steps, "a window of an app is for that app; `apps` is for windows of the Fleet");
        }
        if self.timeout.is_zero() {
            problems.at(&["timeout".into()], "a sync needs some time; expected more than 0s");
        }
        if self.retry.limit > RETRIES_MAX {
            problems.at(&["retry".into(), "limit".into()], format!("at most {RETRIES_MAX} retries"));
        }
        let backoff = &self.retry.backoff;
        let steps = |field: &str| ["retry".into(), "backoff".into(), field.into()];
        if backoff.duration.is_zero() {
            problems.at(&steps("duration"), "expected more than 0s");
        }
        if !FACTORS.contains(&backoff.factor) {
            problems.at(
                &steps("factor"),
                format!("expected a number from {} to {}", FACTORS.start(), FACTORS.end()),
            );
        }
        if backoff.max_duration < backoff.duration {
            let message = format!("shorter than the first wait of {}", backoff.duration);
            problems.at(&steps("maxDuration"), message);
        }
        for (index, ignored) in self.ignore_differences.iter().enumerate() {
            ignored.check(&["ignoreDifferences".into(), index.into()], problems);
        }
    }
}

impl IgnoreDifference {
    fn check(&self, steps: &[crate::path::Step], problems: &mut Problems) {
        if self.kind != "*" {
            check_kind(&self.kind, steps, problems);
        }
        let managers = &self.managed_fields_managers;
        if self.json_pointers.is_empty() && self.jq_path_expressions.is_empty() && managers.is_empty() {
            problems.at(
                steps,
                "expected `jsonPointers`, `jqPathExpressions` or `managedFieldsManagers`, with at least one entry",
            );
        }
        for (index, manager) in managers.iter().enumerate() {
            let steps = [steps, &["managedFieldsManagers".into(), index.into()]].concat();
            if manager.is_empty() || manager.len() > MANAGER_BYTES_MAX {
                problems.at(
                    &steps,
                    format!("expected the name of a field manager, of 1 to {MANAGER_BYTES_MAX} bytes"),
                );
            } else if manager == AGENT_MANAGER {
                problems.at(&steps, "this is the agent itself: ignoring its own fields would undo nothing");
            }
        }
    }
}

/// Kinds are CamelCase words.
pub(crate) fn check_kind(kind: &str, steps: &[crate::path::Step], problems: &mut Problems) {
    let fits = kind.starts_with(|char: char| char.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        let mut steps = steps.to_vec();
        steps.push("kind".into());
        problems.at(
            &steps,
            format!("`{}` is not a kind; expected a name such as `Deployment`", crate::names::shown(kind)),
        );
    }
}
