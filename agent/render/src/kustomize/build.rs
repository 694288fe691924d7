//! Which kustomizations lie below one, and what do they build together?
//!
//! ```text
//! resources (files; directories, each a whole build) -> configurations, crds -> generators
//!   -> components (work on what is there) -> transformers -> validators -> vars
//! once, at the end: name hashes -> references -> vars put in place -> order
//! ```

use std::cell::OnceCell;

use muster_yaml::Mark;

use super::{
    bases::Taken,
    config,
    fields::Problem,
    finish::finish,
    generate::{generate, merge_options},
    identity::Kinds,
    kustomization::Kustomization,
    openapi::OpenApi,
    plan::{self, Sources},
    references,
    resmap::ResMap,
    specs::Specs,
    transform::{Transformer, hashes},
    tree::{Tree, is_below, shown},
    vars::Vars,
};
use crate::{Limits, Object, RenderError};

/// A transformer and where it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: Mark,
    pub(super) transformer: Transformer,
    /// How `buildMetadata` describes one that is an object of its own.
    pub(super) configured: Option<String>,
}

/// What has been built so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Built {
    pub(super) map: ResMap,
    pub(super) specs: Specs,
    vars: Vars,
}

/// One kustomization on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'k> {
    pub(super) kustomization: &'k Kustomization,
    /// Its directory.
    pub(super) root: &'k str,
    /// The directories from the first kustomization to this one.
    pub(super) chain: &'k [String],
    /// The way here as the kustomizations name it, for `buildMetadata`.
    pub(super) origin: &'k str,
}

impl Here<'_> {
    pub(super) fn fail<T>(&self, field: &str, message: impl Into<String>) -> Result<T, RenderError> {
        Err(RenderError::at(&self.kustomization.file, self.kustomization.mark(field), message))
    }

    fn problem(&self, problem: Problem) -> RenderError {
        RenderError::at(&self.kustomization.file, problem.at, problem.message)
    }
}

pub(super) struct Builder<'f> {
    pub(super) tree: Tree<'f>,
    pub(super) limits: &'f Limits,
    pub(super) openapi: OpenApi<'f>,
    /// What `openapi` knows now.
    pub(super) kinds: Kinds<'f>,
    /// What `buildMetadata` of the first kustomization says.
    pub(super) metadata: Vec<String>,
    pub(super) taken: Taken,
}

/// Builds the kustomization in a directory.
pub(crate) fn build(tree: Tree<'_>, root: &str, limits: &Limits) -> Result<Vec<Object>, RenderError> {
    let kustomization = find(tree, root, limits)?;
    let schema = OnceCell::new();
    let mut openapi = OpenApi::new(&schema);
    openapi.read(tree, root, &kustomization, limits)?;
    let metadata = kustomization.build_metadata.clone();
    let kinds = openapi.kinds();
    let mut builder = Builder { tree, limits, openapi, kinds, metadata, taken: Taken::default() };
    let chain = [root.to_owned()];
    let here = Here { kustomization: &kustomization, root, chain: &chain, origin: "" };
    let mut built = builder.accumulate(here, Built::default())?;
    let kinds = builder.kinds;
    let fail = |message: String| here.fail::<()>("resources", message).err();
    hashes(&mut built.map, kinds);
    let fixed = references::fix(&mut built.map, &built.specs.name_references, kinds)
        .and_then(|()| built.vars.resolve(&mut built.map, &built.specs.vars));
    if let Some(error) = fixed.err().and_then(fail) {
        return Err(error);
    }
    finish(here, built.map, kinds, &builder.metadata)
}

/// The kustomization of a directory.
fn find(tree: Tree<'_>, root: &str, limits: &Limits) -> Result<Kustomization, RenderError> {
    match tree.kustomizations(root).as_slice() {
        [(file, bytes)] => Kustomization::read(file, bytes, limits).map_err(|Problem { at, message }| {
            RenderError::at(file, at, format!("invalid Kustomization: {message}"))
        }),
        [] => Err(RenderError::at_file(
            shown(root),
            "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in this directory",
        )),
        _ => Err(RenderError::at_file(
            shown(root),
            format!("Found multiple kustomization files under: {}", shown(root)),
        )),
    }
}

impl Builder<'_> {
    /// Adds what a kustomization builds to what is there.
    pub(super) fn accumulate(&mut self, here: Here<'_>, mut built: Built) -> Result<Built, RenderError> {
        self.taken.kustomizations += 1;
        self.taken.deepest = self.taken.deepest.max(here.chain.len());
        if self.taken.kustomizations > self.limits.kustomizations_max {
            let message = format!("more than {} kustomizations are built", self.limits.kustomizations_max);
            return here.fail("resources", message);
        }
        if here.chain.len() > self.limits.bases_depth_max {
            let message = format!("bases are nested deeper than {} levels", self.limits.bases_depth_max);
            return here.fail("resources", message);
        }
        self.resources(here, &here.kustomization.resources, "resources", &mut built)?;
        self.configure(here, &mut built)?;
        self.generate(here, &mut built)?;
        for path in &here.kustomization.components {
            built = self.directory(here, path, "components", built, true)?;
        }
        let sources = self.sources(here);
        let mut steps = plan::steps(here.kustomization, &built.specs, sources)
            .map_err(|problem| here.problem(problem))?;
        steps.extend(self.external(here, &here.kustomization.transformers, "transformers")?);
        self.run(here, &steps, &mut built)?;
        self.validate(here, &mut built)?;
        let vars = &here.kustomization.vars;
        if let Err(message) = built.vars.add(vars, &mut built.map, self.kinds) {
            return here.fail("vars", message);
        }
        Ok(built)
    }

    pub(super) fn sources<'k>(&self, here: Here<'k>) -> Sources<'k>
    where
        Self: 'k,
    {
        // The tree and the limits live as long as the builder.
        Sources { tree: self.tree, root: here.root, file: &here.kustomization.file, limits: self.limits }
    }

    /// Adds files and directories.
    pub(super) fn resources(
        &mut self,
        here: Here<'_>,
        paths: &[String],
        field: &str,
        built: &mut Built,
    ) -> Result<(), RenderError> {
        for path in paths {
            match self.tree.load(here.root, path) {
                Ok((name, bytes)) => {
                    let mut resources = self
                        .manifest(name, bytes)
                        .map_err(|problem| RenderError::at(name, problem.at, problem.message))?;
                    self.count(here, resources.len())?;
                    self.openapi.note(&resources);
                    if !self.metadata.is_empty() {
                        let origin = format!("path: {}\n", join(here.origin, path));
                        resources.iter_mut().for_each(|resource| resource.origin = Some(origin.clone()));
                    }
                    if let Err(message) = built.map.append_all(resources, self.kinds) {
                        return here.fail(field, format!("merging resources from '{path}': {message}"));
                    }
                }
                Err(file_error) => match self.tree.directory(here.root, path) {
                    Ok(_) => *built = self.directory(here, path, field, std::mem::take(built), false)?,
                    Err(_) => return here.fail(field, file_error),
                },
            }
        }
        Ok(())
    }

    fn count(&mut self, here: Here<'_>, more: usize) -> Result<(), RenderError> {
        self.taken.objects += more;
        if self.taken.objects > self.limits.objects_max {
            return here
                .fail("resources", format!("more than {} objects; split the app", self.limits.objects_max));
        }
        Ok(())
    }

    /// Adds a base, or lets a component work on what is there.
    fn directory(
        &mut self,
        here: Here<'_>,
        path: &str,
        field: &str,
        mut built: Built,
        is_component: bool,
    ) -> Result<Built, RenderError> {
        let root = self.tree.directory(here.root, path).or_else(|message| here.fail(field, message))?;
        if let Some(visited) = here.chain.iter().find(|visited| is_below(visited, &root)) {
            let message = format!(
                "cycle detected: candidate root '{}' contains visited root '{}'",
                shown(&root),
                shown(visited)
            );
            return here.fail(field, message);
        }
        let kustomization = find(self.tree, &root, self.limits)?;
        self.openapi.read(self.tree, &root, &kustomization, self.limits)?;
        self.kinds = self.openapi.kinds();
        if is_component != kustomization.is_component {
            let message = if is_component {
                format!("expected kind 'Component' for path '{root}' but got 'Kustomization'")
            } else {
                format!("expected kind != 'Component' for path '{root}'; name it under components")
            };
            return here.fail(field, message);
        }
        let mut chain = here.chain.to_vec();
        chain.push(root.clone());
        self.taken.roots.push(root.clone());
        let origin = join(here.origin, path);
        let below = Here { kustomization: &kustomization, root: &root, chain: &chain, origin: &origin };
        if is_component {
            return self.accumulate(below, built);
        }
        let base = self.base(below)?;
        let merged = built
            .map
            .append_all(base.map.list, self.kinds)
            .and_then(|()| built.specs.merge(&base.specs))
            .and_then(|()| built.vars.merge(&base.vars));
        match merged {
            Ok(()) => Ok(built),
            Err(message) => here.fail(field, format!("recursed merging from path '{path}': {message}")),
        }
    }

    /// Adds the built-in tables and those of `configurations` and `crds`.
    fn configure(&self, here: Here<'_>, built: &mut Built) -> Result<(), RenderError> {
        let mut specs = Specs::default();
        for path in &here.kustomization.configurations {
            let loaded = self.tree.load(here.root, path);
            let (name, bytes) = loaded.or_else(|message| here.fail("configurations", message))?;
            let more = config::read(bytes, self.limits)
                .map_err(|problem| RenderError::at(name, problem.at, problem.message))?;
            specs.merge(&more).or_else(|message| here.fail("configurations", message))?;
        }
        let is_first = built.specs == Specs::default();
        if here.kustomization.configurations.is_empty() && (is_first || built.specs == *Specs::built_in()) {
            built.specs = Specs::built_in().clone();
        } else {
            // A spec for all kinds is lost behind one for some kinds, so the order of merging counts.
            let mut own = Specs::built_in().clone();
            own.merge(&specs).or_else(|message| here.fail("configurations", message))?;
            built.specs.merge(&own).or_else(|message| here.fail("configurations", message))?;
        }
        for path in &here.kustomization.crds {
            let (name, bytes) =
                self.tree.load(here.root, path).or_else(|message| here.fail("crds", message))?;
            let more = config::read_crds(bytes, self.limits)
                .map_err(|problem| RenderError::at(name, problem.at, problem.message))?;
            built.specs.merge(&more).or_else(|message| here.fail("crds", message))?;
        }
        Ok(())
    }

    fn generate(&mut self, here: Here<'_>, built: &mut Built) -> Result<(), RenderError> {
        let kustomization = here.kustomization;
        let config_maps = kustomization.config_maps.iter().map(|generator| ("configMapGenerator", generator));
        let secrets = kustomization.secrets.iter().map(|generator| ("secretGenerator", generator));
        for (field, generator) in config_maps.chain(secrets) {
            let mut generator = generator.clone();
            merge_options(&mut generator.options, kustomization.generator_options.as_ref());
            let kind = if generator.secret_type.is_some() { "SecretGenerator" } else { "ConfigMapGenerator" };
            let origin = self.configured_by(here, kind);
            self.absorb_generated(here, field, &generator, origin, built)?;
        }
        self.external_generators(here, built)
    }

    pub(super) fn absorb_generated(
        &mut self,
        here: Here<'_>,
        field: &str,
        generator: &super::kustomization::Generator,
        origin: Option<String>,
        built: &mut Built,
    ) -> Result<(), RenderError> {
        let line = here.kustomization.mark(field).line;
        let file = &here.kustomization.file;
        let generated = generate(generator, self.tree, here.root, file, line);
        let mut resource = generated.or_else(|message| here.fail(field, message))?;
        resource.origin = origin;
        self.count(here, 1)?;
        built.map.absorb(resource, self.kinds).or_else(|message| here.fail(field, message))
    }

    /// How `buildMetadata` describes a built-in generator or transformer.
    pub(super) fn configured_by(&self, here: Here<'_>, kind: &str) -> Option<String> {
        if self.metadata.is_empty() {
            return None;
        }
        let file = here.kustomization.file.rsplit('/').next().unwrap_or_default();
        let path = join(here.origin, file);
        Some(format!("configuredIn: {path}\nconfiguredBy:\n  apiVersion: builtin\n  kind: {kind}\n"))
    }

    pub(super) fn run(
        &mut self,
        here: Here<'_>,
        steps: &[Step],
        built: &mut Built,
    ) -> Result<(), RenderError> {
        for step in steps {
            if step.transformer.merges() {
                self.openapi.note_used();
            }
            step.transformer
                .run(&mut built.map, self.kinds)
                .map_err(|message| RenderError::at(&here.kustomization.file, step.at, message))?;
            let origin =
                step.configured.clone().or_else(|| self.configured_by(here, step.transformer.kind()));
            if let Some(origin) = origin.filter(|_| !self.metadata.is_empty()) {
                for resource in &mut built.map.list {
                    match resource.origin {
                        None => resource.origin = Some(origin.clone()),
                        Some(_) => resource.transformations.push(origin.clone()),
                    }
                }
            }
            built.map.drop_empty();
        }
        Ok(())
    }

    fn validate(&mut self, here: Here<'_>, built: &mut Built) -> Result<(), RenderError> {
        let steps = self.external(here, &here.kustomization.validators, "validators")?;
        for step in steps {
            let before = built.map.clone();
            self.run(here, &[step], built)?;
            let same = before.list.iter().map(|resource| &resource.value);
            if !same.eq(built.map.list.iter().map(|resource| &resource.value)) {
                return here.fail("validators", "validator shouldn't modify the resource map");
            }
        }
        Ok(())
    }
}

/// A path below another, without `.` and, where that can be, `..`.
pub(super) fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}
