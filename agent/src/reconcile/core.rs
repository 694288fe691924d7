//! What follows from each piece of news?
//!
//! ```text
//! Input (Git, watches, answers to writes, time) --> Core::handle --> Action (watch, resolve, run, report)
//! ```
//!
//! Pure: no I/O, no clock. Whatever happened, an app's next plan is made from what is known then, so
//! news may come in any order and any of it twice.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_wire::v1::{AppStatus, EventKind};
use prost_types::Timestamp;

use super::app::{App, Presence, Run};
use super::claims::Claimants;
use super::resolve::{Owner, Resolution};
use super::wishes::resolve_rest;
use crate::api::ApiError;
use crate::apply::{Done, Known};
use crate::applyset::Parent;
use crate::drift::Shapes;
use crate::health::cause::Cause;
use crate::health::course::Courses;
use crate::object::{GroupKind, ObjectKey, Resource};
use crate::plan::{Plan, Step, View, plan};
use crate::reach::Reach;
use crate::source::{Manifest, Problem, Snapshot};
use crate::watch::{self, Observation, Scope};

/// Something that happened.
pub(super) enum Input {
    /// The parents found in the cluster when this agent began to lead.
    Parents(Vec<Parent>),
    Snapshot(Box<Snapshot>),
    /// What the manifests mean; `None` when finding out failed in an unexpected way.
    Resolved {
        app: String,
        generation: u64,
        resolution: Option<Resolution>,
    },
    /// Where objects of a kind are that no document names; `None` when the server has no such kind.
    Located {
        kind: GroupKind,
        resource: Option<Arc<Resource>>,
    },
    Watch {
        scope: Scope,
        event: watch::Event,
    },
    /// An object that was asked for; `None` when it is not there.
    Refreshed {
        app: String,
        key: ObjectKey,
        found: Option<Observation>,
    },
    /// Why an object is not well; no cause when none is to be seen, nothing at all when looking failed.
    Looked {
        app: String,
        key: ObjectKey,
        generation: i64,
        cause: Option<Option<Cause>>,
    },
    /// What scales an object, if anything does.
    Scaler {
        app: String,
        key: ObjectKey,
        scaler: Option<String>,
    },
    /// One write of a run has been answered.
    Done {
        app: String,
        run: u64,
        done: Done,
    },
    /// A run has ended, with what went wrong beside single objects.
    Finished {
        app: String,
        run: u64,
        problem: Option<Problem>,
    },
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Watch a kind in a namespace, or in all when that is empty; anew, if it is watched already.
    Watch {
        resource: Arc<Resource>,
        namespace: Arc<str>,
    },
    Unwatch(Scope),
    Locate(GroupKind),
    Resolve {
        owner: Owner,
        generation: u64,
        manifests: Vec<Manifest>,
    },
    Refresh {
        app: String,
        key: ObjectKey,
        resource: Arc<Resource>,
    },
    /// Find out why an object is not well.
    Look {
        app: String,
        key: ObjectKey,
        resource: Arc<Resource>,
        generation: i64,
    },
    /// Looks for what scales an object.
    FindScaler {
        app: String,
        key: ObjectKey,
    },
    Run {
        app: String,
        run: u64,
        /// The user in whose name its objects are written; none for the agent itself.
        account: Option<Arc<str>>,
        plan: Plan,
        known: Known,
    },
    Cancel {
        run: u64,
    },
    /// A run's end has been taken note of.
    Ended {
        run: u64,
    },
    /// Something is to be told.
    Event(Told),
    Report(Box<AppStatus>),
    Forget(String),
}

/// An entry for the history.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) kind: EventKind,
    pub(super) app: String,
    pub(super) revision: String,
    pub(super) message: String,
}

/// The time, as the deciding code gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) timestamp: Timestamp,
}

/// How the objects of a kind are being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The first list is not complete.
    Listing,
    Listed,
    /// It cannot be listed now; the watch says why.
    Failed,
}

pub(super) struct Watched {
    pub(super) look: Look,
    /// Number of its last list.
    pub(super) listing: u64,
    /// When it is listed in full again, in case its watch has missed something.
    pub(super) check_at: Option<Instant>,
    pub(super) resource: Arc<Resource>,
    /// The namespace it is watched in; empty for all.
    pub(super) namespace: Arc<str>,
    /// Why it cannot be listed.
    pub(super) error: Option<ApiError>,
}

impl Watched {
    /// Watch it, or watch it anew.
    pub(super) fn watch(&self) -> Action {
        Action::Watch { resource: self.resource.clone(), namespace: self.namespace.clone() }
    }
}

/// Everything known while this agent leads.
pub(super) struct Core {
    /// Namespace of the parents.
    pub(super) home: String,
    pub(super) reach: Reach,
    pub(super) apps: BTreeMap<String, App>,
    pub(super) watches: BTreeMap<Scope, Watched>,
    /// Kinds of parents that no document names: where they are, once known.
    pub(super) located: BTreeMap<GroupKind, Option<Arc<Resource>>>,
    /// Which apps want an object.
    pub(super) claims: HashMap<ObjectKey, Claimants>,
    /// Which app has an object that no app wants.
    pub(super) leftovers: HashMap<ObjectKey, String>,
    /// Kinds being located.
    pub(super) locating: BTreeSet<GroupKind>,
    parents_known: bool,
    pub(super) source_known: bool,
    /// Every kind has been listed, and that was told.
    pub(super) told_first_look: bool,
    /// A snapshot that came before the parents.
    early: Option<Box<Snapshot>>,
    next_run: u64,
    /// Field sets of the objects' baselines.
    pub(super) shapes: Shapes,
    /// Counts the contents of all apps.
    pub(super) generations: u64,
    /// Counts the lists of all kinds.
    pub(super) listings: u64,
    /// How often each kind is listed in full.
    pub(super) check_every: Duration,
    ticked_at: Option<Instant>,
    /// Objects that are not well.
    pub(super) courses: Courses,
    /// Apps to plan again, and those to report again.
    pub(super) to_plan: BTreeSet<String>,
    pub(super) to_report: BTreeSet<String>,
    pub(super) actions: Vec<Action>,
}

impl Core {
    pub(super) fn new(home: &str, reach: Reach, check_every: Duration, now: Now) -> Core {
        Core {
            home: home.to_owned(),
            reach,
            apps: BTreeMap::new(),
            watches: BTreeMap::new(),
            located: BTreeMap::new(),
            claims: HashMap::new(),
            leftovers: HashMap::new(),
            locating: BTreeSet::new(),
            parents_known: false,
            source_known: false,
            told_first_look: false,
            early: None,
            next_run: 1,
            shapes: Shapes::default(),
            generations: 0,
            listings: 0,
            check_every,
            ticked_at: None,
            courses: Courses::new(now.instant),
            to_plan: BTreeSet::new(),
            to_report: BTreeSet::new(),
            actions: Vec::new(),
        }
    }

    /// Takes in one piece of news. What is to be done collects until [`Core::take_actions`].
    pub(super) fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Parents(parents) => self.parents(parents, now),
            Input::Snapshot(snapshot) if self.parents_known => {
                self.snapshot(*snapshot, now);
                self.renew_permits(true, now);
            }
            Input::Snapshot(snapshot) => self.early = Some(snapshot),
            Input::Resolved { app, generation, resolution } => {
                self.resolved(&app, generation, resolution, now);
            }
            Input::Located { kind, resource } => {
                self.located.insert(kind, resource);
                self.update_watches();
                self.to_plan.extend(self.apps.keys().cloned());
            }
            Input::Watch { scope, event } => self.watched(&scope, event, now),
            Input::Refreshed { app, key, found } => self.refreshed(&app, &key, found, now),
            Input::Looked { app, key, generation, cause } => {
                self.looked(&app, &key, generation, cause, now);
            }
            Input::Scaler { app, key, scaler } => self.scaled(&app, &key, scaler),
            Input::Done { app, run, done } => self.done(&app, run, done, now),
            Input::Finished { app, run, problem } => self.finished(&app, run, problem, now),
            Input::Tick => self.tick(now),
        }
    }

    /// What is to be done after everything handled since the last call.
    pub(super) fn take_actions(&mut self, now: Now) -> Vec<Action> {
        while let Some(app) = self.to_plan.pop_first() {
            self.plan(&app, now);
            self.wake_dependents(&app);
        }
        std::mem::take(&mut self.actions)
    }

    /// When [`Input::Tick`] is due next.
    pub(super) fn next_deadline(&self, now: Now) -> Instant {
        let apps = self.apps.values().filter_map(App::next_deadline);
        let checks = self.watches.values().filter_map(|watched| watched.check_at);
        // What was due at the last tick has been seen to; what became due since has not.
        let unseen = |at: &Instant| self.ticked_at.is_none_or(|ticked| *at > ticked);
        let soonest = apps.chain(checks).filter(unseen).chain(self.courses.next_deadline()).min();
        soonest.unwrap_or_else(|| now.instant + self.check_every)
    }

    fn parents(&mut self, parents: Vec<Parent>, now: Now) {
        for parent in parents {
            let mut app = App::new(&parent.app, &self.home, Presence::Found);
            app.options.prune = parent.prune;
            app.options.account = parent.account.clone();
            app.leaving = parent.leaving;
            let name = parent.app.clone();
            app.parent = Some(parent);
            self.apps.insert(name, app);
        }
        self.parents_known = true;
        if let Some(snapshot) = self.early.take() {
            self.handle(Input::Snapshot(snapshot), now);
        }
    }

    /// Something about the app is new: plan it and report it.
    pub(super) fn touch(&mut self, name: &str) {
        self.to_plan.insert(name.to_owned());
        self.to_report.insert(name.to_owned());
    }

    /// True once it is known which apps there are, here and in Git.
    pub(super) fn is_ready(&self) -> bool {
        self.parents_known && self.source_known
    }

    fn plan(&mut self, name: &str, now: Now) {
        let ready = self.is_ready();
        let Some(app) = self.apps.get(name) else { return };
        if !ready || app.run.is_some() || app.presence == Presence::Found {
            return;
        }
        let retry = app.retry_at.is_none_or(|at| at <= now.instant);
        if let Some(parent) = app.noted(now).filter(|_| retry) {
            return self.start(name, Plan { steps: vec![Step::SetParent(parent)] });
        }
        if app.permit.forbids_all() {
            return self.settle(name, now);
        }
        // Newer content is about to be known: the old is not worth applying.
        if app.resolving && app.resolved != app.generation {
            return;
        }
        let (looked, listing) = self.looked_at(app);
        // Applying waits for the first list, so that what is in sync already is seen to be.
        if listing || (app.resolved == 0 && app.presence == Presence::Wanted) {
            return;
        }
        let looked = looked && !self.is_resolving();
        let plan = plan(&self.view(app, looked, now.instant));
        let (plan, wait) = plan.until_wait();
        let waiting = wait.is_some();
        let Some(app) = self.apps.get_mut(name) else { return };
        if app.note_wait(wait, now.instant) {
            self.to_report.insert(name.to_owned());
        }
        if plan.steps.is_empty() {
            if waiting {
                return;
            }
            if app.presence == Presence::Removed && app.parent.is_none() {
                self.forget(name);
            } else {
                self.settle(name, now);
            }
            return;
        }
        self.start(name, plan);
    }

    /// What the planner is to look at.
    pub(super) fn view<'a>(&'a self, app: &'a App, looked: bool, now: Instant) -> View<'a> {
        let mut view = app.view(&self.home, looked, self.awaited_apps(app), now);
        // A Namespace is out of reach; it has to be there.
        view.namespace = view.namespace.filter(|_| self.reach.is_everywhere());
        view
    }

    /// Has a plan carried out.
    fn start(&mut self, name: &str, plan: Plan) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let number = self.next_run;
        self.next_run += 1;
        for step in &plan.steps {
            if let Step::Apply(objects) = step {
                for (key, _) in objects {
                    if let Some(member) = app.members.get_mut(key) {
                        member.writing = true;
                    }
                }
            }
        }
        app.last.ran = true;
        app.run = Some(Run::new(number));
        let known = app.known(&plan);
        self.to_report.insert(name.to_owned());
        let account = app.options.account.clone();
        self.actions.push(Action::Run { app: name.to_owned(), run: number, account, plan, known });
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.apps.values().any(|app| app.resolving)
    }

    /// Whether every kind in which the app has or may have objects has been listed, and whether some
    /// list is still under way.
    pub(super) fn looked_at(&self, app: &App) -> (bool, bool) {
        let mut listed = app.beyond.is_none();
        let mut listing = false;
        let parent = app.parent.iter().flat_map(|parent| &parent.kinds);
        let wanted = app.wanted_kinds.keys().map(|gvk| &gvk.group_kind);
        let kinds: BTreeSet<&GroupKind> = parent.chain(wanted).collect();
        for kind in kinds {
            let mut watches =
                self.watches.iter().filter(|(scope, _)| scope.kind.group_kind == *kind).peekable();
            if watches.peek().is_none() && !self.is_unwatchable(kind) {
                (listed, listing) = (false, true);
            }
            for (_, watched) in watches {
                match watched.look {
                    Look::Listed => {}
                    Look::Listing => (listed, listing) = (false, true),
                    Look::Failed => listed = false,
                }
            }
        }
        (listed, listing)
    }

    /// Whether it is known that there is nothing to be watched of a kind: the server does not have it, or none of it is
    /// within reach.
    fn is_unwatchable(&self, kind: &GroupKind) -> bool {
        let is_out_of_reach = |resource: &Arc<Resource>| self.reach.scopes(resource.namespaced).is_empty();
        self.located.get(kind).is_some_and(|found| found.as_ref().is_none_or(is_out_of_reach))
    }

    fn forget(&mut self, name: &str) {
        self.apps.remove(name);
        self.to_report.remove(name);
        self.courses.retain(name, |_| false);
        self.actions.push(Action::Forget(name.to_owned()));
        self.update_watches();
    }

    fn tick(&mut self, now: Now) {
        self.ticked_at = Some(now.instant);
        self.look_into(now);
        self.renew_permits(false, now);
        let check_due = |watched: &&mut Watched| watched.check_at.is_some_and(|at| at <= now.instant);
        for watched in self.watches.values_mut().filter(check_due) {
            watched.check_at = None;
            self.actions.push(watched.watch());
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        for (name, app) in &mut self.apps {
            if app.order_is_due(now.instant) {
                self.to_plan.insert(name.clone());
                self.to_report.insert(name.clone());
            }
            let released = app.release(now.instant);
            if !due(app.retry_at) {
                if released {
                    self.to_plan.insert(name.clone());
                }
                continue;
            }
            self.to_plan.insert(name.clone());
            if !app.unresolved.is_empty() && !app.resolving {
                app.resolving = true;
                app.retry_at = None;
                self.actions.push(resolve_rest(app));
            }
        }
    }
}
