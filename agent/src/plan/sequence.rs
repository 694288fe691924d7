//! What is done in which order when new content has hooks, waves or apps to wait for?
//!
//! ```text
//! wait for apps --> pre-sync hooks --> wave, wait until healthy --> next wave ... --> prune --> post-sync hooks
//! ```
//!
//! The order is for new content alone. Once a content is in (see [`Record`]), a drifted object is put back
//! at once, whatever else is not well.
use std::collections::{BTreeMap, BTreeSet};

use super::hook::{self, Hook, Outcome, Phase, Ran};
use super::wave::Wave;
use super::{Desired, Doomed, HookRun, Kinds, Step, Wait, apply_steps};
use crate::applyset::{Ended, Record};
use crate::object::{Digest, ObjectKey};

/// Content that is applied in order, and what is known of it.
pub(crate) struct Ordered<'a> {
    /// Digest of all its manifests.
    pub(crate) content: Digest,
    /// What was done before, for this content or another.
    pub(crate) record: Option<&'a Record>,
    /// What it waits for: apps, each with what is the matter with it.
    pub(crate) apps: Vec<String>,
    /// Places in Git of annotations that should say when to apply something and make no sense.
    pub(crate) unclear: Vec<String>,
    /// Objects to apply, each in its wave.
    pub(crate) apply: BTreeMap<&'a ObjectKey, &'a Desired>,
    /// Wanted objects that are not as they should be.
    pub(crate) unready: BTreeMap<&'a ObjectKey, Unready>,
    pub(crate) hooks: BTreeMap<&'a ObjectKey, HookView<'a>>,
    /// Manifests of kinds the server does not have (yet).
    pub(crate) unknown: Vec<Unknown>,
    /// Whether a failed hook may be run again now, and how often in all.
    pub(crate) retry: bool,
    pub(crate) retries: u32,
    /// The sync counts as failed, hooks aside.
    pub(crate) failing: bool,
}

/// A wanted object that is not as it should be.
pub(crate) struct Unready {
    pub(crate) wave: Wave,
    /// It is as Git says, only not healthy.
    pub(crate) applied: bool,
    /// What is the matter with it.
    pub(crate) message: String,
}

/// A manifest of a kind the server does not have (yet).
pub(crate) struct Unknown {
    /// Where it is written.
    pub(crate) place: String,
    pub(crate) wave: Wave,
    /// It is a hook of this phase at the earliest; none when it is no hook.
    pub(crate) phase: Option<Phase>,
}

/// A hook as Git wants it, and its object in the cluster.
pub(crate) struct HookView<'a> {
    pub(crate) hook: &'a Hook,
    pub(crate) desired: &'a Desired,
    pub(crate) live: Option<Live<'a>>,
    /// Why it cannot be run now.
    pub(crate) held: Option<String>,
}

/// A hook's object in the cluster, made by this app.
pub(crate) struct Live<'a> {
    pub(crate) uid: &'a str,
    pub(crate) deleting: bool,
    pub(crate) ran: Option<&'a Ran>,
}

/// What is to be done about one hook in one phase.
enum State<'a> {
    Succeeded,
    /// So often that it is not tried again.
    Failed(u32),
    Running(String),
    /// Not there: may be made.
    Due(u32),
    /// An object of another run is there, with that uid.
    Replace(u32, &'a str),
    /// An object of another run is on its way out.
    Going(u32),
}

/// The name of a hook's phase in the record.
fn entry(phase: Phase, key: &ObjectKey) -> String {
    format!("{phase} {key}")
}

impl Ordered<'_> {
    /// The record for this content, with what can be seen to have ended since it was written.
    pub(super) fn record(&self) -> Record {
        let known = self.record.filter(|record| record.content == self.content);
        let mut record = known.cloned().unwrap_or_else(|| Record::begin(self.content, self.record));
        for (key, view) in &self.hooks {
            let Some(ran) = view.live.as_ref().and_then(|live| live.ran) else { continue };
            for phase in &view.hook.phases {
                let entry = entry(*phase, key);
                let Some(attempt) = attempt(&record, &entry) else { continue };
                if *ran.run == *hook::run_id(&record, *phase, attempt) {
                    match ran.outcome {
                        Outcome::Running(_) => {}
                        Outcome::Succeeded => drop(record.hooks.insert(entry, Ended::Succeeded)),
                        Outcome::Failed(_) => drop(record.hooks.insert(entry, Ended::Failed(attempt))),
                    }
                }
            }
        }
        record
    }

    /// Whether this content was applied in full before, so that there is no order to keep.
    pub(super) fn is_complete(&self) -> bool {
        self.record.is_some_and(|record| record.complete && record.content == self.content)
    }

    /// Whether everything it brings is in.
    pub(super) fn is_in(&self) -> bool {
        self.apps.is_empty()
            && self.unclear.is_empty()
            && self.unknown.is_empty()
            && self.unready.values().all(|unready| unready.applied)
    }

    /// The steps for this content. `prune` comes when all waves are in.
    pub(super) fn steps(&self, record: &Record, prune: Vec<Step>, kinds: Kinds) -> Vec<Step> {
        let mut steps = self.clean_up(record);
        if self.is_complete() {
            steps.extend(prune);
            return steps;
        }
        // What follows a wait does not run yet; a failure must not wait for what may never come.
        let mut failure = Vec::new();
        if self.failing || self.has_failed(record) {
            self.phase_steps(Phase::OnFailure, record, &mut failure);
        }
        let first_wait = failure.iter().position(|step| matches!(step, Step::Wait(_)));
        let later = failure.split_off(first_wait.unwrap_or(failure.len()));
        steps.extend(failure);
        let before = steps.len();
        if !self.unclear.is_empty() {
            steps.push(Step::Wait(Wait::Clear(self.unclear.clone())));
        }
        if !self.apps.is_empty() {
            steps.push(Step::Wait(Wait::Apps(self.apps.clone())));
        }
        self.phase_steps(Phase::PreSync, record, &mut steps);
        self.unknown_hooks(Phase::PreSync, &mut steps);
        let to_come = self.waves_to_come(record);
        let last = to_come.iter().next_back().copied();
        let post = self.has_open(Phase::PostSync, record);
        for wave in to_come {
            steps.extend(apply_steps(self.apply.iter().filter(|(_, desired)| desired.wave == wave), kinds));
            self.wave_steps(Phase::Sync, wave, record, &mut steps);
            if Some(wave) != last || post {
                self.await_wave(wave, &mut steps);
            }
        }
        steps.extend(prune);
        self.phase_steps(Phase::PostSync, record, &mut steps);
        self.unknown_hooks(Phase::PostSync, &mut steps);
        // A sync that is done after all does not wait for what was done about its failure.
        if steps.len() > before {
            steps.extend(later);
        }
        steps
    }

    /// Waves in which there is something to do or to wait for.
    fn waves_to_come(&self, record: &Record) -> BTreeSet<Wave> {
        let objects = self.apply.values().map(|desired| desired.wave);
        let unready = self.unready.values().map(|unready| unready.wave);
        let hooks = self.open(Phase::Sync, record).map(|(_, view)| view.desired.wave);
        let is_later = |unknown: &&Unknown| matches!(unknown.phase, None | Some(Phase::Sync));
        let unknown = self.unknown.iter().filter(is_later).map(|unknown| unknown.wave);
        objects.chain(unready).chain(hooks).chain(unknown).collect()
    }

    fn await_wave(&self, wave: Wave, steps: &mut Vec<Step>) {
        let unknown: Vec<_> = self
            .unknown
            .iter()
            .filter(|unknown| unknown.wave == wave && matches!(unknown.phase, None | Some(Phase::Sync)))
            .map(|unknown| unknown.place.clone())
            .collect();
        if !unknown.is_empty() {
            steps.push(Step::Wait(Wait::Kinds(unknown)));
        }
        let unready: Vec<_> = self
            .unready
            .iter()
            .filter(|(_, unready)| unready.wave == wave)
            .map(|(key, unready)| ((*key).clone(), unready.message.clone()))
            .collect();
        if !unready.is_empty() {
            steps.push(Step::Wait(Wait::Healthy(wave, unready)));
        }
    }

    fn unknown_hooks(&self, phase: Phase, steps: &mut Vec<Step>) {
        let unknown = self.unknown.iter().filter(|unknown| unknown.phase == Some(phase));
        let places: Vec<_> = unknown.map(|unknown| unknown.place.clone()).collect();
        if !places.is_empty() {
            steps.push(Step::Wait(Wait::Kinds(places)));
        }
    }

    /// Hooks of a phase that have not succeeded.
    fn open(&self, phase: Phase, record: &Record) -> impl Iterator<Item = (&ObjectKey, &HookView<'_>)> {
        self.hooks.iter().map(|(key, view)| (*key, view)).filter(move |(key, view)| {
            view.hook.phases.contains(&phase)
                && record.hooks.get(&entry(phase, key)) != Some(&Ended::Succeeded)
        })
    }

    fn has_open(&self, phase: Phase, record: &Record) -> bool {
        self.open(phase, record).next().is_some()
            || self.unknown.iter().any(|unknown| unknown.phase == Some(phase))
    }

    /// Whether a hook has failed so often that it is not tried again.
    fn has_failed(&self, record: &Record) -> bool {
        let phases = [Phase::PreSync, Phase::Sync, Phase::PostSync];
        phases.iter().any(|phase| {
            self.open(*phase, record)
                .any(|(key, view)| matches!(self.state(key, view, *phase, record), State::Failed(_)))
        })
    }

    /// The hooks of a phase, wave by wave, each wave after the one before.
    fn phase_steps(&self, phase: Phase, record: &Record, steps: &mut Vec<Step>) {
        let waves: BTreeSet<Wave> = self.open(phase, record).map(|(_, view)| view.desired.wave).collect();
        for wave in waves {
            self.wave_steps(phase, wave, record, steps);
        }
    }

    fn wave_steps(&self, phase: Phase, wave: Wave, record: &Record, steps: &mut Vec<Step>) {
        let mut hooks = Hooks::default();
        for (key, view) in self.open(phase, record).filter(|(_, view)| view.desired.wave == wave) {
            let run = |attempt| HookRun {
                key: key.clone(),
                desired: view.desired.clone(),
                phase,
                run: hook::run_id(record, phase, attempt),
            };
            match self.state(key, view, phase, record) {
                State::Succeeded => continue,
                // What is done about a failure cannot make it worse.
                State::Failed(_) if phase == Phase::OnFailure => continue,
                State::Failed(times) => hooks.failed.push((key.clone(), times)),
                State::Running(_) => {}
                State::Due(attempt) => hooks.run.push(run(attempt)),
                State::Replace(attempt, uid) => {
                    hooks.delete.push(doomed(key, view.desired, uid));
                    hooks.after.push(run(attempt));
                }
                State::Going(attempt) => hooks.after.push(run(attempt)),
            }
            let message = match self.state(key, view, phase, record) {
                State::Running(message) => message,
                _ => String::new(),
            };
            hooks.open.push((key.clone(), message));
        }
        hooks.steps(phase, steps);
    }

    fn state<'b>(&self, key: &ObjectKey, view: &'b HookView<'_>, phase: Phase, record: &Record) -> State<'b> {
        let entry = entry(phase, key);
        let Some(attempt) = attempt(record, &entry) else { return State::Succeeded };
        if attempt > self.retries.saturating_add(1) {
            return State::Failed(attempt - 1);
        }
        if let Some(held) = &view.held {
            return State::Running(held.clone());
        }
        let run = hook::run_id(record, phase, attempt);
        match &view.live {
            Some(live) if live.deleting => State::Going(attempt),
            Some(Live { ran: Some(ran), .. }) if *ran.run == *run => State::Running(match &ran.outcome {
                Outcome::Running(message) => message.clone(),
                _ => String::new(),
            }),
            _ if attempt > 1 && !self.retry => State::Running(format!(
                "It failed (try {} of {}) and is run again soon.",
                attempt - 1,
                self.retries + 1
            )),
            Some(live) => State::Replace(attempt, live.uid),
            None => State::Due(attempt),
        }
    }

    /// Deletes objects of hooks that have ended, where Git says so.
    fn clean_up(&self, record: &Record) -> Vec<Step> {
        let ended = self.hooks.iter().filter_map(|(key, view)| {
            let live = view.live.as_ref().filter(|live| !live.deleting)?;
            let ran = live.ran?;
            let recorded = view.hook.phases.iter().any(|phase| {
                ran.run.starts_with(&hook::runs(record, *phase))
                    && record.hooks.contains_key(&entry(*phase, key))
            });
            let wanted = match ran.outcome {
                Outcome::Running(_) => false,
                Outcome::Succeeded => view.hook.delete_succeeded,
                Outcome::Failed(_) => view.hook.delete_failed,
            };
            (recorded && wanted).then(|| doomed(key, view.desired, live.uid))
        });
        let ended: Vec<_> = ended.collect();
        if ended.is_empty() { Vec::new() } else { vec![Step::DeleteHooks(ended)] }
    }
}

/// Which try of a hook is next, from 1; `None` when it has succeeded.
fn attempt(record: &Record, entry: &str) -> Option<u32> {
    match record.hooks.get(entry) {
        None => Some(1),
        Some(Ended::Failed(times)) => Some(times.saturating_add(1)),
        Some(Ended::Succeeded) => None,
    }
}

fn doomed(key: &ObjectKey, desired: &Desired, uid: &str) -> Doomed {
    Doomed { key: key.clone(), resource: desired.resource.clone(), uid: uid.into(), with_contents: true }
}

/// The hooks of one wave of a phase, by what is to be done about them.
#[derive(Default)]
struct Hooks {
    delete: Vec<Doomed>,
    run: Vec<HookRun>,
    /// To be run when the object of an earlier run is gone.
    after: Vec<HookRun>,
    failed: Vec<(ObjectKey, u32)>,
    open: Vec<(ObjectKey, String)>,
}

impl Hooks {
    fn steps(self, phase: Phase, steps: &mut Vec<Step>) {
        if !self.delete.is_empty() {
            steps.push(Step::DeleteHooks(self.delete));
        }
        if !self.run.is_empty() {
            steps.push(Step::RunHooks(self.run));
        }
        if !self.after.is_empty() {
            steps.push(Step::Wait(Wait::Gone(self.after.iter().map(|run| run.key.clone()).collect())));
            steps.push(Step::RunHooks(self.after));
        }
        if !self.failed.is_empty() {
            steps.push(Step::Wait(Wait::Failed(phase, self.failed)));
        } else if !self.open.is_empty() {
            steps.push(Step::Wait(Wait::Hooks(phase, self.open)));
        }
    }
}
