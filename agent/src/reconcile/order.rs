//! What does the order of an app's sync depend on, and what does it wait for?
//!
//! Only new content is applied in order, and only that of apps that ask for one: by hooks, by more than
//! one wave, or by apps they depend on. See `plan` for the order itself.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use muster_wire::v1::{EventKind, HealthStatus};

use super::app::{App, Member, Presence};
use super::core::{Action, Core, Now, Told};
use crate::applyset::{Ended, Parent, Record};
use crate::backoff::jittered;
use crate::object::{Digest, ObjectKey, at, digest};
use crate::plan::hook::{self, Outcome};
use crate::plan::{Desired, HookView, Live, Ordered, Unknown, Unready, Wait, wave};
use crate::source::{Kind, Manifest, Problem};

/// How far the sync of the present content is, as far as only this agent knows.
#[derive(Default)]
pub(super) struct Progress {
    /// When it began.
    started: Option<Instant>,
    /// A hook that has failed is not run again before.
    retry_at: Option<Instant>,
    /// What it waits for.
    pub(super) wait: Option<Wait>,
    /// It has taken longer than it may.
    pub(super) overdue: bool,
}

/// Digest of what an app's manifests say: hooks run once for each.
pub(super) fn content(namespace: Option<&str>, manifests: &[Manifest]) -> Digest {
    // In any order: it is not the order in files that counts.
    let mut each: Vec<Digest> =
        manifests.iter().map(|manifest| digest([manifest.json().as_bytes()])).collect();
    each.sort_unstable();
    let namespace = namespace.unwrap_or_default().as_bytes();
    digest(std::iter::once(namespace).chain(each.iter().map(<[u8; 16]>::as_slice)))
}

impl App {
    /// Finds out whether its content is to be applied in an order of its own.
    pub(super) fn note_order(&mut self) {
        let mut waves = BTreeSet::new();
        let hooks = self.members.values().filter_map(|member| member.desired.as_ref()).any(|desired| {
            waves.insert(desired.wave);
            desired.hook.as_ref().is_some_and(|hook| !hook.phases.is_empty())
        });
        let unknown = self.unknown();
        waves.extend(unknown.iter().map(|unknown| unknown.wave));
        self.has_order = hooks
            || waves.len() > 1
            || unknown.iter().any(|unknown| unknown.phase.is_some())
            || !self.options.depends_on.is_empty()
            || !self.unclear.is_empty();
    }

    fn record(&self) -> Option<&Record> {
        self.parent.as_ref()?.sync.as_ref().filter(|record| record.content == self.content)
    }

    /// Whether new content is being applied in order, so that not all that differs from Git may be applied.
    pub(super) fn is_in_order(&self) -> bool {
        self.presence == Presence::Wanted
            && self.resolved != 0
            && self.has_order
            && !self.record().is_some_and(|record| record.complete)
    }

    /// Whether a member waits for its turn. One that was applied before only has to be put back.
    pub(super) fn has_turn(member: &Member) -> bool {
        !is_applied(member)
    }

    /// What the planner is to look at when the content has an order. `due` are the objects to apply.
    pub(super) fn ordered<'a>(
        &'a self,
        due: BTreeMap<&'a ObjectKey, &'a Desired>,
        apps: Vec<String>,
        now: Instant,
    ) -> Option<Ordered<'a>> {
        if self.presence != Presence::Wanted || self.resolved == 0 || !self.has_order {
            return None;
        }
        let unready = self.members.iter().filter_map(|(key, member)| Some((key, unready(member)?)));
        let hooks = self.members.iter().filter_map(|(key, member)| Some((key, self.hook(key, member, now)?)));
        Some(Ordered {
            content: self.content,
            record: self.parent.as_ref().and_then(|parent| parent.sync.as_ref()),
            apps,
            unclear: self.unclear.clone(),
            apply: due,
            unready: unready.collect(),
            hooks: hooks.collect(),
            unknown: self.unknown(),
            retry: self.progress.retry_at.is_none_or(|at| at <= now),
            retries: self.options.retry.limit,
            failing: self.progress.overdue || self.failures > self.options.retry.limit,
        })
    }

    fn hook<'a>(&'a self, key: &ObjectKey, member: &'a Member, now: Instant) -> Option<HookView<'a>> {
        let desired = member.desired.as_ref()?;
        let hook = desired.hook.as_deref()?;
        let ours = member.seen.as_ref().filter(|_| self.owns(member));
        let live =
            ours.map(|seen| Live { uid: &seen.uid, deleting: seen.deleting, ran: seen.ran.as_deref() });
        let disputed = member
            .disputed_with
            .as_ref()
            .map(|other| format!("{key} is also in the app {other}; leave it in one of them"));
        let refused = member
            .failure
            .as_ref()
            .filter(|_| self.retry_at.is_some_and(|at| at > now))
            .map(|problem| problem.message.clone());
        let another = member.seen.as_ref().filter(|_| live.is_none());
        let another = another.map(|_| "its object is still another app's".to_owned());
        Some(HookView { hook, desired, live, held: disputed.or(another).or(refused) })
    }

    /// Manifests of unknown kinds, as far as their annotations can be read.
    fn unknown(&self) -> Vec<Unknown> {
        let unknown = self.unresolved.iter().filter_map(|(manifest, _)| {
            let object = manifest.read();
            let annotations = at(&object, &["metadata", "annotations"]).and_then(|all| all.as_object());
            let hook = hook::read(annotations).unwrap_or_default();
            let phase = hook.as_ref().map(|hook| hook.phases.first().copied());
            // One that is never run is not waited for.
            let never = phase == Some(None);
            (!never).then(|| Unknown {
                place: manifest.place.to_string(),
                wave: wave::read(annotations).unwrap_or_default(),
                phase: phase.flatten(),
            })
        });
        unknown.collect()
    }

    /// Takes note of what the sync waits for; true when that is something new.
    pub(super) fn note_wait(&mut self, wait: Option<Wait>, now: Instant) -> bool {
        let changed = self.progress.wait != wait;
        self.progress.wait = wait;
        // It begins when the apps it depends on are well.
        if !self.is_in_order() || matches!(self.progress.wait, Some(Wait::Apps(_))) {
            self.progress.started = None;
            self.progress.overdue = false;
        } else if self.progress.started.is_none() {
            self.progress.started = Some(now);
        }
        changed
    }

    /// When the order makes something due without any news.
    pub(super) fn order_deadline(&self) -> Option<Instant> {
        let overdue = self.limit().filter(|_| !self.progress.overdue);
        overdue.into_iter().chain(self.progress.retry_at).min()
    }

    fn limit(&self) -> Option<Instant> {
        self.progress.started?.checked_add(self.options.timeout)
    }

    /// Whether time has made something due.
    pub(super) fn order_is_due(&mut self, now: Instant) -> bool {
        let retry = self.progress.retry_at.take_if(|at| *at <= now).is_some();
        let overdue = !self.progress.overdue && self.limit().is_some_and(|at| at <= now);
        self.progress.overdue |= overdue;
        retry || overdue
    }

    /// What is wrong with the sync as a whole.
    pub(super) fn order_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(Wait::Failed(phase, hooks)) = &self.progress.wait {
            for (key, times) in hooks {
                let outcome = self
                    .members
                    .get(key)
                    .and_then(|member| Some(&member.seen.as_ref()?.ran.as_ref()?.outcome));
                let why = match outcome {
                    Some(Outcome::Failed(message)) if !message.is_empty() => format!(" {message}"),
                    _ => String::new(),
                };
                let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
                problems.push(Problem {
                    kind: Kind::Apply,
                    place: key.to_string(),
                    message: format!(
                        "The {phase} hook has failed {times} and is not run again before its app changes in Git, so the \
                         sync does not go on.{why}"
                    ),
                });
            }
        } else if let (true, Some(wait)) = (self.progress.overdue, &self.progress.wait) {
            let timeout = humantime::format_duration(Duration::from_secs(self.options.timeout.as_secs()));
            problems.push(Problem {
                kind: Kind::Apply,
                place: String::new(),
                message: format!(
                    "The sync is not done after {timeout} (spec.sync.timeout). It still waits for {wait}."
                ),
            });
        }
        problems
    }
}

/// Whether what Git says of it now has been applied, by this agent or by one before.
fn is_applied(member: &Member) -> bool {
    let wanted = member.desired.as_ref().map(|desired| desired.digest);
    let before = member.seen.as_ref().filter(|seen| seen.applied_by_us).and_then(|seen| seen.content);
    member.is_applied() || member.is_left_alone() || (before.is_some() && before == wanted)
}

/// A wanted object that is not as it should be, hooks aside.
fn unready(member: &Member) -> Option<Unready> {
    let desired = member.desired.as_ref().filter(|desired| desired.hook.is_none())?;
    let applied = is_applied(member);
    let message = match (&member.failure, &member.seen) {
        (Some(failure), _) => failure.message.clone(),
        (None, _) if !applied => "not applied yet".to_owned(),
        (None, None) => "not in the cluster".to_owned(),
        // Suspended is what somebody wants it to be.
        (None, Some(seen))
            if matches!(seen.health.status, HealthStatus::Healthy | HealthStatus::Suspended) =>
        {
            return None;
        }
        (None, Some(seen)) => seen.health.message.clone(),
    };
    Some(Unready { wave: desired.wave, applied, message })
}

impl Core {
    /// The apps that one waits for, each with what is the matter with it.
    pub(super) fn awaited_apps(&self, app: &App) -> Vec<String> {
        if !app.is_in_order() {
            return Vec::new();
        }
        let matter = |name: &String| {
            let why = match self.apps.get(name) {
                None => Some("not in this cluster".to_owned()),
                Some(other) => not_well(other),
            };
            why.map(|why| format!("{name} ({why})"))
        };
        app.options.depends_on.iter().filter_map(matter).collect()
    }

    /// Plans the apps that wait for this one, when what is the matter with it has changed.
    pub(super) fn wake_dependents(&mut self, name: &str) {
        let waits = |app: &App| app.options.depends_on.iter().any(|other| other == name);
        let dependents: Vec<String> =
            self.apps.iter().filter(|(_, app)| waits(app)).map(|(name, _)| name.clone()).collect();
        if dependents.is_empty() {
            return;
        }
        let Some(app) = self.apps.get_mut(name) else { return };
        let matter = Some(not_well(app));
        if app.last.matter != matter {
            app.last.matter = matter;
            self.to_plan.extend(dependents);
        }
    }

    /// A record has been written: a hook that has failed once more is run again later.
    pub(super) fn note_record(&mut self, name: &str, parent: Option<&Parent>, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let failed = |parent: Option<&Parent>| -> BTreeMap<String, u32> {
            let hooks = parent.and_then(|parent| parent.sync.as_ref()).map(|sync| &sync.hooks);
            let failed = hooks.into_iter().flatten().filter_map(|(entry, ended)| match ended {
                Ended::Failed(times) => Some((entry.clone(), *times)),
                Ended::Succeeded => None,
            });
            failed.collect()
        };
        let before = failed(app.parent.as_ref());
        let news: Vec<_> =
            failed(parent).into_iter().filter(|(entry, times)| before.get(entry) != Some(times)).collect();
        let Some(times) = news.iter().map(|(_, times)| *times).max() else { return };
        app.progress.retry_at = Some(now.instant + jittered(app.options.retry.wait(times)));
        for (entry, times) in news {
            let message =
                format!("The hook {entry} has failed (try {times} of {}).", app.options.retry.limit + 1);
            tracing::warn!(app = name, "{message}");
            self.actions.push(Action::Event(Told {
                kind: EventKind::SyncFailed,
                app: name.to_owned(),
                revision: app.wanted_revision.clone(),
                message,
            }));
        }
    }
}

/// Why an app is not Synced and Healthy at the revision it should be at.
fn not_well(app: &App) -> Option<String> {
    if app.presence != Presence::Wanted {
        return Some("being removed".to_owned());
    }
    if app.is_suspended() {
        return Some("suspended".to_owned());
    }
    if !app.is_settled() || app.revision != app.wanted_revision {
        return Some("not Synced".to_owned());
    }
    let ill = app.members.iter().find_map(|(key, member)| Some((key, unready(member)?)))?;
    Some(format!("{}: {}", ill.0, ill.1.message.trim_end_matches('.')))
}
