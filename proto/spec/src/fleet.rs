//! What does the Fleet document say?

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AlertRule, Amount, Cluster, Duration, FleetName, HealthRule, Metadata, Percentage, Selector, Tenant,
    WaveGate, WaveName, Window,
    alerts::check_alerts,
    gates::check_gates,
    health::check_rules,
    path::{Check, Problems, Step},
    tenancy::check_tenants,
    window::check_windows,
};

/// How often agents look at Git, and the waves a change goes through. One in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Fleet {
    /// The name of the fleet.
    pub metadata: Metadata<FleetName>,
    /// What the fleet does.
    #[serde(default)]
    pub spec: FleetSpec,
}

/// The fields under `spec` of the kind Fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct FleetSpec {
    /// How often an agent asks Git for something new. From 1s on.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// By which share of the interval each wait is made shorter or longer at random, so that the
    /// agents of a large fleet do not ask all at once.
    #[serde(default = "default_jitter")]
    pub jitter: Percentage,
    /// The waves, first to last. A cluster belongs to the first wave that selects it. Without
    /// waves every cluster follows the head of the branch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// What the apps of each team may do. Without tenants every app may do everything; with any, an
    /// app that none of them has may do nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<Tenant>,
    /// When changes from Git are made, and when not, for all apps or some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How the health of kinds is told that Muster does not know, in all apps. An app's own rule for a
    /// kind goes before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthRule>,
    /// How alerts are told: the first rule that means one counts. Without rules all receivers of the hub are
    /// told of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertRule>,
}

fn default_interval() -> Duration {
    Duration::from_secs(180)
}

fn default_jitter() -> Percentage {
    const { Percentage::new(10).expect("10 is at most 100") }
}

impl Default for FleetSpec {
    fn default() -> Self {
        FleetSpec {
            interval: default_interval(),
            jitter: default_jitter(),
            waves: Vec::new(),
            tenants: Vec::new(),
            windows: Vec::new(),
            health: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// A group of clusters that a revision reaches together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Wave {
    /// The name of the wave.
    pub name: WaveName,
    /// Which clusters are in it, unless an earlier wave selects them.
    pub clusters: Selector,
    /// How long a revision must be Synced and Healthy in every cluster of this wave before the
    /// next wave gets it.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub soak: Duration,
    /// Who must agree before a revision enters this wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What else the hub asks before a revision enters this wave, and before each further batch. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<WaveGate>,
    /// The wave's clusters get a revision in steps: how many have it after each step, growing up
    /// to `100%`. Without steps all get it at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<Amount>,
    /// How many clusters of the wave may be unhealthy before it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unhealthy: Option<Amount>,
    /// How long a revision may take to become Synced and Healthy in the clusters that have it, before
    /// the wave halts.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// What becomes of a revision with which the wave halts.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn default_timeout() -> Duration {
    Duration::from_secs(30 * 60)
}

/// What becomes of a revision with which a wave halts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "one of `halt`, `rollback`")]
pub enum OnFailure {
    /// It stays where it is, for people to look at, and goes no further.
    #[default]
    Halt,
    /// The clusters that have it get the revision before it back.
    Rollback,
}

/// A gate that opens by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Approval {
    /// How many operators must approve. At least 1.
    #[schemars(range(min = 1))]
    pub required: u32,
    /// The approval of whoever made the commit does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_by_author: bool,
    /// Users whose approval counts, by the names the hub knows them by. With neither users nor groups that of
    /// everybody counts whom the hub lets decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Groups whose members' approval counts, each as `ISSUER:GROUP`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Approval {
    /// Whether the word of a user in these groups counts, whoever made the commit.
    pub fn is_asked_of(&self, user: &str, groups: &[String]) -> bool {
        (self.users.is_empty() && self.groups.is_empty())
            || self.users.iter().any(|asked| asked == user)
            || self.groups.iter().any(|asked| groups.contains(asked))
    }

    fn check(&self, problems: &mut Problems) {
        if self.required == 0 {
            let message = "at least 1 approval is required; remove `approval` to need none";
            problems.at(&["approval".into(), "required".into()], message);
        }
        let users = u32::try_from(self.users.len()).unwrap_or(u32::MAX);
        if self.groups.is_empty() && (1..self.required).contains(&users) {
            let message = format!("{} approvals of {users} users can never be", self.required);
            problems.at(&["approval".into(), "users".into()], message);
        }
        for (index, group) in self.groups.iter().enumerate() {
            if !group.split_once(':').is_some_and(|(issuer, name)| !issuer.is_empty() && !name.is_empty()) {
                let message = format!("a group is written as ISSUER:GROUP, found `{group}`");
                problems.at(&["approval".into(), "groups".into(), index.into()], message);
            }
        }
    }
}

impl Fleet {
    /// The wave of a cluster: the first that selects it.
    pub fn wave_of(&self, cluster: &Cluster) -> Option<&Wave> {
        self.spec.waves.iter().find(|wave| wave.clusters.selects(cluster))
    }
}

const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// So many waves a fleet may have.
const WAVES_MAX: usize = 100;

/// Reports an interval that is out of range.
pub(crate) fn check_interval(interval: Duration, steps: &[Step], problems: &mut Problems) {
    if interval < INTERVAL_MIN || interval > INTERVAL_MAX {
        let message = format!("an interval is from {INTERVAL_MIN} to {INTERVAL_MAX}, found {interval}");
        problems.at(steps, message);
    }
}

impl Check for Fleet {
    fn check(&self, problems: &mut Problems) {
        check_interval(self.spec.interval, &["spec".into(), "interval".into()], problems);
        if self.spec.waves.len() > WAVES_MAX {
            problems.at(&["spec".into(), "waves".into()], format!("a fleet has at most {WAVES_MAX} waves"));
        }
        check_tenants(&self.spec.tenants, problems);
        check_windows(&self.spec.windows, &["spec".into(), "windows".into()], problems);
        check_rules(&self.spec.health, problems);
        check_alerts(&self.spec.alerts, problems);
        let mut first_of_name = BTreeMap::new();
        for (index, wave) in self.spec.waves.iter().enumerate() {
            let steps = ["spec".into(), "waves".into(), index.into()];
            problems.inside(&steps, wave);
            if let Some(first) = first_of_name.insert(&wave.name, index) {
                let [spec, waves, index] = steps;
                let message =
                    format!("the wave `{}` is already spec.waves[{first}]; names are unique", wave.name);
                problems.at(&[spec, waves, index, "name".into()], message);
            }
        }
    }
}

impl Check for Wave {
    fn check(&self, problems: &mut Problems) {
        problems.inside(&["clusters".into()], &self.clusters);
        if let Some(approval) = &self.approval {
            approval.check(problems);
        }
        check_gates(&self.gates, problems);
        self.check_batches(problems);
    }
}

impl Wave {
    fn check_batches(&self, problems: &mut Problems) {
        let whole = Percentage::new(100).map(Amount::Share);
        for (index, batch) in self.batches.iter().enumerate() {
            let steps = ["batches".into(), index.into()];
            let grows = match (index.checked_sub(1).map(|before| self.batches[before]), *batch) {
                (_, Amount::Count(0)) => false,
                (_, Amount::Share(share)) if share.get() == 0 => false,
                (Some(Amount::Count(before)), Amount::Count(now)) => before < now,
                (Some(Amount::Share(before)), Amount::Share(now)) => before < now,
                (Some(Amount::Share(_)), Amount::Count(_)) => {
                    problems.at(&steps, "a number of clusters cannot follow a percentage");
                    continue;
                }
                _ => true,
            };
            if !grows {
                problems.at(&steps, "each batch must be larger than the one before it");
            }
        }
        if let Some(last) = self.batches.last()
            && Some(*last) != whole
        {
            let steps = ["batches".into(), (self.batches.len() - 1).into()];
            problems.at(&steps, "the last batch must be `100%`, or some clusters would never get a revision");
        }
    }
}
