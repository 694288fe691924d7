//! What does Git want of this cluster?
//!
//! ```text
//! poll: fetch --> head, pins --> read: documents, then each app's directory, rendered --> Snapshot
//!                                 pins: which revision each app has; revisions: is it one we may follow?
//! ```
mod elsewhere;
mod inputs;
mod pins;
mod poll;
mod read;
mod revisions;
mod rules;
mod signers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_spec::{Suspend, Window};
use muster_wire::v1::ErrorKind;
use serde_json::Value;

pub(crate) use muster_spec::Conflicts;
pub(crate) use poll::{Branches, Poller, PollerConfig, read_once};
pub(crate) use rules::Rules;
pub(crate) use signers::Signers;

use crate::drift::Ignores;
use crate::health::rules::HealthRules;
use crate::plan::Place;

/// Something that is wrong, in the words of a status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// `path:line:column` in Git or an object in the cluster; may be empty.
    pub(crate) place: String,
    /// A full sentence.
    pub(crate) message: String,
}

/// The part of the work that has the problem, in the order in which statuses list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Git,
    Document,
    Render,
    Apply,
    Prune,
}

impl Kind {
    /// The same in the protocol.
    pub(crate) fn to_wire(self) -> ErrorKind {
        match self {
            Kind::Git => ErrorKind::Git,
            Kind::Document => ErrorKind::Document,
            Kind::Render => ErrorKind::Render,
            Kind::Apply => ErrorKind::Apply,
            Kind::Prune => ErrorKind::Prune,
        }
    }
}

/// What the source tells the reconciler.
#[derive(Debug)]
pub(crate) enum Update {
    /// The head was read: this replaces what was known.
    Snapshot(Box<Snapshot>),
    /// The server was asked, and the head has not moved.
    Current,
    /// The server could not be asked, or the head not be read. What was known goes on.
    Failed(Problem),
}

/// Everything Git says about this cluster.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The head of the branch; apps may be wanted at others.
    pub(crate) revision: String,
    /// Labels of the Cluster document.
    pub(crate) labels: BTreeMap<String, String>,
    /// Apps that select this cluster.
    pub(crate) apps: BTreeMap<String, Wanted>,
    /// Apps whose document is broken: they stay as they are.
    pub(crate) held: BTreeMap<String, Vec<Problem>>,
    /// Apps whose turn in their wave has not come: they stay as they are where they are, and are not made
    /// where they are not.
    pub(crate) waiting: BTreeMap<String, Problem>,
    /// False when an app may be missing here only because something could not be read. Then no app may
    /// be taken for removed.
    pub(crate) complete: bool,
    /// Problems of no single app.
    pub(crate) problems: Vec<Problem>,
    /// Apps whose document is there, and does not select this cluster.
    pub(crate) deselected: BTreeSet<String>,
    /// Largest share of the cluster's apps that may leave it at once, in percent.
    pub(crate) prune_limit_percent: u8,
    /// `file:line` of the Cluster document; empty when there is none.
    pub(crate) place: String,
    /// Windows of the whole fleet, for apps whose document is gone.
    pub(crate) windows: Vec<Window>,
    /// True when it was just fetched, not taken from what was fetched in an earlier run.
    pub(crate) fetched: bool,
}

/// One app as Git wants it.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The commit its document and manifests are of.
    pub(crate) revision: String,
    pub(crate) options: Options,
    /// Directory of the manifests.
    pub(crate) path: String,
    pub(crate) content: Content,
}

/// The manifests of an app.
#[derive(Debug)]
pub(crate) enum Content {
    /// As in the snapshot before.
    Unchanged,
    Rendered(Vec<Manifest>),
    /// They cannot be read: the last good ones stay in force.
    Broken(Vec<Problem>),
}

/// One object as written in Git. It is kept as text, a tenth of the size of what it is read into, since
/// those of all apps wait at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    json: Box<str>,
    pub(crate) place: Place,
}

impl Manifest {
    pub(crate) fn new(object: &Value, place: Place) -> Manifest {
        Manifest { json: object.to_string().into(), place }
    }

    /// The object as text, the same for the same object.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// The object; null when it is nested too deeply to be read.
    pub(crate) fn read(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// What an App document says about how to sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Namespace for objects that name none.
    pub(crate) namespace: Option<String>,
    pub(crate) prune: bool,
    /// Largest share of the app's objects that may be pruned at once, in percent.
    pub(crate) prune_limit_percent: u8,
    /// What happens where somebody else holds what Git names.
    pub(crate) conflicts: Conflicts,
    pub(crate) self_heal: bool,
    pub(crate) suspend: Suspend,
    /// Windows of the app and of the fleet, if they are for this app.
    pub(crate) windows: Vec<Window>,
    /// The user in whose name objects are written, as the API server calls it; none for the agent itself.
    pub(crate) account: Option<Arc<str>>,
    /// What the Fleet document lets the app have; none when that is everything.
    pub(crate) rules: Option<Arc<Rules>>,
    /// `file:line` of the App document.
    pub(crate) place: String,
    pub(crate) ignores: Ignores,
    /// How the health of some kinds is told.
    pub(crate) health: HealthRules,
    pub(crate) retry: Retry,
    /// How long a sync may take before it counts as failed, waiting for health included, and an object be on
    /// its way before that is Degraded.
    pub(crate) timeout: Duration,
    /// Apps that must be Synced and Healthy before new content of this one is applied.
    pub(crate) depends_on: Vec<String>,
}

/// How often and when a failed sync is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Tries before waiting for `last` each time.
    pub(crate) limit: u32,
    pub(crate) first: Duration,
    pub(crate) factor: u32,
    pub(crate) longest: Duration,
    /// The wait once the tries are used up.
    pub(crate) last: Duration,
}

impl Retry {
    /// The wait after so many failures in a row, without jitter.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        if failures > self.limit {
            return self.last;
        }
        let factor = self.factor.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            namespace: None,
            prune: true,
            prune_limit_percent: 50,
            conflicts: Conflicts::Known,
            self_heal: true,
            suspend: Suspend::No,
            windows: Vec::new(),
            account: None,
            rules: None,
            place: String::new(),
            ignores: Ignores::default(),
            health: HealthRules::default(),
            retry: Retry {
                limit: 5,
                first: Duration::from_secs(5),
                factor: 2,
                longest: Duration::from_secs(180),
                last: Duration::from_secs(180),
            },
            timeout: Duration::from_secs(300),
            depends_on: Vec::new(),
        }
    }
}

/// A place in a file, shared between the objects of that file.
fn place(file: &Arc<str>, line: usize) -> Place {
    Place { file: file.clone(), line: u32::try_from(line).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_factor_until_the_tries_are_used_up() {
        let seconds = Duration::from_secs;
        let retry =
            Retry { limit: 3, first: seconds(5), factor: 3, longest: seconds(30), last: seconds(100) };
        let waits: Vec<_> = (1..=5).map(|failures| retry.wait(failures).as_secs()).collect();
        assert_eq!(waits, [5, 15, 30, 100, 100]);
    }
}
