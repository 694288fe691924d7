//! What does a person need to know of an app?
use std::collections::BTreeMap;

use muster_wire::v1::{
    AppStatus, Drift, EventKind, HealthStatus, ObjectRef, ObjectStatus, StatusError, SyncStatus,
};
use prost_types::Timestamp;

use super::app::{App, Member, Presence};
use super::core::{Action, Core, Now, Told, Watched};
use super::health::judge;
use crate::health::course::Courses;
use crate::health::severity;
use crate::object::ObjectKey;
use crate::plan::Wait;
use crate::source::{Kind, Problem};
use crate::watch::Scope;
use muster_wire::health_word;

/// Most objects in one status; the worst are kept.
const OBJECTS_MAX: usize = 1_000;

/// Most errors in one status.
const ERRORS_MAX: usize = 50;

/// Most present drifts in one status.
const DRIFTS_MAX: usize = 100;

impl Core {
    /// Reports every app about which something is new.
    pub(super) fn report(&mut self, now: Now) {
        for name in std::mem::take(&mut self.to_report) {
            let Some(app) = self.apps.get_mut(&name) else { continue };
            if app.presence == Presence::Found {
                continue;
            }
            let before = app.last.health;
            let known = app.last.since.is_some();
            let status = status(app, &self.watches, &mut self.courses, now);
            let health = status.health();
            let (revision, said) = (status.revision.clone(), status.message.clone());
            let told = std::mem::replace(&mut app.last.message, said.clone());
            // Before the event, which is about this status.
            self.actions.push(Action::Report(Box::new(status)));
            if known && before != health && !is_beginning(before, health) {
                let words =
                    format!("{} is {} now, it was {}.", name, health_word(health), health_word(before));
                let message = if said.is_empty() { words } else { format!("{words} {said}") };
                let kind = EventKind::HealthChanged;
                tracing::info!(app = name, "{message}");
                self.actions.push(Action::Event(Told { kind, app: name, revision, message }));
            } else if told != said && severity(health) > 0 {
                tracing::info!(app = name, "{name} is {}. {said}", health_word(health));
            }
        }
    }
}

/// The status of an app, which then remembers what it said.
fn status(app: &mut App, watches: &BTreeMap<Scope, Watched>, courses: &mut Courses, now: Now) -> AppStatus {
    let problems = problems(app, watches);
    courses.retain(&app.name, |key| app.members.get(key).is_some_and(|member| member.seen.is_some()));
    let mut judged = |key, member| object_status(app, courses, key, member, now);
    let mut objects: Vec<_> = app.members.iter().filter_map(|(key, member)| judged(key, member)).collect();
    let now = now.timestamp;
    let sync = sync(app, &problems);
    let health = health(app, &objects);
    if (sync, health) != (app.last.sync, app.last.health) || app.last.since.is_none() {
        app.last.since = Some(now);
    }
    (app.last.sync, app.last.health) = (sync, health);
    let message = message(app, &problems, &objects);
    let before = std::mem::take(&mut app.last.problems);
    for problem in problems.iter().filter(|problem| !before.contains_key(problem)) {
        tracing::warn!(app = &*app.name, place = problem.place, "{}", problem.message);
    }
    app.last.problems = problems
        .iter()
        .map(|problem| (problem.clone(), before.get(problem).copied().unwrap_or(now)))
        .collect();
    objects.sort_by_key(|object| {
        let in_sync = object.sync() == SyncStatus::Synced;
        (std::cmp::Reverse(severity(object.health())), in_sync)
    });
    let object_count = u32::try_from(objects.len()).unwrap_or(u32::MAX);
    objects.truncate(OBJECTS_MAX);
    let drifted = app.members.values().filter_map(|member| member.drift.as_deref()).take(DRIFTS_MAX);
    AppStatus {
        app: app.name.to_string(),
        sync: sync.into(),
        health: health.into(),
        message,
        revision: app.revision.clone(),
        wanted_revision: app.wanted_revision.clone(),
        path: app.path.clone(),
        objects,
        object_count,
        drifts: drifted.chain(&app.corrected).cloned().collect(),
        errors: app
            .last
            .problems
            .iter()
            .take(ERRORS_MAX)
            .map(|(problem, since)| error(problem, *since))
            .collect(),
        synced_at: app.synced_at,
        since: app.last.since,
        syncing: app.run.is_some(),
    }
}

/// Whether that is no change of an app, but how every app begins.
fn is_beginning(before: HealthStatus, now: HealthStatus) -> bool {
    before == HealthStatus::Unspecified && matches!(now, HealthStatus::Missing | HealthStatus::Progressing)
}

/// A problem in the protocol's words.
pub(super) fn error(problem: &Problem, since: Timestamp) -> StatusError {
    StatusError {
        kind: problem.kind.to_wire().into(),
        place: problem.place.clone(),
        message: problem.message.clone(),
        since: Some(since),
    }
}

/// What is wrong with an app.
pub(super) fn problems(app: &App, watches: &BTreeMap<Scope, Watched>) -> Vec<Problem> {
    let mut problems = app.problems.clone();
    problems.extend(app.unresolved.iter().map(|(_, problem)| problem.clone()));
    problems.extend(app.run_problem.clone());
    problems.extend(held(app));
    problems.extend(beyond(app));
    problems.extend(app.order_problems());
    for (key, member) in &app.members {
        problems.extend(member.failure.as_deref().cloned());
        if let (Some(others), Some(desired)) = (&member.disputed_with, &member.desired) {
            let message = format!(
                "The app {others} has this object too, so neither applies it. Leave it in one of them. It is written in {}.",
                desired.place
            );
            problems.push(Problem { kind: Kind::Apply, place: key.to_string(), message });
        }
    }
    for (scope, watched) in watches {
        let is_used = |key: &ObjectKey| scope.has(&key.kind, &key.namespace);
        let used = || app.members.iter().any(|(key, member)| is_used(key) && member.desired.is_some());
        if let Some(error) = &watched.error
            && used()
        {
            let message =
                format!("Objects of this kind cannot be listed, so changes to them are not seen: {error}");
            problems.push(Problem { kind: Kind::Apply, place: scope.to_string(), message });
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

/// The deletion that waits to be confirmed in Git.
fn held(app: &App) -> Option<Problem> {
    let held = app.parent.as_ref()?.held?;
    let message = format!(
        "{} of {} objects left Git. That is more than spec.sync.pruneLimit, {}%, so none of them is deleted. If it is \
         meant, raise pruneLimit in the App until they are gone; if not, put them back into Git.",
        held.count, held.of, app.options.prune_limit_percent
    );
    Some(Problem { kind: Kind::Prune, place: app.path.clone(), message })
}

/// Objects that an agent with a wider reach has left.
fn beyond(app: &App) -> Option<Problem> {
    let what = app.beyond.as_ref()?;
    let message = format!(
        "By its inventory the app has objects in {what}, and this agent may not act there (its setting `namespaces`). \
         They stay, and nothing of the app is deleted. Let the agent act there until they are gone, or delete them and \
         the inventory by hand."
    );
    Some(Problem { kind: Kind::Prune, place: app.path.clone(), message })
}

fn sync(app: &App, problems: &[Problem]) -> SyncStatus {
    let unread = problems.iter().any(|problem| problem.kind < Kind::Apply);
    let unknown = app.presence == Presence::Wanted && (app.resolved == 0 || app.resolved != app.generation);
    if unread || unknown {
        return SyncStatus::Unspecified;
    }
    let members = app.members.values().all(|member| member.is_hook() || app.is_fine(member));
    let whole = app.presence == Presence::Wanted
        && app.unresolved.is_empty()
        && app.pending.is_none()
        && app.run_problem.is_none()
        && !app.is_in_order();
    if members && whole { SyncStatus::Synced } else { SyncStatus::OutOfSync }
}

fn health(app: &App, objects: &[ObjectStatus]) -> HealthStatus {
    let unknown = app.resolved == 0 && app.presence == Presence::Wanted;
    let missing = (!app.unresolved.is_empty()).then_some(HealthStatus::Missing);
    let suspended = app.is_suspended().then_some(HealthStatus::Suspended);
    let all = objects.iter().map(ObjectStatus::health).chain(missing).chain(suspended);
    let none = if unknown { HealthStatus::Unspecified } else { HealthStatus::Healthy };
    all.max_by_key(|health| severity(*health)).unwrap_or(none)
}

fn object_status(
    app: &App,
    courses: &mut Courses,
    key: &ObjectKey,
    member: &Member,
    now: Now,
) -> Option<ObjectStatus> {
    if member.is_hook() {
        return None;
    }
    let version = match (&member.desired, &member.seen) {
        (Some(desired), _) => &desired.resource.gvk.version,
        (None, Some(seen)) if app.owns(member) => &seen.resource.gvk.version,
        _ => return None,
    };
    let (health, message) = match judge(courses, app, key, member, now.instant) {
        Some(health) => (health.status, health.message),
        None if member.is_left_alone() => (HealthStatus::Healthy, String::new()),
        None => (HealthStatus::Missing, "It is not in the cluster.".to_owned()),
    };
    let going = member.seen.as_ref().and_then(|seen| seen.going.as_deref());
    let message = match (&member.failure, &member.desired) {
        (Some(failure), _) => failure.message.clone(),
        (None, Some(_)) if message.is_empty() && member.is_left_alone() => {
            "It is left as it is, as its annotation in Git says.".to_owned()
        }
        (None, Some(_)) if message.is_empty() => {
            member.note.as_deref().map(str::to_owned).unwrap_or_default()
        }
        (None, wanted) if going.is_some() => {
            let then = if wanted.is_some() { " It is created anew once it is gone." } else { "" };
            format!("{}{then}", going.unwrap_or_default())
        }
        (None, None) if app.is_kept(member) => "It left Git and stays, as its annotation says.".to_owned(),
        (None, None) if message.is_empty() => "It left Git and is still in the cluster.".to_owned(),
        _ => message,
    };
    let synced = app.is_fine(member);
    let sync = if synced { SyncStatus::Synced } else { SyncStatus::OutOfSync };
    Some(ObjectStatus {
        object: Some(key.to_ref(version)),
        sync: sync.into(),
        health: health.into(),
        message,
    })
}

/// Why the app is not Synced and Healthy, in one sentence.
fn message(app: &App, problems: &[Problem], objects: &[ObjectStatus]) -> String {
    if let Some(problem) = problems.first() {
        let more = match problems.len() - 1 {
            0 => String::new(),
            count => format!(" And {count} more."),
        };
        let place = if problem.place.is_empty() { String::new() } else { format!("{}: ", problem.place) };
        return format!("{place}{}{more}", problem.message);
    }
    let fight = app.members.iter().find(|(_, member)| member.held_until.is_some() && member.drift.is_some());
    if let Some((key, member)) = fight {
        return member.drift.as_deref().map(|drift| fight_sentence(key, drift)).unwrap_or_default();
    }
    if let Some(why) =
        app.permit_sentence().filter(|_| app.is_suspended() || app.last.sync != SyncStatus::Synced)
    {
        return why;
    }
    if let Some(wait) = &app.progress.wait {
        return format!("It waits for {}.", explained(wait, objects));
    }
    if let Some(drift) = app.members.values().find_map(|member| member.drift.as_deref()) {
        return drift_sentence(drift);
    }
    if let Some(worst) = worst_sentence(objects) {
        return worst;
    }
    match app.last.sync {
        SyncStatus::OutOfSync if app.presence == Presence::Removed => {
            format!("The app left Git and is being deleted.{}", waiting(app))
        }
        SyncStatus::OutOfSync if !waiting(app).is_empty() => waiting(app).trim_start().to_owned(),
        SyncStatus::OutOfSync if !app.options.prune && app.surplus().next().is_some() => {
            "Objects left Git and stay, since spec.sync.prune is off.".to_owned()
        }
        SyncStatus::OutOfSync => "It is being brought to the wanted revision.".to_owned(),
        SyncStatus::Unspecified => "It is being looked at.".to_owned(),
        SyncStatus::Synced => String::new(),
    }
}

/// A wait, with what has been found out since about the first object that is waited for: the one that is named.
fn explained(wait: &Wait, objects: &[ObjectStatus]) -> Wait {
    let mut wait = wait.clone();
    if let Wait::Healthy(_, waiting) = &mut wait
        && let Some((key, message)) = waiting.first_mut()
    {
        let is_it = |of: &ObjectRef| key.to_ref(&of.version) == *of;
        let found = objects.iter().find(|object| object.object.as_ref().is_some_and(is_it));
        if let Some(found) = found.filter(|found| !found.message.is_empty()) {
            message.clone_from(&found.message);
        }
    }
    wait
}

/// The first object whose deletion waits for something.
fn waiting(app: &App) -> String {
    let going =
        app.members.iter().find_map(|(key, member)| Some((key, member.seen.as_ref()?.going.as_deref()?)));
    going.map_or_else(String::new, |(key, going)| format!(" {key}: {going}"))
}

/// The first of the worst objects with its reason, and how many are as bad; nothing when all are well.
fn worst_sentence(objects: &[ObjectStatus]) -> Option<String> {
    let worst = objects.iter().min_by_key(|object| std::cmp::Reverse(severity(object.health())))?;
    if worst.health() == HealthStatus::Healthy {
        return None;
    }
    let name = worst.object.as_ref().map(|object| format!("{}/{}", object.kind, object.name));
    let more = match objects.iter().filter(|object| object.health() == worst.health()).count() - 1 {
        0 => String::new(),
        count => format!(" And {count} more."),
    };
    Some(format!("{}: {}{more}", name.unwrap_or_default(), worst.message))
}

/// Who fights over what.
pub(super) fn fight_sentence(key: &ObjectKey, drift: &Drift) -> String {
    let manager = drift.field_manager.as_str();
    let who = if manager.is_empty() { "Somebody" } else { manager };
    let way_out = match drift.advice.as_str() {
        "" => "Stop that, or leave the field out of Git.",
        advice => advice,
    };
    format!("{who} keeps changing {key} back, so it is corrected less and less often. {way_out}")
}

/// A drift in one sentence.
pub(super) fn drift_sentence(drift: &Drift) -> String {
    let object = drift.object.clone().unwrap_or_default();
    let name = match object.namespace.as_str() {
        "" => format!("{}/{}", object.kind, object.name),
        namespace => format!("{}/{namespace}/{}", object.kind, object.name),
    };
    if drift.deleted {
        return format!("{name} was deleted in the cluster.");
    }
    let by =
        if drift.field_manager.is_empty() { String::new() } else { format!(" by {}", drift.field_manager) };
    let what = match drift.fields.as_slice() {
        [] => format!("{name} was changed{by}."),
        [field] if field.found.is_empty() => format!("{name} was changed{by}: {} is gone.", field.path),
        [field] if field.wanted.is_empty() => {
            format!("{name} was changed{by}: {} is {}.", field.path, field.found)
        }
        [field] => {
            format!("{name} was changed{by}: {} is {}, not {}.", field.path, field.found, field.wanted)
        }
        [field, rest @ ..] => {
            format!("{name} was changed{by}: {} and {} more fields.", field.path, rest.len())
        }
    };
    if drift.advice.is_empty() { what } else { format!("{what} {}", drift.advice) }
}
