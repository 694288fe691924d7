//! What is done about what is known?
//!
//! ```text
//! source, watches, answers, time --> Core (decides) --> this loop --> tasks: watch, resolve, run, refresh
//!                                        |
//!                                        +--> Reports
//! ```
//!
//! One task owns all state. Every other task only brings it news, and ends with it.
mod answers;
mod app;
mod claims;
mod core;
mod health;
mod leaving;
mod looking;
mod observe;
mod order;
mod permit;
pub(crate) mod preview;
mod resolve;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use muster_wire::v1::{ClusterStatus, Event, EventKind};
use prost_types::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::core::{Action, Core, Input, Now, Told};
use crate::api::discovery::Discovery;
use crate::api::{Api, Gate};
use crate::apply::Executor;
use crate::events::{self, ParentUids, Recorder};
use crate::metrics::Happening;
use crate::reach::Reach;
use crate::report::Reports;
use crate::serve::{BEAT_EVERY, Standing};
use crate::source::{Problem, Snapshot, Update};
use crate::watch::{self, Scope};

/// Apps being synced at the same time: a few, so that their objects in memory are few.
const RUNS_MAX: usize = 8;

/// News waiting for the loop. Each may hold an object's body, so few may wait.
const NEWS_MAX: usize = 32;

/// How long changes are collected before they are reported, at least.
const REPORT_AFTER: Duration = Duration::from_millis(30);

/// So many times longer than making a report takes: with many objects that takes a while.
const REPORT_SHARE: u32 = 20;

/// The time between two changes of nothing but the time of the last fetch in the report.
const FETCHED_EVERY: i64 = 30;

/// What the loop needs.
pub(crate) struct Reconciler {
    pub(crate) api: Api,
    /// Namespace of the agent and of the ApplySet parents.
    pub(crate) home: String,
    pub(crate) reach: Reach,
    /// How often each kind is listed in full, in case a watch has missed something.
    pub(crate) full_check_interval: Duration,
    pub(crate) reports: Reports,
    pub(crate) standing: Standing,
    /// What is the same for as long as this agent leads.
    pub(crate) cluster: ClusterStatus,
}

/// The loop's own state, beside what it decides with.
struct Loop {
    tasks: Tasks,
    core: Core,
    reports: Reports,
    recorder: Recorder,
    cluster: ClusterStatus,
    /// The problem with Git, while there is one.
    git: Option<(Problem, Timestamp)>,
    /// The problems of the last snapshot.
    documents: Vec<(Problem, Timestamp)>,
    report_at: Option<Instant>,
    /// How long changes are collected, as the last report suggests.
    report_after: Duration,
}

/// Everything under way for the loop.
struct Tasks {
    api: Api,
    home: Arc<str>,
    discovery: Arc<Discovery>,
    reach: Reach,
    executor: Executor,
    runs: Arc<Semaphore>,
    set: JoinSet<()>,
    watches: HashMap<Scope, AbortHandle>,
    cancels: HashMap<u64, CancellationToken>,
    news: mpsc::Sender<Input>,
    sightings: watch::Sender,
}

impl Reconciler {
    /// Reconciles until cancelled. When this returns nothing is being written any more.
    pub(crate) async fn run(self, mut updates: mpsc::Receiver<Update>, stop: CancellationToken) {
        let (news, mut inputs) = mpsc::channel(NEWS_MAX);
        let (sightings, mut seen) = mpsc::channel(NEWS_MAX);
        let home: Arc<str> = self.home.as_str().into();
        let discovery = Arc::new(Discovery::new(self.api.clone()));
        let executor = Executor {
            api: self.api.clone(),
            writer: self.api.clone(),
            discovery: discovery.clone(),
            home: home.clone(),
            writes: Arc::new(Gate::new()),
            parent_uids: ParentUids::default(),
        };
        let parent_uids = executor.parent_uids.clone();
        let mut tasks = Tasks {
            api: self.api,
            home,
            discovery,
            reach: self.reach.clone(),
            executor,
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
            set: JoinSet::new(),
            watches: HashMap::new(),
            cancels: HashMap::new(),
            news,
            sightings,
        };
        tasks.load_parents();
        let (recorder, writer) =
            events::channel(tasks.api.clone(), tasks.home.clone(), self.cluster.leader.clone(), parent_uids);
        tasks.set.spawn(writer.run());
        let mut this = Loop {
            tasks,
            core: Core::new(&self.home, self.reach, self.full_check_interval, now()),
            reports: self.reports,
            recorder,
            cluster: self.cluster,
            git: None,
            documents: Vec::new(),
            report_at: None,
            report_after: REPORT_AFTER,
        };
        this.report_cluster();
        loop {
            self.standing.beat();
            // What has come already is taken before it is worked out how long to wait for more. Answers first: they
            // make room for more, and what is seen is judged by them.
            for _ in 0..NEWS_MAX {
                match (inputs.try_recv(), stop.is_cancelled()) {
                    (Ok(input), false) => this.take(input),
                    _ => break,
                }
            }
            let beat = Instant::now() + BEAT_EVERY;
            let wake = this.core.next_deadline(now()).min(this.report_at.unwrap_or(beat)).min(beat);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(input) = inputs.recv() => this.take(input),
                Some((scope, event)) = seen.recv() => this.take(Input::Watch { scope, event }),
                Some(update) = updates.recv() => this.update(update),
                Some(_) = this.tasks.set.join_next() => {}
                () = tokio::time::sleep_until(wake.into()) => this.wake(),
            }
        }
        this.tasks.stop().await;
    }
}

impl Loop {
    fn update(&mut self, update: Update) {
        let now = now();
        match update {
            Update::Snapshot(snapshot) => {
                self.note(&snapshot, now.timestamp);
                self.take(Input::Snapshot(snapshot));
            }
            Update::Current => {
                self.git = None;
                let before = self.cluster.fetched_at.map_or(0, |time| time.seconds);
                if now.timestamp.seconds - before >= FETCHED_EVERY || self.cluster.fetched_at.is_none() {
                    self.cluster.fetched_at = Some(now.timestamp);
                }
            }
            Update::Failed(problem) => {
                let since = match &self.git {
                    Some((before, since)) if *before == problem => *since,
                    _ => now.timestamp,
                };
                self.git = Some((problem, since));
            }
        }
        self.report_cluster();
    }

    fn note(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.cluster.head_revision = snapshot.revision.clone();
        self.cluster.labels = snapshot.labels.clone().into_iter().collect();
        if snapshot.fetched {
            self.cluster.fetched_at = Some(now);
            self.git = None;
        }
        let before = std::mem::take(&mut self.documents);
        let since = |problem: &Problem| {
            before.iter().find(|(old, _)| old == problem).map_or(now, |(_, since)| *since)
        };
        for problem in
            snapshot.problems.iter().filter(|problem| !before.iter().any(|(old, _)| old == *problem))
        {
            tracing::warn!(place = problem.place, "{}", problem.message);
        }
        self.documents = snapshot.problems.iter().map(|problem| (problem.clone(), since(problem))).collect();
    }

    fn report_cluster(&mut self) {
        let problems = self.git.iter().chain(&self.documents);
        self.cluster.errors = problems.map(|(problem, since)| status::error(problem, *since)).collect();
        self.reports.set_cluster(self.cluster.clone());
    }

    fn wake(&mut self) {
        let now = now();
        if self.report_at.is_some_and(|at| at <= now.instant) {
            self.report_at = None;
            self.core.report(now);
            self.report_after = (now.instant.elapsed() * REPORT_SHARE).max(REPORT_AFTER);
        }
        self.take(Input::Tick);
    }

    /// Lets the core decide, and starts what it wants done.
    fn take(&mut self, input: Input) {
        let now = now();
        // One poisonous object must not end the agent for all the others.
        let core = &mut self.core;
        let decided = catch_unwind(AssertUnwindSafe(move || {
            core.handle(input, now);
            core.take_actions(now)
        }));
        let actions = decided.unwrap_or_else(|_| {
            tracing::error!("Deciding failed in an unexpected way. The news is dropped; the rest goes on.");
            Vec::new()
        });
        for action in actions {
            self.act(action);
        }
        if self.core.to_report.is_empty() {
            if self.core.is_ready() {
                self.reports.settle();
            }
        } else if self.report_at.is_none() {
            self.report_at = Some(now.instant + self.report_after);
        }
    }

    fn count(&self, told: &Told) {
        let happening = match told.kind {
            EventKind::DriftDetected => Happening::Drift,
            EventKind::DriftCorrected => Happening::Correction,
            _ => return,
        };
        self.tasks.api.metrics().happened(&told.app, happening);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Report(status) => self.reports.set_app(*status),
            Action::Forget(app) => {
                tracing::info!(app, "The app is gone from this cluster.");
                self.reports.remove_app(&app);
                self.tasks.api.metrics().forget(&app);
                self.recorder.forget(&app);
            }
            Action::Event(told) => {
                self.count(&told);
                let health =
                    self.reports.status(&told.app).map_or_else(Default::default, |status| status.health());
                self.recorder.tell(told.kind, &told.app, &told.revision, &told.message, health);
                self.reports.push_event(event(told));
            }
            Action::Watch { resource, namespace } => self.tasks.watch(resource, namespace),
            Action::Unwatch(scope) => self.tasks.unwatch(&scope),
            Action::Locate(kind) => self.tasks.locate(kind),
            Action::Resolve { owner, generation, manifests } => {
                self.tasks.resolve(owner, generation, manifests);
            }
            Action::Refresh { app, key, resource } => self.tasks.refresh(app, key, resource),
            Action::Look { app, key, resource, generation } => {
                self.tasks.look(app, key, resource, generation);
            }
            Action::FindScaler { app, key } => self.tasks.find_scaler(app, key),
            Action::Run { app, run, account, plan, known } => self.tasks.run(app, run, account, plan, known),
            Action::Cancel { run } => self.tasks.cancel(run),
            Action::Ended { run } => self.tasks.ended(run),
        }
    }
}

fn event(told: Told) -> Event {
    Event {
        id: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
        time: Some(SystemTime::now().into()),
        kind: told.kind.into(),
        cluster: String::new(),
        app: told.app,
        revision: told.revision,
        message: told.message,
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), timestamp: SystemTime::now().into() }
}
