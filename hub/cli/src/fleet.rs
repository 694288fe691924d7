//! What is wrong in the fleet, and which of it matters most?
//!
//! ```text
//! clusters, apps that are not well --overview--> counts and problems, worst first --group--> groups
//! ```
//! A problem is one app in one cluster, or one cluster. Groups are what a person sees: 300 clusters
//! that fail the same way are one group.

mod group;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    model::{App, Cluster, Connection, Counts, Health, Sync},
    text::{age, ago, count},
};

pub(crate) use group::{Group, group};

/// What is wrong, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum State {
    /// The agent is not heard from: nobody knows how the cluster fares.
    Unreachable,
    Degraded,
    Missing,
    /// The cluster as a whole has an error, such as a Git server that does not answer.
    Error,
    OutOfSync,
    Unknown,
    /// Enrolled, and not connected yet.
    NeverConnected,
    Progressing,
}

impl State {
    /// The word for it, in tables and documents alike.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Degraded => "Degraded",
            Self::Missing => "Missing",
            Self::Error => "Error",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
            Self::NeverConnected => "NeverConnected",
            Self::Progressing => "Progressing",
        }
    }
}

/// One app in one cluster, or one cluster, that is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) state: State,
    pub(crate) cluster: String,
    /// Empty when it is the cluster that is not well.
    pub(crate) app: String,
    pub(crate) since: Option<Timestamp>,
    /// Empty for a cluster.
    pub(crate) revision: String,
    pub(crate) message: String,
    /// The command that says more.
    pub(crate) next: String,
}

/// How many clusters are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterCounts {
    pub(crate) total: usize,
    pub(crate) connected: usize,
    pub(crate) unreachable: usize,
    pub(crate) never_connected: usize,
}

/// The fleet at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// The time this was true.
    pub(crate) time: Timestamp,
    pub(crate) healthy: bool,
    pub(crate) clusters: ClusterCounts,
    pub(crate) apps: Counts,
    /// Of the connected clusters, when the one heard from longest ago was heard from.
    pub(crate) oldest_seen: Option<Timestamp>,
    pub(crate) problems: Vec<Problem>,
}

/// Counts, and what is wrong, worst first. `apps` needs to hold only those that are not well.
pub(crate) fn overview(clusters: &[Cluster], apps: &[App], now: Timestamp) -> Overview {
    let mut problems: Vec<Problem> = clusters
        .iter()
        .flat_map(|cluster| cluster_problems(cluster, now))
        .chain(apps.iter().filter_map(app_problem))
        .collect();
    problems.sort_by(|a, b| (a.state, &a.app, &a.cluster).cmp(&(b.state, &b.app, &b.cluster)));
    let mut counts = Counts::default();
    let mut cluster_counts = ClusterCounts { total: clusters.len(), ..Default::default() };
    for cluster in clusters {
        counts += cluster.apps;
        match cluster.connection {
            Connection::Connected => cluster_counts.connected += 1,
            Connection::Unreachable => cluster_counts.unreachable += 1,
            Connection::NeverConnected => cluster_counts.never_connected += 1,
        }
    }
    let connected = clusters.iter().filter(|cluster| cluster.connection == Connection::Connected);
    Overview {
        time: now,
        healthy: problems.is_empty() && clusters.iter().all(Cluster::well),
        clusters: cluster_counts,
        apps: counts,
        oldest_seen: connected.filter_map(|cluster| cluster.last_seen).min(),
        problems,
    }
}

fn cluster_problems(cluster: &Cluster, now: Timestamp) -> Vec<Problem> {
    let problem = |state, since, message| Problem {
        state,
        cluster: cluster.name.clone(),
        app: String::new(),
        since,
        revision: String::new(),
        message,
        next: format!("muster events --cluster {}", cluster.name),
    };
    match cluster.connection {
        Connection::Unreachable => {
            let apps = count(cluster.apps.total, "app");
            let heard = ago(cluster.last_seen, now);
            let message = format!("Last heard from {heard}: how its {apps} fare is not known.");
            vec![problem(State::Unreachable, cluster.last_seen, message)]
        }
        Connection::NeverConnected => {
            let message =
                format!("Enrolled {}, but its agent has not connected yet.", ago(cluster.enrolled_at, now));
            vec![problem(State::NeverConnected, cluster.enrolled_at, message)]
        }
        Connection::Connected => {
            let errors = cluster.errors.iter();
            errors
                .map(|error| problem(State::Error, error.since, placed(&error.place, &error.message)))
                .collect()
        }
    }
}

/// A message with its place before it, unless it names the place itself.
pub(crate) fn placed(place: &str, message: &str) -> String {
    if place.is_empty() || message.contains(place) {
        message.to_owned()
    } else {
        format!("{place}: {message}")
    }
}

/// None for an app that is well, and for one whose cluster is out of reach: that is one problem of
/// the cluster, not one of each of its apps.
fn app_problem(app: &App) -> Option<Problem> {
    if app.well() || app.connection != Connection::Connected {
        return None;
    }
    let state = match (app.sync, app.health) {
        (_, Health::Degraded) => State::Degraded,
        (_, Health::Missing) => State::Missing,
        (Sync::OutOfSync, _) => State::OutOfSync,
        (Sync::Unknown, _) | (_, Health::Unknown) => State::Unknown,
        _ => State::Progressing,
    };
    let cause = app.cause();
    Some(Problem {
        state,
        cluster: app.cluster.clone(),
        app: app.app.clone(),
        since: app.since,
        revision: app.revision.clone(),
        message: if cause.is_empty() { fallback(state, app) } else { cause },
        next: format!("muster app {} --cluster {}", app.app, app.cluster),
    })
}

fn fallback(state: State, app: &App) -> String {
    match state {
        State::Progressing => "Not healthy yet.".to_owned(),
        _ if app.syncing => "A sync is under way.".to_owned(),
        _ => format!("{} and {}, without a message.", app.sync.word(), app.health.word()),
    }
}

/// `heard from within 4s`, for data that is only as good as its age.
pub(crate) fn heard(oldest: Option<Timestamp>, now: Timestamp) -> String {
    match oldest {
        Some(_) => format!("heard from within {}", age(oldest, now)),
        None => "age not known".to_owned(),
    }
}

#[cfg(test)]
mod tests;
