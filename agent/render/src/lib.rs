//! Which Kubernetes objects does a directory of a repository stand for?
//!
//! ```text
//! files below a path -> source (which of them count) -> muster-yaml (kubectl's reading)
//!   -> objects (lists taken apart, checked) -> no object twice -> Vec<Object>
//! ```
//!
//! Pure: named bytes in, objects or errors with file and line out. No file system, network, clock
//! or processes, so the same commit gives the same objects everywhere, and rendering can be tried
//! in a test or on a laptop.
//!
//! YAML is read by the crate `muster-yaml`, which the documents of a fleet are read by as well.

#![forbid(unsafe_code)]

mod app;
pub mod applied;
mod cache;
pub mod difference;
mod directory;
mod error;
mod kustomize;
mod object;
pub mod order;
mod patch;
mod pattern;
mod substitute;
mod unique;

use std::{collections::BTreeMap, sync::Arc};

use cache::{Key, Made};
use kustomize::Tree;

pub use app::{Source, gather, render_app};
pub use cache::{Cache, Counts, Repository, Use};
pub use error::{RenderError, RenderErrors};
pub use muster_yaml::Limits as YamlLimits;
pub use object::Object;
pub use substitute::Substitutions;

/// Files of a repository: their content by their path from its root, with `/` between parts.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How much one app may ask for. Every limit has an error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Manifests below the path.
    pub files_max: usize,
    /// Bytes of all manifests below the path.
    pub bytes_max: usize,
    /// Objects rendered, after lists are taken apart.
    pub objects_max: usize,
    /// Kustomizations built, each as often as it is named.
    pub kustomizations_max: usize,
    /// Kustomizations inside one another.
    pub bases_depth_max: usize,
    /// What one file may hold.
    pub yaml: YamlLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            files_max: 10_000,
            bytes_max: 64 << 20,
            objects_max: 50_000,
            kustomizations_max: 5_000,
            bases_depth_max: 64,
            yaml: YamlLimits::default(),
        }
    }
}

/// Renders the directory at `path`, relative to the root and without `.` or `..`; empty is the
/// root itself. `files` may hold more than that directory. A path that names a file renders it.
///
/// A directory with a kustomization gives what `kubectl kustomize` builds of it, in its order.
/// Without one, objects come in the order of their files' names and, in a file, in its own order. Documents of
/// Muster itself (`muster.dev/...`) are left out, so apps and their documents can share a folder.
///
/// # Errors
/// Everything that is wrong, not only the first thing. Nothing of an app with errors should be
/// applied, and nothing pruned for it.
pub fn render(files: &Files, path: &str, limits: &Limits) -> Result<Vec<Object>, RenderErrors> {
    render_tree(Tree::new(files), path, limits)
}

pub(crate) fn render_tree(tree: Tree<'_>, path: &str, limits: &Limits) -> Result<Vec<Object>, RenderErrors> {
    let path = directory::normal(path).map_err(|error| RenderErrors(vec![error]))?;
    let mut errors = Vec::new();
    let mut objects = Vec::new();
    if directory::is_kustomization(tree, path) {
        objects = kustomize::build(tree, path, limits).map_err(|error| RenderErrors(vec![error]))?;
        unique::check(&objects, &mut errors);
        return if errors.is_empty() { Ok(objects) } else { Err(RenderErrors(errors)) };
    }
    match directory::manifests(tree, path, limits) {
        Ok(manifests) => {
            for (file, bytes) in manifests {
                manifest(tree, file, bytes, limits, &mut objects, &mut errors);
                if objects.len() > limits.objects_max {
                    let message = format!("more than {} objects; split the app", limits.objects_max);
                    errors.push(RenderError::at_file(file, message));
                    break;
                }
            }
        }
        Err(found) => errors.extend(found),
    }
    unique::check(&objects, &mut errors);
    if errors.is_empty() { Ok(objects) } else { Err(RenderErrors(errors)) }
}

/// Reads the objects of one file of a plain directory.
fn manifest(
    tree: Tree<'_>,
    file: &str,
    bytes: &[u8],
    limits: &Limits,
    objects: &mut Vec<Object>,
    errors: &mut Vec<RenderError>,
) {
    let Some(session) = tree.session() else {
        return object::read_file(file, bytes, limits, objects, errors);
    };
    let key = Key::Manifest(file.to_owned());
    let known = match session.find(&key) {
        Some(Made::Manifest(known)) => known,
        _ => {
            let since = session.mark();
            tree.get(file);
            let mut made = (Vec::new(), Vec::new());
            object::read_file(file, bytes, limits, &mut made.0, &mut made.1);
            let made = Arc::new(made);
            session.keep(key, since, Made::Manifest(made.clone()));
            made
        }
    };
    objects.extend(known.0.iter().cloned());
    errors.extend(known.1.iter().cloned());
}
