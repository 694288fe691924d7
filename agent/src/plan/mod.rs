//! Which steps, in which order, bring an app's objects to what Git says?
//!
//! ```text
//! members (desired + live) --> plan --> widen parent, namespaces, apply by tier, prune backwards,
//!                                       narrow or delete the parent
//! ```
//!
//! A plan is data. It is made again from what is known whenever something changes, so a plan that was
//! cut short needs no undoing.
pub(crate) mod guard;
pub(crate) mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::applyset::Parent;
use crate::directives::Directives;
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
    /// Digest of what Git says of it.
    pub(crate) digest: Digest,
    pub(crate) place: Place,
    /// What its annotations ask for.
    pub(crate) directives: Directives,
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
    /// Namespace to create when objects go into it and Git does not bring it; none when Git names none.
    pub(crate) namespace: Option<&'a str>,
    /// The set's parent, as it was last written or read.
    pub(crate) parent: Option<&'a Parent>,
    /// Every object Git wants, whether or not it is to be applied now.
    pub(crate) wanted: BTreeSet<&'a ObjectKey>,
    /// Objects to apply now.
    pub(crate) apply: BTreeMap<&'a ObjectKey, &'a Desired>,
    /// Members in the cluster that Git does not want, being deleted already or not.
    pub(crate) surplus: BTreeMap<&'a ObjectKey, Surplus<'a>>,
    /// Whether members may be deleted, and the parent narrowed: only when everything Git wants is known
    /// and every kind the parent names has been looked at.
    pub(crate) may_prune: bool,
    /// The app itself is gone: the parent goes when the last member has.
    pub(crate) removed: bool,
}

/// A member that Git does not want.
pub(crate) struct Surplus<'a> {
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) uid: &'a str,
    /// It has been asked to go and waits for its finalizers.
    pub(crate) deleting: bool,
    /// It is not to be deleted now: another app is about to take it over, or its deletion failed a moment
    /// ago.
    pub(crate) keep: bool,
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
    /// Of the app by that name.
    DeleteParent(String),
}

/// The steps for one app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |keys: &mut dyn Iterator<Item = String>| keys.collect::<Vec<_>>().join(" ");
        for step in &self.steps {
            match step {
                Step::SetParent(parent) => {
                    let kinds = names(&mut parent.kinds.iter().map(ToString::to_string));
                    let held = parent.held.map(|held| format!(", {held} held")).unwrap_or_default();
                    writeln!(f, "set {kinds}{held}")?;
                }
                Step::EnsureNamespace(name) => writeln!(f, "namespace {name}")?,
                Step::Apply(objects) => {
                    writeln!(f, "apply {}", names(&mut objects.iter().map(|(key, _)| key.to_string())))?;
                }
                Step::AwaitDefinitions(keys) => {
                    writeln!(f, "await {}", names(&mut keys.iter().map(ToString::to_string)))?;
                }
                Step::Prune(doomed) => {
                    writeln!(f, "prune {}", names(&mut doomed.iter().map(|object| object.key.to_string())))?;
                }
                Step::DeleteParent(_) => writeln!(f, "delete set")?,
            }
        }
        Ok(())
    }
}

/// Makes the plan.
pub(crate) fn plan(view: &View<'_>) -> Plan {
    let mut steps = Vec::new();
    let needed = parent_of(view, view.wanted.iter().copied());
    let other_share = view.parent.is_some_and(|parent| parent.held != needed.held);
    if !view.apply.is_empty() || other_share {
        let wide = view.parent.map_or_else(|| needed.clone(), |parent| parent.union(&needed));
        if view.parent != Some(&wide) {
            steps.push(Step::SetParent(wide));
        }
    }
    if !view.apply.is_empty() {
        steps.extend(missing_namespace(view).map(Step::EnsureNamespace));
        steps.extend(apply_steps(view));
    }
    if view.removed && !view.prune {
        // Its objects stay, and belong to nobody from now on.
        return Plan {
            steps: view.parent.map(|_| Step::DeleteParent(view.app.to_owned())).into_iter().collect(),
        };
    }
    if view.may_prune && view.prune && needed.held.is_none() {
        steps.extend(prune_steps(view));
    }
    if view.may_prune && steps.is_empty() {
        steps.extend(settle_parent(view, &needed));
    }
    Plan { steps }
}

/// What the parent should be once nothing else is left to do.
fn settle_parent(view: &View<'_>, needed: &Parent) -> Option<Step> {
    if view.removed && view.surplus.values().all(|surplus| surplus.stays) {
        return view.parent.map(|_| Step::DeleteParent(view.app.to_owned()));
    }
    let exact = parent_of(view, view.surplus.keys().copied()).union(needed);
    let current = match view.parent {
        Some(parent) => *parent == exact,
        None => exact.kinds.is_empty(),
    };
    (!current).then_some(Step::SetParent(exact))
}

fn parent_of<'a>(view: &View<'_>, keys: impl Iterator<Item = &'a ObjectKey>) -> Parent {
    let mut parent = Parent { prune: view.prune, held: held(view), ..Parent::empty(view.app) };
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
    guard::judge(before, doomed, doomed + view.staying, view.prune_limit_percent)
}

/// The app's namespace, when something is applied into it and no object of Git's is that Namespace.
fn missing_namespace(view: &View<'_>) -> Option<String> {
    let namespace = view.namespace?;
    let used = view.apply.keys().any(|key| *key.namespace == *namespace);
    let brought = view.wanted.iter().any(|key| key.kind.is("", "Namespace") && *key.name == *namespace);
    (used && !brought).then(|| namespace.to_owned())
}

fn apply_steps(view: &View<'_>) -> Vec<Step> {
    let mut tiers: BTreeMap<order::Tier, Vec<(ObjectKey, Desired)>> = BTreeMap::new();
    for (key, desired) in &view.apply {
        tiers.entry(order::tier(&key.kind)).or_default().push(((*key).clone(), (*desired).clone()));
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

fn prune_steps(view: &View<'_>) -> Vec<Step> {
    let mut tiers: BTreeMap<order::Tier, Vec<Doomed>> = BTreeMap::new();
    for (key, surplus) in view.surplus.iter().filter(|(_, surplus)| surplus.is_doomed()) {
        tiers.entry(order::tier(&key.kind)).or_default().push(Doomed {
            key: (*key).clone(),
            resource: surplus.resource.clone(),
            uid: surplus.uid.into(),
            with_contents: surplus.with_contents,
        });
    }
    tiers.into_values().rev().map(Step::Prune).collect()
}

#[cfg(test)]
mod tests;
