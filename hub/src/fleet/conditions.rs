//! What is wrong in the fleet now?

use muster_wire::v1::{HealthStatus, SyncStatus};

use super::state::{App, Link, State};
use crate::{
    alerts::{AlertKey, AlertKind, Conditions},
    clock::for_people,
};

impl State {
    /// What is wrong now. Of a cluster that is not connected only that is known.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        for (name, cluster) in &self.clusters {
            if cluster.is_connected() {
                for (app, status) in cluster.apps.iter().filter(|(_, app)| !app.stale) {
                    if let Some(kind) = wrong(status) {
                        let key = AlertKey { kind, cluster: name.clone(), app: Some(app.clone()) };
                        let said = (status.status.message.clone(), status.status.revision.clone());
                        conditions.seen.insert(key, said);
                    }
                }
                continue;
            }
            conditions.unknown.insert(name.clone());
            // One that was taken out on purpose is no news, nor is one whose agent may just be coming back.
            if matches!(cluster.link, Link::Away) && cluster.revoked_at().is_none() {
                let key = AlertKey { kind: AlertKind::Unreachable, cluster: name.clone(), app: None };
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

/// The worse of what is wrong with an app: one that failed is also out of sync soon enough.
fn wrong(app: &App) -> Option<AlertKind> {
    match (app.status.health(), app.status.sync()) {
        (HealthStatus::Degraded | HealthStatus::Missing, _) => Some(AlertKind::Degraded),
        (_, SyncStatus::OutOfSync) => Some(AlertKind::OutOfSync),
        _ => None,
    }
}
