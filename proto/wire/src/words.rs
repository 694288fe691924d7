//! How are states written where people read them?

use crate::v1::{HealthStatus, SyncStatus};

/// Health as people read it.
#[must_use]
pub fn health_word(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Healthy => "Healthy",
        HealthStatus::Progressing => "Progressing",
        HealthStatus::Degraded => "Degraded",
        HealthStatus::Suspended => "Suspended",
        HealthStatus::Missing => "Missing",
        HealthStatus::Unspecified => "Unknown",
    }
}

/// Sync status as people read it.
#[must_use]
pub fn sync_word(sync: SyncStatus) -> &'static str {
    match sync {
        SyncStatus::Synced => "Synced",
        SyncStatus::OutOfSync => "OutOfSync",
        SyncStatus::Unspecified => "Unknown",
    }
}
