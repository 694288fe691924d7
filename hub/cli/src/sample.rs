//! Fleets for tests.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};

use crate::model::*;

pub(crate) const REVISION: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
pub(crate) const NEXT_REVISION: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c";

pub(crate) fn now() -> Timestamp {
    "2026-11-23T20:27:10Z".parse().unwrap()
}

/// That many seconds before now.
pub(crate) fn before(seconds: i64) -> Option<Timestamp> {
    Some(now() - seconds.seconds())
}

/// A connected cluster with two apps, all well.
pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connection: Connection::Connected,
        last_seen: before(2),
        labels: BTreeMap::from([("env".to_owned(), name.split('-').next().unwrap_or(name).to_owned())]),
        apps: Counts { total: 2, synced: 2, healthy: 2, ..Counts::default() },
        repository: "https://git.example.com/fleet.git".to_owned(),
        head_revision: REVISION.to_owned(),
        fetched_at: before(5),
        errors: Vec::new(),
        kubernetes_version: "v1.36.3".to_owned(),
        agent_version: "0.1.0".to_owned(),
        leader: "node-1".to_owned(),
        enrolled_at: before(86_400),
        certificate_expires_at: Some(now() + 20.hours()),
        clock_skew_milliseconds: None,
        revoked_at: None,
    }
}

/// An app that is well.
pub(crate) fn app(name: &str, cluster: &str) -> App {
    App {
        app: name.to_owned(),
        cluster: cluster.to_owned(),
        connection: Connection::Connected,
        last_seen: before(2),
        sync: Sync::Synced,
        health: Health::Healthy,
        reported_sync: Sync::Synced,
        reported_health: Health::Healthy,
        reported_at: before(200),
        since: before(200),
        message: String::new(),
        revision: REVISION.to_owned(),
        wanted_revision: REVISION.to_owned(),
        path: format!("apps/{name}"),
        syncing: false,
        synced_at: before(200),
        object_count: 3,
        errors: Vec::new(),
        objects: None,
        drifts: None,
    }
}

/// Three clusters of two apps each, all well.
pub(crate) fn healthy() -> (Vec<Cluster>, Vec<App>) {
    let names = ["dev", "prod", "staging"];
    let apps = ["api", "web"].iter().flat_map(|name| names.map(|cluster| app(name, cluster))).collect();
    (names.map(cluster).to_vec(), apps)
}

/// Three clusters where one thing of each kind is wrong.
pub(crate) fn troubled() -> (Vec<Cluster>, Vec<App>) {
    let (mut clusters, mut apps) = healthy();
    clusters[0].apps =
        Counts { total: 2, synced: 1, out_of_sync: 1, healthy: 1, progressing: 1, ..Counts::default() };
    clusters[1].connection = Connection::Unreachable;
    clusters[1].last_seen = before(720);
    clusters[1].apps = Counts { total: 2, sync_unknown: 2, health_unknown: 2, ..Counts::default() };
    clusters[2].apps = Counts { total: 2, synced: 2, healthy: 1, degraded: 1, ..Counts::default() };
    clusters[2].errors = vec![StatusError {
        kind: "Git",
        place: String::new(),
        message: "git.example.com does not answer: connection refused".to_owned(),
        since: before(95),
    }];
    for app in &mut apps {
        match (&*app.app, &*app.cluster) {
            (_, "prod") => {
                app.connection = Connection::Unreachable;
                (app.sync, app.health) = (Sync::Unknown, Health::Unknown);
                app.last_seen = before(720);
            }
            ("web", "staging") => {
                app.health = Health::Degraded;
                app.since = before(180);
                app.message =
                    "Deployment default/web: 1 of 2 replicas available, ProgressDeadlineExceeded".to_owned();
            }
            ("api", "dev") => {
                app.sync = Sync::OutOfSync;
                app.since = before(45);
                app.message = "Deployment default/api: .spec.replicas is 5, Git says 2".to_owned();
            }
            ("web", "dev") => {
                app.health = Health::Progressing;
                app.wanted_revision = NEXT_REVISION.to_owned();
                app.since = before(8);
                app.syncing = true;
            }
            _ => {}
        }
    }
    (clusters, apps)
}

/// 3,000 clusters of two apps each; the apps given are those that are not well.
pub(crate) fn large() -> (Vec<Cluster>, Vec<App>) {
    let mut clusters: Vec<Cluster> = (0..3_000).map(|index| cluster(&format!("prod-{index:04}"))).collect();
    for cluster in &mut clusters[..12] {
        cluster.connection = Connection::Unreachable;
        cluster.last_seen = before(7_200);
        cluster.apps = Counts { total: 2, sync_unknown: 2, health_unknown: 2, ..Counts::default() };
    }
    let mut apps = Vec::new();
    for (index, cluster) in clusters.iter_mut().enumerate().skip(100) {
        let mut app = app("api", &cluster.name);
        match index {
            100..400 => {
                app.app = "web".to_owned();
                app.health = Health::Degraded;
                app.message = "Deployment default/web: image nginx:1.26-broken cannot be pulled".to_owned();
                cluster.apps.healthy -= 1;
                cluster.apps.degraded += 1;
            }
            400..403 => {
                app.sync = Sync::OutOfSync;
                app.message = "Service default/api: deleted by kubectl-delete".to_owned();
                if index == 402 {
                    app.app = "web".to_owned();
                }
                cluster.apps.synced -= 1;
                cluster.apps.out_of_sync += 1;
            }
            403..443 => {
                app.health = Health::Progressing;
                cluster.apps.healthy -= 1;
                cluster.apps.progressing += 1;
            }
            _ => continue,
        }
        apps.push(app);
    }
    (clusters, apps)
}
