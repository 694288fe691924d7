//! Which objects are looked into for why they are not well, and what does the answer change?
use std::time::Instant;

use super::app::{App, Member};
use super::core::{Action, Core, Now};
use crate::health::Health;
use crate::health::cause::Cause;
use crate::health::course::{Courses, Sight};
use crate::health::rules::HealthRules;
use crate::object::{GroupKind, ObjectKey};
use crate::watch::{Observation, Seen};

impl Core {
    /// Judges the objects of some kinds anew, whose rules an app has changed: they have to be seen again for
    /// that, since bodies are not kept.
    pub(super) fn judge_again(&mut self, app: &str, kinds: &[GroupKind]) {
        let Some(app) = self.apps.get_mut(app) else { return };
        for (_, member) in app.members.iter_mut().filter(|(key, _)| kinds.contains(&key.kind)) {
            member.unjudged = true;
        }
        let watches = self.watches.iter().filter(|(scope, _)| kinds.contains(&scope.kind.group_kind));
        self.actions.extend(watches.map(|(_, watched)| watched.watch()));
    }

    /// What the passing of time says about objects that are not well.
    pub(super) fn look_into(&mut self, now: Now) {
        let due = self.courses.due(now.instant);
        self.to_report.extend(due.apps);
        for (app, key, generation) in due.looks {
            let member = self.apps.get(&app).and_then(|app| app.members.get(&key));
            match member.and_then(|member| member.seen.as_ref()) {
                Some(seen) => {
                    let resource = seen.resource.clone();
                    self.actions.push(Action::Look { app, key, resource, generation });
                }
                // Gone meanwhile; the next report forgets it.
                None => drop(self.courses.found(&app, &key, generation, None, now.instant)),
            }
        }
    }

    /// What a look has found.
    pub(super) fn looked(
        &mut self,
        app: &str,
        key: &ObjectKey,
        generation: i64,
        cause: Option<Option<Cause>>,
        now: Now,
    ) {
        if self.courses.found(app, key, generation, cause, now.instant) {
            self.to_report.insert(app.to_owned());
        }
    }
}

impl Member {
    /// Judges an object that has just been seen by its app's rule, if there is one for its kind.
    pub(super) fn apply_rule(&mut self, rules: &HealthRules, observation: &Observation) {
        self.unjudged = false;
        let health = rules.judge(&observation.key.kind, &observation.body);
        if let (Some(health), Some(seen)) = (health, &mut self.seen) {
            seen.health = health;
        }
    }

    /// Takes what an apply has made of the object. A rule needs the body, which a watch brings in a moment,
    /// but only when the apply has changed something.
    pub(super) fn take_applied(&mut self, rules: &HealthRules, key: &ObjectKey, mut seen: Seen) {
        if rules.has(&key.kind) {
            let same = self.seen.take().filter(|before| before.version == seen.version);
            seen.health = match same {
                Some(before) => before.health,
                None => {
                    self.unjudged = true;
                    Health::progressing("It has just been applied.")
                }
            };
        }
        self.seen = Some(seen);
    }
}

/// The health of an object of an app, with the time it has been unwell and what was found out about it.
pub(super) fn judge(
    courses: &mut Courses,
    app: &App,
    key: &ObjectKey,
    member: &Member,
    now: Instant,
) -> Option<Health> {
    let seen = member.seen.as_ref()?;
    let sight = Sight { health: &seen.health, generation: seen.generation, timeout: app.options.timeout };
    Some(courses.judge(&app.name, key, &sight, now))
}
