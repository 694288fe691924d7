//! What does Git say about tracks, waves and clusters, at the head and at every pinned revision?
//!
//! Pure: built from documents that were read, and put beside what agents report it gives the tracks to decide
//! about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use muster_spec::{
    App, AppName, Catalog, Cluster, ClusterName, Gate, Kind, Revision, TrackName, Wave, WaveName,
    WavePinSpec, Window, gate,
};

use super::reports::{Reports, Sightings};
use crate::access::policy::{ClusterView, Grant};
use crate::alerts::Reading;
use crate::waves::{Author, Content, Facts, GateAnswers, Member, Move, Place, TakenBack, Track};

/// Pins by wave and track.
pub(super) type Pins = BTreeMap<(WaveName, TrackName), WavePinSpec>;

/// What the fleet repository says.
#[derive(Default)]
pub(super) struct Scene {
    /// The head of the branch.
    pub(super) head: Option<Revision>,
    /// The documents at the head, and at each revision that is pinned.
    pub(super) catalogs: BTreeMap<Revision, Arc<Catalog>>,
    pub(super) pins: Pins,
    /// What the hub said last of pins, where they are not so any more, and who changed that.
    pub(super) taken_back: BTreeMap<(WaveName, TrackName), TakenBack>,
    /// Commits of the branch, older ones with lower numbers.
    pub(super) positions: BTreeMap<Revision, usize>,
    /// Who made the commits whose documents are here.
    pub(super) authors: BTreeMap<Revision, Author>,
    /// What tracks are in waves, by the wave's number.
    pub(super) contents: BTreeMap<(TrackName, usize, Revision), Content>,
    /// What people should know.
    pub(super) remarks: Vec<String>,
    /// Tracks about which nothing is decided, and why.
    pub(super) blocked: BTreeMap<TrackName, String>,
    /// A pin of which not even the track is known.
    pub(super) unclear: Option<String>,
    /// The branch of pins ends with a commit of nobody who may.
    pub(super) unsigned: Option<String>,
    /// Revisions that somebody asked about.
    pub(super) asked: BTreeSet<Revision>,
    /// The clusters of each wave.
    pub(super) clusters: Vec<Vec<ClusterName>>,
    /// The apps each cluster has of a track at a revision, where it has any.
    pub(super) apps: BTreeMap<(TrackName, Revision), BTreeMap<ClusterName, Vec<AppName>>>,
    /// What the head says about alerts.
    pub(super) alerts: Option<Arc<Reading>>,
}

impl Scene {
    fn documents(&self) -> Option<&Catalog> {
        self.catalogs.get(self.head.as_ref()?).map(|catalog| &**catalog)
    }

    /// The waves, first to last.
    pub(super) fn waves(&self) -> &[Wave] {
        let fleet = self.documents().and_then(|catalog| catalog.fleet.as_ref());
        fleet.map(|fleet| fleet.value.spec.waves.as_slice()).unwrap_or_default()
    }

    /// Every track there is, at the head or pinned.
    pub(super) fn tracks(&self) -> BTreeSet<TrackName> {
        let apps = self.documents().into_iter().flat_map(|catalog| catalog.apps.values());
        let pinned = self.pins.keys().map(|(_, track)| track.clone());
        apps.map(|app| app.value.track()).chain(pinned).collect()
    }

    /// Prepares what is asked again and again. To be called once all is there.
    pub(super) fn arrange(&mut self) {
        let Some(catalog) = self.head.as_ref().and_then(|head| self.catalogs.get(head)).cloned() else {
            return;
        };
        let authors = self.authors.iter().map(|(commit, author)| (commit.to_string(), author.name.clone()));
        self.alerts = Some(Arc::new(Reading::of(&catalog, authors.collect())));
        let Some(fleet) = &catalog.fleet else { return };
        let all = || catalog.clusters.values().map(|cluster| &cluster.value);
        let in_wave = |wave: &Wave| {
            let is_in =
                |cluster: &&Cluster| fleet.value.wave_of(cluster).is_some_and(|of| of.name == wave.name);
            all().filter(is_in).map(|cluster| cluster.metadata.name.clone()).collect()
        };
        self.clusters = fleet.value.spec.waves.iter().map(in_wave).collect();
        let mut found = BTreeMap::new();
        for track in self.tracks() {
            for revision in self.revisions(&track) {
                let apps: Vec<&App> = self.apps(&track, &revision).collect();
                let of_cluster = |cluster: &Cluster| -> Option<(ClusterName, Vec<AppName>)> {
                    let own = apps.iter().filter(|app| app.spec.clusters.selects(cluster));
                    let own: Vec<AppName> = own.map(|app| app.name().clone()).collect();
                    (!own.is_empty()).then(|| (cluster.metadata.name.clone(), own))
                };
                found.insert((track.clone(), revision), all().filter_map(of_cluster).collect());
            }
        }
        self.apps = found;
    }

    /// The clusters of the wave of that number.
    pub(super) fn clusters(&self, wave: usize) -> impl Iterator<Item = &Cluster> {
        let names = self.clusters.get(wave).map(Vec::as_slice).unwrap_or_default();
        let catalog = self.documents();
        names.iter().filter_map(move |name| Some(&catalog?.clusters.get(name)?.value))
    }

    /// The revisions that matter for a track: the head, and all that its pins name.
    pub(super) fn revisions(&self, track: &TrackName) -> BTreeSet<Revision> {
        let pins = self.pins.iter().filter(|((_, of), _)| of == track);
        let named = pins.flat_map(|(_, pin)| {
            let said = pin.verdicts.iter().map(|verdict| &verdict.revision);
            pin.revision.iter().chain(&pin.previous_revision).chain(said)
        });
        named.chain(&self.head).chain(&self.asked).cloned().collect()
    }

    /// What of these moves a promoter may not do, if anything: their role must count for each app of the track in
    /// each cluster of the wave, by the labels that Git gives the cluster.
    pub(super) fn forbidden(&self, track: &Track<'_>, moves: &[Move], grant: &Grant) -> Option<String> {
        let clusters = self.documents().map(|catalog| &catalog.clusters);
        let moved =
            track.places.iter().filter(|place| moves.iter().any(|one| one.pin.wave == place.wave.name));
        // Also a wave in which no cluster has the track yet.
        if let Some(place) = moved.clone().find(|place| !grant.decides_in(place.wave.name.as_str())) {
            return Some(format!("the wave {}", place.wave.name));
        }
        let members = moved.flat_map(|place| place.members.iter().map(move |member| (place, member)));
        for (place, member) in members {
            let wave = place.wave.name.as_str();
            let document = clusters.and_then(|clusters| clusters.get(&member.cluster));
            let labels = document.map(|document| &document.value.metadata.labels);
            let label = |key: &str| labels?.get(key).map(|value| value.as_str());
            let view = ClusterView { name: member.cluster.as_str(), label: &label };
            if let Some(app) = member.apps.keys().find(|app| !grant.promotes(wave, view, app.as_str())) {
                return Some(format!("app {app} in cluster {} of wave {wave}", member.cluster));
            }
        }
        None
    }

    /// The names of all clusters in Git.
    pub(super) fn cluster_names(&self) -> BTreeSet<ClusterName> {
        self.documents().into_iter().flat_map(|catalog| catalog.clusters.keys().cloned()).collect()
    }

    /// The apps of a track at a revision. The head says on which track an app is that it has.
    pub(super) fn apps<'s>(
        &'s self,
        track: &'s TrackName,
        revision: &Revision,
    ) -> impl Iterator<Item = &'s App> {
        let catalog = self.catalogs.get(revision);
        let apps = catalog.into_iter().flat_map(|catalog| catalog.apps.values());
        apps.map(|app| &app.value).filter(|app| {
            let head = self.documents().and_then(|catalog| catalog.apps.get(app.name()));
            head.map_or_else(|| app.track(), |head| head.value.track()) == *track
        })
    }

    /// Why nothing can be decided with these documents, if so.
    pub(super) fn obstacle(&self) -> Option<String> {
        if let Some(why) = self.unsigned.as_ref().or(self.unclear.as_ref()) {
            return Some(why.clone());
        }
        let catalog = self.documents()?;
        let broken = [Kind::Fleet, Kind::Cluster].into_iter().find(|kind| catalog.has_broken(*kind))?;
        let error = catalog.errors.first().map(ToString::to_string).unwrap_or_default();
        Some(format!("Nothing is promoted while a {broken} document cannot be read: {error}"))
    }

    /// One track as it is to be decided about.
    pub(super) fn track(
        &self,
        name: &TrackName,
        reports: &Reports,
        answers: &Arc<GateAnswers>,
        sightings: &mut Sightings,
        now: Timestamp,
    ) -> Option<Track<'_>> {
        let head = self.head.clone()?;
        let facts = self.facts(name);
        let frozen = self.frozen(name, &head, now);
        let mut places = Vec::new();
        for (number, wave) in self.waves().iter().enumerate() {
            let key = (wave.name.clone(), name.clone());
            let pin = self.pins.get(&key).cloned();
            let pin = pin.unwrap_or_else(|| WavePinSpec::new(wave.name.clone(), name.clone()));
            let relevant: Vec<&Revision> =
                [Some(&head), pin.revision.as_ref(), pin.previous_revision.as_ref()]
                    .into_iter()
                    .flatten()
                    .collect();
            let mut members: Vec<Member> = Vec::new();
            for cluster in self.clusters(number) {
                let cluster_name = &cluster.metadata.name;
                let own: BTreeSet<AppName> =
                    relevant.iter().flat_map(|revision| facts.apps(cluster_name, revision)).collect();
                if own.is_empty() {
                    continue;
                }
                let content = |revision: &Revision| {
                    facts.content(number, revision).unwrap_or_else(|| revision.to_string())
                };
                members.push(reports.member(cluster_name, &own, sightings, &content, now));
            }
            // What is heard of goes first, so that one silent cluster does not hold the first batch up.
            members.sort_by(|one, other| {
                (one.silent.is_some(), &one.cluster).cmp(&(other.silent.is_some(), &other.cluster))
            });
            let taken_back = self.taken_back.get(&key).cloned();
            let answers = Arc::clone(answers);
            places.push(Place { wave, pin, members, frozen: frozen.clone(), taken_back, answers });
        }
        Some(Track { name: name.clone(), head, places })
    }

    fn frozen(&self, track: &TrackName, head: &Revision, now: Timestamp) -> Option<String> {
        let fleet = self.documents().and_then(|catalog| catalog.fleet.as_ref());
        let fleet = fleet.map(|fleet| fleet.value.spec.windows.as_slice()).unwrap_or_default();
        self.apps(track, head).find_map(|app| {
            let concerns = fleet.iter().filter(|window| window.concerns(app.name()));
            let windows: Vec<Window> = app.spec.sync.windows.iter().chain(concerns).cloned().collect();
            match gate(&windows, now) {
                Gate::Open => None,
                Gate::Closed { why, until, .. } => {
                    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
                    Some(format!("{why}{until}"))
                }
            }
        })
    }

    /// What is asked of Git while one track is decided about.
    pub(super) fn facts<'s>(&'s self, track: &'s TrackName) -> TrackFacts<'s> {
        TrackFacts { scene: self, track }
    }
}

/// What Git says about one track.
pub(super) struct TrackFacts<'a> {
    scene: &'a Scene,
    track: &'a TrackName,
}

impl Facts for TrackFacts<'_> {
    fn position(&self, revision: &Revision) -> Option<usize> {
        self.scene.positions.get(revision).copied()
    }

    fn author(&self, revision: &Revision) -> Option<Author> {
        self.scene.authors.get(revision).cloned()
    }

    fn content(&self, wave: usize, revision: &Revision) -> Option<Content> {
        self.scene.contents.get(&(self.track.clone(), wave, revision.clone())).cloned()
    }

    fn apps(&self, cluster: &ClusterName, revision: &Revision) -> Vec<AppName> {
        let found = self.scene.apps.get(&(self.track.clone(), revision.clone()));
        found.and_then(|found| found.get(cluster)).cloned().unwrap_or_default()
    }
}
