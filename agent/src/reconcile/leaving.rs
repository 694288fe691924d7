//! Which apps leave this cluster, and would too many leave it at once?
//!
//! ```text
//! apps that Git wants here no more --too many--> they stay as they are, until Git confirms it
//!                                  --a window is closed--> they are healed until it opens
//!                                  --otherwise--> their objects are deleted
//! ```
//!
//! One wrong letter in a label of the Cluster document, or in a selector, takes every app away in one commit. So that
//! is guarded like the deletion of an app's objects (`plan::guard`). What was decided is kept on the parents of the
//! apps that stay: else apps that come in their place would make them a smaller share with the next commit.
use std::collections::{BTreeMap, BTreeSet};

use muster_spec::Window;

use super::app::{App, Pending, Presence};
use super::core::{Action, Core, Now};
use crate::plan::guard::{self, Held};
use crate::source::{Kind, Problem};

/// Most apps that a message names.
const NAMED_MAX: usize = 5;

/// What Git says about apps that it does not want here.
pub(super) struct Leaving {
    pub(super) revision: String,
    /// Whether all documents could be read.
    pub(super) complete: bool,
    /// The windows of the fleet.
    pub(super) windows: Vec<Window>,
    /// Apps whose document is there, and does not select this cluster.
    pub(super) deselected: BTreeSet<String>,
    /// Largest share of the cluster's apps that may leave it at once, in percent.
    pub(super) limit_percent: u8,
    /// `file:line` of the Cluster document.
    pub(super) place: String,
}

impl Core {
    /// These apps are not wanted here by any document.
    pub(super) fn leave(&mut self, names: &[String], leaving: &Leaving, now: Now) {
        if !leaving.complete {
            let message = "Not all documents can be read, so it is not known whether this cluster still runs the app: it \
                 stays as it is until they can.";
            return names.iter().for_each(|name| self.stay(name, None, String::new(), message));
        }
        let held = judge(&self.apps, names, leaving);
        let message = held.map(|held| sentence(held, names, leaving)).unwrap_or_default();
        for name in names {
            let has_begun = self.apps.get(name).is_none_or(|app| app.presence == Presence::Removed);
            match held {
                Some(held) if !has_begun => self.stay(name, Some(held), leaving.place.clone(), &message),
                _ => self.remove(name, leaving, now),
            }
        }
    }

    /// An app of which nothing is changed, though Git does not want it here.
    fn stay(&mut self, name: &str, held: Option<Held>, place: String, message: &str) {
        let Some(app) = self.apps.get_mut(name) else { return };
        if app.presence == Presence::Found {
            app.presence = Presence::Wanted;
        }
        app.leaving = held.or(app.leaving);
        app.problems = vec![Problem { kind: Kind::Document, place, message: message.to_owned() }];
        self.touch(name);
    }

    fn remove(&mut self, name: &str, leaving: &Leaving, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.wanted_revision.clone_from(&leaving.revision);
        let concerns = |window: &&Window| name.parse().is_ok_and(|name| window.concerns(&name));
        app.options.windows = leaving.windows.iter().filter(concerns).cloned().collect();
        app.renew_permit(now);
        app.problems.clear();
        if app.waits_for_window() {
            app.pending = Some(Pending::Removal);
        } else if app.presence != Presence::Removed {
            self.remove_now(name, now);
        }
        self.touch(name);
    }

    /// The objects of an app are to go.
    pub(super) fn remove_now(&mut self, name: &str, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.presence = Presence::Removed;
        app.pending = None;
        app.unresolved.clear();
        self.generations += 1;
        app.generation = self.generations;
        app.resolved = app.generation;
        app.resolving = false;
        if let Some(run) = &mut app.run {
            run.cancelled = true;
            self.actions.push(Action::Cancel { run: run.number });
        }
        self.set_desired(name, Vec::new(), true, now);
    }
}

/// How many of how many would leave, if those are too many. Only apps that have been here count.
fn judge(apps: &BTreeMap<String, App>, names: &[String], leaving: &Leaving) -> Option<Held> {
    let is_here = |name: &&String| apps.get(*name).is_some_and(|app| app.parent.is_some());
    let doomed: Vec<&String> = names.iter().filter(is_here).collect();
    let had = apps.values().filter(|app| app.parent.is_some()).count();
    let before = names.iter().find_map(|name| apps.get(name)?.parent.as_ref()?.leaving);
    // To remove a document is a deliberate act; to select something else may be a slip.
    let is_slip = doomed.iter().any(|name| leaving.deselected.contains(*name));
    let always = if is_slip { 0 } else { guard::ALWAYS };
    guard::judge(before, doomed.len(), had, leaving.limit_percent, always)
}

fn sentence(held: Held, names: &[String], leaving: &Leaving) -> String {
    let named = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} of {} apps would leave this cluster at once ({named}{more}). That is more than spec.pruneLimit of its \
         Cluster document, {}%, so all of them stay as they are. If labels or selectors are wrong, correct them; if it \
         is meant, raise pruneLimit until they are gone.",
        held.count, held.of, leaving.limit_percent
    )
}
