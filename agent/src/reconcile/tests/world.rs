//! A Git repository, a cluster of ConfigMaps and an executor, all in memory and without time of their own.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_spec::Window;
use muster_wire::v1::{AppStatus, EventKind};
use serde_json::{Value, json};

use super::super::core::{Action, Core, Input, Now};
use super::super::resolve::{Resolution, prepare};
use super::names::annotations;
use crate::APP_LABEL;
use crate::apply::{Applied, Done, Failure};
use crate::applyset::Parent;
use crate::health::cause::Cause;
use crate::object::{Gvk, ObjectKey, Resource};
use crate::plan::hook::RUN;
use crate::plan::{Desired, HookRun, Place, Plan, Step};
use crate::reach::Reach;
use crate::source::{Content, Kind, Manifest, Options, Problem, Snapshot, Wanted};
use crate::watch::{Event, Observation, Scope};

mod cluster;

pub(super) const HOME: &str = "muster-system";

/// What Git says: apps, their objects by name, and one value each.
pub(super) type Git = BTreeMap<String, BTreeMap<String, String>>;

pub(super) struct World {
    pub(super) core: Core,
    pub(super) git: Git,
    /// Annotations in Git, by the object's name.
    pub(super) annotations: BTreeMap<String, Value>,
    /// `spec.sync.pruneLimit` of all apps, in percent.
    pub(super) prune_limit: u8,
    /// `spec.pruneLimit` of the Cluster document, in percent.
    pub(super) apps_limit: u8,
    /// Apps whose document is there, and does not select this cluster.
    pub(super) deselected: BTreeSet<String>,
    /// A window lets nothing new in, and drift is healed.
    pub(super) frozen: bool,
    revision: u64,
    pub(super) cluster: BTreeMap<ObjectKey, Value>,
    parents: BTreeMap<String, Parent>,
    version: u64,
    watching: BTreeSet<Scope>,
    /// News on its way to the core.
    pub(super) queue: VecDeque<Input>,
    /// Everything written so far, as words.
    pub(super) writes: Vec<String>,
    /// So many writes to come fail, and so many hooks.
    pub(super) failing: u32,
    pub(super) hooks_failing: u32,
    /// After so many writes the agent is dead: nothing more of a plan is carried out.
    writes_max: Option<usize>,
    /// Hooks that have succeeded: app, name, and for which content and phase.
    pub(super) succeeded: Vec<String>,
    /// How often an app was removed: with it goes what is known of its hooks.
    removals: u32,
    /// Objects that were read one by one.
    pub(super) reads: u32,
    /// Which apps an app depends on.
    pub(super) depends_on: BTreeMap<String, Vec<String>>,
    pub(super) statuses: BTreeMap<String, AppStatus>,
    pub(super) events: Vec<(EventKind, String)>,
    /// What looks find.
    pub(super) causes: BTreeMap<ObjectKey, Cause>,
    now: Now,
}

pub(super) fn git(apps: &[(&str, &[(&str, &str)])]) -> Git {
    let objects =
        |objects: &[(&str, &str)]| objects.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    apps.iter().map(|(app, list)| ((*app).to_owned(), objects(list))).collect()
}

fn resource() -> Arc<Resource> {
    let gvk = Gvk::new("", "v1", "ConfigMap");
    Arc::new(Resource { gvk, plural: "configmaps".to_owned(), namespaced: true })
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(resource().gvk.group_kind.clone(), "demo", name)
}

fn new_core(now: Now) -> Core {
    Core::new(HOME, Reach::default(), Duration::from_secs(3_600), now)
}

impl World {
    pub(super) fn new(git: Git) -> World {
        let now = Now { instant: Instant::now(), timestamp: prost_types::Timestamp::default() };
        let mut world = World {
            core: new_core(now),
            git,
            annotations: BTreeMap::new(),
            prune_limit: 100,
            apps_limit: 50,
            deselected: BTreeSet::new(),
            frozen: false,
            revision: 0,
            cluster: BTreeMap::new(),
            parents: BTreeMap::new(),
            version: 100,
            watching: BTreeSet::new(),
            queue: VecDeque::new(),
            writes: Vec::new(),
            failing: 0,
            writes_max: None,
            hooks_failing: 0,
            succeeded: Vec::new(),
            removals: 0,
            reads: 0,
            depends_on: BTreeMap::new(),
            statuses: BTreeMap::new(),
            events: Vec::new(),
            causes: BTreeMap::new(),
            now,
        };
        world.restart();
        world
    }

    /// The agent dies, with all news on its way, and starts again.
    pub(super) fn restart(&mut self) {
        self.queue.clear();
        self.watching.clear();
        self.core = new_core(self.now);
        self.queue.push_back(Input::Parents(self.parents.values().cloned().collect()));
        self.announce();
    }

    /// Commits what is in `git` now.
    pub(super) fn announce(&mut self) {
        self.announce_with(BTreeMap::new(), true);
    }

    /// The same, with some apps' documents broken, or not all documents readable.
    pub(super) fn announce_with(&mut self, held: BTreeMap<String, Vec<Problem>>, complete: bool) {
        self.revision += 1;
        let manifest = |(name, value): (&String, &String)| {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": name, "namespace": "demo",
                    "annotations": self.annotations.get(name).cloned().unwrap_or_else(|| annotations(name)),
                },
                "data": {"key": value},
            });
            Manifest::new(&object, Place { file: "a.yaml".into(), line: 1 })
        };
        let apps = self.git.iter().filter(|(app, _)| !held.contains_key(*app)).map(|(app, objects)| {
            let content = Content::Rendered(objects.iter().map(manifest).collect());
            let depends_on = self.depends_on.get(app).cloned().unwrap_or_default();
            let options = Options {
                prune_limit_percent: self.prune_limit,
                depends_on,
                windows: self.windows(),
                ..Options::default()
            };
            let revision = format!("r{}", self.revision);
            (app.clone(), Wanted { revision, options, path: app.clone(), content })
        });
        let snapshot = Snapshot {
            revision: format!("r{}", self.revision),
            apps: apps.collect(),
            held,
            complete,
            windows: self.windows(),
            deselected: self.deselected.clone(),
            prune_limit_percent: self.apps_limit,
            place: "cluster.yaml:1".to_owned(),
            ..Snapshot::default()
        };
        self.queue.push_back(Input::Snapshot(Box::new(snapshot)));
    }

    fn windows(&self) -> Vec<Window> {
        let window = json!({"kind": "deny", "schedule": "* * * * *", "duration": "2h", "reason": "Trade"});
        if self.frozen { vec![serde_json::from_value(window).unwrap()] } else { Vec::new() }
    }

    /// Gives one piece of news to the core and does what it wants; false when there was none.
    pub(super) fn step(&mut self) -> bool {
        let Some(input) = self.queue.pop_front() else { return false };
        self.give(input);
        true
    }

    pub(super) fn give(&mut self, input: Input) {
        self.core.handle(input, self.now);
        for action in self.core.take_actions(self.now) {
            self.act(action);
        }
    }

    /// Until there is no news and no deadline within an hour.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            while self.step() {}
            if self.ripen() {
                continue;
            }
            let next = self.core.next_deadline(self.now);
            if next > self.now.instant + Duration::from_secs(600) {
                return self.report();
            }
            self.now.instant = next.max(self.now.instant);
            self.give(Input::Tick);
        }
        panic!("it never settles: {:?}", &self.writes[self.writes.len().saturating_sub(10)..]);
    }

    /// Lets everything new be reported.
    pub(super) fn report(&mut self) {
        self.core.report(self.now);
        for action in self.core.take_actions(self.now) {
            self.act(action);
        }
    }

    /// Goes on until so many writes have been made, and no further: the rest of the plan at work is not carried
    /// out. False when there are not so many.
    pub(super) fn until_writes(&mut self, count: usize) -> bool {
        self.writes_max = Some(count);
        loop {
            while self.writes.len() < count && self.step() {}
            if self.writes.len() >= count {
                self.writes_max = None;
                return true;
            }
            if !self.ripen() && self.queue.is_empty() {
                self.writes_max = None;
                return false;
            }
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now.instant += duration;
        self.give(Input::Tick);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Watch { resource, namespace } => {
                self.watching.insert(Scope { kind: resource.gvk.clone(), namespace });
                self.watch_event(Event::Listing);
                let seen: Vec<_> =
                    self.cluster.values().filter(|object| cluster::is_labelled(object)).cloned().collect();
                for object in seen {
                    self.watch_event(Event::Exists(cluster::sighting(&object)));
                }
                self.watch_event(Event::Listed);
            }
            Action::Unwatch(scope) => drop(self.watching.remove(&scope)),
            Action::Locate(kind) => self.queue.push_back(Input::Located { kind, resource: Some(resource()) }),
            Action::Resolve { owner, generation, manifests } => {
                let objects = manifests
                    .iter()
                    .map(|manifest| prepare(&owner, &resource(), manifest.read(), &manifest.place).unwrap());
                let resolution = Some(Resolution { objects: objects.collect(), ..Resolution::default() });
                self.queue.push_back(Input::Resolved { app: owner.app, generation, resolution });
            }
            Action::Refresh { app, key, resource } => {
                self.reads += 1;
                let found = self.cluster.get(&key).map(|object| Observation::of(&resource, object.clone()));
                self.queue.push_back(Input::Refreshed { app, key, found });
            }
            Action::Look { app, key, generation, .. } => {
                let cause = self.causes.get(&key).cloned();
                self.queue.push_back(Input::Looked { app, key, generation, cause: Some(cause) });
            }
            Action::Run { app, run, plan, .. } => self.run(&app, run, plan),
            Action::FindScaler { .. } | Action::Cancel { .. } | Action::Ended { .. } => {}
            Action::Event(told) => self.events.push((told.kind, told.message)),
            Action::Report(status) => drop(self.statuses.insert(status.app.clone(), *status)),
            Action::Forget(app) => drop(self.statuses.remove(&app)),
        }
    }

    fn run(&mut self, app: &str, run: u64, plan: Plan) {
        let mut failed = false;
        for step in plan.steps {
            if self.is_dead() {
                return;
            }
            match step {
                Step::SetParent(parent) => {
                    self.writes.push(format!("set {app}"));
                    self.parents.insert(app.to_owned(), parent.clone());
                    self.done(app, run, Done::Parent(Some(parent)));
                }
                Step::DeleteParent(_) => {
                    self.writes.push(format!("delete set {app}"));
                    self.removals += 1;
                    self.parents.remove(app);
                    self.done(app, run, Done::Parent(None));
                }
                Step::EnsureNamespace(_) | Step::AwaitDefinitions(_) => {}
                Step::Wait(wait) => panic!("a plan is carried out beyond its wait for {wait}"),
                Step::DeleteHooks(doomed) => {
                    for object in doomed {
                        let found = self.cluster.get(&object.key);
                        if found.is_some_and(|found| found["metadata"]["uid"] == *object.uid) {
                            self.writes.push(format!("delete {}", object.key.name));
                            self.delete(&object.key);
                        }
                        self.done(app, run, Done::HookDeleted { key: object.key, outcome: Ok(()) });
                    }
                }
                Step::RunHooks(_) if failed => {}
                Step::RunHooks(hooks) => {
                    for hook in hooks {
                        let outcome = self.run_hook(&hook);
                        failed |= outcome.is_err();
                        self.done(app, run, Done::Applied { key: hook.key, outcome });
                    }
                }
                Step::Apply(objects) => {
                    for (key, desired) in objects {
                        if self.is_dead() {
                            return;
                        }
                        let outcome = self.apply(&key, &desired);
                        failed |= outcome.is_err();
                        self.done(app, run, Done::Applied { key, outcome });
                    }
                }
                Step::Prune(_) if failed => {}
                Step::Prune(doomed) => {
                    for object in doomed {
                        let found = self.cluster.get(&object.key);
                        if found.is_some_and(|found| found["metadata"]["uid"] == *object.uid) {
                            self.writes.push(format!("prune {}", object.key.name));
                            self.delete(&object.key);
                        }
                        self.done(app, run, Done::Pruned { key: object.key, outcome: Ok(()) });
                    }
                }
            }
        }
        self.queue.push_back(Input::Finished { app: app.to_owned(), run, problem: None });
    }

    fn is_dead(&self) -> bool {
        self.writes_max.is_some_and(|max| self.writes.len() >= max)
    }

    fn run_hook(&mut self, hook: &HookRun) -> Result<Applied, Failure> {
        if self.cluster.contains_key(&hook.key) {
            let message = "An earlier run is still there.".to_owned();
            let problem = Problem { kind: Kind::Apply, place: hook.key.to_string(), message };
            return Err(Failure { problem: Some(problem), may_have_happened: false });
        }
        let mut object: Value = serde_json::from_slice(&hook.desired.body).unwrap();
        object["metadata"]["annotations"][RUN] = json!(hook.run);
        let body = object.to_string().into_bytes().into();
        self.apply(&hook.key, &Desired { body, ..hook.desired.clone() })
    }

    /// Everything that was on its way becomes what it is to be; false when nothing was.
    pub(super) fn ripen(&mut self) -> bool {
        let green = |object: &&Value| object["status"]["conditions"][0]["status"] == "False";
        let green: Vec<_> = self.cluster.values().filter(green).cloned().collect();
        let mut any = false;
        for mut object in green {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let run = object["metadata"]["annotations"][RUN].as_str().map(str::to_owned);
            let bad = object["data"]["key"] == "bad";
            object["status"]["conditions"] = match &run {
                None if bad => continue,
                Some(_) if bad || self.hooks_failing > 0 => {
                    self.hooks_failing = self.hooks_failing.saturating_sub(1);
                    json!([{"type": "Failed", "status": "True", "message": "No luck."}])
                }
                _ => json!([{"type": "Ready", "status": "True"}]),
            };
            if let Some(run) = run.filter(|_| object["status"]["conditions"][0]["type"] == "Ready") {
                let (runs, _attempt) = run.rsplit_once('/').unwrap();
                let app = object["metadata"]["labels"][APP_LABEL].as_str().unwrap_or_default();
                self.succeeded.push(format!("{app} {} {name} {runs}", self.removals));
            }
            self.store(&key(&name), object);
            any = true;
        }
        any
    }

    fn done(&mut self, app: &str, run: u64, done: Done) {
        self.queue.push_back(Input::Done { app: app.to_owned(), run, done });
    }

    /// Names and values of the objects in the cluster.
    pub(super) fn values(&self) -> BTreeMap<String, String> {
        let value = |object: &Value| object["data"]["key"].as_str().unwrap_or_default().to_owned();
        self.cluster.iter().map(|(key, object)| (key.name.to_string(), value(object))).collect()
    }

    pub(super) fn parents(&self) -> Vec<&str> {
        self.parents.keys().map(String::as_str).collect()
    }
}
