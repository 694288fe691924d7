//! What is read from the mirror, and fetched for it?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_git::{AllowedSigners, GitError, Mirror, ReadLimits};
use muster_spec::{Catalog, Revision, TrackName, WaveName, WavePinSpec};

use super::round::{State, sentence};
use super::scene::Scene;
use crate::waves::{Author, TakenBack, taken_back};

/// Fewest digits of an abbreviated revision.
const DIGITS_MIN: usize = 7;

impl State {
    /// Everything of the repository that is needed, with the branch at `head` and that of pins at `pins`.
    pub(super) fn read_scene(
        &mut self,
        head: muster_git::Revision,
        pins: Option<muster_git::Revision>,
    ) -> Result<Scene, GitError> {
        let old = Arc::clone(&self.scene);
        let branch = self.settings.branch.clone();
        let signed_by = self.settings.pin_signers()?;
        let mirror = self.mirror()?;
        let mut scene = Scene { head: Some(spec(head)), ..Scene::default() };
        if let Some(pins) = pins {
            read_pins(mirror, &pins, &mut scene)?;
            scene.unsigned = unsigned(mirror, &pins, signed_by.as_ref());
        }
        let mut wanted: BTreeSet<Revision> =
            scene.pins.keys().flat_map(|(_, track)| scene.revisions(track)).collect();
        wanted.retain(|revision| scene.head.as_ref() != Some(revision));
        let asked: Vec<muster_git::Revision> = wanted.iter().filter_map(git).collect();
        let history = mirror.history(&branch, &asked)?;
        scene.positions = history.iter().enumerate().map(|(at, commit)| (spec(*commit), at)).collect();
        scene.taken_back = self.taken_back(&scene, pins)?;
        let mirror = self.mirror()?;
        let mut kept = Vec::new();
        for revision in asked.iter().chain([&head]) {
            let name = spec(*revision);
            if !scene.positions.contains_key(&name) {
                scene.remarks.push(format!("The pinned revision {name} is not on the branch {branch}."));
                continue;
            }
            match mirror.fetch_revision(revision, &[&branch]) {
                Ok(()) => kept.push(*revision),
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => {
                    scene.remarks.push(sentence(&error));
                    continue;
                }
            }
            scene.authors.extend(author(mirror, revision)?.map(|author| (name.clone(), author)));
            let catalog = match old.catalogs.get(&name) {
                Some(known) => Arc::clone(known),
                None => Arc::new(read_catalog(mirror, revision)?),
            };
            scene.catalogs.insert(name, catalog);
        }
        mirror.keep(&kept)?;
        scene.arrange();
        self.contents.retain(&kept.iter().copied().collect());
        self.compare(&mut scene, &kept)?;
        Ok(scene)
    }

    /// Pins that somebody put behind the hub's last word.
    fn taken_back(
        &mut self,
        scene: &Scene,
        pins: Option<muster_git::Revision>,
    ) -> Result<BTreeMap<(WaveName, TrackName), TakenBack>, GitError> {
        let Some(newest) = pins else { return Ok(BTreeMap::new()) };
        let branch = self.settings.pins_branch.clone();
        let mut moved = std::mem::take(&mut self.moved);
        let followed = self.mirror().and_then(|mirror| moved.follow(mirror, &branch, newest));
        self.moved = moved;
        followed?;
        let found = self.moved.last().iter().filter_map(|(key, last)| {
            let none = || WavePinSpec::new(key.0.clone(), key.1.clone());
            let pin = scene.pins.get(key).cloned().unwrap_or_else(none);
            let revision = taken_back(&pin, last, &scene.facts(&key.1))?;
            Some((key.clone(), TakenBack { revision, by: self.moved.by_hand().to_owned() }))
        });
        Ok(found.collect())
    }

    /// Tells for each track and wave what each revision gives it.
    fn compare(&mut self, scene: &mut Scene, revisions: &[muster_git::Revision]) -> Result<(), GitError> {
        self.mirror()?;
        let Some(mirror) = &self.mirror else { return Ok(()) };
        let mut found = BTreeMap::new();
        for number in 0..scene.waves().len() {
            let clusters: Vec<_> = scene.clusters(number).collect();
            for track in scene.tracks() {
                let own = scene.revisions(&track);
                for revision in revisions {
                    let name = spec(*revision);
                    if !own.contains(&name) {
                        continue;
                    }
                    let apps = scene.apps(&track, &name);
                    if let Some(content) = self.contents.of(mirror, *revision, apps, &clusters) {
                        found.insert((track.clone(), number, name), content);
                    }
                }
            }
        }
        scene.contents = found;
        Ok(())
    }

    /// The commit of the branch that a text names, or begins.
    pub(super) fn resolve(&mut self, text: &str) -> Result<Revision, String> {
        let text = text.to_ascii_lowercase();
        if text.len() < DIGITS_MIN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{text:?} is no commit; give at least {DIGITS_MIN} digits of its id."));
        }
        let branch = self.settings.branch.clone();
        if let Ok(revision) = text.parse::<muster_git::Revision>() {
            let history = self.mirror().and_then(|mirror| mirror.history(&branch, &[revision]));
            let history = history.map_err(|error| sentence(&error))?;
            return if history.contains(&revision) {
                Ok(spec(revision))
            } else {
                Err(format!("The revision {text} is not on the branch {branch}."))
            };
        }
        let history = self.mirror().and_then(|mirror| mirror.log(&branch, usize::MAX));
        let history = history.map_err(|error| sentence(&error))?;
        let mut found = history.iter().filter(|commit| commit.to_string().starts_with(&text));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(spec(*one)),
            (Some(_), Some(_)) => Err(format!("Several commits begin with {text}; give more digits.")),
            (None, _) => Err(format!("No commit of the branch {branch} begins with {text}.")),
        }
    }

    /// Adds a revision to the scene.
    pub(super) fn learn(&mut self, revision: Option<&Revision>) -> Result<(), GitError> {
        let Some(revision) = revision.filter(|revision| !self.scene.catalogs.contains_key(*revision)) else {
            return Ok(());
        };
        let Some(id) = git(revision) else { return Ok(()) };
        let branch = self.settings.branch.clone();
        let mirror = self.mirror()?;
        mirror.fetch_revision(&id, &[&branch])?;
        let history = mirror.history(&branch, &[id])?;
        let catalog = Arc::new(read_catalog(mirror, &id)?);
        let made_by = author(mirror, &id)?.map(|author| (revision.clone(), author));
        let mut scene = Scene {
            head: self.scene.head.clone(),
            catalogs: self.scene.catalogs.clone(),
            pins: self.scene.pins.clone(),
            positions: history.iter().enumerate().map(|(at, commit)| (spec(*commit), at)).collect(),
            authors: self.scene.authors.clone().into_iter().chain(made_by).collect(),
            contents: BTreeMap::new(),
            remarks: self.scene.remarks.clone(),
            blocked: self.scene.blocked.clone(),
            unclear: self.scene.unclear.clone(),
            unsigned: self.scene.unsigned.clone(),
            taken_back: self.scene.taken_back.clone(),
            asked: self.scene.asked.iter().chain([revision]).cloned().collect(),
            ..Scene::default()
        };
        scene.catalogs.insert(revision.clone(), catalog);
        scene.arrange();
        let all: Vec<muster_git::Revision> = scene.catalogs.keys().filter_map(git).collect();
        self.compare(&mut scene, &all)?;
        self.scene = Arc::new(scene);
        Ok(())
    }
}

fn read_pins(mirror: &Mirror, at: &muster_git::Revision, scene: &mut Scene) -> Result<(), GitError> {
    let files = match mirror.read(at, "waves", &ReadLimits::default()) {
        Ok(tree) => tree.into_files(),
        Err(GitError::PathMissing { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let catalog = Catalog::load(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    for error in &catalog.errors {
        let why = format!("A pin cannot be read: {error}.");
        let named = error.document.as_ref().and_then(|(_, name)| name.split_once('.'));
        match named.and_then(|(_, track)| track.parse().ok()) {
            Some(track) => drop(scene.blocked.insert(track, why)),
            // It may be any, so nothing is decided until it can be.
            None => scene.unclear = Some(why),
        }
    }
    scene.pins = catalog.pins.into_iter().map(|(key, pin)| (key, pin.value.spec)).collect();
    Ok(())
}

/// Why nothing may be built on the branch of pins: an agent that trusts the hub's signature would trust all below it.
fn unsigned(
    mirror: &Mirror,
    newest: &muster_git::Revision,
    signers: Option<&AllowedSigners>,
) -> Option<String> {
    let error = mirror.signed_by(newest, signers?).err()?;
    Some(format!(
        "Nothing is promoted: on the branch of pins, {error}. Look at what it changed; then push a commit on top of it \
         that is signed by somebody who may, an empty one to let it stand."
    ))
}

/// Who made a commit, if it says so.
fn author(mirror: &Mirror, revision: &muster_git::Revision) -> Result<Option<Author>, GitError> {
    let commit = mirror.commit(revision)?;
    let is_known = !commit.author_name.is_empty() || !commit.author_email.is_empty();
    Ok(is_known.then_some(Author { name: commit.author_name, email: commit.author_email }))
}

fn read_catalog(mirror: &Mirror, at: &muster_git::Revision) -> Result<Catalog, GitError> {
    // What no document can be in is not loaded; what is too large to be one is left out.
    let limits = ReadLimits { skip_refused: true, ..ReadLimits::default() };
    let is_manifest = |path: &str| [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending));
    let tree = mirror.read_matching(at, "", &limits, &is_manifest)?;
    Ok(Catalog::load(tree.files().iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))))
}

fn spec(revision: muster_git::Revision) -> Revision {
    Revision::try_from(revision.to_string()).expect("both are 40 lower-case hexadecimal digits")
}

fn git(revision: &Revision) -> Option<muster_git::Revision> {
    revision.as_str().parse().ok()
}
