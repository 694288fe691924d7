//! What kinds does the API server have, under which address, and in what scope?
//!
//! Asked one group and version at a time, and only for those in use, so that a broken aggregated API
//! elsewhere in the cluster is nobody's problem.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::{Api, ApiError};
use crate::object::{GroupKind, Gvk, Resource, items, text};

/// What has been learnt so far. Only what exists is remembered, so what was missing is asked for again.
pub(crate) struct Discovery {
    api: Api,
    known: Mutex<HashMap<Gvk, Arc<Resource>>>,
}

impl Discovery {
    pub(crate) fn new(api: Api) -> Self {
        Discovery { api, known: Mutex::default() }
    }

    /// How to address a kind at a version; `None` when the server does not have it.
    pub(crate) async fn resource(&self, gvk: &Gvk) -> Result<Option<Arc<Resource>>, ApiError> {
        if let Some(resource) = self.known(gvk) {
            return Ok(Some(resource));
        }
        self.ask(&gvk.group_kind.group, &gvk.version).await?;
        Ok(self.known(gvk))
    }

    /// The same for a kind at the version the server prefers, for objects no document names any more.
    pub(crate) async fn preferred(&self, kind: &GroupKind) -> Result<Option<Arc<Resource>>, ApiError> {
        let version = match &*kind.group {
            "" => "v1".to_owned(),
            group => match self.api.get_path(&format!("/apis/{group}")).await {
                Ok(found) => text(&found, &["preferredVersion", "version"]).to_owned(),
                Err(ApiError::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        self.resource(&Gvk { group_kind: kind.clone(), version: version.as_str().into() }).await
    }

    /// Every namespaced kind, at the version the server prefers. Asked anew each time: it is asked before
    /// something is deleted, and then it must be true.
    pub(crate) async fn namespaced(&self) -> Result<Vec<Resource>, ApiError> {
        let groups = self.api.get_path("/apis").await?;
        let preferred = items(&groups, &["groups"]).iter().map(|group| {
            (text(group, &["name"]).to_owned(), text(group, &["preferredVersion", "version"]).to_owned())
        });
        let mut found = Vec::new();
        for (group, version) in std::iter::once((String::new(), "v1".to_owned())).chain(preferred) {
            let path = versioned_path(&group, &version);
            found.extend(resources(&group, &version, self.api.get_path(&path).await?)?);
        }
        found.retain(|resource| resource.namespaced);
        Ok(found)
    }

    /// Forgets a kind that turned out to be gone.
    pub(crate) fn forget(&self, gvk: &Gvk) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(gvk);
    }

    fn known(&self, gvk: &Gvk) -> Option<Arc<Resource>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(gvk).cloned()
    }

    async fn ask(&self, group: &str, version: &str) -> Result<(), ApiError> {
        let answer = match self.api.get_path(&versioned_path(group, version)).await {
            Ok(answer) => answer,
            Err(ApiError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in resources(group, version, answer)? {
            known.insert(resource.gvk.clone(), Arc::new(resource));
        }
        Ok(())
    }
}

fn versioned_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// Reads an `APIResourceList`. Subresources, and kinds that cannot be watched, are left out.
fn resources(group: &str, version: &str, answer: Value) -> Result<Vec<Resource>, ApiError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        resources: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        name: String,
        kind: String,
        namespaced: bool,
        #[serde(default)]
        verbs: Vec<String>,
    }
    let list: List = serde_json::from_value(answer).map_err(|error| {
        ApiError::Malformed(format!("The list of kinds of {group}/{version} is unreadable: {error}."))
    })?;
    let group_arc: Arc<str> = group.into();
    let version_arc: Arc<str> = version.into();
    let usable = |item: &Item| {
        !item.name.contains('/')
            && ["list", "watch", "patch"].iter().all(|verb| item.verbs.iter().any(|v| v == verb))
    };
    Ok(list
        .resources
        .into_iter()
        .filter(usable)
        .map(|item| Resource {
            gvk: Gvk {
                group_kind: GroupKind { group: group_arc.clone(), kind: item.kind.into() },
                version: version_arc.clone(),
            },
            plural: item.name,
            namespaced: item.namespaced,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subresources_and_what_cannot_be_watched_are_left_out() {
        let answer = serde_json::json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true, "verbs": ["list", "watch", "patch"]},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true, "verbs": ["get", "patch"]},
            {"name": "reviews", "kind": "Review", "namespaced": false, "verbs": ["create"]},
        ]});
        let found = resources("apps", "v1", answer).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].plural.as_str(), found[0].namespaced), ("deployments", true));
        assert_eq!(found[0].gvk, Gvk::new("apps", "v1", "Deployment"));
    }
}
