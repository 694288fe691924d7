//! What does Git want now, and what of it can be told to the cluster yet?
use super::app::{App, Pending, Presence};
use super::core::{Action, Core, Now};
use super::leaving::Leaving;
use super::order::{self, Progress};
use super::resolve::Resolution;
use crate::backoff::jittered;
use crate::source::{Content, Kind, Manifest, Problem, Snapshot, Wanted};

impl Core {
    /// The repository was read.
    pub(super) fn snapshot(&mut self, snapshot: Snapshot, now: Now) {
        let Snapshot { revision, apps, mut held, waiting, complete, windows, deselected, .. } = snapshot;
        let (limit_percent, place) = (snapshot.prune_limit_percent, snapshot.place);
        self.source_known = true;
        let gone: Vec<_> = self
            .apps
            .keys()
            .filter(|name| {
                !apps.contains_key(*name) && !held.contains_key(*name) && !waiting.contains_key(*name)
            })
            .cloned()
            .collect();
        let here = waiting.into_iter().filter(|(name, _)| self.apps.contains_key(name));
        held.extend(here.map(|(name, why)| (name, vec![why])));
        let leaving =
            Leaving { revision: revision.clone(), complete, windows, deselected, limit_percent, place };
        self.leave(&gone, &leaving, now);
        for (name, wanted) in apps {
            let app = self
                .apps
                .entry(name.clone())
                .or_insert_with(|| App::new(&name, &self.home, Presence::Wanted));
            app.presence = Presence::Wanted;
            app.leaving = None;
            let Wanted { revision, options, path, content } = wanted;
            app.wanted_revision = revision;
            let rules = app.options.health.changed(&options.health);
            app.options = options;
            app.note_order();
            app.path = path;
            // The commit itself may open or close a window.
            app.renew_permit(now);
            match content {
                Content::Unchanged => {}
                Content::Broken(problems) => app.problems = problems,
                Content::Rendered(manifests) => self.rendered(&name, manifests),
            }
            self.judge_again(&name, &rules);
            self.touch(&name);
        }
        for (name, app) in &mut self.apps {
            if let Some(problems) = held.remove(name) {
                app.presence = Presence::Wanted;
                app.wanted_revision = revision.clone();
                app.problems = problems;
                self.to_report.insert(name.clone());
            }
        }
        for (name, problems) in held {
            let mut app = App::new(&name, &self.home, Presence::Wanted);
            app.wanted_revision = revision.clone();
            app.problems = problems;
            self.apps.insert(name.clone(), app);
            self.to_report.insert(name);
        }
        self.update_watches();
    }

    /// New manifests of an app, to be taken in when its windows let them.
    fn rendered(&mut self, name: &str, manifests: Vec<Manifest>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.problems.clear();
        let is_news = order::content(app.options.namespace.as_deref(), &manifests) != app.content;
        if is_news && app.waits_for_window() {
            app.pending = Some(Pending::Content(manifests));
        } else {
            self.take_in(name, manifests);
        }
    }

    /// What was held back by a window that has opened.
    pub(super) fn take_pending(&mut self, name: &str, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        match app.pending.take_if(|_| app.permit.allows_all() && app.problems.is_empty()) {
            Some(Pending::Content(manifests)) => self.take_in(name, manifests),
            Some(Pending::Removal) => self.remove_now(name, now),
            None => {}
        }
    }

    /// What an app is from now on.
    fn take_in(&mut self, name: &str, manifests: Vec<Manifest>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.pending = None;
        app.unresolved.clear();
        self.generations += 1;
        app.generation = self.generations;
        app.failures = 0;
        app.retry_at = None;
        app.run_problem = None;
        app.resolving = true;
        app.coming = order::content(app.options.namespace.as_deref(), &manifests);
        if let Some(run) = &mut app.run {
            run.cancelled = true;
            self.actions.push(Action::Cancel { run: run.number });
        }
        self.actions.push(resolve(app, manifests));
    }

    pub(super) fn resolved(&mut self, name: &str, generation: u64, resolution: Option<Resolution>, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        if app.generation != generation || app.presence != Presence::Wanted {
            return;
        }
        app.resolving = false;
        let Some(resolution) = resolution else {
            let message = "The manifests could not be made ready to be applied: the agent failed on them.";
            app.problems =
                vec![Problem { kind: Kind::Render, place: app.path.clone(), message: message.to_owned() }];
            self.update_watches();
            self.touch(name);
            return;
        };
        let whole = app.resolved != generation;
        app.resolved = generation;
        app.unresolved = resolution.unresolved;
        if whole {
            app.problems = resolution.problems;
            app.unclear = resolution.unclear;
            if app.content != app.coming {
                app.content = app.coming;
                app.progress = Progress::default();
            }
            // New content overrules what others did meanwhile, with or without self-heal.
            for member in app.members.values_mut() {
                member.failure = None;
                member.held_until = None;
                if member.drift.is_some() {
                    member.baseline = None;
                }
            }
        }
        if !app.unresolved.is_empty() {
            app.failures += 1;
            app.retry_at = Some(now.instant + jittered(app.options.retry.wait(app.failures)));
        }
        self.set_desired(name, resolution.objects, whole, now);
        if let Some(app) = self.apps.get_mut(name) {
            app.note_order();
        }
        self.update_watches();
        self.touch(name);
        if !self.is_resolving() {
            // Nothing was pruned until now, since one app may want what another lets go.
            self.to_plan.extend(self.apps.keys().cloned());
        }
    }

    /// Tries again at once what was of an unknown kind: a definition has just been served.
    pub(super) fn resolve_again(&mut self) {
        for app in self.apps.values_mut().filter(|app| !app.unresolved.is_empty() && !app.resolving) {
            app.resolving = true;
            self.actions.push(resolve_rest(app));
        }
    }
}

/// Asks again about what is left of an app.
pub(super) fn resolve_rest(app: &App) -> Action {
    resolve(app, app.unresolved.iter().map(|(manifest, _)| manifest.clone()).collect())
}

fn resolve(app: &App, manifests: Vec<Manifest>) -> Action {
    Action::Resolve { owner: app.owner(), generation: app.generation, manifests }
}
