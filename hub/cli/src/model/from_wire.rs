//! From the protocol's messages to what the CLI shows. Whatever the hub leaves out or says in words
//! not known here becomes `Unknown`, never something better.

use jiff::Timestamp;
use muster_wire::v1;

use super::*;

/// The same time, unless it is out of range.
fn timestamp(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    time.and_then(timestamp)
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl From<v1::SyncStatus> for Sync {
    fn from(sync: v1::SyncStatus) -> Self {
        match sync {
            v1::SyncStatus::Synced => Self::Synced,
            v1::SyncStatus::OutOfSync => Self::OutOfSync,
            v1::SyncStatus::Unspecified => Self::Unknown,
        }
    }
}

impl From<v1::HealthStatus> for Health {
    fn from(health: v1::HealthStatus) -> Self {
        match health {
            v1::HealthStatus::Healthy => Self::Healthy,
            v1::HealthStatus::Progressing => Self::Progressing,
            v1::HealthStatus::Degraded => Self::Degraded,
            v1::HealthStatus::Suspended => Self::Suspended,
            v1::HealthStatus::Missing => Self::Missing,
            v1::HealthStatus::Unspecified => Self::Unknown,
        }
    }
}

impl From<v1::Connection> for Connection {
    fn from(connection: v1::Connection) -> Self {
        match connection {
            v1::Connection::Connected => Self::Connected,
            v1::Connection::Never => Self::NeverConnected,
            v1::Connection::Unreachable | v1::Connection::Unspecified => Self::Unreachable,
        }
    }
}

impl From<v1::AppCounts> for Counts {
    fn from(counts: v1::AppCounts) -> Self {
        Self {
            total: size(counts.total),
            synced: size(counts.synced),
            out_of_sync: size(counts.out_of_sync),
            sync_unknown: size(counts.sync_unknown),
            healthy: size(counts.healthy),
            progressing: size(counts.progressing),
            degraded: size(counts.degraded),
            suspended: size(counts.suspended),
            missing: size(counts.missing),
            health_unknown: size(counts.health_unknown),
        }
    }
}

impl From<v1::Cluster> for Cluster {
    fn from(cluster: v1::Cluster) -> Self {
        let connection = cluster.connection().into();
        let status = cluster.status.unwrap_or_default();
        Self {
            name: cluster.name,
            connection,
            last_seen: time(cluster.last_seen.as_ref()),
            labels: status.labels,
            apps: cluster.apps.unwrap_or_default().into(),
            repository: status.repository,
            head_revision: status.head_revision,
            fetched_at: time(status.fetched_at.as_ref()),
            errors: status.errors.into_iter().map(StatusError::from).collect(),
            kubernetes_version: status.kubernetes_version,
            agent_version: status.agent_version,
            leader: status.leader,
            enrolled_at: time(cluster.enrolled_at.as_ref()),
            certificate_expires_at: time(cluster.certificate_expires_at.as_ref()),
        }
    }
}

impl From<v1::App> for App {
    fn from(app: v1::App) -> Self {
        let connection = Connection::from(app.connection());
        let connected = connection == Connection::Connected;
        let status = app.status.unwrap_or_default();
        let (reported_sync, reported_health) = (Sync::from(status.sync()), Health::from(status.health()));
        Self {
            app: status.app,
            cluster: app.cluster,
            connection,
            last_seen: None,
            sync: if connected { reported_sync } else { Sync::Unknown },
            health: if connected { reported_health } else { Health::Unknown },
            reported_sync,
            reported_health,
            reported_at: time(app.reported_at.as_ref()),
            since: time(status.since.as_ref()),
            message: status.message,
            revision: status.revision,
            wanted_revision: status.wanted_revision,
            path: status.path,
            syncing: status.syncing,
            synced_at: time(status.synced_at.as_ref()),
            object_count: size(status.object_count),
            errors: status.errors.into_iter().map(StatusError::from).collect(),
            objects: Some(status.objects.into_iter().map(Object::from).collect()),
            drifts: Some(status.drifts.into_iter().map(Drift::from).collect()),
        }
    }
}

impl App {
    /// For answers that never have objects and drifts: leaves the keys out instead of showing them
    /// empty, which would be a lie.
    pub(crate) fn without_objects(app: v1::App) -> Self {
        Self { objects: None, drifts: None, ..Self::from(app) }
    }
}

impl From<v1::StatusError> for StatusError {
    fn from(error: v1::StatusError) -> Self {
        let kind = match error.kind() {
            v1::ErrorKind::Git => "Git",
            v1::ErrorKind::Document => "Document",
            v1::ErrorKind::Render => "Render",
            v1::ErrorKind::Apply => "Apply",
            v1::ErrorKind::Prune => "Prune",
            v1::ErrorKind::Unspecified => "Other",
        };
        Self { kind, place: error.place, message: error.message, since: time(error.since.as_ref()) }
    }
}

impl From<v1::ObjectRef> for ObjectRef {
    fn from(object: v1::ObjectRef) -> Self {
        Self {
            group: object.group,
            version: object.version,
            kind: object.kind,
            namespace: object.namespace,
            name: object.name,
        }
    }
}

impl From<v1::ObjectStatus> for Object {
    fn from(object: v1::ObjectStatus) -> Self {
        Self {
            sync: object.sync().into(),
            health: object.health().into(),
            object: object.object.unwrap_or_default().into(),
            message: object.message,
        }
    }
}

impl From<v1::Drift> for Drift {
    fn from(drift: v1::Drift) -> Self {
        let fields = drift.fields.into_iter();
        Self {
            object: drift.object.unwrap_or_default().into(),
            deleted: drift.deleted,
            fields: fields
                .map(|field| FieldDrift { path: field.path, wanted: field.wanted, found: field.found })
                .collect(),
            field_manager: drift.field_manager,
            detected_at: time(drift.detected_at.as_ref()),
            corrected_at: time(drift.corrected_at.as_ref()),
        }
    }
}

impl From<v1::Event> for Event {
    fn from(event: v1::Event) -> Self {
        let kind = match event.kind() {
            v1::EventKind::Synced => "Synced",
            v1::EventKind::SyncFailed => "SyncFailed",
            v1::EventKind::DriftDetected => "DriftDetected",
            v1::EventKind::DriftCorrected => "DriftCorrected",
            v1::EventKind::Pruned => "Pruned",
            v1::EventKind::HealthChanged => "HealthChanged",
            v1::EventKind::Connected => "Connected",
            v1::EventKind::Disconnected => "Disconnected",
            v1::EventKind::Enrolled => "Enrolled",
            v1::EventKind::Adopted => "Adopted",
            v1::EventKind::Unspecified => "Unknown",
        };
        Self {
            id: event.id,
            time: time(event.time.as_ref()),
            kind,
            cluster: event.cluster,
            app: event.app,
            revision: event.revision,
            message: event.message,
        }
    }
}

impl From<v1::Token> for Token {
    fn from(token: v1::Token) -> Self {
        Self {
            id: token.id,
            cluster: token.cluster,
            created_at: time(token.created_at.as_ref()),
            expires_at: time(token.expires_at.as_ref()),
            uses_left: token.uses_left,
            revoked: token.revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_of_an_unreachable_cluster_is_never_green() {
        for connection in [v1::Connection::Unreachable, v1::Connection::Never, v1::Connection::Unspecified] {
            let app = App::from(v1::App {
                cluster: "prod".into(),
                connection: connection.into(),
                status: Some(v1::AppStatus {
                    app: "web".into(),
                    sync: v1::SyncStatus::Synced.into(),
                    health: v1::HealthStatus::Healthy.into(),
                    ..Default::default()
                }),
                ..Default::default()
            });
            assert_eq!((app.sync, app.health), (Sync::Unknown, Health::Unknown));
            assert_eq!((app.reported_sync, app.reported_health), (Sync::Synced, Health::Healthy));
            assert!(!app.well());
            assert_eq!(app.cause(), "last known Synced and Healthy");
        }
    }

    #[test]
    fn states_of_a_later_protocol_are_unknown() {
        let app = App::from(v1::App {
            connection: v1::Connection::Connected.into(),
            status: Some(v1::AppStatus { sync: 99, health: 99, ..Default::default() }),
            ..Default::default()
        });
        assert_eq!((app.sync, app.health), (Sync::Unknown, Health::Unknown));
    }
}
