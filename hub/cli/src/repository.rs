//! What does the repository around a path say: a whole fleet, or only one directory of manifests?

use std::path::Path;

use muster_render::RenderError;
use muster_spec::{App, Catalog, Cluster, Located};

use crate::failure::Failure;
use crate::source::{self, Commit, Files, Reader, WorkTree};

/// A repository, its documents read.
pub(crate) struct Repository {
    /// Where files are read from.
    pub(crate) reader: Box<dyn Reader>,
    /// Everything that may be a document or a manifest, by path from the root.
    pub(crate) manifests: Files,
    /// The documents. Empty when [`Repository::only`] says so.
    pub(crate) catalog: Catalog,
    /// The one directory that is meant, when there are no documents.
    pub(crate) only: Option<String>,
    /// From the root of the work tree of Git to the root of the fleet, as in `deploy/fleet/`; or empty.
    pub(crate) prefix: String,
}

impl Repository {
    /// Reads the repository of `path`: at `revision`, or the files as they lie.
    ///
    /// # Errors
    /// When there is nothing at `path`, or it cannot be read.
    pub(crate) fn open(path: &Path, revision: Option<&str>) -> Result<Repository, Failure> {
        let current = std::env::current_dir()?;
        let place = source::find(path, &current).map_err(unreadable)?;
        let below = |inside: &str| -> Result<Box<dyn Reader>, Failure> {
            match revision {
                Some(_) if !place.is_git => Err(Failure::Repository(format!(
                    "{} is in no Git repository, so it has no revisions",
                    path.display()
                ))),
                Some(revision) => {
                    Ok(Box::new(Commit::open(&place.root, inside, revision).map_err(unreadable)?))
                }
                None if place.is_git => Ok(Box::new(WorkTree::of_git(&place.root.join(inside)))),
                None => Ok(Box::new(WorkTree::new(&place.root.join(inside)))),
            }
        };
        if place.root.join(&place.inside).is_dir() {
            let reader = below(&place.inside)?;
            let manifests = reader.manifests().map_err(unreadable)?;
            let files = manifests.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
            let catalog = Catalog::load(files);
            if !is_empty(&catalog) {
                let prefix =
                    if place.inside.is_empty() { String::new() } else { format!("{}/", place.inside) };
                return Ok(Repository { reader, manifests, catalog, only: None, prefix });
            }
        }
        let reader = below("")?;
        let mut manifests = reader.manifests().map_err(unreadable)?;
        // Only what is meant is looked at; bases elsewhere are read when they are asked for.
        let folder = format!("{}/", place.inside);
        manifests
            .retain(|path, _| place.inside.is_empty() || *path == place.inside || path.starts_with(&folder));
        let catalog = Catalog::default();
        Ok(Repository { reader, manifests, catalog, only: Some(place.inside), prefix: String::new() })
    }

    /// The apps of a cluster.
    pub(crate) fn apps_of(&self, cluster: &Cluster) -> Vec<&Located<App>> {
        self.catalog.apps_for(cluster)
    }
}

fn is_empty(catalog: &Catalog) -> bool {
    catalog.fleet.is_none()
        && catalog.clusters.is_empty()
        && catalog.apps.is_empty()
        && catalog.pins.is_empty()
        && catalog.errors.is_empty()
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn unreadable(error: source::SourceError) -> Failure {
    Failure::Repository(error.to_string())
}

/// A mistake in a document, as a problem at a place.
pub(crate) fn of_document(error: &muster_spec::SpecError) -> RenderError {
    let message = match error.field.as_str() {
        "" => error.message.clone(),
        field => format!("{field}: {}", error.message),
    };
    RenderError { file: error.file.clone(), line: error.line, column: error.column, message }
}
