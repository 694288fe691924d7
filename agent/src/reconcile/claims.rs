//! Which apps want an object, and which has it?
use std::collections::BTreeSet;
use std::sync::Arc;

use super::app::Member;
use super::core::{Core, Now};
use crate::object::ObjectKey;
use crate::plan::Desired;

/// The names of the apps that want one object, each once and in order. Nearly always there is one, for which a list
/// takes a fraction of what a set does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claimants(Vec<Arc<str>>);

impl Claimants {
    pub(super) fn insert(&mut self, name: &Arc<str>) {
        if let Err(at) = self.0.binary_search(name) {
            self.0.reserve_exact(1);
            self.0.insert(at, name.clone());
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|claimant| **claimant != *name);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that there is; none where there are more.
    pub(super) fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl Core {
    /// Takes what Git wants of an app: all of it, or (when not `whole`) something more.
    pub(super) fn set_desired(
        &mut self,
        name: &str,
        objects: Vec<(ObjectKey, Desired)>,
        whole: bool,
        now: Now,
    ) {
        self.read_all_unread(name, now);
        let Some(app) = self.apps.get_mut(name) else { return };
        let mut changed: BTreeSet<ObjectKey> = objects.iter().map(|(key, _)| key.clone()).collect();
        if whole {
            for (key, member) in &mut app.members {
                if member.desired.take().is_some() {
                    changed.insert(key.clone());
                }
            }
        }
        for (key, desired) in objects {
            let member = app.members.entry(key.clone()).or_default();
            member.desired = Some(desired);
            if member.is_left_alone() {
                (member.drift, member.failure, member.held_until) = (None, None, None);
            }
            self.claims.entry(key).or_default().insert(&app.name);
        }
        for key in changed {
            self.settle_claim(name, &key);
        }
        if let Some(app) = self.apps.get_mut(name) {
            let wanted = app.members.values().filter_map(|member| member.desired.as_ref());
            app.wanted_kinds =
                wanted.map(|desired| (desired.resource.gvk.clone(), desired.resource.clone())).collect();
            let id = app.set_id.clone();
            app.members.retain(|_, member| {
                let ours =
                    member.seen.as_ref().is_some_and(|seen| seen.applied_by_us && *seen.part_of == *id);
                member.desired.is_some() || ours
            });
        }
    }

    /// Brings the books on one object up to date after an app's wish for it has changed.
    fn settle_claim(&mut self, name: &str, key: &ObjectKey) {
        let Some(app) = self.apps.get(name) else { return };
        let member = app.members.get(key);
        let wanted = member.is_some_and(|member| member.desired.is_some());
        let owned = member.is_some_and(|member| app.owns(member));
        let claimants = self.claims.entry(key.clone()).or_default();
        if wanted {
            if self.leftovers.get(key).is_some_and(|holder| holder == name) {
                self.leftovers.remove(key);
            }
        } else {
            claimants.remove(name);
            if owned {
                self.leftovers.insert(key.clone(), name.to_owned());
            }
        }
        let claimants = claimants.clone();
        self.hand_over(key, &claimants);
        if claimants.is_empty() {
            self.claims.remove(key);
        }
        for claimant in claimants.iter() {
            let others: Vec<_> = claimants.iter().filter(|other| *other != claimant).collect();
            let dispute: Option<Box<str>> = (!others.is_empty()).then(|| others.join(", ").into());
            let member = self.apps.get_mut(claimant).and_then(|app| app.members.get_mut(key));
            if let Some(member) = member.filter(|member| member.disputed_with != dispute) {
                member.disputed_with = dispute;
                self.touch(claimant);
            }
        }
    }

    /// What one app has and another wants is not deleted: it stays with the one until the other has applied
    /// it, which changes its label.
    fn hand_over(&mut self, key: &ObjectKey, claimants: &Claimants) {
        let Some(holder) = self.leftovers.get(key).cloned() else { return };
        let Some(left) = self.apps.get(&holder).and_then(|app| app.members.get(key)) else { return };
        let seen = left.seen.clone();
        let before = (left.wanted_elsewhere, left.awaited);
        let now = self.elsewhere(key, claimants);
        if before != now
            && let Some(left) = self.apps.get_mut(&holder).and_then(|app| app.members.get_mut(key))
        {
            (left.wanted_elsewhere, left.awaited) = now;
            self.touch(&holder);
        }
        for claimant in claimants.iter() {
            if let Some(member) = self.apps.get_mut(claimant).and_then(|app| app.members.get_mut(key)) {
                member.seen = member.seen.take().or_else(|| seen.clone());
            }
        }
    }

    /// Whether some app will apply over an object that another has, and whether one waits for it to be gone: a hook
    /// starts from nothing.
    pub(super) fn elsewhere(&self, key: &ObjectKey, claimants: &Claimants) -> (bool, bool) {
        let member = |name: &str| self.apps.get(name)?.members.get(key);
        let wanted = || claimants.iter().filter_map(member).filter(|member| member.desired.is_some());
        (wanted().any(|member| !member.is_hook()), wanted().any(Member::is_hook))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_in_order() {
        let mut claimants = Claimants::default();
        for name in ["web", "api", "web"] {
            claimants.insert(&name.into());
        }
        assert_eq!((claimants.iter().collect::<Vec<_>>(), claimants.only()), (vec!["api", "web"], None));
        claimants.remove("api");
        claimants.remove("none");
        assert_eq!(claimants.only(), Some("web"));
        claimants.remove("web");
        assert!(claimants.is_empty());
    }
}
