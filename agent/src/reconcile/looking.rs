//! What is watched, and whose is what is seen?
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_wire::v1::EventKind;

use super::app::Member;
use super::claims::Claimants;
use super::core::{Action, Core, Look, Now, Told, Watched};
use super::observe::News;
use crate::api::ApiError;
use crate::backoff::jittered;
use crate::drift;
use crate::health::Health;
use crate::object::{GroupKind, Gvk, ObjectKey, Resource};
use crate::plan::hook::Ran;
use crate::watch::{Event, Observation, Scope, Seen, Sighting};

impl Core {
    /// Starts the watches that are needed and stops those that are not.
    ///
    /// None before it is known what every app wants: the first list shows what is in sync already, and
    /// that takes knowing what is wanted.
    pub(super) fn update_watches(&mut self) {
        if self.apps.values().any(|app| app.resolving && app.resolved == 0) {
            return;
        }
        let mut wanted: BTreeMap<&Gvk, &Arc<Resource>> =
            self.apps.values().flat_map(|app| &app.wanted_kinds).collect();
        let versioned: BTreeSet<&GroupKind> = wanted.keys().map(|gvk| &gvk.group_kind).collect();
        let parents = self.apps.values().flat_map(|app| app.parent.iter().flat_map(|parent| &parent.kinds));
        let others: BTreeSet<&GroupKind> = parents.filter(|kind| !versioned.contains(kind)).collect();
        let mut unknown = Vec::new();
        for kind in others {
            if let Some((scope, watched)) =
                self.watches.iter().find(|(scope, _)| scope.kind.group_kind == *kind)
            {
                wanted.entry(&scope.kind).or_insert(&watched.resource);
                continue;
            }
            match self.located.get(kind) {
                Some(Some(resource)) => {
                    wanted.entry(&resource.gvk).or_insert(resource);
                }
                Some(None) => {}
                None => unknown.push(kind.clone()),
            }
        }
        let scopes = |(gvk, resource): (&Gvk, &Arc<Resource>)| {
            let (kind, resource) = (gvk.clone(), resource.clone());
            let scopes = self.reach.scopes(resource.namespaced).into_iter();
            scopes.map(move |namespace| (Scope { kind: kind.clone(), namespace }, resource.clone()))
        };
        let wanted: BTreeMap<Scope, Arc<Resource>> = wanted.into_iter().flat_map(scopes).collect();
        let stop: Vec<Scope> =
            self.watches.keys().filter(|scope| !wanted.contains_key(*scope)).cloned().collect();
        for scope in stop {
            self.watches.remove(&scope);
            self.actions.push(Action::Unwatch(scope));
        }
        for (scope, resource) in wanted {
            if let Entry::Vacant(entry) = self.watches.entry(scope) {
                let namespace = entry.key().namespace.clone();
                let watched = entry.insert(Watched {
                    look: Look::Listing,
                    listing: 0,
                    check_at: None,
                    resource,
                    namespace,
                    error: None,
                });
                self.actions.push(watched.watch());
            }
        }
        for kind in unknown {
            if self.locating.insert(kind.clone()) {
                self.actions.push(Action::Locate(kind));
            }
        }
        if !self.reach.is_everywhere() {
            for app in self.apps.values_mut() {
                app.beyond = app.parent.as_ref().and_then(|parent| self.reach.beyond(parent, &self.located));
            }
        }
    }

    pub(super) fn watched(&mut self, scope: &Scope, event: Event, now: Now) {
        let Some(watched) = self.watches.get_mut(scope) else { return };
        match event {
            Event::Listing => {
                self.listings += 1;
                watched.listing = self.listings;
            }
            Event::Exists(sighting) => self.sighted(sighting, now),
            Event::Gone { key, version } => self.gone(&key, version),
            Event::Listed => {
                watched.look = Look::Listed;
                watched.error = None;
                watched.check_at = Some(now.instant + jittered(self.check_every));
                self.sweep(scope);
                self.tell_first_look();
            }
            Event::Failed(error) => {
                if watched.look == Look::Listing || matches!(error, ApiError::NotFound { .. }) {
                    watched.look = Look::Failed;
                }
                tracing::warn!(kind = %scope, %error, "Objects of a kind cannot be listed.");
                watched.error = Some(error);
                self.touch_kind(&scope.kind.group_kind);
            }
        }
    }

    /// Says once how everything was found.
    fn tell_first_look(&mut self) {
        let listed = self.watches.values().all(|watched| watched.look == Look::Listed);
        if self.told_first_look || !listed || !self.is_ready() || self.is_resolving() {
            return;
        }
        self.told_first_look = true;
        let members = || self.apps.values().flat_map(|app| app.members.values());
        let objects = members().filter(|member| member.desired.is_some()).count();
        let in_sync = members().filter(|member| member.in_sync()).count();
        tracing::info!(apps = self.apps.len(), objects, in_sync, "Every app has been looked at.");
    }

    /// A list is complete: what it did not have is gone.
    fn sweep(&mut self, scope: &Scope) {
        let Some(listing) = self.watches.get(scope).map(|watched| watched.listing) else { return };
        let mut gone = Vec::new();
        for (name, app) in &self.apps {
            for (key, member) in app.members.iter().filter(|(key, _)| scope.has(&key.kind, &key.namespace)) {
                let here = member.seen.as_ref().is_some_and(|seen| seen.resource.gvk == scope.kind);
                if here && member.listing < listing && !member.writing {
                    gone.push((name.clone(), key.clone()));
                }
            }
        }
        for (name, key) in gone {
            let version = self
                .apps
                .get(&name)
                .and_then(|app| app.members.get(&key)?.seen.as_ref())
                .map_or(0, |seen| seen.version);
            self.gone_for(&name, &key, version);
        }
        self.touch_kind(&scope.kind.group_kind);
    }

    fn touch_kind(&mut self, kind: &GroupKind) {
        let concerned = self.apps.iter().filter(|(_, app)| {
            app.members.keys().any(|key| key.kind == *kind)
                || app.parent.as_ref().is_some_and(|parent| parent.kinds.contains(kind))
        });
        let names: Vec<String> = concerned.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.touch(&name);
        }
    }

    /// An object exists. It is read whole only when it is not known in that version already, so that a
    /// full list of what has not changed costs next to nothing.
    fn sighted(&mut self, sighting: Box<Sighting>, now: Now) {
        if self.is_known(&sighting) {
            return;
        }
        if let Some(sighting) = self.put_off(sighting) {
            self.read(&sighting, now);
        }
    }

    fn read(&mut self, sighting: &Sighting, now: Now) {
        match sighting.observe() {
            Ok(observation) => self.exists(&observation, now),
            Err(error) => {
                tracing::warn!(object = %sighting.key, %error, "An object cannot be read and is left out.");
            }
        }
    }

    /// Keeps what is seen of an object while it is being written, and gives back all else. Mostly it is the write
    /// itself, which needs not be read; what came after it is not to be asked for again.
    fn put_off(&mut self, sighting: Box<Sighting>) -> Option<Box<Sighting>> {
        let listing = listing(&self.watches, &sighting.resource, &sighting.key.namespace);
        let app = self.claims.get(&sighting.key).and_then(Claimants::only);
        let app = app.filter(|_| sighting.version > 0 && !self.leftovers.contains_key(&sighting.key));
        let member = app.and_then(|app| self.apps.get_mut(app)?.members.get_mut(&sighting.key));
        let Some(member) = member.filter(|member| member.writing && !member.is_hook()) else {
            return Some(sighting);
        };
        member.listing = member.listing.max(listing);
        if sighting.version >= member.news {
            member.news = sighting.version;
            member.seen_meanwhile = Some(sighting);
        }
        None
    }

    /// A write has ended: what was seen of the object meanwhile, and came after `version`, is judged now. That is the
    /// version written, or else the last one that was judged; none where nothing was.
    pub(super) fn catch_up(&mut self, name: &str, key: &ObjectKey, version: Option<u64>, now: Now) {
        let Some(member) = self.apps.get_mut(name).and_then(|app| app.members.get_mut(key)) else { return };
        let unread = member.seen_meanwhile.take();
        let is_newest = |sighting: &Sighting| sighting.version >= member.news;
        let is_later = |news: u64| version.is_some_and(|version| news > version);
        match unread.filter(|unread| is_newest(unread)) {
            Some(unread) if version.is_none() || is_later(unread.version) || member.unjudged => {
                self.read(&unread, now);
            }
            None if is_later(member.news) => self.tell(name, key, &News::Refresh),
            _ => {}
        }
    }

    /// Takes note of what was seen while writes were under way that are about to mean nothing.
    pub(super) fn read_all_unread(&mut self, name: &str, now: Now) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let unread: Vec<_> =
            app.members.values_mut().filter_map(|member| member.seen_meanwhile.take()).collect();
        for sighting in unread {
            self.read(&sighting, now);
        }
    }

    /// Whether every app that wants the object knows it like this. Notes that it was listed.
    fn is_known(&mut self, sighting: &Sighting) -> bool {
        // What one app has and another wants changes hands by being seen.
        if self.leftovers.contains_key(&sighting.key) {
            return false;
        }
        let Some(names) = self.claims.get(&sighting.key).filter(|names| !names.is_empty()) else {
            return false;
        };
        let listing = listing(&self.watches, &sighting.resource, &sighting.key.namespace);
        for name in names.iter() {
            let member = self.apps.get_mut(name).and_then(|app| app.members.get_mut(&sighting.key));
            let Some(member) = member.filter(|member| member.knows(sighting)) else { return false };
            member.listing = member.listing.max(listing);
        }
        true
    }

    /// Routes an object that exists to the apps it concerns.
    pub(super) fn exists(&mut self, observation: &Observation, now: Now) {
        let key = observation.key.clone();
        let listing = listing(&self.watches, &observation.seen.resource, &key.namespace);
        let claimants = self.claims.get(&key).cloned().unwrap_or_default();
        for name in claimants.iter() {
            let Some(app) = self.apps.get_mut(name) else { continue };
            let Some(member) = app.members.get_mut(&key) else { continue };
            member.listing = member.listing.max(listing);
            let before = member.seen.as_ref().map(telling);
            let news = member.exists(observation, (now.instant, now.timestamp));
            if let Some(baseline) = &mut member.baseline {
                self.shapes.share(&mut baseline.projection);
            }
            if news != News::Stale {
                member.apply_rule(&app.options.health, observation);
            }
            let after = member.seen.as_ref().map(telling);
            self.tell(name, &key, &news);
            if news != News::Stale && (news != News::Noted || before != after) {
                self.touch(name);
            }
        }
        let elsewhere = self.elsewhere(&key, &claimants);
        self.exists_for_holder(observation, listing, elsewhere, now);
    }

    /// The app an object's label names has it, whether or not it wants it (any more).
    fn exists_for_holder(
        &mut self,
        observation: &Observation,
        listing: u64,
        elsewhere: (bool, bool),
        now: Now,
    ) {
        let key = &observation.key;
        let name = observation.app.as_str();
        if let Some(before) = self.leftovers.get(key).cloned()
            && before != name
        {
            self.leftovers.remove(key);
            if let Some(app) = self.apps.get_mut(&before) {
                app.members.remove(key);
            }
            self.touch(&before);
        }
        let Some(app) = self.apps.get_mut(name) else { return };
        if app.members.get(key).is_some_and(|member| member.desired.is_some()) {
            return;
        }
        let mut member = app.members.remove(key).unwrap_or_default();
        member.exists(observation, (now.instant, now.timestamp));
        member.listing = member.listing.max(listing);
        (member.wanted_elsewhere, member.awaited) = elsewhere;
        if app.owns(&member) {
            app.members.insert(key.clone(), member);
            self.leftovers.insert(key.clone(), name.to_owned());
        } else {
            self.leftovers.remove(key);
        }
        self.touch(name);
    }

    fn gone(&mut self, key: &ObjectKey, version: u64) {
        let claimants = self.claims.get(key).cloned().unwrap_or_default();
        let holder = self.leftovers.get(key).cloned();
        let holder = holder.as_deref().filter(|holder| claimants.iter().all(|name| name != *holder));
        for name in claimants.iter().chain(holder) {
            self.gone_for(name, key, version);
        }
    }

    fn gone_for(&mut self, name: &str, key: &ObjectKey, version: u64) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(member) = app.members.get_mut(key) else { return };
        let news = member.gone(version);
        if is_nothing(member) {
            app.members.remove(key);
            self.leftovers.remove(key);
        }
        self.tell(name, key, &news);
        self.touch(name);
    }

    pub(super) fn refreshed(&mut self, name: &str, key: &ObjectKey, found: Option<Observation>, now: Now) {
        let Some(member) = self.apps.get_mut(name).and_then(|app| app.members.get_mut(key)) else { return };
        member.reading = false;
        if let Some(observation) = found {
            self.touch(name);
            return self.exists(&observation, now);
        }
        let news = member.missing(key, (now.instant, now.timestamp));
        self.tell(name, key, &news);
        self.touch(name);
    }

    /// It is known what scales an object whose replicas drifted.
    pub(super) fn scaled(&mut self, name: &str, key: &ObjectKey, scaler: Option<String>) {
        let Some(member) = self.apps.get_mut(name).and_then(|app| app.members.get_mut(key)) else { return };
        let scaler = scaler.map(String::into_boxed_str);
        if member.scaler == scaler {
            return;
        }
        if let Some(scaler) = &scaler {
            tracing::warn!(app = name, object = %key, "{scaler} scales {key}, and so does Git.");
        }
        member.scaler = scaler;
        if let Some(drift) = &mut member.drift {
            drift.advice = drift::advice(key, drift, member.scaler.as_deref());
        }
        self.to_report.insert(name.to_owned());
    }

    /// Tells of a drift, and asks for what has to be read.
    pub(super) fn tell(&mut self, name: &str, key: &ObjectKey, news: &News) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(member) = app.members.get_mut(key) else { return };
        member.reading |= *news == News::Refresh && member.desired.is_some();
        if member.held_until.is_some() {
            app.held.insert(key.clone());
        }
        match (news, &member.drift, &member.desired) {
            (News::Drifted, Some(drift), _) => {
                let message = super::status::drift_sentence(drift);
                tracing::info!(app = name, object = %key, manager = drift.field_manager, "{message}");
                if member.held_until.is_some() {
                    let sentence = super::status::fight_sentence(key, drift);
                    tracing::warn!(app = name, object = %key, "{sentence}");
                }
                if drift::may_be_scaled(drift) {
                    self.actions.push(Action::FindScaler { app: name.to_owned(), key: key.clone() });
                }
                self.actions.push(Action::Event(Told {
                    kind: EventKind::DriftDetected,
                    app: name.to_owned(),
                    revision: app.revision.clone(),
                    message,
                }));
            }
            (News::Refresh, _, Some(desired)) => self.actions.push(Action::Refresh {
                app: name.to_owned(),
                key: key.clone(),
                resource: desired.resource.clone(),
            }),
            _ => {}
        }
    }
}

/// The number of the last list in which an object can have been; 0 when its kind is not watched.
pub(super) fn listing(watches: &BTreeMap<Scope, Watched>, resource: &Resource, namespace: &str) -> u64 {
    let watched = watches.iter().find(|(scope, _)| {
        scope.kind == resource.gvk && (scope.namespace.is_empty() || *scope.namespace == *namespace)
    });
    watched.map_or(0, |(_, watched)| watched.listing)
}

/// What of an object makes a difference when it changes, its content aside.
fn telling(seen: &Seen) -> (Health, bool, i64, Option<Box<Ran>>) {
    (seen.health.clone(), seen.deleting, seen.generation, seen.ran.clone())
}

/// A member that is neither wanted nor there is nothing.
fn is_nothing(member: &Member) -> bool {
    member.desired.is_none() && member.seen.is_none()
}
