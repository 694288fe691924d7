//! How is the fleet shown?
//!
//! The connection is part of every answer, since a status is only as good as its age: nothing that is
//! known to be out of date is ever counted as synced or healthy.

use std::collections::BTreeMap;

use muster_spec::{AppName, ClusterName};
use muster_wire::v1::{self, Connection, HealthStatus, SyncStatus};

use super::state::{App, Cluster, Link, State};
use crate::{access::policy::ClusterView, clock::to_proto};

/// How much of an app's status to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Neither objects nor drifts.
    Summary,
    /// All but objects.
    Drifts,
    /// Everything.
    Full,
}

/// Which apps to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppFilter<'a> {
    /// Of this cluster.
    pub cluster: Option<&'a str>,
    /// Of this name.
    pub app: Option<&'a str>,
    /// Only those that are not both Synced and Healthy, or not known to be.
    pub only_unhealthy: bool,
}

/// Which events to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter<'a> {
    /// Of this cluster.
    pub cluster: Option<&'a str>,
    /// Of this app.
    pub app: Option<&'a str>,
}

impl State {
    /// All clusters with these labels, by name.
    #[must_use]
    pub fn list_clusters(&self, labels: &BTreeMap<String, String>) -> Vec<v1::Cluster> {
        let has = |cluster: &Cluster| labels.iter().all(|(key, value)| cluster.label(key) == Some(value));
        let found = self.clusters.iter().filter(|(_, cluster)| labels.is_empty() || has(cluster));
        found.map(|(name, cluster)| cluster.show(name)).collect()
    }

    /// One cluster.
    #[must_use]
    pub fn show_cluster(&self, name: &str) -> Option<v1::Cluster> {
        let (name, cluster) = self.clusters.get_key_value(name)?;
        Some(cluster.show(name))
    }

    /// The value of a cluster's label for the hub.
    #[must_use]
    pub fn label(&self, cluster: &str, key: &str) -> Option<&String> {
        self.clusters.get(cluster)?.label(key)
    }

    /// The cluster as rules about users see it.
    pub(crate) fn with_view<T>(&self, cluster: &str, then: impl FnOnce(ClusterView<'_>) -> T) -> T {
        let known = self.clusters.get(cluster);
        let label = |key: &str| known.and_then(|known| known.label(key)).map(String::as_str);
        then(ClusterView { name: cluster, label: &label })
    }

    /// One app in one cluster.
    pub(crate) fn show_app(&self, cluster: &str, app: &str, detail: Detail) -> Option<v1::App> {
        let (name, cluster) = self.clusters.get_key_value(cluster)?;
        cluster.apps.get(app).map(|app| cluster.show_app(name, app, detail))
    }

    /// Apps, by app, then cluster.
    pub(crate) fn list_apps(&self, filter: AppFilter<'_>, detail: Detail) -> Vec<v1::App> {
        let mut found: Vec<(&AppName, &ClusterName, &Cluster, &App)> = Vec::new();
        for (name, cluster) in &self.clusters {
            if filter.cluster.is_some_and(|wanted| wanted != name.as_str()) {
                continue;
            }
            for (app_name, app) in &cluster.apps {
                let named = filter.app.is_none_or(|wanted| wanted == app_name.as_str());
                if named && !(filter.only_unhealthy && cluster.is_green(app)) {
                    found.push((app_name, name, cluster, app));
                }
            }
        }
        found.sort_unstable_by_key(|(app, cluster, ..)| (*app, *cluster));
        found.into_iter().map(|(_, name, cluster, app)| cluster.show_app(name, app, detail)).collect()
    }

    /// Events, newest first.
    #[must_use]
    pub fn list_events(&self, filter: EventFilter<'_>, limit: usize) -> Vec<v1::Event> {
        self.events(filter).take(limit).cloned().collect()
    }

    /// All events there are, newest first.
    pub(crate) fn events(&self, filter: EventFilter<'_>) -> impl Iterator<Item = &v1::Event> {
        let app = filter.app.map(str::to_owned);
        let events = self.history.newest(filter.cluster).map(|event| &**event);
        events.filter(move |event| app.as_ref().is_none_or(|app| *app == event.app))
    }

    /// Names of all clusters, or of one, with the names of their apps.
    pub(crate) fn names(
        &self,
        only: Option<&str>,
    ) -> impl Iterator<Item = (&ClusterName, impl Iterator<Item = &AppName>)> {
        let found =
            self.clusters.iter().filter(move |(name, _)| only.is_none_or(|only| only == name.as_str()));
        found.map(|(name, cluster)| (name, cluster.apps.keys()))
    }

    /// How many clusters are known, and how many are connected.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let connected = self.clusters.values().filter(|cluster| cluster.is_connected());
        (self.clusters.len(), connected.count())
    }
}

impl Cluster {
    pub(super) fn connection(&self) -> Connection {
        match self.link {
            Link::Never => Connection::Never,
            Link::Connected(_) | Link::Elsewhere(_) => Connection::Connected,
            Link::Awaited { .. } | Link::Away => Connection::Unreachable,
        }
    }

    /// Known to be synced and healthy now.
    fn is_green(&self, app: &App) -> bool {
        self.is_connected()
            && !app.stale
            && app.status.sync() == SyncStatus::Synced
            && app.status.health() == HealthStatus::Healthy
    }

    fn counts(&self) -> v1::AppCounts {
        let mut counts = v1::AppCounts::default();
        for app in self.apps.values() {
            counts.total += 1;
            let known = self.is_connected() && !app.stale;
            let (sync, health) =
                if known { (app.status.sync(), app.status.health()) } else { Default::default() };
            *match sync {
                SyncStatus::Synced => &mut counts.synced,
                SyncStatus::OutOfSync => &mut counts.out_of_sync,
                SyncStatus::Unspecified => &mut counts.sync_unknown,
            } += 1;
            *match health {
                HealthStatus::Healthy => &mut counts.healthy,
                HealthStatus::Progressing => &mut counts.progressing,
                HealthStatus::Degraded => &mut counts.degraded,
                HealthStatus::Suspended => &mut counts.suspended,
                HealthStatus::Missing => &mut counts.missing,
                HealthStatus::Unspecified => &mut counts.health_unknown,
            } += 1;
        }
        counts
    }

    /// The value of a label: as its token says, and where that says nothing, as its agent does.
    fn label(&self, key: &str) -> Option<&String> {
        let bound = self.enrolment.as_ref().and_then(|enrolment| enrolment.labels.get(key));
        bound.or_else(|| self.status.as_ref()?.labels.get(key))
    }

    fn clock_skew(&self) -> Option<prost_types::Duration> {
        let Link::Connected(stream) = &self.link else { return None };
        let skew = stream.skew?;
        Some(prost_types::Duration { seconds: skew.as_secs(), nanos: skew.subsec_nanos() })
    }

    fn show(&self, name: &ClusterName) -> v1::Cluster {
        let bound = self.enrolment.as_ref().map(|enrolment| enrolment.labels.clone()).unwrap_or_default();
        let mut status = self.status.as_deref().cloned();
        if let Some(status) = &mut status {
            status.labels.extend(bound.clone());
        }
        v1::Cluster {
            name: name.to_string(),
            connection: self.connection().into(),
            last_seen: self.last_seen.map(to_proto),
            status,
            apps: Some(self.counts()),
            enrolled_at: self.enrolment.as_ref().map(|enrolment| to_proto(enrolment.enrolled_at)),
            certificate_expires_at: self.certificate_expires_at.map(to_proto),
            revoked_at: self.revoked_at().map(to_proto),
            bound_labels: bound,
            clock_skew: self.clock_skew(),
        }
    }

    fn show_app(&self, name: &ClusterName, app: &App, detail: Detail) -> v1::App {
        let full = &app.status;
        let mut status = v1::AppStatus {
            app: full.app.clone(),
            sync: full.sync,
            health: full.health,
            message: full.message.clone(),
            revision: full.revision.clone(),
            wanted_revision: full.wanted_revision.clone(),
            path: full.path.clone(),
            objects: if detail == Detail::Full { full.objects.clone() } else { Vec::new() },
            object_count: full.object_count,
            drifts: if detail == Detail::Summary { Vec::new() } else { full.drifts.clone() },
            errors: full.errors.clone(),
            synced_at: full.synced_at,
            since: full.since,
            syncing: full.syncing,
        };
        if app.stale {
            status.set_sync(SyncStatus::Unspecified);
            status.set_health(HealthStatus::Unspecified);
            status.message = "The agent has a newer status, which is still on its way.".to_owned();
        }
        v1::App {
            cluster: name.to_string(),
            connection: self.connection().into(),
            reported_at: Some(to_proto(app.reported_at)),
            status: Some(status),
        }
    }
}
