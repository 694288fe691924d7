//! What does a base build, on its own, if it was not built before?
//!
//! A base starts from nothing, so what it builds depends on nothing but the files it looks at and on
//! what holds for the whole build (`buildMetadata`, the schema). Limits and cycles depend on who
//! names it; they are checked again where it is used again, and where one would be broken the base
//! is built once more, to say so where it should.

use std::sync::Arc;

use super::{
    build::{Builder, Built, Here},
    fields::Found,
    manifests,
    resource::Resource,
    tree::is_below,
};
use crate::{
    RenderError,
    cache::{Key, Made},
    patch::Schema,
};

/// What a base built, and what it took.
#[derive(Debug)]
pub(crate) struct Base {
    built: Built,
    /// Kustomizations built, itself included, and objects read or made on the way.
    kustomizations: usize,
    objects: usize,
    /// Levels of kustomizations below it.
    depth: usize,
    /// The directories of all of them.
    roots: Vec<String>,
    /// Whether the schema was looked into.
    uses_schema: bool,
}

impl Base {
    /// The memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.built.map.list.iter().map(Resource::bytes).sum()
    }
}

/// What a build has taken so far.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) kustomizations: usize,
    pub(super) objects: usize,
    /// The most kustomizations inside one another.
    pub(super) deepest: usize,
    /// The directories entered, if anybody asks.
    pub(super) roots: Vec<String>,
}

impl Builder<'_> {
    /// Builds the base, or takes what it built before.
    pub(super) fn base(&mut self, here: Here<'_>) -> Result<Built, RenderError> {
        let tree = self.tree;
        let Some(session) = tree.session().filter(|_| self.is_plain()) else {
            return self.accumulate(here, Built::default());
        };
        let key = Key::Base(here.root.to_owned());
        if let Some(Made::Base(base)) = session.find(&key)
            && self.take(here, &base)
        {
            return Ok(base.built.clone());
        }
        let since = session.mark();
        let (uses, named) = (self.openapi.uses(), self.openapi.named());
        let outer = std::mem::take(&mut self.taken);
        self.taken.deepest = here.chain.len();
        (self.taken.kustomizations, self.taken.objects) = (outer.kustomizations, outer.objects);
        // Its kustomization was read before.
        self.tree.kustomizations(here.root);
        let built = self.accumulate(here, Built::default());
        let inner = std::mem::replace(&mut self.taken, outer);
        let base = built.map(|built| Base {
            built,
            kustomizations: inner.kustomizations - self.taken.kustomizations,
            objects: inner.objects - self.taken.objects,
            depth: inner.deepest - here.chain.len(),
            roots: inner.roots,
            uses_schema: self.openapi.uses() > uses,
        })?;
        let fits = self.take(here, &base);
        debug_assert!(fits, "what was built within the limits is within them");
        let base = Arc::new(base);
        // One that names a schema changes the rest of the build, or would have, had none been named before.
        if self.is_plain() && self.openapi.named() == named {
            session.keep(key, since, Made::Base(base.clone()));
        }
        Ok(base.built.clone())
    }

    /// The objects of a file.
    pub(super) fn manifest(&self, name: &str, bytes: &[u8]) -> Found<Vec<Resource>> {
        let read = || manifests::read(name, bytes, self.limits);
        let tree = self.tree;
        let Some(session) = tree.session() else { return read() };
        let key = Key::Resources(name.to_owned());
        if let Some(Made::Resources(known)) = session.find(&key) {
            return Ok(known.to_vec());
        }
        let since = session.mark();
        tree.get(name);
        let resources = read()?;
        session.keep(key, since, Made::Resources(Arc::new(resources.clone())));
        Ok(resources)
    }

    /// Whether what a base builds depends on nothing but its files: no origins are asked for, and the
    /// schema is the built-in one.
    fn is_plain(&self) -> bool {
        self.metadata.is_empty() && std::ptr::eq(self.kinds.schema, Schema::built_in())
    }

    /// Counts what a base took; false if it cannot be used here.
    fn take(&mut self, here: Here<'_>, base: &Base) -> bool {
        let taken = &mut self.taken;
        let kustomizations = taken.kustomizations + base.kustomizations;
        let objects = taken.objects + base.objects;
        let deepest = here.chain.len() + base.depth;
        let is_cycle = base.roots.iter().any(|root| here.chain.iter().any(|visited| is_below(visited, root)));
        let fits = kustomizations <= self.limits.kustomizations_max
            && objects <= self.limits.objects_max
            && deepest <= self.limits.bases_depth_max
            && !is_cycle;
        if fits {
            (taken.kustomizations, taken.objects) = (kustomizations, objects);
            taken.deepest = taken.deepest.max(deepest);
            taken.roots.extend(base.roots.iter().cloned());
            if base.uses_schema {
                self.openapi.note_used();
            }
        }
        fits
    }
}
