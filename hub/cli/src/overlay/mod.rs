//! How do the images of one wave's overlay come to another's?
//!
//! ```text
//! app + wave --Fleet, Cluster documents--> its overlays --images--> the kustomizations of the other wave, edited
//!                                                                   --commit--> a branch
//! ```
//! For teams that promote image tags, not commits: each wave has a directory of its own, and a promotion is an
//! edit of the next one.

mod commit;
mod edit;
mod images;

use std::collections::BTreeSet;

use muster_spec::{App, Located};

pub(crate) use commit::Git;
pub(crate) use images::ImageChange;

use crate::failure::{Failure, nearest};
use crate::repository::Repository;

/// Names under which Kustomize looks for its file.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What is to be promoted.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) app: &'a str,
    /// The wave whose overlay has the images.
    pub(crate) from: &'a str,
    /// The wave whose overlays get them.
    pub(crate) to: &'a str,
    /// Names of images; none for all.
    pub(crate) images: &'a [String],
}

/// A file as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    /// From the root of the fleet.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) images: Vec<ImageChange>,
}

/// The files that change; none when the images are the same.
///
/// # Errors
/// The documents do not say which overlays are meant, or a file cannot be edited.
pub(crate) fn plan(repository: &Repository, wanted: &Wanted<'_>) -> Result<Vec<Edited>, Failure> {
    let apps = &repository.catalog.apps;
    let app = apps.values().find(|app| app.value.name().as_str() == wanted.app);
    let app = app.ok_or_else(|| Failure::NoDocument {
        kind: "App",
        name: wanted.app.to_owned(),
        nearest: nearest(wanted.app, apps.keys().map(muster_spec::AppName::as_str)),
    })?;
    let sources = overlays(repository, app, wanted.from)?;
    let source = match sources.iter().collect::<Vec<_>>()[..] {
        [one] => one,
        _ => {
            let all = sources.into_iter().collect::<Vec<_>>().join(", ");
            let (wave, app) = (wanted.from, wanted.app);
            return Err(failed(format!("the clusters of {wave} have several overlays of {app}: {all}")));
        }
    };
    let targets = overlays(repository, app, wanted.to)?;
    if targets.contains(source) {
        return Err(failed(format!(
            "{} and {} both use {source}; revisions of it move through the waves by themselves",
            wanted.from, wanted.to
        )));
    }
    let (_, from) = kustomization(repository, source)?;
    let mut edited = Vec::new();
    for target in &targets {
        let (path, to) = kustomization(repository, target)?;
        let (text, images) = images::carry(&from, &to, wanted.images)
            .map_err(|error| failed(format!("{path}: {error} (from {source})")))?;
        if !images.is_empty() {
            edited.push(Edited { path, text, images });
        }
    }
    Ok(edited)
}

/// The directories that the app has in the clusters of a wave.
fn overlays(repository: &Repository, app: &Located<App>, wave: &str) -> Result<BTreeSet<String>, Failure> {
    let catalog = &repository.catalog;
    let fleet = catalog.fleet.as_ref().map(|fleet| &fleet.value);
    let waves = fleet.map(|fleet| fleet.spec.waves.as_slice()).unwrap_or_default();
    if !waves.iter().any(|one| one.name.as_str() == wave) {
        let names: Vec<&str> = waves.iter().map(|one| one.name.as_str()).collect();
        return Err(failed(match names[..] {
            [] => "the fleet has no waves".to_owned(),
            _ => format!("there is no wave {wave}; there are {}", names.join(", ")),
        }));
    }
    let clusters = catalog.clusters.values().map(|cluster| &cluster.value).filter(|cluster| {
        let of = fleet.and_then(|fleet| fleet.wave_of(cluster));
        of.is_some_and(|of| of.name.as_str() == wave) && app.value.spec.clusters.selects(cluster)
    });
    let paths = clusters.map(|cluster| {
        let path = app.value.source_path(cluster);
        path.map_err(|error| failed(format!("{}: {error}", app.place())))
    });
    let paths: BTreeSet<String> = paths.collect::<Result<_, _>>()?;
    if paths.is_empty() {
        return Err(failed(format!("no cluster of the wave {wave} has the app {}", app.value.name())));
    }
    Ok(paths)
}

/// The kustomization in a directory: its path and text.
fn kustomization(repository: &Repository, directory: &str) -> Result<(String, String), Failure> {
    for name in KUSTOMIZATIONS {
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let Ok(files) = repository.reader.read(&path) else { continue };
        if let Some(bytes) = files.get(&path) {
            let text = String::from_utf8(bytes.clone());
            let text = text.map_err(|_| failed(format!("{path}: it is not UTF-8")))?;
            return Ok((path, text));
        }
    }
    Err(failed(format!("there is no kustomization.yaml in {directory}")))
}

fn failed(message: String) -> Failure {
    Failure::Repository(message)
}

#[cfg(test)]
mod tests;
