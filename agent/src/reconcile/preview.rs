//! What would be done now, if this agent acted?
//!
//! ```text
//! parents, snapshot --> Core --> what it wants to see (resolve, list, read) is seen; nothing is written
//!                        |
//!                        +--> Outlook: for each app its whole plan, and what is left alone and why
//! ```
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::app::{App, Member, Presence};
use super::core::{Action, Core, Input, Now};
use super::resolve::resolve;
use super::tasks::parents;
use super::{now, status};
use crate::APP_LABEL;
use crate::api::discovery::Discovery;
use crate::api::{Api, ApiError};
use crate::object::{ObjectKey, Resource};
use crate::plan::{Plan, plan};
use crate::reach::Reach;
use crate::source::{Problem, Snapshot};
use crate::watch::{Event, Observation, Scope, Sighting};

/// Nothing is listed twice for one preview.
const UNCHECKED: Duration = Duration::from_secs(3_600);

/// What would be done about one app.
pub(crate) struct Outlook {
    pub(crate) app: String,
    /// Revision that would be applied.
    pub(crate) revision: String,
    /// The user in whose name it would be; none for the agent itself.
    pub(crate) account: Option<Arc<str>>,
    pub(crate) plan: Plan,
    pub(crate) left: Vec<Left>,
    /// What is wrong with the app, worst first.
    pub(crate) problems: Vec<Problem>,
}

/// Something that is left alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// An object, or the place of a manifest.
    pub(crate) what: String,
    pub(crate) verb: Verb,
    /// A full sentence.
    pub(crate) reason: String,
}

/// Why something is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// As somebody wants it.
    Skip,
    /// It cannot be done; a person has to act.
    Refuse,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Skip => "skip",
            Verb::Refuse => "refuse",
        })
    }
}

/// Looks at the cluster and plans, for every app that Git or the cluster has. `home` is the namespace of the
/// ApplySet parents.
///
/// # Errors
/// When the inventories of the apps cannot be read. Kinds that cannot be listed are problems of their apps.
pub(crate) async fn preview(
    api: &Api,
    home: &str,
    reach: &Reach,
    snapshot: Snapshot,
) -> Result<Vec<Outlook>, ApiError> {
    let discovery = Discovery::new(api.clone());
    let time = now();
    let mut core = Core::new(home, reach.clone(), UNCHECKED, time);
    core.handle(Input::Parents(parents(api, home).await?), time);
    core.handle(Input::Snapshot(Box::new(snapshot)), time);
    let mut actions = VecDeque::from(core.take_actions(time));
    while let Some(action) = actions.pop_front() {
        for input in look(api, &discovery, reach, action).await {
            core.handle(input, time);
        }
        actions.extend(core.take_actions(time));
    }
    Ok(core.outlooks(time))
}

/// Does what of an action is only looking, and gives what was seen.
async fn look(api: &Api, discovery: &Discovery, reach: &Reach, action: Action) -> Vec<Input> {
    match action {
        Action::Resolve { owner, generation, manifests } => {
            let resolution = Some(resolve(discovery, reach, &owner, manifests).await);
            vec![Input::Resolved { app: owner.app, generation, resolution }]
        }
        Action::Locate(kind) => match discovery.preferred(&kind).await {
            Ok(resource) => vec![Input::Located { kind, resource }],
            Err(_) => Vec::new(),
        },
        Action::Watch { resource, namespace } => {
            let events = list(api, &resource, &namespace).await;
            let events = events.unwrap_or_else(|error| vec![Event::Failed(error)]);
            let scope = Scope { kind: resource.gvk.clone(), namespace };
            events.into_iter().map(|event| Input::Watch { scope: scope.clone(), event }).collect()
        }
        Action::Refresh { app, key, resource } => {
            let found = match api.get(&resource, &key.namespace, &key.name).await {
                Ok(body) => Some(Observation::of(&resource, body)),
                Err(ApiError::NotFound { .. }) => None,
                Err(_) => return Vec::new(),
            };
            vec![Input::Refreshed { app, key, found }]
        }
        Action::Look { .. }
        | Action::FindScaler { .. }
        | Action::Unwatch(_)
        | Action::Run { .. }
        | Action::Cancel { .. }
        | Action::Ended { .. }
        | Action::Event(_)
        | Action::Report(_)
        | Action::Forget(_) => Vec::new(),
    }
}

async fn list(api: &Api, resource: &Arc<Resource>, namespace: &str) -> Result<Vec<Event>, ApiError> {
    let mut events = vec![Event::Listing];
    let mut next = String::new();
    loop {
        let page = api.page(resource, namespace, APP_LABEL, &next).await?;
        for item in page.items {
            events.extend(Sighting::read(resource, &item).map(|sighting| Event::Exists(Box::new(sighting))));
        }
        if page.next.is_empty() {
            events.push(Event::Listed);
            return Ok(events);
        }
        next = page.next;
    }
}

impl Core {
    /// The whole plan of every app, waits and what comes after them included.
    pub(super) fn outlooks(&self, now: Now) -> Vec<Outlook> {
        let apps = self.apps.values().filter(|app| app.presence != Presence::Found);
        apps.map(|app| self.outlook(app, now)).collect()
    }

    fn outlook(&self, app: &App, now: Now) -> Outlook {
        let resolved =
            app.resolved == app.generation && (app.resolved != 0 || app.presence == Presence::Removed);
        let looked = self.looked_at(app).0 && !self.is_resolving();
        let plan = if app.permit.forbids_all() || !resolved {
            Plan::default()
        } else {
            plan(&self.view(app, looked, now.instant))
        };
        Outlook {
            app: app.name.to_string(),
            revision: app.wanted_revision.clone(),
            account: app.options.account.clone(),
            plan,
            left: left(app),
            problems: status::problems(app, &self.watches),
        }
    }
}

/// What of an app is left alone, and why.
fn left(app: &App) -> Vec<Left> {
    let mut left = Vec::new();
    if let Some(reason) = app.permit_sentence() {
        left.push(Left { what: app.name.to_string(), verb: Verb::Skip, reason });
    }
    for (key, member) in &app.members {
        if let Some((verb, reason)) = left_alone(app, key, member) {
            left.push(Left { what: key.to_string(), verb, reason });
        }
    }
    let unresolved = app.unresolved.iter().map(|(_, problem)| problem);
    left.extend(unresolved.chain(&app.problems).map(|problem| Left {
        what: problem.place.clone(),
        verb: Verb::Refuse,
        reason: problem.message.clone(),
    }));
    left
}

fn left_alone(app: &App, key: &ObjectKey, member: &Member) -> Option<(Verb, String)> {
    if let Some(others) = &member.disputed_with {
        return Some((
            Verb::Refuse,
            format!("The app {others} has this object too; leave it in one of them."),
        ));
    }
    match &member.desired {
        Some(desired) => {
            let hook = desired.hook.as_ref().filter(|hook| hook.phases.is_empty())?;
            let reason = format!("Muster never runs a hook for `{}`.", hook.ignored.join(", "));
            Some((Verb::Skip, reason))
        }
        None if !app.owns(member) => None,
        None if !app.options.prune => {
            Some((Verb::Skip, format!("{key} left Git and stays, since spec.sync.prune is off.")))
        }
        None if member.wanted_elsewhere => Some((Verb::Skip, "Another app takes it over.".to_owned())),
        None if !app.is_known() => {
            Some((Verb::Skip, "Nothing is deleted before everything Git wants is known.".to_owned()))
        }
        None => None,
    }
}
