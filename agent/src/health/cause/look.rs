//! Fetches what says why an object is not well: a handful of small requests, each for one object's own.
use serde_json::Value;

use super::claims::{self, Class, class_of};
use super::{Cause, Evidence, claims_of, lacks_pods, leaves_open, of_workload, selector, worst_pod};
use crate::api::{Api, ApiError};
use crate::object::{Gvk, ObjectKey, Resource, text};

/// Pods looked at, and Events of one object. The reason is nearly always the same for all.
const PODS_MAX: u32 = 50;
const EVENTS_MAX: u32 = 30;

/// Claims of a Pod looked at.
const CLAIMS_MAX: usize = 2;

/// Looks why an object is not well. `None` when it is gone or no reason is to be seen.
///
/// # Errors
/// When the API server does not answer. What may not be read is done without.
pub(crate) async fn look(api: &Api, resource: &Resource, key: &ObjectKey) -> Result<Option<Cause>, ApiError> {
    let namespace = &*key.namespace;
    let object = match api.get(resource, namespace, &key.name).await {
        Ok(object) => object,
        Err(ApiError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if key.kind.is("", "PersistentVolumeClaim") {
        return claim(api, namespace, &object).await;
    }
    let mut evidence = Evidence::default();
    if key.kind.is("", "Pod") {
        evidence.pods = vec![object];
    } else {
        if let Some(labels) = selector(&object) {
            let pods = core("Pod", "pods");
            evidence.pods = allowed(api.select(&pods, namespace, &labels, "", PODS_MAX).await)?;
        }
        if lacks_pods(&object, &evidence.pods) {
            evidence.own_events = warnings(api, namespace, &object).await?;
        }
    }
    if let Some((pod, trouble)) = worst_pod(&evidence.pods) {
        for name in claims_of(pod, trouble.as_ref()).into_iter().take(CLAIMS_MAX) {
            if evidence.claim.is_none() {
                evidence.claim = claim_named(api, namespace, name).await?;
            }
        }
        if leaves_open(trouble.as_ref()) && evidence.claim.is_none() {
            evidence.pod_events = warnings(api, namespace, pod).await?;
        }
    }
    Ok(of_workload(&key.kind, &evidence))
}

async fn claim_named(api: &Api, namespace: &str, name: &str) -> Result<Option<Cause>, ApiError> {
    let claims = core("PersistentVolumeClaim", "persistentvolumeclaims");
    let cause = match api.get(&claims, namespace, name).await {
        Ok(object) => claim(api, namespace, &object).await?,
        Err(ApiError::NotFound { .. }) => Some(Cause::failing("it does not exist")),
        Err(ApiError::Rejected { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(cause.map(|cause| cause.about(&format!("claim {name}"))))
}

async fn claim(api: &Api, namespace: &str, object: &Value) -> Result<Option<Cause>, ApiError> {
    let class = match class_of(object) {
        Some(name) => {
            let gvk = Gvk::of("storage.k8s.io/v1", "StorageClass");
            let classes = Resource { gvk, plural: "storageclasses".to_owned(), namespaced: false };
            match api.get(&classes, "", name).await {
                Ok(class) => Class::Found(class),
                Err(ApiError::NotFound { .. }) => Class::Missing,
                Err(ApiError::Rejected { .. }) => Class::Hidden,
                Err(error) => return Err(error),
            }
        }
        None => Class::Hidden,
    };
    let events = match class {
        Class::Missing => Vec::new(),
        _ => events(api, namespace, object, "").await?,
    };
    Ok(claims::of_claim(object, &class, &events))
}

async fn warnings(api: &Api, namespace: &str, object: &Value) -> Result<Vec<Value>, ApiError> {
    events(api, namespace, object, ",type=Warning").await
}

async fn events(api: &Api, namespace: &str, object: &Value, more: &str) -> Result<Vec<Value>, ApiError> {
    let uid = text(object, &["metadata", "uid"]);
    let fields = format!("involvedObject.uid={uid}{more}");
    allowed(api.select(&core("Event", "events"), namespace, "", &fields, EVENTS_MAX).await)
}

/// What the agent may not read it does without.
fn allowed(answer: Result<Vec<Value>, ApiError>) -> Result<Vec<Value>, ApiError> {
    match answer {
        Err(ApiError::Rejected { .. } | ApiError::NotFound { .. }) => Ok(Vec::new()),
        answer => answer,
    }
}

fn core(kind: &str, plural: &str) -> Resource {
    Resource { gvk: Gvk::of("v1", kind), plural: plural.to_owned(), namespaced: true }
}
