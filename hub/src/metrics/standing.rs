//! How does the fleet stand right now?

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use muster_metrics::{gauge, gauges};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
};

use super::PREFIX;
use crate::{
    alerts::Count as AlertCount,
    fleet::Counts,
    repository::Picture,
    waves::{Outlook, State},
};

/// What was read for one scrape.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Whether this hub promotes and alerts.
    pub(crate) leads: bool,
    /// Whether the store can be written.
    pub(crate) writable: bool,
    /// Streams of agents at this hub.
    pub(crate) streams: usize,
    pub(crate) fleet: Counts,
    pub(crate) alerts: BTreeMap<AlertCount, i64>,
    /// None where the hub follows no repository.
    pub(crate) picture: Option<Arc<Picture>>,
}

/// Where the last one lies.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Snapshot>>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // No code that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn show(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct ConnectionLabel {
    connection: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct AppLabels {
    sync: &'static str,
    health: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct AlertLabels {
    kind: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct StageLabels {
    wave: String,
    state: &'static str,
}

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let snapshot = self.lock();
        let named = |name: &str| format!("{PREFIX}_{name}");
        let encoder = &mut encoder;
        gauge(encoder, &named("leader"), "1 while this hub promotes and alerts", snapshot.leads.into())?;
        let help = "0 while the store cannot be written";
        gauge(encoder, &named("store_writable"), help, snapshot.writable.into())?;
        let streams = i64::try_from(snapshot.streams).unwrap_or(i64::MAX);
        gauge(encoder, &named("agent_streams"), "Agents connected to this hub", streams)?;
        let clusters = snapshot.fleet.connections.iter();
        let clusters = clusters.map(|(connection, count)| (ConnectionLabel { connection }, *count));
        gauges(encoder, &named("clusters"), "Clusters by connection", clusters)?;
        let up = snapshot
            .fleet
            .up
            .iter()
            .map(|(cluster, up)| (ClusterLabel { cluster: cluster.clone() }, i64::from(*up)));
        gauges(encoder, &named("cluster_up"), "1 for each cluster that is connected, to any hub", up)?;
        let apps = snapshot.fleet.apps.iter();
        let apps = apps.map(|((sync, health), count)| (AppLabels { sync, health }, *count));
        gauges(encoder, &named("apps"), "Apps of the fleet by state", apps)?;
        let alerts = snapshot.alerts.iter();
        let alerts = alerts.map(|(AlertCount { kind, state }, count)| (AlertLabels { kind, state }, *count));
        gauges(encoder, &named("alerts"), "Alerts by kind and state", alerts)?;
        let Some(picture) = &snapshot.picture else { return Ok(()) };
        let stages = stages(&picture.outlooks);
        gauges(encoder, &named("stages"), "Tracks in each wave, by what they do there", stages)?;
        let problems = i64::try_from(picture.problems.len()).unwrap_or(i64::MAX);
        gauge(encoder, &named("git_problems"), "What keeps the hub from reading or writing Git", problems)?;
        let help = "When the Git server last answered, in seconds since 1970";
        let fetched = picture.fetched_at.map(|time| time.as_second());
        fetched.map_or(Ok(()), |time| gauge(encoder, &named("git_last_fetch_timestamp_seconds"), help, time))
    }
}

fn stages(outlooks: &[Outlook]) -> BTreeMap<StageLabels, i64> {
    let mut counts = BTreeMap::new();
    for stage in outlooks.iter().flat_map(|outlook| &outlook.stages) {
        if stage.state != State::Empty {
            let labels = StageLabels { wave: stage.wave.to_string(), state: stage.state.word() };
            *counts.entry(labels).or_default() += 1;
        }
    }
    counts
}
