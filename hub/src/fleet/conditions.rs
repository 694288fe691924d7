//! What is wrong in the fleet now?

use jiff::{SignedDuration, Timestamp};
use muster_spec::ClusterName;
use muster_wire::v1::{HealthStatus, SyncStatus};

use super::state::{App, Cluster, Link, State};
use crate::{
    alerts::{AlertKey, AlertKind, Conditions, Subject},
    clock::for_people,
};

/// So much of a certificate's life is left when it is time to worry, unless all of it is shorter.
const CERTIFICATE_LEFT: SignedDuration = SignedDuration::from_hours(4);

impl State {
    /// What is wrong now. Of a cluster that is not connected only that is known.
    #[must_use]
    pub fn conditions(&self, now: Timestamp) -> Conditions {
        let mut conditions = Conditions::default();
        for (name, cluster) in &self.clusters {
            if cluster.is_connected() {
                conditions.seen.extend(ending(name, cluster, now));
                for (app, status) in cluster.apps.iter().filter(|(_, app)| !app.stale) {
                    if let Some(kind) = wrong(status) {
                        let key = AlertKey { kind, subject: Subject::App(name.clone(), app.clone()) };
                        let said = (status.status.message.clone(), status.status.revision.clone());
                        conditions.seen.insert(key, said);
                    }
                }
                continue;
            }
            conditions.unknown.insert(name.clone());
            // One that was taken out on purpose is no news, nor is one whose agent may just be coming back.
            if matches!(cluster.link, Link::Away) && cluster.revoked_at().is_none() {
                let (kind, subject) = (AlertKind::Unreachable, Subject::Cluster(name.clone()));
                let key = AlertKey { kind, subject };
                let cause = match cluster.last_seen {
                    Some(seen) => {
                        format!("nothing was heard since {}", for_people(seen))
                    }
                    None => "nothing was heard".to_owned(),
                };
                conditions.seen.insert(key, (cause, String::new()));
            }
        }
        conditions
    }
}

/// A certificate of which only a part is left that an agent would have renewed long before: it renews at two thirds.
fn ending(name: &ClusterName, cluster: &Cluster, now: Timestamp) -> Option<(AlertKey, (String, String))> {
    let ends_at = cluster.certificate_expires_at?;
    let begun_at = cluster.enrolment.as_ref()?.enrolled_at;
    let (left, life) = (ends_at.duration_since(now), ends_at.duration_since(begun_at));
    let soon = CERTIFICATE_LEFT.min(life / 6);
    if left > soon || life <= SignedDuration::ZERO {
        return None;
    }
    let key = AlertKey { kind: AlertKind::CertificateExpiring, subject: Subject::Cluster(name.clone()) };
    Some((key, (format!("it ends {} and has not been renewed", for_people(ends_at)), String::new())))
}

/// The worse of what is wrong with an app: one that failed is also out of sync soon enough.
fn wrong(app: &App) -> Option<AlertKind> {
    match (app.status.health(), app.status.sync()) {
        (HealthStatus::Degraded | HealthStatus::Missing, _) => Some(AlertKind::Degraded),
        _ if !app.status.errors.is_empty() => Some(AlertKind::SyncFailing),
        _ if app
            .status
            .drifts
            .iter()
            .any(|drift| drift.held_until.is_some() && drift.corrected_at.is_none()) =>
        {
            Some(AlertKind::DriftFight)
        }
        (_, SyncStatus::OutOfSync) => Some(AlertKind::OutOfSync),
        _ => None,
    }
}
