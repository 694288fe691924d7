//! Which schema do patches follow?
//!
//! Kustomize has one schema for a whole build. The first kustomization on the way that says anything
//! under `openapi` decides on it, be it the one that is built or a base; later ones are read and have
//! no effect. A schema of one's own takes the place of the built-in one, unless that one has been
//! looked into before, for a patch or for an object of a kind Kustomize does not know: then it adds to it.

use std::cell::OnceCell;

use serde_json::Value;

use super::{
    identity::Kinds,
    kustomization::{BUILT_IN_VERSION, Kustomization, first_document},
    resource::Resource,
    tree::Tree,
};
use crate::{Limits, RenderError, patch::Schema};

/// The schema of one build.
pub(super) struct OpenApi<'f> {
    /// Where a schema of one's own is kept.
    own: &'f OnceCell<Schema>,
    is_decided: bool,
    /// How often the schema was looked into, and how often one was named.
    uses: usize,
    named: usize,
}

impl<'f> OpenApi<'f> {
    pub(super) fn new(own: &'f OnceCell<Schema>) -> Self {
        OpenApi { own, is_decided: false, uses: 0, named: 0 }
    }

    /// What is known of kinds now.
    pub(super) fn kinds(&self) -> Kinds<'f> {
        Kinds { schema: self.own.get().unwrap_or_else(|| Schema::built_in()) }
    }

    /// Notes that the schema has been looked into.
    pub(super) fn note_used(&mut self) {
        self.uses += 1;
    }

    /// How often it was looked into so far.
    pub(super) fn uses(&self) -> usize {
        self.uses
    }

    /// How often kustomizations named one so far.
    pub(super) fn named(&self) -> usize {
        self.named
    }

    /// Notes that objects were read: where those of an unknown kind live is looked up.
    pub(super) fn note(&mut self, resources: &[Resource]) {
        let is_unknown = |resource: &Resource| {
            Schema::built_in().scope(&resource.api_version(), &resource.kind()).is_none()
        };
        self.uses += usize::from(resources.iter().any(is_unknown));
    }

    /// Reads what a kustomization in directory `root` says under `openapi`.
    pub(super) fn read(
        &mut self,
        tree: Tree<'_>,
        root: &str,
        kustomization: &Kustomization,
        limits: &Limits,
    ) -> Result<(), RenderError> {
        let fail = |message: String| {
            RenderError::at(&kustomization.file, kustomization.mark("openapi"), format!("openapi: {message}"))
        };
        self.named += usize::from(!kustomization.openapi.is_empty());
        let version = kustomization.openapi.get("version").map(String::as_str);
        let Some(path) = kustomization.openapi.get("path") else {
            return match version.unwrap_or_default() {
                _ if self.is_decided => Ok(()),
                "" => Ok(()),
                BUILT_IN_VERSION => {
                    self.is_decided = true;
                    Ok(())
                }
                _ => Err(fail(format!(
                    "the specified OpenAPI version is not built in; only {BUILT_IN_VERSION} is: name a file under path"
                ))),
            };
        };
        let (name, bytes) = tree.load(root, path).map_err(fail)?;
        if self.is_decided {
            return Ok(());
        }
        if version.is_some() {
            return Err(fail("builtin version and custom schema provided, cannot use both".to_owned()));
        }
        let node = first_document(bytes, limits);
        let node = node.map_err(|problem| RenderError::at(name, problem.at, problem.message))?;
        let document = node.map(muster_yaml::Node::into_json).unwrap_or(Value::Null);
        let base = (self.uses > 0).then(Schema::built_in);
        let schema = Schema::from_openapi(&document, base)
            .map_err(|error| RenderError::at_file(name, error.to_string()))?;
        self.own.get_or_init(|| schema);
        self.is_decided = true;
        Ok(())
    }
}
