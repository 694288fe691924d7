//! What changed in the fleet, as `muster watch` follows it?
//!
//! The hub tells the whole fleet at the start of each stream, and repeats itself: only what differs
//! from what was shown is a change. So nothing is missed over a reconnect, and nothing told twice.

use std::collections::{BTreeMap, BTreeSet};

use muster_wire::v1::{self, watch_fleet_response::Change as Told};

use crate::model::{App, Cluster, Connection, Event, Health, Sync};

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The first full state is there.
    Started {
        clusters: usize,
        apps: usize,
        wrong: usize,
    },
    /// The hub is back, and what was missed has been told.
    Resumed,
    App(Box<App>),
    Removed {
        cluster: String,
        app: String,
    },
    /// A cluster came or went.
    Cluster(Box<Cluster>),
    Event(Box<Event>),
}

/// What an agent said of an app, as far as a line shows it; when none of it differs there is nothing to
/// say. That its cluster came or went is said once, by the line about the cluster.
type Shown = (Sync, Health, String, String, String);

/// What was shown so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    clusters: BTreeMap<String, Connection>,
    apps: BTreeMap<(String, String), Shown>,
    wrong: BTreeSet<(String, String)>,
    /// Apps named since this stream began, until its initial state is complete.
    named: Option<BTreeSet<(String, String)>>,
    started: bool,
}

impl Watch {
    /// A new stream begins: the hub will tell everything again, or what has changed since the last one.
    pub(crate) fn begin(&mut self, resumes: bool) {
        self.named = (!resumes).then(BTreeSet::new);
    }

    /// Takes what the hub says, and gives what of it is new.
    pub(crate) fn observe(&mut self, told: Told) -> Vec<Change> {
        match told {
            Told::Cluster(cluster) => self.cluster(cluster),
            Told::App(app) => self.app(app),
            Told::RemovedApp(v1::RemovedApp { cluster, app }) => self.removed((cluster, app)),
            Told::InitialStateEnd(_) => self.initial_state_end(),
            Told::Event(event) => event_change(event),
        }
    }

    fn cluster(&mut self, cluster: v1::Cluster) -> Vec<Change> {
        let cluster = Cluster::from(cluster);
        let before = self.clusters.insert(cluster.name.clone(), cluster.connection);
        if !self.started || before == Some(cluster.connection) {
            return Vec::new();
        }
        vec![Change::Cluster(Box::new(cluster))]
    }

    fn app(&mut self, app: v1::App) -> Vec<Change> {
        let app = App::without_objects(app);
        let key = (app.cluster.clone(), app.app.clone());
        if let Some(named) = &mut self.named {
            named.insert(key.clone());
        }
        if app.well() {
            self.wrong.remove(&key);
        } else {
            self.wrong.insert(key.clone());
        }
        let said = app.message.clone();
        let shown =
            (app.reported_sync, app.reported_health, app.revision.clone(), app.wanted_revision.clone(), said);
        let before = self.apps.insert(key, shown.clone());
        if !self.started || before == Some(shown) {
            return Vec::new();
        }
        vec![Change::App(Box::new(app))]
    }

    fn removed(&mut self, key: (String, String)) -> Vec<Change> {
        self.wrong.remove(&key);
        match self.apps.remove(&key) {
            Some(_) if self.started => vec![Change::Removed { cluster: key.0, app: key.1 }],
            _ => Vec::new(),
        }
    }

    fn initial_state_end(&mut self) -> Vec<Change> {
        let named = self.named.take();
        if !self.started {
            self.started = true;
            let (clusters, apps, wrong) = (self.clusters.len(), self.apps.len(), self.wrong.len());
            return vec![Change::Started { clusters, apps, wrong }];
        }
        let Some(named) = named else { return vec![Change::Resumed] };
        let gone: Vec<_> = self.apps.keys().filter(|key| !named.contains(*key)).cloned().collect();
        let mut changes: Vec<Change> = gone.into_iter().flat_map(|key| self.removed(key)).collect();
        changes.push(Change::Resumed);
        changes
    }
}

/// Events that no line about an app or a cluster tells already.
fn event_change(event: v1::Event) -> Vec<Change> {
    use v1::EventKind as Kind;
    match event.kind() {
        Kind::SyncFailed
        | Kind::DriftDetected
        | Kind::DriftCorrected
        | Kind::Pruned
        | Kind::Adopted
        | Kind::Enrolled
        | Kind::Revoked => {
            vec![Change::Event(Box::new(event.into()))]
        }
        Kind::Synced | Kind::HealthChanged | Kind::Connected | Kind::Disconnected | Kind::Unspecified => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, health: v1::HealthStatus) -> Told {
        Told::App(v1::App {
            cluster: "dev".to_owned(),
            connection: v1::Connection::Connected.into(),
            reported_at: None,
            status: Some(v1::AppStatus {
                app: name.to_owned(),
                sync: v1::SyncStatus::Synced.into(),
                health: health.into(),
                ..Default::default()
            }),
        })
    }

    fn cluster(connection: v1::Connection) -> Told {
        Told::Cluster(v1::Cluster {
            name: "dev".to_owned(),
            connection: connection.into(),
            ..Default::default()
        })
    }

    fn end() -> Told {
        Told::InitialStateEnd(v1::InitialStateEnd {})
    }

    #[test]
    fn the_initial_state_is_one_line_and_repetition_is_none() {
        use v1::HealthStatus::*;
        let mut watch = Watch::default();
        watch.begin(false);
        assert_eq!(watch.observe(cluster(v1::Connection::Connected)), []);
        assert_eq!(watch.observe(app("web", Healthy)), []);
        assert_eq!(watch.observe(app("api", Degraded)), []);
        assert_eq!(watch.observe(end()), [Change::Started { clusters: 1, apps: 2, wrong: 1 }]);
        assert_eq!(watch.observe(app("web", Healthy)), []);
        assert_eq!(watch.observe(cluster(v1::Connection::Connected)), []);
        assert!(
            matches!(&watch.observe(app("web", Progressing))[..], [Change::App(app)] if app.app == "web")
        );
        assert!(matches!(&watch.observe(cluster(v1::Connection::Unreachable))[..], [Change::Cluster(_)]));
    }

    #[test]
    fn a_cluster_out_of_reach_is_one_line_not_one_for_each_app() {
        let mut watch = Watch::default();
        watch.begin(false);
        watch.observe(cluster(v1::Connection::Connected));
        watch.observe(app("web", v1::HealthStatus::Healthy));
        watch.observe(end());
        let away = |told| match told {
            Told::App(app) => Told::App(v1::App { connection: v1::Connection::Unreachable.into(), ..app }),
            other => other,
        };
        assert_eq!(watch.observe(cluster(v1::Connection::Unreachable)).len(), 1);
        assert_eq!(watch.observe(away(app("web", v1::HealthStatus::Healthy))), []);
        assert_eq!(watch.observe(app("web", v1::HealthStatus::Healthy)), []);
    }

    #[test]
    fn a_reconnect_tells_what_was_missed_and_nothing_else() {
        use v1::HealthStatus::*;
        let mut watch = Watch::default();
        watch.begin(false);
        for name in ["web", "api", "old"] {
            watch.observe(app(name, Healthy));
        }
        watch.observe(end());
        watch.begin(false);
        assert_eq!(watch.observe(app("web", Healthy)), []);
        assert!(matches!(&watch.observe(app("api", Degraded))[..], [Change::App(_)]));
        assert_eq!(
            watch.observe(end()),
            [Change::Removed { cluster: "dev".to_owned(), app: "old".to_owned() }, Change::Resumed]
        );
    }
}
