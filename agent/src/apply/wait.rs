//! How is waited for what later steps need?
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Executor;
use crate::object::{Gvk, ObjectKey, Resource, items, text};
use crate::source::{Kind, Problem};

/// How long a definition may take to be served, and how often to look.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(60);
const ESTABLISH_LOOK: Duration = Duration::from_millis(200);

impl Executor {
    pub(super) async fn await_definitions(
        &self,
        keys: &[ObjectKey],
        cancel: &CancellationToken,
    ) -> Result<(), Problem> {
        let resource = Resource {
            gvk: Gvk::of("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            plural: "customresourcedefinitions".to_owned(),
            namespaced: false,
        };
        let wait = async {
            for key in keys {
                while !self
                    .api
                    .get(&resource, "", &key.name)
                    .await
                    .is_ok_and(|object| is_established(&object))
                {
                    tokio::time::sleep(ESTABLISH_LOOK).await;
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            done = tokio::time::timeout(ESTABLISH_TIMEOUT, wait) => done.map_err(|_| Problem {
                kind: Kind::Apply,
                place: keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                message: "Its kind was not served within a minute of being applied.".to_owned(),
            }),
        }
    }
}

fn is_established(definition: &Value) -> bool {
    items(definition, &["status", "conditions"]).iter().any(|condition| {
        text(condition, &["type"]) == "Established" && text(condition, &["status"]) == "True"
    })
}
