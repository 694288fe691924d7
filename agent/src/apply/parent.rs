//! How is the ApplySet parent written and deleted?
use super::Executor;
use crate::api::{ApiError, Apply};
use crate::applyset::{Parent, parent_name};
use crate::object::{Gvk, Resource, text};
use crate::source::{Kind, Problem};

impl Executor {
    pub(super) async fn set_parent(&self, parent: &Parent) -> Result<(), Problem> {
        let name = parent_name(&parent.app);
        let body = parent.to_object(&self.home).to_string().into_bytes();
        let resource = config_maps();
        let applied =
            self.retry(|| self.api.apply(&resource, &self.home, &name, body.clone(), Apply::Force)).await;
        applied.map(|object| self.parent_uids.note(&parent.app, &object)).map_err(|error| Problem {
            kind: Kind::Apply,
            place: format!("ConfigMap/{}/{name}", self.home),
            message: format!(
                "The inventory of the app could not be written, so nothing was applied: {error}"
            ),
        })
    }

    pub(super) async fn delete_parent(&self, app: &str) -> Result<(), Problem> {
        let name = parent_name(app);
        let deleted = async {
            let parent = self.api.get(&config_maps(), &self.home, &name).await?;
            let uid = text(&parent, &["metadata", "uid"]).to_owned();
            self.api.delete(&config_maps(), &self.home, &name, &uid).await
        };
        match deleted.await {
            Ok(()) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Problem {
                kind: Kind::Prune,
                place: format!("ConfigMap/{}/{name}", self.home),
                message: format!("The inventory of the removed app could not be deleted: {error}"),
            }),
        }
    }
}

fn config_maps() -> Resource {
    Resource { gvk: Gvk::of("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}
