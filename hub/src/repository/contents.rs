//! Does a revision give a wave anything new?
//!
//! What a track is for the clusters of a wave: the documents of its apps, and Git's ids of everything that
//! is read to render them. Nothing is rendered: equal inputs give equal objects.

use std::collections::{BTreeMap, BTreeSet};

use muster_git::{GitError, Mirror, ReadLimits, Revision};
use muster_render::{Limits, gather};
use muster_spec::{App, Cluster, Document};
use ring::digest::{Context, SHA256};

use crate::authority::hex;

/// Digests of what directories render from, by revision.
#[derive(Default)]
pub(super) struct Contents {
    known: BTreeMap<Revision, BTreeMap<String, Option<String>>>,
}

impl Contents {
    /// What these apps are for these clusters at a revision: equal where nothing differs, `None` when it
    /// cannot be read.
    pub(super) fn of<'a>(
        &mut self,
        mirror: &Mirror,
        revision: Revision,
        apps: impl Iterator<Item = &'a App>,
        clusters: &[&Cluster],
    ) -> Option<String> {
        let mut all = Context::new(&SHA256);
        let mut add = |text: &str| {
            all.update(&text.len().to_be_bytes());
            all.update(text.as_bytes());
        };
        for app in apps {
            add(&Document::App(app.clone()).to_yaml().ok()?);
            // The document names the commit of another repository; with a branch there agents refuse it.
            if app.spec.source.repo.is_some() {
                continue;
            }
            let chosen = clusters.iter().filter(|cluster| app.spec.clusters.selects(cluster));
            let paths: Result<BTreeSet<String>, _> = chosen.map(|cluster| app.source_path(cluster)).collect();
            for path in paths.ok()? {
                add(&path);
                add(&self.directory(mirror, revision, &path)?);
            }
        }
        Some(hex(all.finish().as_ref()))
    }

    /// Forgets all but these revisions.
    pub(super) fn retain(&mut self, revisions: &BTreeSet<Revision>) {
        self.known.retain(|revision, _| revisions.contains(revision));
    }

    fn directory(&mut self, mirror: &Mirror, revision: Revision, path: &str) -> Option<String> {
        let known = self.known.entry(revision).or_default();
        if let Some(known) = known.get(path) {
            return known.clone();
        }
        let digest = inputs(mirror, &revision, path).ok();
        known.insert(path.to_owned(), digest.clone());
        digest
    }
}

/// A digest of the ids of all that an app in this directory is made of.
fn inputs(mirror: &Mirror, revision: &Revision, path: &str) -> Result<String, GitError> {
    let mut all = Context::new(&SHA256);
    gather(path, &Limits::default(), |path| {
        let id = mirror.identify(revision, path)?;
        all.update(format!("{path}\0{}\0", id.as_deref().unwrap_or("none")).as_bytes());
        let tree = match mirror.read(revision, path, &ReadLimits::default()) {
            Ok(tree) => tree,
            Err(GitError::PathMissing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // What a link leads to is not in the id of its directory.
        let has_links = tree.has_links();
        let files = tree.into_files();
        if has_links {
            for (name, bytes) in &files {
                all.update(format!("{name}\0{}\0", bytes.len()).as_bytes());
                all.update(bytes);
            }
        }
        Ok::<_, GitError>(Some(files))
    })?;
    Ok(hex(all.finish().as_ref()))
}
