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
            labels: if status.labels.is_empty() { cluster.bound_labels } else { status.labels },
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
            revoked_at: time(cluster.revoked_at.as_ref()),
            clock_skew_milliseconds: cluster.clock_skew.map(|skew| {
                skew.seconds.saturating_mul(1_000).saturating_add(i64::from(skew.nanos) / 1_000_000)
            }),
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
            v1::EventKind::Revoked => "Revoked",
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
            labels: token.labels,
            created_by: token.created_by,
        }
    }
}

impl From<v1::AuditRow> for AuditRow {
    fn from(row: v1::AuditRow) -> Self {
        Self {
            number: row.number,
            time: time(row.time.as_ref()),
            actor: row.actor,
            source: row.source,
            action: row.action,
            target: row.target,
            result: row.result,
            detail: row.detail,
            count: row.count,
            previous: hex(&row.previous),
            hash: hex(&row.hash),
        }
    }
}

impl AuditRow {
    /// As the hub told it; nothing when a hash is no hexadecimal.
    pub(crate) fn to_wire(&self) -> Option<v1::AuditRow> {
        let to_proto = |time: Timestamp| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        };
        Some(v1::AuditRow {
            number: self.number,
            time: self.time.map(to_proto),
            actor: self.actor.clone(),
            source: self.source.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            result: self.result.clone(),
            detail: self.detail.clone(),
            count: self.count,
            previous: unhex(&self.previous)?,
            hash: unhex(&self.hash)?,
        })
    }
}

impl From<v1::CertificateAuthority> for CertificateAuthority {
    fn from(ca: v1::CertificateAuthority) -> Self {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let text = BASE64_STANDARD.encode(&ca.certificate);
        // Base64 is ASCII, so every cut is between characters.
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Self {
            fingerprint: hex(&ca.fingerprint),
            expires_at: time(ca.expires_at.as_ref()),
            not_trusted_by: ca.not_trusted_by,
            certificate: format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            ),
        }
    }
}

impl From<v1::WhoAmIResponse> for WhoAmI {
    fn from(me: v1::WhoAmIResponse) -> Self {
        let proof = match me.proof() {
            v1::Proof::Certificate => "Certificate",
            v1::Proof::Token => "Token",
            v1::Proof::Oidc => "OIDC",
            v1::Proof::Unspecified => "Unknown",
        };
        let role = |role: v1::Role| Role {
            role: role.role,
            clusters: role.clusters,
            labels: role.labels,
            apps: role.apps,
            waves: role.waves,
        };
        Self {
            proof,
            actor: me.actor,
            expires_at: time(me.expires_at.as_ref()),
            groups: me.groups,
            roles: me.roles.into_iter().map(role).collect(),
            hub_version: me.hub_version,
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
