//! Many problems of one kind, as one.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use super::{Problem, State};
use crate::text::count;

/// More clusters than this out of reach are one group.
const LONE_CLUSTERS_MAX: usize = 3;

/// Problems that look alike. Never empty of clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) state: State,
    /// Empty when it is the clusters that are not well.
    pub(crate) app: String,
    /// By name.
    pub(crate) clusters: Vec<String>,
    /// Of the one that has it longest.
    pub(crate) since: Option<Timestamp>,
    /// Of all of them, or empty when they differ.
    pub(crate) revision: String,
    pub(crate) message: String,
    pub(crate) next: String,
}

/// Groups problems with the same state, app and message; where these are more than `groups_max`,
/// those with the same state and app. Worst first, and the widest first of those as bad.
pub(crate) fn group(problems: &[Problem], groups_max: usize) -> Vec<Group> {
    let alike = grouped(problems, true);
    if alike.len() <= groups_max { alike } else { grouped(problems, false) }
}

fn grouped(problems: &[Problem], by_message: bool) -> Vec<Group> {
    // Clusters out of reach differ in their message only by a time: they are alike when they are many.
    let of = |state: State| problems.iter().filter(|problem| problem.state == state).count();
    let mut merged = vec![State::Unreachable, State::NeverConnected];
    merged.retain(|state| of(*state) > LONE_CLUSTERS_MAX);
    let mut members: BTreeMap<(State, &str, &str), Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        let message = if by_message && !merged.contains(&problem.state) { &*problem.message } else { "" };
        members.entry((problem.state, &problem.app, message)).or_default().push(problem);
    }
    let mut groups: Vec<Group> =
        members.into_iter().map(|((state, app, _), members)| summary(state, app, &members)).collect();
    groups.sort_by_key(|group| {
        (group.state, Reverse(group.clusters.len()), group.app.clone(), group.clusters.clone())
    });
    groups
}

fn summary(state: State, app: &str, members: &[&Problem]) -> Group {
    let mut clusters: Vec<String> = members.iter().map(|problem| problem.cluster.clone()).collect();
    clusters.sort();
    clusters.dedup();
    let first = members.first();
    let revision = first.map(|problem| problem.revision.clone()).unwrap_or_default();
    Group {
        state,
        app: app.to_owned(),
        since: members.iter().filter_map(|problem| problem.since).min(),
        revision: if members.iter().all(|problem| problem.revision == revision) {
            revision
        } else {
            String::new()
        },
        message: message(state, members),
        next: match first {
            Some(problem) if clusters.len() == 1 => problem.next.clone(),
            _ if app.is_empty() => "muster clusters".to_owned(),
            _ => format!("muster app {app}"),
        },
        clusters,
    }
}

fn message(state: State, members: &[&Problem]) -> String {
    let mut messages: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in members {
        *messages.entry(&problem.message).or_default() += 1;
    }
    match state {
        State::Unreachable if members.len() > 1 => {
            "None of them is heard from: how their apps fare is not known.".to_owned()
        }
        State::NeverConnected if members.len() > 1 => {
            "Enrolled, but their agents have not connected yet.".to_owned()
        }
        _ => {
            let others = messages.len().saturating_sub(1);
            let most =
                messages.into_iter().max_by_key(|(_, times)| *times).map_or("", |(message, _)| message);
            if others == 0 {
                most.to_owned()
            } else {
                format!("{most} (and {})", count(others, "other message"))
            }
        }
    }
}
