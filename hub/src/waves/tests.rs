//! A fleet in miniature: revisions, clusters that take what their pin says after a while, and the engine.

mod any_order;
mod gates;
mod rules;
mod scale;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use muster_spec::{AppName, Catalog, ClusterName, Fleet, Revision, TrackName, WavePinSpec, parse_file};

use super::*;

/// The commit of this number, counted from the oldest.
fn revision(number: usize) -> Revision {
    Revision::try_from(format!("{number:040x}")).unwrap()
}

fn number(revision: &Revision) -> usize {
    usize::from_str_radix(revision.as_str(), 16).unwrap()
}

fn fleet(waves: &str) -> Fleet {
    let text = format!(
        "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  waves:\n{waves}"
    );
    let catalog = Catalog::load([("muster.yaml", text.as_bytes())]);
    assert_eq!(catalog.errors, []);
    catalog.fleet.unwrap().value
}

/// Dev, then staging with a soak and three clusters in batches, then prod with an approval.
const USUAL: &str = r#"
  - {name: dev, clusters: {}}
  - {name: staging, clusters: {}, soak: 10m, batches: [1, 2, 100%], maxUnhealthy: 0}
  - {name: prod, clusters: {}, approval: {required: 1}, batches: [50%, 100%], timeout: 20m,
     gates: [{name: smoke, http: {url: "https://ci.example.com/{{ revision }}"}}]}
"#;

struct Cluster {
    runs: Option<usize>,
    since: i64,
    /// What it is on its way to, and from when it has it.
    coming: Option<(usize, i64)>,
    silent: bool,
}

/// One track in a fleet.
struct World {
    fleet: Fleet,
    clusters: BTreeMap<usize, Vec<(ClusterName, Cluster)>>,
    pins: Vec<WavePinSpec>,
    now: i64,
    head: usize,
    /// Revisions with which apps fail.
    bad: BTreeSet<usize>,
    /// For each revision the one that began what it gives clusters.
    contents: Vec<usize>,
    /// Seconds a cluster takes to get a revision.
    delay: i64,
    frozen: Option<String>,
    /// What every gate says about everything.
    gate: Option<GateAnswer>,
    /// Whether it is known who made commits.
    author: bool,
    log: Vec<Move>,
}

impl Facts for World {
    fn position(&self, revision: &Revision) -> Option<usize> {
        Some(number(revision)).filter(|number| *number <= self.head)
    }

    fn content(&self, _wave: usize, revision: &Revision) -> Option<Content> {
        self.contents.get(number(revision)).map(ToString::to_string)
    }

    fn author(&self, _revision: &Revision) -> Option<Author> {
        self.author.then(|| Author { name: "Alice Ada".to_owned(), email: "alice@example.com".to_owned() })
    }

    fn apps(&self, _cluster: &ClusterName, _revision: &Revision) -> Vec<AppName> {
        vec![app()]
    }
}

fn app() -> AppName {
    "web".parse().unwrap()
}

fn track() -> TrackName {
    "web".parse().unwrap()
}

impl World {
    fn new(waves: &str, counts: &[usize]) -> World {
        let fleet = fleet(waves);
        let mut clusters = BTreeMap::new();
        let mut pins = Vec::new();
        for (at, (wave, count)) in fleet.spec.waves.iter().zip(counts).enumerate() {
            let named = (0..*count).map(|number| {
                let name: ClusterName = format!("{}-{number}", wave.name).parse().unwrap();
                (name, Cluster { runs: None, since: 0, coming: None, silent: false })
            });
            clusters.insert(at, named.collect());
            pins.push(WavePinSpec::new(wave.name.clone(), track()));
        }
        World {
            fleet,
            clusters,
            pins,
            now: 1_000_000,
            head: 0,
            bad: BTreeSet::new(),
            contents: vec![0],
            delay: 30,
            frozen: None,
            gate: Some(GateAnswer::Passed("it is green".to_owned())),
            author: true,
            log: Vec::new(),
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    fn is_same(&self, one: usize, other: usize) -> bool {
        self.contents[one] == self.contents[other]
    }

    fn is_bad(&self, number: usize) -> bool {
        self.bad.contains(&self.contents[number])
    }

    fn is_well(&self, cluster: &Cluster, wanted: usize) -> bool {
        !cluster.silent && cluster.runs.is_some_and(|runs| self.is_same(runs, wanted) && !self.is_bad(runs))
    }

    fn answers(&self, wave: &muster_spec::Wave) -> GateAnswers {
        let revisions = wave.gates.iter().flat_map(|gate| (0..=self.head).map(move |number| (gate, number)));
        let about = revisions.filter_map(|(gate, number)| {
            let (wave, gate) = (wave.name.clone(), gate.name.clone());
            let check = GateCheck { wave, gate, track: track(), revision: revision(number) };
            Some((check, GateAnswered { answer: self.gate.clone()?, at: self.time() }))
        });
        about.collect()
    }

    fn track(&self) -> Track<'_> {
        let places = self.fleet.spec.waves.iter().enumerate().map(|(at, wave)| {
            let members = self.clusters[&at].iter().map(|(name, cluster)| {
                let standing = |runs: usize| {
                    if self.is_bad(runs) {
                        Standing::Bad("it crashes".to_owned())
                    } else {
                        Standing::Well(Timestamp::from_second(cluster.since).unwrap())
                    }
                };
                let apps = cluster.runs.map(|runs| (app(), (revision(runs), standing(runs))));
                let silent = cluster.silent.then(|| "it is not heard".to_owned());
                Member { cluster: name.clone(), silent, apps: apps.into_iter().collect() }
            });
            let (pin, members) = (self.pins[at].clone(), members.collect());
            let last = self.log.iter().rev().find(|one| one.pin.wave == wave.name);
            let last = last
                .and_then(|one| Some(LastMove { revision: one.pin.revision.clone()?, reached: one.reached }));
            let taken_back = last.and_then(|last| taken_back(&pin, &last, self));
            Place {
                wave,
                pin,
                members,
                frozen: self.frozen.clone(),
                taken_back: taken_back.map(|revision| TakenBack { revision, by: "carol".to_owned() }),
                answers: Arc::new(self.answers(wave)),
            }
        });
        Track { name: track(), head: revision(self.head), places: places.collect() }
    }

    fn decide(&self) -> Decision {
        let (track, now) = (self.track(), self.time());
        let decision = decide(&track, self, now);
        assert_eq!(decide(&track, self, now), decision, "the same inputs give the same decision");
        decision
    }

    fn state(&self, wave: usize) -> State {
        self.decide().outlook.stages[wave].state
    }

    /// Writes pins as documents and reads them again, as if the hub were another.
    fn write(&mut self, moves: Vec<Move>) {
        for one in moves {
            let parsed = parse_file("pin.yaml", one.document().unwrap().as_bytes());
            assert_eq!(parsed.errors, []);
            let muster_spec::Document::WavePin(pin) = parsed.documents[0].value.clone() else { panic!() };
            assert_eq!(pin.spec, one.pin);
            let at = self.pins.iter().position(|old| old.wave == pin.spec.wave).unwrap();
            self.pins[at] = pin.spec;
            self.log.push(one);
        }
    }

    /// Clusters take what Git says, then the hub decides.
    fn step(&mut self, seconds: i64) {
        self.now += seconds;
        self.settle();
        let moves = self.decide().moves;
        self.write(moves);
        self.settle();
    }

    fn settle(&mut self) {
        for (at, clusters) in &mut self.clusters {
            for (name, cluster) in clusters {
                let pinned = self.pins[*at].revision_of(name).map(number);
                let wanted = if *at == 0 { pinned.or(Some(self.head)) } else { pinned };
                let Some(wanted) = wanted else { continue };
                if cluster.runs == Some(wanted) {
                    cluster.coming = None;
                    continue;
                }
                let due = match cluster.coming {
                    Some((coming, due)) if coming == wanted => due,
                    _ => self.now + self.delay,
                };
                cluster.coming = Some((wanted, due));
                if due <= self.now {
                    let is_new = |runs: usize| self.contents[runs] != self.contents[wanted];
                    if cluster.runs.is_none_or(is_new) {
                        cluster.since = self.now;
                    }
                    (cluster.runs, cluster.coming) = (Some(wanted), None);
                }
            }
        }
    }

    /// Steps of a minute.
    fn minutes(&mut self, count: usize) {
        for _ in 0..count {
            self.step(60);
        }
    }

    fn commit(&mut self) -> usize {
        self.head += 1;
        self.contents.push(self.head);
        self.head
    }

    /// A commit about something else.
    fn commit_same(&mut self) {
        let content = self.contents[self.head];
        self.head += 1;
        self.contents.push(content);
    }

    fn ask(&mut self, verb: Verb, change: impl FnOnce(&mut Wish)) -> Result<(), String> {
        let (author, groups) = ("alice".to_owned(), Vec::new());
        let mut wanted = Wish { verb, wave: None, revision: None, reason: None, author, groups };
        change(&mut wanted);
        let moves = wish(&self.track(), self, &wanted, self.time()).map_err(|refusal| refusal.to_string())?;
        self.write(moves);
        self.settle();
        Ok(())
    }

    /// The revision that every cluster of a wave runs, if it is one.
    fn runs(&self, wave: usize) -> Option<usize> {
        let all: BTreeSet<Option<usize>> =
            self.clusters[&wave].iter().map(|(_, cluster)| cluster.runs).collect();
        if all.len() == 1 { all.into_iter().next().flatten() } else { None }
    }

    fn actions(&self) -> Vec<String> {
        let text =
            |one: &Move| format!("{} {} {}/{}", one.action.word(), one.pin.wave, one.reached, one.clusters);
        self.log.iter().map(text).collect()
    }
}
