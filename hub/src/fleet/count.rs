//! How many clusters and apps are in which state?

use std::collections::BTreeMap;

use muster_wire::{health_word, sync_word, v1::Connection};

use super::state::State;

/// Clusters and apps by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clusters by connection: `connected`, `unreachable` or `never`.
    pub connections: BTreeMap<&'static str, i64>,
    /// Whether each cluster is connected, by name.
    pub up: Vec<(String, bool)>,
    /// Apps by sync and health, as last reported.
    pub apps: BTreeMap<(&'static str, &'static str), i64>,
}

impl State {
    /// Counts them all.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (name, cluster) in &self.clusters {
            let connection = match cluster.connection() {
                Connection::Connected => "connected",
                Connection::Never => "never",
                Connection::Unreachable | Connection::Unspecified => "unreachable",
            };
            *counts.connections.entry(connection).or_default() += 1;
            counts.up.push((name.to_string(), cluster.is_connected()));
            for app in cluster.apps.values() {
                let state = (sync_word(app.status.sync()), health_word(app.status.health()));
                *counts.apps.entry(state).or_default() += 1;
            }
        }
        counts
    }
}
