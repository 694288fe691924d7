//! How do the apps stand right now?
//!
//! Read from the same board as the hub's reports, on each scrape: an app that is gone has no series left.
//! A standby has none, so that a sum over all agents of a cluster is right.
use std::collections::BTreeMap;

use muster_wire::{health_word, sync_word, v1::AppStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};

use super::AppLabel;
use crate::serve::Standing;

/// What is read on each scrape.
#[derive(Debug)]
pub(super) struct Apps(pub(super) Standing);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct StateLabels {
    sync: &'static str,
    health: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct AppStateLabels {
    app: String,
    sync: &'static str,
    health: &'static str,
}

impl Collector for Apps {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let leads = i64::from(self.0.leads());
        let name = format!("{}_leader", super::PREFIX);
        let help = "1 while this agent leads";
        muster_metrics::gauge(&mut encoder, &name, help, leads)?;
        let reports = self.0.reports();
        let apps = reports.as_ref().map(crate::report::Reports::statuses).unwrap_or_default();
        let counts = count(apps.iter().map(|app| &**app));
        gauges(&mut encoder, "apps", "Apps of this cluster by state", counts)?;
        let states = apps.iter().map(|app| {
            let (sync, health) = (sync_word(app.sync()), health_word(app.health()));
            (AppStateLabels { app: app.app.clone(), sync, health }, 1)
        });
        gauges(&mut encoder, "app_status", "1 for the state each app is in", states)?;
        let by_app = |figure: fn(&AppStatus) -> i64| {
            apps.iter().map(move |app| (AppLabel { app: app.app.clone() }, figure(app)))
        };
        let objects = by_app(|app| app.object_count.into());
        gauges(&mut encoder, "objects", "Objects of each app, in Git or left over", objects)?;
        let errors = by_app(|app| i64::try_from(app.errors.len()).unwrap_or(i64::MAX));
        gauges(&mut encoder, "app_errors", "Errors that each app has now", errors)?;
        let drifted = by_app(|app| {
            let open = app.drifts.iter().filter(|drift| drift.corrected_at.is_none()).count();
            i64::try_from(open).unwrap_or(i64::MAX)
        });
        gauges(&mut encoder, "drifted_objects", "Objects that differ from Git now", drifted)
    }
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, i64)>,
) -> Result<(), std::fmt::Error> {
    muster_metrics::gauges(encoder, &format!("{}_{name}", super::PREFIX), help, values)
}

fn count<'a>(apps: impl Iterator<Item = &'a AppStatus>) -> BTreeMap<StateLabels, i64> {
    let mut counts = BTreeMap::new();
    for app in apps {
        let labels = StateLabels { sync: sync_word(app.sync()), health: health_word(app.health()) };
        *counts.entry(labels).or_default() += 1;
    }
    counts
}
