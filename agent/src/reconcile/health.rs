//! Which objects are looked into for why they are not well, and what does the answer change?
use std::time::Instant;

use super::app::{App, Member};
use super::core::{Action, Core, Now};
use crate::health::Health;
use crate::health::cause::Cause;
use crate::health::course::{Courses, Sight};
use crate::object::ObjectKey;

impl Core {
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
