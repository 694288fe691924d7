//! May an app's objects be changed at this moment?
//!
//! ```text
//! suspended --> Nothing    a window is closed --> Healing or Nothing    otherwise --> Everything
//! ```
//!
//! While only healing is allowed, an app stays what it was when the window closed, whatever is committed: so each of
//! its objects is put back to what was applied last.
//!
//! Whoever suspends an app forgets it sooner or later: so who, since when, why and until when is in its
//! status for as long as it lasts, and since when is kept on the ApplySet parent.
use std::time::{Duration, Instant};

use jiff::Timestamp;
use muster_spec::{Gate, gate};

use super::app::{App, Presence};
use super::core::{Core, Now};
use crate::applyset::Parent;
use crate::source::Options;

/// How often windows are looked at: their schedules have minutes.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// What may be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Permit {
    #[default]
    Everything,
    /// Only what was changed in the cluster may be put back.
    Healing {
        /// Why not more, as a sentence.
        why: String,
    },
    /// A window forbids even that.
    Nothing { why: String },
    /// The app is suspended.
    Suspended {
        /// By whom, until when and why, as it follows that word.
        words: String,
    },
}

impl Permit {
    /// What these options allow at `now`.
    fn of(options: &Options, presence: Presence, now: Timestamp) -> Permit {
        // The document that suspends an app that left Git is gone.
        let suspension = options.suspend.at(now).filter(|_| presence != Presence::Removed);
        if let Some(suspension) = suspension {
            return Permit::Suspended { words: suspension.to_string() };
        }
        match gate(&options.windows, now) {
            Gate::Open => Permit::Everything,
            Gate::Closed { heal, why, until } => {
                let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
                let why = format!("Changes from Git wait: {why}{until}.");
                if heal { Permit::Healing { why } } else { Permit::Nothing { why } }
            }
        }
    }

    /// Whether nothing at all may be changed.
    pub(super) fn forbids_all(&self) -> bool {
        matches!(self, Permit::Nothing { .. } | Permit::Suspended { .. })
    }

    /// Whether what changed in Git may be applied and pruned.
    pub(super) fn allows_all(&self) -> bool {
        *self == Permit::Everything
    }
}

impl App {
    /// Brings the permit up to date.
    pub(super) fn renew_permit(&mut self, now: Now) {
        self.permit = Permit::of(&self.options, self.presence, wall(now));
        let changes = !self.options.windows.is_empty() || !self.permit.allows_all();
        self.permit_at = changes.then(|| now.instant + LOOK_EVERY);
    }

    /// Whether other content has to wait for a window, and the app goes on as what it is.
    ///
    /// An agent that has begun while the window was closed does not know what that is: then new content is taken in,
    /// and only what is the same in it is healed.
    pub(super) fn waits_for_window(&self) -> bool {
        let is_known = self.resolved != 0 && self.resolved == self.generation && self.unresolved.is_empty();
        matches!(self.permit, Permit::Healing { .. }) && is_known && self.presence == Presence::Wanted
    }

    /// The parent as it is to be, when it does not say as it should since when the app is suspended, or that the app
    /// stays though it would leave.
    pub(super) fn noted(&self, now: Now) -> Option<Parent> {
        let parent = self.parent.as_ref()?;
        let since = || seconds(wall(now)).to_string();
        let suspended_since = match self.permit {
            Permit::Suspended { .. } => Some(parent.suspended_since.clone().unwrap_or_else(since)),
            _ => None,
        };
        // One that is being removed is soon gone, with all that is noted.
        let leaving = if self.presence == Presence::Wanted { self.leaving } else { parent.leaving };
        let noted = Parent { suspended_since, leaving, ..parent.clone() };
        (noted != *parent).then_some(noted)
    }

    /// Why the app is not changed, for its status.
    pub(super) fn permit_sentence(&self) -> Option<String> {
        match &self.permit {
            Permit::Everything => None,
            Permit::Healing { why } | Permit::Nothing { why } => Some(why.clone()),
            Permit::Suspended { words } => {
                let since = self.parent.as_ref().and_then(|parent| parent.suspended_since.as_deref());
                let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
                let place = &self.options.place;
                Some(format!("Suspended{since}{words}. See spec.sync.suspend in {place}."))
            }
        }
    }

    /// Whether the app is suspended now.
    pub(super) fn is_suspended(&self) -> bool {
        matches!(self.permit, Permit::Suspended { .. })
    }
}

impl Core {
    /// Looks at the permits that are due, or at all of them.
    pub(super) fn renew_permits(&mut self, all: bool, now: Now) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let mut changed = Vec::new();
        for (name, app) in &mut self.apps {
            if all || due(app.permit_at) {
                app.renew_permit(now);
            }
            if app.permit == app.permit_told {
                continue;
            }
            app.permit_told = app.permit.clone();
            if let Some(why) = app.permit_sentence() {
                tracing::info!(app = name, "{why}");
            }
            changed.push(name.clone());
        }
        for name in changed {
            self.take_pending(&name, now);
            self.touch(&name);
        }
    }
}

fn wall(now: Now) -> Timestamp {
    Timestamp::new(now.timestamp.seconds, now.timestamp.nanos).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_spec::{Catalog, Suspend};

    /// The options of an App document with this under `spec.sync`.
    fn options(sync: &str) -> Options {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: web}}\nspec:\n  clusters: {{}}\n  \
             source: {{path: a}}\n  sync: {sync}\n"
        );
        let catalog = Catalog::load([("web.yaml", text.as_bytes())]);
        assert!(catalog.errors.is_empty(), "{:?}", catalog.errors);
        let sync = catalog.apps.into_values().next().unwrap().value.spec.sync;
        Options { suspend: sync.suspend, windows: sync.windows, ..Options::default() }
    }

    fn permit(sync: &str, presence: Presence) -> Permit {
        Permit::of(&options(sync), presence, "2026-11-27T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn suspension_goes_before_windows_and_ends_with_its_document() {
        let wanted = |sync| permit(sync, Presence::Wanted);
        assert_eq!(wanted("{}"), Permit::Everything);
        assert_eq!(wanted("{suspend: true}"), Permit::Suspended { words: String::new() });
        let words = " by alice until 2026-12-01T00:00:00Z: migration".to_owned();
        let suspend = "{suspend: {by: alice, reason: migration, until: '2026-12-01T00:00:00Z'}}";
        assert_eq!(wanted(suspend), Permit::Suspended { words });
        assert_eq!(wanted("{suspend: {until: '2026-11-27T12:00:00Z'}}"), Permit::Everything);
        assert_eq!(permit("{suspend: true}", Presence::Removed), Permit::Everything);
    }

    #[test]
    fn a_closed_window_leaves_healing_unless_it_says_otherwise() {
        let window =
            |more: &str| format!("{{windows: [{{kind: deny, schedule: 0 0 * * fri, duration: 24h{more}}}]}}");
        let healing = permit(&window(", reason: Trade"), Presence::Removed);
        assert!(!healing.forbids_all() && !healing.allows_all());
        assert!(permit(&window(", heal: false"), Presence::Wanted).forbids_all());
        let Permit::Healing { why } = healing else { panic!("it heals") };
        assert!(why.contains("Trade") && why.ends_with("until 2026-11-28T00:00:00Z."), "{why}");
    }

    #[test]
    fn since_when_an_app_is_suspended_is_kept_on_its_parent_until_it_is_not() {
        let now = Now {
            instant: Instant::now(),
            timestamp: prost_types::Timestamp { seconds: 1_795_000_000, nanos: 5 },
        };
        let mut app = App::new("web", "muster-system", Presence::Wanted);
        app.options = Options { place: "web.yaml:1".to_owned(), ..options("{suspend: {by: alice}}") };
        app.renew_permit(now);
        assert_eq!(app.noted(now), None, "no parent to keep it on");
        app.parent = Some(Parent::empty("web"));
        let noted = app.noted(now).unwrap();
        assert_eq!(noted.suspended_since.as_deref(), Some("2026-11-18T11:06:40Z"));
        assert_eq!(Parent::parse(&noted.to_object("muster-system"), "muster-system"), Some(noted.clone()));
        app.parent = Some(noted);
        assert_eq!(app.noted(now), None);
        let sentence = "Suspended since 2026-11-18T11:06:40Z by alice. See spec.sync.suspend in web.yaml:1.";
        assert_eq!(app.permit_sentence().as_deref(), Some(sentence));
        app.options.suspend = Suspend::No;
        app.renew_permit(now);
        assert_eq!(app.noted(now).unwrap().suspended_since, None);
    }
}
