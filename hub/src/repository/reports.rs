//! What do agents say, as far as promotion is concerned, and since when?
//!
//! Clocks of clusters are not trusted: a change that the hub sees happen is dated by the hub. Only what had
//! happened before the hub started is dated as the agent says, and never later than now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use muster_spec::{AppName, ClusterName, Revision};
use muster_wire::v1::{self, Connection, HealthStatus, SyncStatus};

use crate::clock::from_proto;
use crate::waves::{Member, Standing};

/// The last words of every agent.
#[derive(Default)]
pub(super) struct Reports {
    clusters: BTreeMap<ClusterName, Reported>,
}

#[derive(Default)]
struct Reported {
    is_connected: bool,
    apps: BTreeMap<AppName, v1::AppStatus>,
}

impl Reports {
    /// From what the hub shows of clusters and apps.
    pub(super) fn of(clusters: Vec<v1::Cluster>, apps: Vec<v1::App>) -> Reports {
        let mut reports = Reports::default();
        for cluster in clusters {
            let is_connected = cluster.connection() == Connection::Connected;
            if let Ok(name) = cluster.name.parse() {
                reports.clusters.insert(name, Reported { is_connected, apps: BTreeMap::new() });
            }
        }
        for app in apps {
            let Some(status) = app.status else { continue };
            let (Ok(cluster), Ok(name)) = (app.cluster.parse::<ClusterName>(), status.app.parse()) else {
                continue;
            };
            reports.clusters.entry(cluster).or_default().apps.insert(name, status);
        }
        reports
    }

    /// Clusters that have enrolled.
    pub(super) fn cluster_names(&self) -> BTreeSet<ClusterName> {
        self.clusters.keys().cloned().collect()
    }

    /// What a cluster says of these apps. `content` stands for what a revision is for it.
    pub(super) fn member(
        &self,
        cluster: &ClusterName,
        apps: &BTreeSet<AppName>,
        sightings: &mut Sightings,
        content: &dyn Fn(&Revision) -> String,
        now: Timestamp,
    ) -> Member {
        let reported = self.clusters.get(cluster);
        let silent = match reported {
            None => Some("it has not enrolled".to_owned()),
            Some(reported) if !reported.is_connected => Some("it is not heard".to_owned()),
            Some(_) => None,
        };
        let mut member = Member { cluster: cluster.clone(), silent, apps: BTreeMap::new() };
        for app in apps {
            let Some(status) = reported.and_then(|reported| reported.apps.get(app)) else { continue };
            // The revision it is on its way to, as far as it says why it is not there.
            let runs = if status.revision.is_empty() { &status.wanted_revision } else { &status.revision };
            let failed = !status.errors.is_empty();
            let runs =
                if failed && !status.wanted_revision.is_empty() { &status.wanted_revision } else { runs };
            let Ok(runs) = Revision::try_from(runs.clone()) else { continue };
            let standing = match judge(status) {
                Judged::Well => {
                    let claimed = status.since.as_ref().and_then(from_proto);
                    Standing::Well(sightings.well_since(cluster, app, content(&runs), claimed, now))
                }
                Judged::OnTheWay(why) => {
                    sightings.unwell(cluster, app);
                    Standing::OnTheWay(why)
                }
                Judged::Bad(why) => {
                    sightings.unwell(cluster, app);
                    Standing::Bad(why)
                }
            };
            member.apps.insert(app.clone(), (runs, standing));
        }
        member
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Well,
    OnTheWay(String),
    Bad(String),
}

fn judge(status: &v1::AppStatus) -> Judged {
    let why = |otherwise: &str| {
        let message = status.message.trim();
        if message.is_empty() { otherwise.to_owned() } else { message.to_owned() }
    };
    if let Some(error) = status.errors.first() {
        return Judged::Bad(error.message.clone());
    }
    match (status.sync(), status.health()) {
        (_, HealthStatus::Degraded) => Judged::Bad(why("it is Degraded")),
        (SyncStatus::Synced, HealthStatus::Healthy | HealthStatus::Suspended) => Judged::Well,
        (SyncStatus::Synced, HealthStatus::Missing) => Judged::Bad(why("it is Missing")),
        (SyncStatus::OutOfSync, _) => Judged::OnTheWay(why("it is OutOfSync")),
        (SyncStatus::Unspecified, _) => Judged::OnTheWay(why("its sync status is not known")),
        (_, HealthStatus::Progressing) => Judged::OnTheWay(why("it is Progressing")),
        (_, _) => Judged::OnTheWay(why("its health is not known")),
    }
}

/// When the hub saw each app become well with what it has.
#[derive(Default)]
pub(super) struct Sightings {
    known: BTreeMap<(ClusterName, AppName), Option<Sighting>>,
}

struct Sighting {
    content: String,
    claimed: Option<Timestamp>,
    since: Timestamp,
}

impl Sightings {
    fn well_since(
        &mut self,
        cluster: &ClusterName,
        app: &AppName,
        content: String,
        claimed: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let key = (cluster.clone(), app.clone());
        let since = match self.known.get(&key) {
            Some(Some(before)) if before.content == content && before.claimed == claimed => before.since,
            // It was seen before, so the change was seen.
            Some(_) => now,
            None => claimed.map_or(now, |claimed| claimed.min(now)),
        };
        self.known.insert(key, Some(Sighting { content, claimed, since }));
        since
    }

    fn unwell(&mut self, cluster: &ClusterName, app: &AppName) {
        self.known.insert((cluster.clone(), app.clone()), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(sync: SyncStatus, health: HealthStatus) -> v1::AppStatus {
        v1::AppStatus { sync: sync.into(), health: health.into(), ..v1::AppStatus::default() }
    }

    #[test]
    fn only_synced_and_healthy_is_well() {
        for sync in [SyncStatus::Synced, SyncStatus::OutOfSync, SyncStatus::Unspecified] {
            for health in [
                HealthStatus::Healthy,
                HealthStatus::Suspended,
                HealthStatus::Progressing,
                HealthStatus::Degraded,
                HealthStatus::Missing,
                HealthStatus::Unspecified,
            ] {
                let well = sync == SyncStatus::Synced
                    && matches!(health, HealthStatus::Healthy | HealthStatus::Suspended);
                assert_eq!(judge(&status(sync, health)) == Judged::Well, well, "{sync:?} {health:?}");
                let mut failed = status(sync, health);
                failed.errors.push(v1::StatusError::default());
                assert!(matches!(judge(&failed), Judged::Bad(_)), "{sync:?} {health:?} with an error");
            }
        }
    }

    #[test]
    fn what_the_hub_sees_happen_is_dated_by_the_hub() {
        let (cluster, app) = ("p1".parse().unwrap(), "web".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut sightings = Sightings::default();
        let mut well = |content: &str, claimed: i64, now: i64| {
            sightings.well_since(&cluster, &app, content.to_owned(), Some(at(claimed)), at(now)).as_second()
        };
        assert_eq!(well("a", 50, 100), 50, "before the hub was there the agent's word counts");
        assert_eq!(well("a", 50, 110), 50);
        assert_eq!(well("b", 20, 120), 120, "new content, whatever the agent's clock says");
        assert_eq!(well("b", 20, 130), 120);
        assert_eq!(well("b", 140, 145), 145, "it was not well in between");
        sightings.unwell(&cluster, &app);
        let since = sightings.well_since(&cluster, &app, "b".to_owned(), Some(at(140)), at(150));
        assert_eq!(since.as_second(), 150);
        let other = "p2".parse().unwrap();
        let ahead = sightings.well_since(&other, &app, "b".to_owned(), Some(at(999)), at(150));
        assert_eq!(ahead.as_second(), 150, "a clock that is ahead gains nothing");
    }
}
