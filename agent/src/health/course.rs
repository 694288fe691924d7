//! What becomes of health over time: since when is an object not well, when is it time to look why, and
//! when is it too late to be on its way?
//!
//! ```text
//! well --> unwell: looked into after a moment, then less and less often --> timeout: Degraded
//!   ^--------'  at once when its generation is new or it is well; a crash must stay away for a while
//! ```
//!
//! Only objects that are not well have an entry, so a healthy cluster costs nothing.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use muster_wire::v1::HealthStatus;

use super::Health;
use super::cause::{Cause, Outlook, can_be_found};
use crate::object::ObjectKey;

/// How long an object may be unwell before anything is asked: every rollout is, for a moment.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// The longest time between two looks at an object that stays unwell.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);

/// Looks at any time without a wait, and the time after which there may be one more. A look is at most
/// seven requests, mostly two or three, so an agent with all its workloads down asks some 60 times a minute.
const LOOKS_MAX: u32 = 10;
const LOOK_REGAINED: Duration = Duration::from_secs(3);

/// How long a crashing container has to run before that counts as over: a container without a readiness
/// probe is ready for the seconds until it crashes again.
const CRASH_OVER_AFTER: Duration = Duration::from_secs(60);

/// What a judgement over time needs to know of an object.
pub(crate) struct Sight<'a> {
    /// Health by its own status.
    pub(crate) health: &'a Health,
    /// `metadata.generation`; 0 where there is none.
    pub(crate) generation: i64,
    /// How long it may be on its way.
    pub(crate) timeout: Duration,
}

/// An object that is not well.
#[derive(Debug)]
struct Course {
    generation: i64,
    health: Health,
    since: Instant,
    timeout: Duration,
    /// Its time is over, and that has been noted.
    timed_out: bool,
    cause: Option<Cause>,
    /// Since when it has been well, if a crash was the cause.
    well_since: Option<Instant>,
    looks: u32,
    /// When to look next; none where there is nothing to be found.
    look_at: Option<Instant>,
    looking: bool,
}

/// All objects that are not well, by app.
#[derive(Debug)]
pub(crate) struct Courses {
    apps: BTreeMap<String, BTreeMap<ObjectKey, Course>>,
    looks: Allowance,
}

/// Something that time has made due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Objects to look at, with the generation the look is for.
    pub(crate) looks: Vec<(String, ObjectKey, i64)>,
    /// Apps whose health may be another now.
    pub(crate) apps: BTreeSet<String>,
}

/// Health as it is reported. `since` is when the object was first seen unwell at this generation.
///
/// Pure, and of use to whoever waits for an object: Degraded is not worth waiting for any longer.
pub(crate) fn judge(
    health: &Health,
    cause: Option<&Cause>,
    since: Instant,
    now: Instant,
    timeout: Duration,
) -> Health {
    let message = match cause {
        Some(cause) => format!("{}. {}", capital(&cause.message), health.message).trim_end().to_owned(),
        None => health.message.clone(),
    };
    let outlook = cause.map(|cause| cause.outlook);
    let open_ended = health.open_ended || outlook == Some(Outlook::Idle);
    if outlook == Some(Outlook::Failing) {
        return Health::degraded(message);
    }
    if health.status == HealthStatus::Progressing && !open_ended && now >= since + timeout {
        let timeout = humantime::format_duration(timeout);
        return Health::degraded(format!("It is not healthy after {timeout}. {message}"));
    }
    Health { status: health.status, message, open_ended }
}

impl Courses {
    pub(crate) fn new(now: Instant) -> Self {
        Courses { apps: BTreeMap::new(), looks: Allowance { free: LOOKS_MAX, regained: now } }
    }

    /// Judges an object, and remembers since when it has not been well.
    pub(crate) fn judge(&mut self, app: &str, key: &ObjectKey, sight: &Sight<'_>, now: Instant) -> Health {
        let health = sight.health;
        let well = matches!(health.status, HealthStatus::Healthy | HealthStatus::Suspended);
        let known = self.apps.get_mut(app).and_then(|courses| courses.get_mut(key));
        let known = known.filter(|course| course.generation == sight.generation);
        if well {
            let held = known.and_then(|course| course.hold(now));
            return held.unwrap_or_else(|| {
                self.forget(app, key);
                health.clone()
            });
        }
        let course = match known {
            Some(course) => course,
            None => {
                let course = Course::new(key, sight, now);
                let courses = self.apps.entry(app.to_owned()).or_default();
                courses.insert(key.clone(), course);
                let Some(course) = courses.get_mut(key) else { return health.clone() };
                course
            }
        };
        course.see(sight, now);
        judge(health, course.cause.as_ref(), course.since, now, sight.timeout)
    }

    /// Forgets the objects of an app that are not there any more.
    pub(crate) fn retain(&mut self, app: &str, is_there: impl Fn(&ObjectKey) -> bool) {
        if let Some(courses) = self.apps.get_mut(app) {
            courses.retain(|key, _| is_there(key));
            if courses.is_empty() {
                self.apps.remove(app);
            }
        }
    }

    /// Takes what a look has found. `None` when it failed, and what was known stays. True when it is new.
    pub(crate) fn found(
        &mut self,
        app: &str,
        key: &ObjectKey,
        generation: i64,
        cause: Option<Option<Cause>>,
        now: Instant,
    ) -> bool {
        let known = self.apps.get_mut(app).and_then(|courses| courses.get_mut(key));
        let Some(course) = known.filter(|course| course.generation == generation) else { return false };
        course.looking = false;
        let wait = LOOK_AFTER.saturating_mul(2_u32.saturating_pow(course.looks.min(16)));
        course.look_at = Some(now + wait.min(LOOK_EVERY_MAX));
        match cause {
            // It runs for now; what made it crash is not forgotten by that.
            Some(_) if course.well_since.is_some() => false,
            Some(cause) if cause != course.cause => {
                course.cause = cause;
                true
            }
            _ => false,
        }
    }

    /// What is due by now. Looks are given out for once: each must be answered by [`Courses::found`].
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        let mut looks = Vec::new();
        for (app, courses) in &mut self.apps {
            let before = courses.len();
            courses.retain(|_, course| course.over_at().is_none_or(|at| at > now));
            if courses.len() < before {
                due.apps.insert(app.clone());
            }
            for (key, course) in courses {
                if course.late_at().is_some_and(|at| at <= now) {
                    course.timed_out = true;
                    due.apps.insert(app.clone());
                }
                if course.is_to_be_looked_at(now) {
                    looks.push((course.looks, app, key, course));
                }
            }
        }
        // Whoever has not been looked at goes first.
        looks.sort_by_key(|(looks, _, _, course)| (*looks, course.look_at));
        for (_, app, key, course) in looks {
            if !self.looks.take(now) {
                break;
            }
            course.looks += 1;
            course.looking = true;
            due.looks.push((app.clone(), key.clone(), course.generation));
        }
        due
    }

    /// When something is due next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let all = || self.apps.values().flat_map(BTreeMap::values);
        let late = all().filter_map(Course::late_at).min();
        let over = all().filter_map(Course::over_at).min();
        let look = all().filter_map(Course::next_look).min();
        let look = look.map(|at| at.max(self.looks.next()));
        [late, over, look].into_iter().flatten().min()
    }

    fn forget(&mut self, app: &str, key: &ObjectKey) {
        self.retain(app, |other| other != key);
    }
}

impl Course {
    fn new(key: &ObjectKey, sight: &Sight<'_>, now: Instant) -> Self {
        Course {
            generation: sight.generation,
            health: sight.health.clone(),
            since: now,
            timeout: sight.timeout,
            timed_out: false,
            cause: None,
            well_since: None,
            looks: 0,
            look_at: can_be_found(&key.kind).then(|| now + LOOK_AFTER),
            looking: false,
        }
    }

    /// It is (still, or again) not well.
    fn see(&mut self, sight: &Sight<'_>, now: Instant) {
        let changed = self.health != *sight.health || self.well_since.is_some();
        self.health = sight.health.clone();
        self.well_since = None;
        if self.timeout != sight.timeout {
            self.timeout = sight.timeout;
            self.timed_out = false;
        }
        // Something has happened, so there may be another reason by now.
        self.look_at = self.look_at.map(|at| if changed { at.min(now + LOOK_AFTER) } else { at });
    }

    /// What is still said of it although it looks well; nothing when it is well for good.
    fn hold(&mut self, now: Instant) -> Option<Health> {
        let crash = self.cause.as_ref().filter(|cause| cause.crash && cause.outlook == Outlook::Failing)?;
        let since = *self.well_since.get_or_insert(now);
        let seconds = CRASH_OVER_AFTER.as_secs();
        (now < since + CRASH_OVER_AFTER).then(|| {
            let cause = capital(&crash.message);
            Health::degraded(format!("{cause}. It runs again and counts as well after {seconds} s."))
        })
    }

    /// When it will be Degraded for being late; none when that has been noted.
    fn late_at(&self) -> Option<Instant> {
        let waits = self.health.status == HealthStatus::Progressing && !self.health.open_ended;
        (waits && !self.timed_out && self.well_since.is_none()).then(|| self.since + self.timeout)
    }

    fn is_to_be_looked_at(&self, now: Instant) -> bool {
        self.next_look().is_some_and(|at| at <= now)
    }

    /// When there is a reason to look again.
    fn next_look(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.looking && self.well_since.is_none())
    }

    /// When it will have been well for long enough.
    fn over_at(&self) -> Option<Instant> {
        self.well_since.map(|since| since + CRASH_OVER_AFTER)
    }
}

/// How many looks may start now.
#[derive(Debug)]
struct Allowance {
    free: u32,
    /// When the last one was regained.
    regained: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        while self.free < LOOKS_MAX && self.regained + LOOK_REGAINED <= now {
            self.free += 1;
            self.regained += LOOK_REGAINED;
        }
        if self.free == LOOKS_MAX {
            self.regained = now;
        }
        let taken = self.free > 0;
        self.free = self.free.saturating_sub(1);
        taken
    }

    /// When there is one at the earliest.
    fn next(&self) -> Instant {
        if self.free > 0 { self.regained } else { self.regained + LOOK_REGAINED }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
