//! How long does a change by hand last? Seen from the API server's own watch, so that nothing is missed
//! between two looks.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};

/// Field manager of the change, so that reports name it.
const MANAGER: &str = "someone-by-hand";

/// Sets the replicas of a Deployment as `kubectl scale` does and waits until they are `wanted` again; returns
/// the time from the API server's answer to that.
///
/// # Errors
/// The API server refuses, or the watch ends before.
pub async fn scale_and_wait(
    deployments: &Api<Deployment>,
    name: &str,
    replicas: i32,
    wanted: i32,
) -> kube::Result<Duration> {
    let before = deployments.get(name).await?;
    let version = before.metadata.resource_version.unwrap_or_default();
    let only = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(deployments.watch(&only, &version).await?);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = serde_json::json!({"spec": {"replicas": replicas}});
    deployments.patch_scale(name, &parameters, &Patch::Merge(patch)).await?;
    let changed = Instant::now();
    let mut seen = false;
    while let Some(event) = events.try_next().await? {
        let (WatchEvent::Added(deployment) | WatchEvent::Modified(deployment)) = event else { continue };
        let now = deployment.spec.and_then(|spec| spec.replicas);
        seen |= now == Some(replicas);
        if seen && now == Some(wanted) {
            return Ok(changed.elapsed());
        }
    }
    Err(kube::Error::Service("the watch ended before the replicas were back".into()))
}
