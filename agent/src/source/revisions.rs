//! Which revisions are pinned for this cluster's wave, and what do the documents say at each?
//!
//! ```text
//! pin --> is it on the branch? --no--> refused
//!            | yes: fetched, kept in the mirror; from then on it is taken without the server
//!            v
//!         documents, read once a revision
//! ```
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_git::{GitError, Mirror, ReadLimits, Revision};
use muster_spec::{Catalog, TrackName, WaveName};

use super::pins::{self, Pinned};
use super::read::Reading;
use super::{Kind, Problem};

/// The documents of revisions that are in use.
#[derive(Default)]
pub(super) struct Catalogs {
    known: BTreeMap<Revision, Arc<Catalog>>,
}

impl Catalogs {
    /// All documents at a revision.
    ///
    /// # Errors
    /// The revision cannot be read.
    pub(super) fn at(&mut self, mirror: &Mirror, revision: Revision) -> Result<Arc<Catalog>, GitError> {
        if let Some(known) = self.known.get(&revision) {
            return Ok(Arc::clone(known));
        }
        // What no document can be in is not loaded; what is too large to be one is left out.
        let limits = ReadLimits { skip_refused: true, ..ReadLimits::default() };
        let tree = mirror.read_matching(&revision, "", &limits, &is_manifest)?;
        let files = tree.files().iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        let catalog = Arc::new(Catalog::load(files));
        self.known.insert(revision, Arc::clone(&catalog));
        Ok(catalog)
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, revisions: &BTreeSet<Revision>) {
        self.known.retain(|revision, _| revisions.contains(revision));
    }
}

fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

/// The pinned tracks of a wave, as far as this cluster is concerned.
#[derive(Default)]
pub(super) struct Tracks {
    pub(super) tracks: BTreeMap<TrackName, Pinned>,
    /// What is wrong with pins of no track that is known.
    pub(super) problems: Vec<Problem>,
}

impl Tracks {
    /// True when every pin there is can be followed, and there is one: else an app may seem to be gone only
    /// because its pin is.
    pub(super) fn is_complete(&self) -> bool {
        let is_refused = |pinned: &Pinned| matches!(pinned, Pinned::Refused(_));
        !self.tracks.is_empty() && self.problems.is_empty() && !self.tracks.values().any(is_refused)
    }
}

impl Reading<'_> {
    /// Reads the pins of a wave at `pins` and the documents at each pinned revision; `None` when the server
    /// would have to be asked.
    pub(super) fn pinned(
        &mut self,
        pins: Option<Revision>,
        wave: &WaveName,
    ) -> Result<Option<Tracks>, GitError> {
        let Some(pins) = pins else { return Ok(Some(Tracks::default())) };
        let directory = format!("waves/{wave}");
        let files = match self.mirror.read(&pins, &directory, &ReadLimits::default()) {
            Ok(tree) => tree.into_files(),
            Err(GitError::PathMissing { .. }) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let asked = pins::asked(&files, wave, self.cluster);
        let all: BTreeSet<Revision> = asked.revisions.values().copied().collect();
        let new: Vec<Revision> =
            all.iter().filter(|revision| !self.mirror.keeps(revision)).copied().collect();
        if !new.is_empty() && !self.fetch {
            return Ok(None);
        }
        let refused = self.accept(&new)?;
        let mut tracks = Tracks { tracks: BTreeMap::new(), problems: asked.unclear };
        tracks.tracks.extend(asked.refused.into_iter().map(|(track, why)| (track, Pinned::Refused(why))));
        for (track, revision) in asked.revisions {
            let pinned = match refused.get(&revision) {
                Some(problem) => Pinned::Refused(problem.clone()),
                None => {
                    let checked = self.signers.check_commit(self.mirror, &revision);
                    match checked.and_then(|()| self.catalogs.at(self.mirror, revision)) {
                        Ok(catalog) => Pinned::At(revision, catalog),
                        Err(error) => Pinned::Refused(refusal(&revision, &error.to_string())),
                    }
                }
            };
            tracks.tracks.insert(track, pinned);
        }
        let kept: Vec<Revision> =
            all.into_iter().filter(|revision| !refused.contains_key(revision)).collect();
        self.mirror.keep(&kept)?;
        Ok(Some(tracks))
    }

    /// Makes sure that revisions are on the branch and here; says why those that are not cannot be followed.
    fn accept(&mut self, new: &[Revision]) -> Result<BTreeMap<Revision, Problem>, GitError> {
        let mut refused = BTreeMap::new();
        if new.is_empty() {
            return Ok(refused);
        }
        let history: BTreeSet<Revision> = self.mirror.history(self.branch, new)?.into_iter().collect();
        for revision in new {
            if !history.contains(revision) {
                let why = format!("it is not on the branch {}", self.branch);
                refused.insert(*revision, refusal(revision, &why));
                continue;
            }
            match self.mirror.fetch_revision(revision, &[self.branch]) {
                Ok(()) => {}
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => drop(refused.insert(*revision, refusal(revision, &error.to_string()))),
            }
        }
        Ok(refused)
    }
}

fn refusal(revision: &Revision, why: &str) -> Problem {
    let message = format!(
        "The pinned revision {revision} cannot be followed: {why}. The app stays as it is; pin another."
    );
    Problem { kind: Kind::Git, place: String::new(), message }
}
