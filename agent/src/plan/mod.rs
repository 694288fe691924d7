//! Which steps, in which order, bring an app's objects to what Git says?
//!
//! ```text
//! members (desired + live) --> plan --> widen parent, namespaces, apply by tier, prune backwards,
//!                                       narrow or delete the parent
//! ```
//!
//! A plan is data. It is made again from what is known whenever something changes, so a plan that was
//! cut short needs no undoing. A plan may have to wait: what comes after a [`Step::Wait`] shows what will
//! be done, and is planned anew when what was waited for is there. So nothing stands still in a wait, and
//! newer content ends it at once.
pub(crate) mod guard;
pub(crate) mod hook;
pub(crate) mod order;
mod sequence;
pub(crate) mod wave;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub(crate) use sequence::{HookView, Live, Ordered, Unknown, Unready};

use self::hook::{Hook, Phase};
use self::wave::Wave;
use crate::applyset::Parent;
use crate::directives::Directives;
use crate::drift::Ignored;
use crate::object::{Digest, GroupKind, ObjectKey, Resource};

/// Where in Git an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// An object as Git wants it, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) resource: Arc<Resource>,
    /// The object as JSON, with our labels and its namespace.
    pub(crate) body: Arc<[u8]>,
    /// What of it is none of Git's business.
    pub(crate) ignored: Option<Arc<Ignored>>,
    /// Digest of what Git says of it, and of what is ignored.
    pub(crate) digest: Digest,
    pub(crate) place: Place,
    /// What its annotations ask for.
    pub(crate) directives: Directives,
    /// Wave of the sync it is applied in.
    pub(crate) wave: Wave,
    /// What runs it, if it is a hook.
    pub(crate) hook: Option<Arc<Hook>>,
}

/// One run of a hook to start.
#[derive(Clone, Debug)]
pub(crate) struct HookRun {
    pub(crate) key: ObjectKey,
    pub(crate) desired: Desired,
    pub(crate) phase: Phase,
    /// Which run it is.
    pub(crate) run: String,
}

/// An object to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) key: ObjectKey,
    pub(crate) resource: Arc<Resource>,
    /// Only the object with this uid: one created since under the same name is not meant.
    pub(crate) uid: Box<str>,
    /// Whether it goes whatever else is deleted with it.
    pub(crate) with_contents: bool,
}

/// What the planner looks at.
pub(crate) struct View<'a> {
    pub(crate) app: &'a str,
    /// The parent's own namespace.
    pub(crate) home: &'a str,
    /// Whether the app lets its members be pruned at all.
    pub(crate) prune: bool,
    /// Largest share of the members that may be pruned at once, in percent.
    pub(crate) prune_limit_percent: u8,
    /// Whether all that Git wants is known, so that what it does not want is too.
    pub(crate) is_known: bool,
    /// Members that Git wants and that are in the cluster.
    pub(crate) staying: usize,
    /// The user in whose name objects are written, for the parent to remember.
    pub(crate) account: Option<Arc<str>>,
    /// Namespace to create when objects go into it and Git does not bring it; none when Git names none.
    pub(crate) namespace: Option<&'a str>,
    /// The set's parent, as it was last written or read.
    pub(crate) parent: Option<&'a Parent>,
    /// Every object Git wants, whether or not it is to be applied now.
    pub(crate) wanted: BTreeSet<&'a ObjectKey>,
    /// Objects to apply at once, in the order of their kinds alone.
    pub(crate) apply: BTreeMap<&'a ObjectKey, &'a Desired>,
    /// Content to apply in order; none when the app has no order to keep.
    pub(crate) ordered: Option<Ordered<'a>>,
    /// Members in the cluster that Git does not want, being deleted already or not.
    pub(crate) surplus: BTreeMap<&'a ObjectKey, Surplus<'a>>,
    /// Whether members may be deleted, and the parent narrowed: only when everything Git wants is known
    /// and every kind the parent names has been looked at.
    pub(crate) may_prune: bool,
    /// What is known of the kinds Git uses.
    pub(crate) kinds: Kinds,
    /// The app itself is gone: the parent goes when the last member has.
    pub(crate) removed: bool,
}

/// Whether the API server has all kinds that Git uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    Known,
    /// It did not have some, and is being asked again.
    Asked,
    /// It does not have some.
    Unknown,
}

/// A member that Git does not want.
pub(crate) struct Surplus<'a> {
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) uid: &'a str,
    /// Wave it was applied in.
    pub(crate) wave: Wave,
    /// It has been asked to go and waits for its finalizers.
    pub(crate) deleting: bool,
    /// It is not to be deleted now: another app is about to take it over, or its deletion failed a moment
    /// ago.
    pub(crate) keep: bool,
    /// Another app waits for it to be gone, so that it can run a hook by that name.
    pub(crate) awaited: bool,
    /// Its annotations ask for that it stays, whatever becomes of the app.
    pub(crate) stays: bool,
    /// Its annotations ask for that it goes whatever else is deleted with it.
    pub(crate) with_contents: bool,
}

impl Surplus<'_> {
    fn is_doomed(&self) -> bool {
        !self.deleting && !self.keep && !self.stays
    }
}

/// One step. Steps run one after the other; what is inside one runs together.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    SetParent(Parent),
    EnsureNamespace(String),
    Apply(Vec<(ObjectKey, Desired)>),
    /// Waits until these kinds are served.
    AwaitDefinitions(Vec<ObjectKey>),
    Prune(Vec<Doomed>),
    /// Deletes objects of hooks: of an earlier run, or because Git says so.
    DeleteHooks(Vec<Doomed>),
    RunHooks(Vec<HookRun>),
    /// Nothing after this is done before that is so.
    Wait(Wait),
    /// Of the app by that name.
    DeleteParent(String),
}

/// What a plan waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Other apps to be Synced and Healthy, each with what is the matter with it.
    Apps(Vec<String>),
    /// The hooks of a wave to succeed, each with what is known of it.
    Hooks(Phase, Vec<(ObjectKey, String)>),
    /// Hooks that have failed so many times: only a change in Git helps.
    Failed(Phase, Vec<(ObjectKey, u32)>),
    /// Objects of earlier runs of hooks to be gone.
    Gone(Vec<ObjectKey>),
    /// Annotations at these places in Git to say when something is applied.
    Clear(Vec<String>),
    /// Manifests at these places to be of a kind that the server has.
    Kinds(Vec<String>),
    /// The objects of a wave to be as Git says and healthy, each with what is the matter with it.
    Healthy(Wave, Vec<(ObjectKey, String)>),
}

/// The steps for one app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// The plan up to its first wait, and that wait.
    pub(crate) fn until_wait(mut self) -> (Plan, Option<Wait>) {
        let Some(at) = self.steps.iter().position(|step| matches!(step, Step::Wait(_))) else {
            return (self, None);
        };
        let wait = self.steps.drain(at..).next();
        (self, wait.and_then(|step| if let Step::Wait(wait) = step { Some(wait) } else { None }))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// One line: a verb, then what it is done to.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetParent(parent) => {
                let held = parent.held.map(|held| format!(", {held} held")).unwrap_or_default();
                write!(f, "set {}{held}", list(&parent.kinds))
            }
            Step::EnsureNamespace(name) => write!(f, "namespace {name}"),
            Step::Apply(objects) => write!(f, "apply {}", list(objects.iter().map(|(key, _)| key))),
            Step::AwaitDefinitions(keys) => write!(f, "await {}", list(keys)),
            Step::Prune(doomed) => write!(f, "prune {}", list(doomed.iter().map(|object| &object.key))),
            Step::DeleteHooks(doomed) => {
                write!(f, "delete hook {}", list(doomed.iter().map(|object| &object.key)))
            }
            Step::RunHooks(runs) => {
                let phase = runs.first().map(|run| format!("{} ", run.phase)).unwrap_or_default();
                write!(f, "run {phase}{}", list(runs.iter().map(|run| &run.key)))
            }
            Step::Wait(wait) => write!(f, "wait for {wait}"),
            Step::DeleteParent(_) => f.write_str("delete set"),
        }
    }
}

/// What is waited for, to follow "wait for" or "It waits for".
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = |objects: &[(ObjectKey, String)]| match objects {
            [] => String::new(),
            [(key, message), more @ ..] => {
                let more = if more.is_empty() { String::new() } else { format!(", {} more", more.len()) };
                let message = message.trim_end_matches('.');
                let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
                format!("{key}{message}{more}")
            }
        };
        match self {
            Wait::Apps(apps) => write!(f, "apps: {}", apps.join(", ")),
            Wait::Hooks(phase, hooks) => write!(f, "{phase} hooks: {}", about(hooks)),
            Wait::Failed(phase, hooks) => {
                let names = list(hooks.iter().map(|(key, _)| key));
                write!(f, "a change in Git, since {phase} hooks have failed: {names}")
            }
            Wait::Gone(keys) => write!(f, "an earlier run to be gone: {}", list(keys)),
            Wait::Clear(places) => {
                write!(f, "hook and wave annotations to be corrected in Git: {}", places.join(", "))
            }
            Wait::Kinds(places) => write!(f, "kinds the API server does not have: {}", places.join(", ")),
            Wait::Healthy(wave, objects) => write!(f, "wave {wave} to be healthy: {}", about(objects)),
        }
    }
}

/// Names with spaces in between.
fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// Makes the plan.
pub(crate) fn plan(view: &View<'_>) -> Plan {
    let record = view.ordered.as_ref().map(Ordered::record);
    let needed = Parent { sync: record.clone(), ..parent_of(view, view.wanted.iter().copied()) };
    if view.removed && !view.prune {
        // Its objects stay, and belong to nobody from now on.
        return Plan {
            steps: view.parent.map(|_| Step::DeleteParent(view.app.to_owned())).into_iter().collect(),
        };
    }
    let mut steps = apply_steps(view.apply.iter(), view.kinds);
    let may_prune = view.may_prune && view.prune && needed.held.is_none();
    let surplus = |awaited| if may_prune { prune_steps(view, awaited) } else { Vec::new() };
    // What another app waits for goes at once: else two apps may wait for one another.
    steps.extend(surplus(true));
    let prune = surplus(false);
    match (&view.ordered, &record) {
        (Some(ordered), Some(record)) => steps.extend(ordered.steps(record, prune, view.kinds)),
        _ => steps.extend(prune),
    }
    if view.may_prune && steps.is_empty() {
        return Plan { steps: settle_parent(view, needed).into_iter().collect() };
    }
    let mut head = Vec::new();
    if let Some(wide) = widened(view, &needed, &steps) {
        head.push(Step::SetParent(wide));
    }
    if writes(&steps) {
        head.extend(missing_namespace(view).map(Step::EnsureNamespace));
    }
    steps.splice(0..0, head);
    Plan { steps }
}

/// The parent as it must be before the steps are taken; none when it is so already.
fn widened(view: &View<'_>, needed: &Parent, steps: &[Step]) -> Option<Parent> {
    let wide = view.parent.map_or_else(|| needed.clone(), |parent| parent.union(needed));
    // What a hook has come to is written down at once, whether or not there is more to do.
    let news = needed.sync.is_some() && view.parent.is_none_or(|parent| parent.sync != needed.sync);
    let due = writes(steps) || (news && needed.sync.as_ref().is_some_and(|sync| !sync.hooks.is_empty()));
    let other_share = view.parent.is_some_and(|parent| parent.held != needed.held);
    ((due || other_share) && view.parent != Some(&wide)).then_some(wide)
}

/// Whether anything is created or changed before the first wait.
fn writes(steps: &[Step]) -> bool {
    let now = steps.iter().take_while(|step| !matches!(step, Step::Wait(_)));
    now.into_iter().any(|step| matches!(step, Step::Apply(_) | Step::RunHooks(_)))
}

/// What the parent should be once nothing else is left to do.
fn settle_parent(view: &View<'_>, mut needed: Parent) -> Option<Step> {
    if view.removed && view.surplus.values().all(|surplus| surplus.stays) {
        return view.parent.map(|_| Step::DeleteParent(view.app.to_owned()));
    }
    let is_in = view.ordered.as_ref().is_none_or(Ordered::is_in);
    if let Some(record) = needed.sync.as_mut().filter(|_| is_in) {
        record.complete = true;
    }
    let exact = parent_of(view, view.surplus.keys().copied()).union(&needed);
    let current = match view.parent {
        Some(parent) => *parent == exact,
        None => exact.kinds.is_empty(),
    };
    (!current).then_some(Step::SetParent(exact))
}

fn parent_of<'a>(view: &View<'_>, keys: impl Iterator<Item = &'a ObjectKey>) -> Parent {
    let mut parent = Parent {
        prune: view.prune,
        held: held(view),
        account: view.account.clone(),
        ..Parent::empty(view.app)
    };
    let mut seen: BTreeSet<&GroupKind> = BTreeSet::new();
    for key in keys {
        if seen.insert(&key.kind) {
            parent.kinds.insert(key.kind.clone());
        }
        let elsewhere = !key.namespace.is_empty() && *key.namespace != *view.home;
        if elsewhere && !parent.namespaces.contains(&*key.namespace) {
            parent.namespaces.insert(key.namespace.to_string());
        }
    }
    parent
}

/// The deletion that waits to be confirmed. Removing an App document is a deliberate act and needs no more.
fn held(view: &View<'_>) -> Option<guard::Held> {
    let before = view.parent.and_then(|parent| parent.held);
    if view.removed || !view.prune {
        return None;
    }
    if !view.is_known {
        return before;
    }
    let doomed = view.surplus.values().filter(|surplus| surplus.is_doomed()).count();
    guard::judge(before, doomed, doomed + view.staying, view.prune_limit_percent, guard::ALWAYS)
}

/// The app's namespace, when something is applied into it and no object of Git's is that Namespace.
fn missing_namespace(view: &View<'_>) -> Option<String> {
    let namespace = view.namespace?;
    let ordered = view.ordered.iter().flat_map(|ordered| ordered.apply.keys().chain(ordered.hooks.keys()));
    let used = view.apply.keys().chain(ordered).any(|key| *key.namespace == *namespace);
    let brought = view.wanted.iter().any(|key| key.kind.is("", "Namespace") && *key.name == *namespace);
    (used && !brought).then(|| namespace.to_owned())
}

/// Applies tier by tier. What judges others (webhooks, policies) comes after them, hence not yet while there are
/// objects whose kind is about to be defined.
fn apply_steps<'a>(
    objects: impl Iterator<Item = (&'a &'a ObjectKey, &'a &'a Desired)>,
    kinds: Kinds,
) -> Vec<Step> {
    let mut tiers: BTreeMap<order::Tier, Vec<(ObjectKey, Desired)>> = BTreeMap::new();
    for (key, desired) in objects {
        tiers.entry(order::tier(&key.kind)).or_default().push(((*key).clone(), (*desired).clone()));
    }
    let defines = tiers.contains_key(&order::DEFINITIONS);
    if kinds == Kinds::Asked || (kinds == Kinds::Unknown && defines) {
        tiers.retain(|tier, _| *tier != order::JUDGES);
    }
    let mut steps = Vec::new();
    for (tier, objects) in tiers {
        let definitions =
            (tier == order::DEFINITIONS).then(|| objects.iter().map(|(key, _)| key.clone()).collect());
        steps.push(Step::Apply(objects));
        steps.extend(definitions.map(Step::AwaitDefinitions));
    }
    steps
}

/// Deletes what is surplus: what is awaited by others, or all else.
fn prune_steps(view: &View<'_>, awaited: bool) -> Vec<Step> {
    let mut tiers: BTreeMap<(Wave, order::Tier), Vec<Doomed>> = BTreeMap::new();
    let doomed = |surplus: &Surplus<'_>| surplus.is_doomed() && surplus.awaited == awaited;
    for (key, surplus) in view.surplus.iter().filter(|(_, surplus)| doomed(surplus)) {
        tiers.entry((surplus.wave, order::tier(&key.kind))).or_default().push(Doomed {
            key: (*key).clone(),
            resource: surplus.resource.clone(),
            uid: surplus.uid.into(),
            with_contents: surplus.with_contents,
        });
    }
    tiers.into_values().rev().map(Step::Prune).collect()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
