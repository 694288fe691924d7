//! What is known of one app and of each of its objects?
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use muster_wire::v1::{Drift, HealthStatus, SyncStatus};
use prost_types::Timestamp;

use super::order::Progress;
use super::permit::Permit;
use super::resolve::Owner;
use crate::apply::{Before, Known};
use crate::applyset::{self, Parent};
use crate::directives::{Prune, Reconcile};
use crate::drift::{Fight, Projection};
use crate::object::{Digest, Gvk, ObjectKey, Resource};
use crate::plan::guard::Held;
use crate::plan::{Desired, Kinds, Plan, Step, Surplus, View};
use crate::source::{Manifest, Options, Problem};
use crate::watch::{Seen, Sighting};

/// Corrected drifts that stay in the report.
pub(super) const CORRECTED_MAX: usize = 20;

/// One app in this cluster.
pub(super) struct App {
    /// Shared with the claims on its objects.
    pub(super) name: Arc<str>,
    /// Id of its ApplySet.
    pub(super) set_id: String,
    pub(super) presence: Presence,
    pub(super) options: Options,
    /// What may be done at the moment, and when to look again.
    pub(super) permit: Permit,
    /// The permit that was last acted upon.
    pub(super) permit_told: Permit,
    pub(super) permit_at: Option<Instant>,
    /// What Git says by now, which waits for a window; until then the app is what it was.
    pub(super) pending: Option<Pending>,
    /// It would leave the cluster with too many others, so it stays.
    pub(super) leaving: Option<Held>,
    pub(super) path: String,
    /// Commit that should be applied, and the one last applied in full.
    pub(super) wanted_revision: String,
    pub(super) revision: String,
    /// Number of the content that counts, unique among all apps; results for another are dropped.
    pub(super) generation: u64,
    /// Generation that `members` hold the wishes of; 0 before the first.
    pub(super) resolved: u64,
    /// Digest of the manifests that `members` hold the wishes of, and of those being resolved.
    pub(super) content: Digest,
    pub(super) coming: Digest,
    /// Places of annotations that should say when something is applied, and make no sense.
    pub(super) unclear: Vec<String>,
    pub(super) progress: Progress,
    /// Its content is to be applied in an order of its own.
    pub(super) has_order: bool,
    /// A request to resolve kinds is under way.
    pub(super) resolving: bool,
    /// Manifests whose kind or scope is not known, and why.
    pub(super) unresolved: Vec<(Manifest, Problem)>,
    /// What is wrong with the document or the manifests at the wanted revision.
    pub(super) problems: Vec<Problem>,
    pub(super) members: BTreeMap<ObjectKey, Member>,
    /// The kinds of the members that Git wants.
    pub(super) wanted_kinds: BTreeMap<Gvk, Arc<Resource>>,
    /// The members that may have [`Member::held_until`] set.
    pub(super) held: BTreeSet<ObjectKey>,
    /// The ApplySet parent as last read or written; none when there is none.
    pub(super) parent: Option<Parent>,
    /// What the parent names that is out of this agent's reach, as a clause.
    pub(super) beyond: Option<String>,
    pub(super) run: Option<Run>,
    /// What failed in the last run other than single objects.
    pub(super) run_problem: Option<Problem>,
    /// Failed runs in a row, and when to try again.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    pub(super) corrected: VecDeque<Drift>,
    pub(super) synced_at: Option<Timestamp>,
    pub(super) last: Last,
}

/// Whether the app is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its parent was found in the cluster; Git has not been read yet.
    Found,
    /// Git wants it here.
    Wanted,
    /// Git wants it here no more: its objects go, then it is forgotten.
    Removed,
}

/// What waits for a window to open.
pub(super) enum Pending {
    /// Other manifests.
    Content(Vec<Manifest>),
    /// Git wants the app here no more.
    Removal,
}

/// What the last status said, to see what changed.
#[derive(Default)]
pub(super) struct Last {
    pub(super) sync: SyncStatus,
    pub(super) health: HealthStatus,
    pub(super) message: String,
    pub(super) since: Option<Timestamp>,
    /// Since when each problem has been there.
    pub(super) problems: BTreeMap<Problem, Timestamp>,
    /// Whether the last sync was told of as a success or failure, and of which generation.
    pub(super) told: Option<(bool, u64)>,
    /// Whether anything has been written since.
    pub(super) ran: bool,
    /// What was the matter with it when those that depend on it were last told.
    pub(super) matter: Option<Option<String>>,
}

/// A plan being carried out.
pub(super) struct Run {
    pub(super) number: u64,
    /// Newer content has come: the rest of the plan is of no use.
    pub(super) cancelled: bool,
    pub(super) failed: bool,
    pub(super) pruned: Vec<String>,
    /// Objects with what was done for them beside applying them.
    pub(super) notes: Vec<String>,
    pub(super) definitions: bool,
}

impl Run {
    pub(super) fn new(number: u64) -> Run {
        Run {
            number,
            cancelled: false,
            failed: false,
            pruned: Vec::new(),
            notes: Vec::new(),
            definitions: false,
        }
    }
}

/// One object of an app: wanted by Git, or in the cluster, or both.
#[derive(Default)]
pub(super) struct Member {
    pub(super) desired: Option<Desired>,
    /// As last seen in the cluster; none when it is not there or has not been looked for.
    pub(super) seen: Option<Seen>,
    /// Listing in which it was last seen.
    pub(super) listing: u64,
    pub(super) baseline: Option<Baseline>,
    pub(super) drift: Option<Box<Drift>>,
    pub(super) failure: Option<Box<Problem>>,
    /// What was done for it beside applying it: adopted, created anew.
    pub(super) note: Option<Box<str>>,
    pub(super) fight: Option<Box<Fight>>,
    /// What was found to scale it, when its replicas drifted.
    pub(super) scaler: Option<Box<str>>,
    /// Not to be corrected before, since somebody keeps changing it.
    pub(super) held_until: Option<Instant>,
    /// A write is under way.
    pub(super) writing: bool,
    /// The last that was seen of it since: what it means is told by the answer to the write.
    pub(super) seen_meanwhile: Option<Box<Sighting>>,
    /// It is being read, to see what became of it.
    pub(super) reading: bool,
    /// Its health goes by a rule in Git that has not been asked about this version: the body is needed again.
    pub(super) unjudged: bool,
    /// Highest version of any news of it, deletion included.
    pub(super) news: u64,
    /// This app wants it no more, but another does, which has not applied it yet.
    pub(super) wanted_elsewhere: bool,
    /// This app wants it no more, and another waits for it to be gone before it runs a hook by that name.
    pub(super) awaited: bool,
    /// Other apps that want it too: then nobody applies it.
    pub(super) disputed_with: Option<Box<str>>,
}

/// What an object was like right after it was as Git wants it.
pub(super) struct Baseline {
    /// Digest of what was applied.
    pub(super) digest: Digest,
    pub(super) version: u64,
    pub(super) projection: Projection,
}

impl Member {
    /// Whether Git wants it as a hook: then it is no part of what is kept in sync.
    pub(super) fn is_hook(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.hook.is_some())
    }

    /// Whether the cluster has what Git wants, as far as is known.
    pub(super) fn in_sync(&self) -> bool {
        if self.is_left_alone() {
            return true;
        }
        match (&self.desired, &self.baseline) {
            (Some(desired), Some(baseline)) => {
                baseline.digest == desired.digest && self.seen.is_some() && self.drift.is_none()
            }
            _ => false,
        }
    }

    /// Whether its annotations in Git say to leave it as it is in the cluster now.
    pub(super) fn is_left_alone(&self) -> bool {
        match self.desired.as_ref().map(|desired| desired.directives.reconcile) {
            Some(Reconcile::Never) => true,
            Some(Reconcile::IfAbsent) => self.seen.is_some(),
            Some(Reconcile::Always) | None => false,
        }
    }

    /// Whether the last apply was of what Git wants now.
    pub(super) fn is_applied(&self) -> bool {
        match (&self.desired, &self.baseline) {
            (Some(desired), Some(baseline)) => baseline.digest == desired.digest,
            _ => false,
        }
    }

    /// Whether to apply it in a run that starts now.
    fn is_due(&self, self_heal: bool, only_heal: bool, retry: bool, now: Instant) -> bool {
        let changed_in_cluster = self.is_applied() && (self.drift.is_some() || self.seen.is_none());
        self.desired.is_some()
            && !self.is_hook()
            && !self.in_sync()
            && self.disputed_with.is_none()
            && !self.reading
            && (retry || self.failure.is_none())
            && (self_heal || !changed_in_cluster)
            && (!only_heal || changed_in_cluster)
            && self.held_until.is_none_or(|until| until <= now)
            // It goes first, then comes again.
            && !self.seen.as_ref().is_some_and(|seen| seen.deleting)
    }
}

impl App {
    pub(super) fn new(name: &str, home: &str, presence: Presence) -> App {
        App {
            name: name.into(),
            set_id: applyset::id(name, home),
            presence,
            options: Options::default(),
            permit: Permit::default(),
            permit_told: Permit::default(),
            permit_at: None,
            pending: None,
            leaving: None,
            path: String::new(),
            wanted_revision: String::new(),
            revision: String::new(),
            generation: 0,
            resolved: 0,
            content: Digest::default(),
            coming: Digest::default(),
            unclear: Vec::new(),
            progress: Progress::default(),
            has_order: false,
            resolving: false,
            unresolved: Vec::new(),
            problems: Vec::new(),
            members: BTreeMap::new(),
            wanted_kinds: BTreeMap::new(),
            held: BTreeSet::new(),
            parent: None,
            beyond: None,
            run: None,
            run_problem: None,
            failures: 0,
            retry_at: None,
            corrected: VecDeque::new(),
            synced_at: None,
            last: Last::default(),
        }
    }

    /// Whose objects its manifests are.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            app: self.name.to_string(),
            set_id: self.set_id.clone(),
            namespace: self.options.namespace.clone(),
            content: self.coming,
            rules: self.options.rules.clone(),
            ignores: self.options.ignores.clone(),
        }
    }

    /// Whether this member is ours to delete: in our set, and applied by us.
    pub(super) fn owns(&self, member: &Member) -> bool {
        member.seen.as_ref().is_some_and(|seen| seen.applied_by_us && *seen.part_of == *self.set_id)
    }

    /// Members in the cluster that Git does not want.
    pub(super) fn surplus(&self) -> impl Iterator<Item = (&ObjectKey, &Member, &Seen)> {
        self.members
            .iter()
            .filter(|(_, member)| member.desired.is_none() && self.owns(member))
            .filter_map(|(key, member)| member.seen.as_ref().map(|seen| (key, member, seen)))
    }

    /// Whether what Git wants is known to the last object.
    pub(super) fn is_known(&self) -> bool {
        match self.presence {
            Presence::Found => false,
            Presence::Removed => true,
            Presence::Wanted => {
                self.problems.is_empty()
                    && self.unresolved.is_empty()
                    && self.generation > 0
                    && self.resolved == self.generation
            }
        }
    }

    /// Whether the cluster is as Git says, with nothing left to do or to find out.
    pub(super) fn is_settled(&self) -> bool {
        self.is_known()
            && self.pending.is_none()
            && self.run.is_none()
            && self.run_problem.is_none()
            && !self.is_in_order()
            && self.members.values().all(|member| match member.desired {
                Some(_) if member.is_hook() => true,
                Some(_) => member.in_sync() && member.disputed_with.is_none(),
                None => !self.options.prune || self.is_kept(member),
            })
    }

    /// Whether a member is as it should be: as Git says, or left over on purpose.
    pub(super) fn is_fine(&self, member: &Member) -> bool {
        match member.desired {
            Some(_) => member.in_sync() && member.disputed_with.is_none(),
            None => self.is_kept(member),
        }
    }

    /// Whether the annotations of a member that left Git say that it stays, or that it does not matter.
    pub(super) fn is_kept(&self, member: &Member) -> bool {
        let directives = member.seen.as_ref().map(|seen| seen.directives).unwrap_or_default();
        directives.prune == Prune::Keep || (directives.unlisted && !self.options.prune)
    }

    /// What the planner is to look at. `looked` is whether every kind the parent names has been listed.
    /// `awaited` are the apps it waits for.
    pub(super) fn view<'a>(
        &'a self,
        home: &'a str,
        looked: bool,
        awaited: Vec<String>,
        now: Instant,
    ) -> View<'a> {
        let retry = self.retry_at.is_none_or(|at| at <= now);
        let heal = self.options.self_heal;
        let only_heal = !self.permit.allows_all();
        let due = |member: &Member| member.is_due(heal, only_heal, retry, now);
        let in_order = self.is_in_order() && !only_heal;
        let due: Vec<_> = self.members.iter().filter(|(_, member)| due(member)).collect();
        let (turn, at_once): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, member)| in_order && App::has_turn(member));
        let wishes = |members: Vec<(&'a ObjectKey, &'a Member)>| {
            let wish = |(key, member): (_, &'a Member)| Some((key, member.desired.as_ref()?));
            members.into_iter().filter_map(wish).collect()
        };
        let failing =
            self.members.values().any(|member| member.desired.is_some() && member.failure.is_some());
        View {
            app: &self.name,
            home,
            prune: self.options.prune,
            prune_limit_percent: self.options.prune_limit_percent,
            is_known: self.is_known(),
            staying: self
                .members
                .values()
                .filter(|member| member.desired.is_some() && self.owns(member))
                .count(),
            account: self.options.account.clone(),
            // An account is in the app's namespace, so that is there before the app.
            namespace: self
                .options
                .namespace
                .as_deref()
                .filter(|name| self.options.account.is_none() && !self.lives_in(name)),
            parent: self.parent.as_ref(),
            wanted: self.members.iter().filter(|(_, m)| m.desired.is_some()).map(|(key, _)| key).collect(),
            apply: wishes(at_once),
            ordered: self.ordered(wishes(turn), awaited, now).filter(|_| !only_heal),
            surplus: self
                .surplus()
                .map(|(key, member, seen)| {
                    let keep = member.wanted_elsewhere || (member.failure.is_some() && !retry);
                    let surplus = Surplus {
                        resource: &seen.resource,
                        uid: &seen.uid,
                        deleting: seen.deleting,
                        wave: seen.wave,
                        keep,
                        awaited: member.awaited,
                        stays: seen.directives.prune == Prune::Keep,
                        with_contents: seen.directives.prune == Prune::WithContents,
                    };
                    (key, surplus)
                })
                .collect(),
            may_prune: looked && !only_heal && self.is_known() && (!failing || retry),
            kinds: match (self.unresolved.is_empty(), self.resolving) {
                (true, _) => Kinds::Known,
                (false, true) => Kinds::Asked,
                (false, false) => Kinds::Unknown,
            },
            removed: self.presence == Presence::Removed,
        }
    }

    /// Whether the app has an object in that namespace now, so that it must be there.
    fn lives_in(&self, namespace: &str) -> bool {
        self.members.iter().any(|(key, member)| *key.namespace == *namespace && member.seen.is_some())
    }

    /// What the executor of a plan is to know of the objects to apply.
    pub(super) fn known(&self, plan: &Plan) -> Known {
        let applied = plan.steps.iter().flat_map(|step| match step {
            Step::Apply(objects) => objects.as_slice(),
            _ => &[],
        });
        let before = |key: &ObjectKey| {
            let member = self.members.get(key)?;
            let (desired, seen) = (member.desired.as_ref()?, member.seen.as_ref()?);
            // What has our label and not our apply is another object by the same name.
            let again = seen.applied_by_us && member.is_applied();
            if again || (self.owns(member) && seen.content == Some(desired.digest)) {
                return Some(Before::Same);
            }
            let held = member.baseline.as_ref().map(|baseline| baseline.projection.clone());
            self.owns(member).then_some(Before::Other(held))
        };
        let members = applied.filter_map(|(key, _)| Some((key.clone(), before(key)?))).collect();
        Known { conflicts: self.options.conflicts, members }
    }

    /// When something is to be looked at again without any news.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let held = self.held.iter().filter_map(|key| self.members.get(key)?.held_until).min();
        self.retry_at.into_iter().chain(held).chain(self.order_deadline()).chain(self.permit_at).min()
    }

    /// Lets go of the members that need not be held back any longer; false when there are none.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let held = self.held.len();
        let members = &mut self.members;
        self.held.retain(|key| match members.get_mut(key).map(|member| &mut member.held_until) {
            Some(until) if until.is_some_and(|at| at <= now) => {
                *until = None;
                false
            }
            Some(until) => until.is_some(),
            None => false,
        });
        self.held.len() < held
    }

    /// Remembers a drift that was put right.
    pub(super) fn push_corrected(&mut self, drift: Drift) {
        self.corrected.truncate(CORRECTED_MAX - 1);
        self.corrected.push_front(drift);
    }
}
