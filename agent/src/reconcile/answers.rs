//! What follows from the answers to our own writes?
use muster_wire::v1::EventKind;

use super::app::{Baseline, Presence};
use super::core::{Action, Core, Now, Told};
use super::looking::listing;
use crate::apply::{Applied, Done, Failure};
use crate::applyset::Parent;
use crate::backoff::jittered;
use crate::object::{GroupKind, ObjectKey};
use crate::source::Problem;

impl Core {
    /// One write of a run has been answered.
    pub(super) fn done(&mut self, name: &str, number: u64, done: Done, now: Now) {
        let Some(run) = self.apps.get_mut(name).and_then(|app| app.run.as_mut()) else { return };
        if run.number != number {
            return;
        }
        match done {
            Done::Parent(parent) => {
                self.note_record(name, parent.as_ref(), now);
                self.take_parent(name, parent);
            }
            Done::Definitions => run.definitions = true,
            Done::Applied { key, outcome } => self.applied(name, &key, outcome, now),
            Done::Pruned { key, outcome } => self.pruned(name, &key, outcome),
            Done::HookDeleted { key, outcome } => self.hook_deleted(name, &key, outcome),
        }
        self.to_report.insert(name.to_owned());
    }

    /// What the parent names is to be looked at, whatever Git says meanwhile.
    fn take_parent(&mut self, name: &str, parent: Option<Parent>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let before = std::mem::replace(&mut app.parent, parent);
        let kinds = |parent: &'_ Option<Parent>| {
            parent.as_ref().map(|parent| parent.kinds.clone()).unwrap_or_default()
        };
        let (before, now) = (kinds(&before), kinds(&app.parent));
        // Most apps have the kinds that others have: then nothing changes, however many there are.
        let is_watched = |kind: &GroupKind| self.watches.keys().any(|scope| scope.kind.group_kind == *kind);
        let is_same = before.is_subset(&now) && now.iter().all(is_watched);
        if !is_same || !self.reach.is_everywhere() {
            self.update_watches();
        }
    }

    fn applied(&mut self, name: &str, key: &ObjectKey, outcome: Result<Applied, Failure>, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(member) = app.members.get_mut(key) else { return };
        member.writing = false;
        match outcome {
            Ok(applied) => {
                let version = applied.seen.version;
                member.listing = listing(&self.watches, &applied.seen.resource, &key.namespace);
                member.failure = None;
                if let Some(note) = &applied.note {
                    tracing::info!(app = name, object = %key, "{note}");
                    app.run.iter_mut().for_each(|run| run.notes.push(format!("{key}: {note}")));
                }
                if applied.note.is_some() || member.drift.is_none() {
                    member.note = applied.note.map(Into::into);
                }
                member.take_applied(&app.options.health, key, applied.seen);
                let mut projection = applied.projection;
                self.shapes.share(&mut projection);
                member.baseline = Some(Baseline { digest: applied.digest, version, projection });
                if let Some(mut drift) = member.drift.take() {
                    member.fight.get_or_insert_default().corrected(now.instant);
                    drift.corrected_at = Some(now.timestamp);
                    drift.held_until = None;
                    self.actions.push(Action::Event(Told {
                        kind: EventKind::DriftCorrected,
                        app: name.to_owned(),
                        revision: app.wanted_revision.clone(),
                        message: format!("{key} is as Git says again."),
                    }));
                    tracing::info!(app = name, object = %key, "The drift is corrected.");
                    app.push_corrected(*drift);
                }
                self.catch_up(name, key, Some(version), now);
            }
            Err(failure) => {
                if failure.may_have_happened {
                    member.baseline = None;
                }
                let known = member.baseline.as_ref().map(|baseline| baseline.version);
                // What failed may have been older content than what counts now, which is there already.
                let matters = !member.in_sync();
                if let Some(problem) = failure.problem.filter(|_| matters) {
                    member.failure = Some(Box::new(problem));
                    if let Some(run) = &mut app.run {
                        run.failed = true;
                    }
                }
                self.catch_up(name, key, known, now);
            }
        }
    }

    fn pruned(&mut self, name: &str, key: &ObjectKey, outcome: Result<(), Problem>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let member = app.members.get_mut(key);
        match outcome {
            Ok(()) => {
                if let Some(run) = &mut app.run {
                    run.pruned.push(key.to_string());
                }
                if let Some(member) = member {
                    member.failure = None;
                    if let Some(seen) = &mut member.seen {
                        seen.deleting = true;
                    }
                }
            }
            Err(problem) => {
                if let Some(member) = member {
                    member.failure = Some(Box::new(problem));
                }
                if let Some(run) = &mut app.run {
                    run.failed = true;
                }
            }
        }
    }

    fn hook_deleted(&mut self, name: &str, key: &ObjectKey, outcome: Result<(), Problem>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(member) = app.members.get_mut(key) else { return };
        match outcome {
            // Its watch says when it is gone.
            Ok(()) => {
                if let Some(seen) = &mut member.seen {
                    seen.deleting = true;
                }
            }
            Err(problem) => {
                member.failure = Some(Box::new(problem));
                if let Some(run) = &mut app.run {
                    run.failed = true;
                }
            }
        }
    }

    /// A run has ended; `problem` is what went wrong beside single objects.
    pub(super) fn finished(&mut self, name: &str, number: u64, problem: Option<Problem>, now: Now) {
        self.actions.push(Action::Ended { run: number });
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(run) = app.run.take_if(|run| run.number == number) else { return };
        let mut unanswered = Vec::new();
        for (key, member) in app.members.iter_mut().filter(|(_, member)| member.writing) {
            // Nobody knows whether it was written.
            member.writing = false;
            member.baseline = None;
            unanswered.push(key.clone());
        }
        let failed = run.failed || problem.is_some();
        if !run.cancelled {
            app.run_problem = problem;
            let failing = app.members.values().any(|member| member.failure.is_some());
            if failed {
                app.failures += 1;
                app.retry_at = Some(now.instant + jittered(app.options.retry.wait(app.failures)));
            } else if !failing && app.unresolved.is_empty() {
                app.failures = 0;
                app.retry_at = None;
            }
            app.synced_at = Some(now.timestamp);
        }
        for key in unanswered {
            self.catch_up(name, &key, None, now);
        }
        self.tell_pruned(name, &run.pruned);
        self.tell_notes(name, &run.notes);
        if failed && !run.cancelled {
            self.tell_failed(name);
        }
        if run.definitions {
            self.resolve_again();
        }
        self.touch(name);
    }

    fn tell_pruned(&mut self, name: &str, pruned: &[String]) {
        let Some(app) = self.apps.get(name) else { return };
        let message = match pruned {
            [] => return,
            [one] => format!("{one} left Git and was deleted."),
            [first, .., last] => {
                format!("{} objects left Git and were deleted, from {first} to {last}.", pruned.len())
            }
        };
        tracing::info!(app = name, "{message}");
        self.actions.push(Action::Event(Told {
            kind: EventKind::Pruned,
            app: name.to_owned(),
            revision: app.wanted_revision.clone(),
            message,
        }));
    }

    fn tell_notes(&mut self, name: &str, notes: &[String]) {
        let Some(app) = self.apps.get(name) else { return };
        let message = match notes {
            [] => return,
            [one] => one.clone(),
            [first, ..] => format!("{first} And {} more objects.", notes.len() - 1),
        };
        self.actions.push(Action::Event(Told {
            kind: EventKind::Adopted,
            app: name.to_owned(),
            revision: app.wanted_revision.clone(),
            message,
        }));
    }

    fn tell_failed(&mut self, name: &str) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let told = Some((false, app.generation));
        if app.last.told == told {
            return;
        }
        app.last.told = told;
        let failures = app.members.values().filter_map(|member| member.failure.as_deref());
        let problem = app.run_problem.as_ref().into_iter().chain(failures).next();
        let message =
            problem.map_or_else(String::new, |problem| format!("{}: {}", problem.place, problem.message));
        self.actions.push(Action::Event(Told {
            kind: EventKind::SyncFailed,
            app: name.to_owned(),
            revision: app.wanted_revision.clone(),
            message: format!("The sync failed. {message}"),
        }));
    }

    /// Nothing is left to do: if all is as Git says, that is the revision applied in full.
    pub(super) fn settle(&mut self, name: &str, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        if !app.is_settled() || app.presence != Presence::Wanted {
            return;
        }
        if app.revision != app.wanted_revision {
            app.revision = app.wanted_revision.clone();
            self.to_report.insert(name.to_owned());
        }
        app.synced_at.get_or_insert(now.timestamp);
        let told = Some((true, app.generation));
        if app.last.told != told && app.last.ran {
            let count = app.members.values().filter(|member| !member.is_hook()).count();
            tracing::info!(app = name, revision = app.revision, objects = count, "The app is synced.");
            self.actions.push(Action::Event(Told {
                kind: EventKind::Synced,
                app: name.to_owned(),
                revision: app.revision.clone(),
                message: format!("All {count} objects are as Git says."),
            }));
        }
        app.last.told = told;
        app.last.ran = false;
    }
}
