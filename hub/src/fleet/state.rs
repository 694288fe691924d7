//! What follows from what happened?
//!
//! ```text
//!            Connected                    Disconnected, three heartbeats missed
//!   Never ---------------> Connected ---------------------------------------> Away
//!                           ^  |  ^                                            |
//!                           |  |  +------------- Connected --------------------+
//!                           |  | hub restarts
//!                           |  v
//!                          Awaited --- not back in time ---> Away
//! ```
//! Where several hubs share a store, a cluster may also be connected to another hub (`Elsewhere`); when
//! that hub is gone it is `Awaited`. What other hubs do comes in as [`crate::record::News`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use muster_spec::{AppName, ClusterName};
use muster_wire::v1;

use super::{
    Answer, Changes, Ended, Excess, Input, Report, Rules, StreamId, Touched, history::History,
    limits::APPS_MAX,
};
use crate::{
    clock::{Now, to_proto},
    record::{
        AppRecord, Change, ClusterRecord, Digest, Enrolment, Holder, Key, Loaded, Record, ReplicaId,
        Revocation,
    },
};

/// How many times the silence that makes a cluster unreachable an agent may take to come back after the
/// hub started: it may be waiting between two attempts.
const PATIENCE_AFTER_START: u32 = 3;

/// Everything the hub knows of the fleet.
#[derive(Debug)]
pub struct State {
    pub(super) clusters: BTreeMap<ClusterName, Cluster>,
    pub(super) history: History,
    rules: Rules,
    /// The hub's uptime at the last tick.
    ticked: Duration,
    /// This hub.
    pub(super) replica: ReplicaId,
    /// Other hubs that share the store and are there.
    pub(super) others: BTreeSet<ReplicaId>,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) enrolment: Option<Enrolment>,
    pub(super) revocation: Option<Revocation>,
    /// Of its newest certificate known.
    pub(super) certificate_expires_at: Option<Timestamp>,
    /// Last time anything was heard.
    pub(super) last_seen: Option<Timestamp>,
    pub(super) link: Link,
    pub(super) status: Option<Arc<v1::ClusterStatus>>,
    pub(super) apps: BTreeMap<AppName, App>,
}

/// Whether there is a stream.
#[derive(Debug)]
pub(super) enum Link {
    /// It enrolled and has not connected yet.
    Never,
    /// Its agent is heard on this stream.
    Connected(Stream),
    /// Its agent is heard by another hub.
    Elsewhere(Holder),
    /// It was connected when its hub stopped, and may come back without any ado.
    Awaited {
        /// The uptime of this hub when the wait began.
        since: Duration,
        /// Who heard it.
        holder: Holder,
    },
    /// Its stream ended or fell silent.
    Away,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    /// The hub's uptime when something was last heard.
    heard: Duration,
    /// How far the agent's clock is ahead.
    pub(super) skew: Option<SignedDuration>,
    /// Highest number per app, gone ones included.
    sequences: BTreeMap<AppName, u64>,
}

#[derive(Debug)]
pub(super) struct App {
    pub(super) status: Arc<v1::AppStatus>,
    pub(super) digest: Digest,
    pub(super) reported_at: Timestamp,
    /// The agent has another status than this one and has not sent it yet.
    pub(super) stale: bool,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self {
            enrolment: None,
            revocation: None,
            certificate_expires_at: None,
            last_seen: None,
            link: Link::Never,
            status: None,
            apps: BTreeMap::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected(_) | Link::Elsewhere(_))
    }

    /// As it is to be kept by this hub.
    fn record(&self, name: &ClusterName, replica: ReplicaId, now: Now) -> ClusterRecord {
        let holder = match &self.link {
            Link::Connected(stream) => Some(Holder { replica, stream: stream.id }),
            Link::Elsewhere(holder) | Link::Awaited { holder, .. } => Some(*holder),
            Link::Never | Link::Away => None,
        };
        let last_seen = self.last_seen.unwrap_or(now.wall);
        ClusterRecord { cluster: name.clone(), last_seen, holder, status: self.status.clone() }
    }

    fn change(&self, name: &ClusterName, replica: ReplicaId, now: Now) -> Change {
        Change::Put(Record::Cluster(self.record(name, replica, now)))
    }

    /// Everything that is shown with the cluster's connection.
    pub(super) fn touch_all(&self, name: &ClusterName, touched: &mut Vec<Touched>) {
        touched.push(Touched::Cluster(name.clone()));
        touched.extend(self.apps.keys().map(|app| Touched::App(name.clone(), app.clone())));
    }
}

impl State {
    /// The fleet as a store gave it back.
    #[must_use]
    pub fn restore(loaded: Loaded, rules: Rules, now: Now) -> Self {
        let mut clusters: BTreeMap<ClusterName, Cluster> = BTreeMap::new();
        let mut entry = |name: &ClusterName, fill: &mut dyn FnMut(&mut Cluster)| {
            fill(clusters.entry(name.clone()).or_insert_with(Cluster::new));
        };
        for enrolment in loaded.enrolments {
            entry(&enrolment.cluster, &mut |cluster| {
                cluster.certificate_expires_at = Some(enrolment.certificate_expires_at);
                cluster.enrolment = Some(enrolment.clone());
            });
        }
        for revocation in loaded.revocations {
            entry(&revocation.cluster, &mut |cluster| cluster.revocation = Some(revocation.clone()));
        }
        for record in loaded.clusters {
            entry(&record.cluster, &mut |cluster| {
                cluster.last_seen = Some(record.last_seen);
                cluster.link = Link::found(record.holder, &loaded.others, now);
                cluster.status.clone_from(&record.status);
            });
        }
        for record in loaded.apps {
            entry(&record.cluster, &mut |cluster| {
                cluster.apps.insert(record.app.clone(), App::found(&record));
                // The cluster's own record may have been lost; its app was reported, so it was connected.
                cluster.last_seen = cluster.last_seen.max(Some(record.reported_at));
                if matches!(cluster.link, Link::Never) {
                    let holder = Holder { replica: ReplicaId::default(), stream: StreamId(0) };
                    cluster.link = Link::Awaited { since: now.uptime, holder };
                }
            });
        }
        let history = History::restore(loaded.events, loaded.slot);
        let (replica, others) = (loaded.replica, loaded.others);
        Self { clusters, history, rules, ticked: now.uptime, replica, others }
    }

    /// Takes in what happened and says what follows.
    pub fn apply(&mut self, input: Input, now: Now) -> Changes {
        match input {
            Input::Certified { enrolment, renewed } => self.certified(enrolment, renewed, now),
            Input::Revoked { cluster } => self.revoke(&cluster, now),
            Input::Connected { cluster, generation, .. }
                if generation < self.generation(cluster.as_str()) =>
            {
                Changes { answer: Answer::Revoked, ..Changes::none() }
            }
            Input::Connected { cluster, stream, certificate_expires_at, apps, .. } => {
                self.connected(&cluster, stream, certificate_expires_at, &apps, now)
            }
            Input::Reported { cluster, stream, report } => self.reported(&cluster, stream, *report, now),
            Input::Disconnected { cluster, stream, hub_stops } => {
                self.disconnected(&cluster, stream, hub_stops, now)
            }
            Input::Tick { leads } => self.tick(leads, now),
        }
    }

    fn connected(
        &mut self,
        name: &ClusterName,
        stream: StreamId,
        certificate_expires_at: Timestamp,
        apps: &BTreeMap<AppName, Digest>,
        now: Now,
    ) -> Changes {
        let mut changes = Changes::none();
        let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
        let new =
            Link::Connected(Stream { id: stream, heard: now.uptime, skew: None, sequences: BTreeMap::new() });
        let old = std::mem::replace(&mut cluster.link, new);
        if let Link::Connected(old) = &old {
            changes.ended.push((old.id, Ended::Superseded));
        }
        cluster.last_seen = Some(now.wall);
        cluster.certificate_expires_at.get_or_insert(certificate_expires_at);
        changes.records.push(Change::Claim(cluster.record(name, self.replica, now)));
        let gone: Vec<AppName> =
            cluster.apps.keys().filter(|app| !apps.contains_key(*app)).cloned().collect();
        for app in gone {
            cluster.apps.remove(&app);
            changes.records.push(Change::Delete(Key::App(name.clone(), app.clone())));
            changes.touched.push(Touched::App(name.clone(), app));
        }
        let mut send = Vec::new();
        for (app, digest) in apps {
            let known = cluster.apps.get_mut(app);
            if known.as_ref().is_none_or(|known| known.digest != *digest) {
                send.push(app.clone());
            }
            if let Some(known) = known {
                known.stale = known.digest != *digest;
            }
        }
        cluster.touch_all(name, &mut changes.touched);
        changes.answer = Answer::Welcome(send);
        if matches!(old, Link::Never | Link::Away) {
            let id = format!("{stream}-connected");
            let message = "The agent connected.".to_owned();
            self.note(name, v1::EventKind::Connected, id, message, now, &mut changes);
        }
        changes
    }

    fn reported(&mut self, name: &ClusterName, stream: StreamId, report: Report, now: Now) -> Changes {
        let mut changes = Changes::none();
        let Some(cluster) = self.clusters.get_mut(name) else { return changes };
        match &mut cluster.link {
            Link::Connected(current) if current.id == stream => {
                current.heard = now.uptime;
                if let Report::Heartbeat { sent_at: Some(sent_at) } = report {
                    current.skew = Some(sent_at.duration_since(now.wall));
                }
            }
            // What a stream says after its end is of no account: the agent says it again on the newer one.
            _ => return changes,
        }
        cluster.last_seen = Some(now.wall);
        match report {
            Report::Heartbeat { .. } => {}
            Report::Cluster(status) => {
                if cluster.status.as_deref() != Some(&status) {
                    cluster.status = Some(Arc::new(status));
                    changes.records.push(cluster.change(name, self.replica, now));
                    changes.touched.push(Touched::Cluster(name.clone()));
                }
                changes.answer = Answer::Cluster;
            }
            Report::App { app, sequence, digest, status } => match cluster.number(&app, sequence) {
                Ok(()) => {
                    cluster.put(name, app.clone(), digest, status, now, &mut changes);
                    changes.answer = Answer::App(app, sequence);
                }
                Err(answer) => changes.answer = answer,
            },
            Report::Removed { app, sequence } => match cluster.number(&app, sequence) {
                Ok(()) => {
                    if cluster.apps.remove(&app).is_some() {
                        changes.records.push(Change::Delete(Key::App(name.clone(), app.clone())));
                        changes.touched.push(Touched::App(name.clone(), app.clone()));
                        changes.touched.push(Touched::Cluster(name.clone()));
                    }
                    changes.answer = Answer::App(app, sequence);
                }
                Err(answer) => changes.answer = answer,
            },
            Report::Event(mut event) => {
                changes.answer = Answer::Event(event.id.clone());
                event.time.get_or_insert(to_proto(now.wall));
                self.remember(name, event, &mut changes);
            }
        }
        changes
    }

    fn disconnected(&mut self, name: &ClusterName, stream: StreamId, hub_stops: bool, now: Now) -> Changes {
        let mut changes = Changes::none();
        let Some(cluster) = self.clusters.get_mut(name) else { return changes };
        if !matches!(&cluster.link, Link::Connected(current) if current.id == stream) {
            return changes;
        }
        if hub_stops {
            let holder = Holder { replica: self.replica, stream };
            cluster.link = Link::Awaited { since: now.uptime, holder };
            changes.records.push(cluster.change(name, self.replica, now));
            return changes;
        }
        let id = format!("{stream}-disconnected");
        self.lose(name, id, "The agent's stream ended.".to_owned(), now, &mut changes);
        changes
    }

    fn tick(&mut self, leads: bool, now: Now) -> Changes {
        let mut changes = Changes::none();
        let asleep = now.uptime.saturating_sub(std::mem::replace(&mut self.ticked, now.uptime));
        // Ticks come every second and heartbeats at most as often. A gap of two heartbeats is the hub's own:
        // it did not listen, such as while it could not write, and with the one before it makes three.
        if asleep > self.rules.heartbeat * 2 {
            for cluster in self.clusters.values_mut() {
                match &mut cluster.link {
                    Link::Connected(stream) => stream.heard = now.uptime,
                    Link::Awaited { since, .. } => *since = now.uptime,
                    Link::Never | Link::Elsewhere(_) | Link::Away => {}
                }
            }
            return changes;
        }
        let silence_max = self.rules.silence_max();
        let patience = silence_max * PATIENCE_AFTER_START;
        let mut lost: Vec<(ClusterName, String, String)> = Vec::new();
        for (name, cluster) in &mut self.clusters {
            match &cluster.link {
                // Its hub would say so if it were silent.
                Link::Elsewhere(_) => cluster.last_seen = cluster.last_seen.max(Some(now.wall)),
                Link::Connected(stream) if now.uptime.saturating_sub(stream.heard) > silence_max => {
                    changes.ended.push((stream.id, Ended::Silent));
                    let seconds = silence_max.as_secs_f64();
                    let message = format!("Nothing was heard from the agent for {seconds} seconds.");
                    lost.push((name.clone(), format!("{}-disconnected", stream.id), message));
                }
                Link::Awaited { since, .. } if leads && now.uptime.saturating_sub(*since) > patience => {
                    let id = format!("{}-away", now.wall.as_nanosecond());
                    let message = "The agent has not come back since the hub started.".to_owned();
                    lost.push((name.clone(), id, message));
                }
                _ => {}
            }
        }
        for (name, id, message) in lost {
            self.lose(&name, id, message, now, &mut changes);
        }
        changes
    }

    /// The agent of a cluster is no longer heard.
    pub(super) fn lose(
        &mut self,
        name: &ClusterName,
        id: String,
        message: String,
        now: Now,
        changes: &mut Changes,
    ) {
        if let Some(cluster) = self.clusters.get_mut(name) {
            cluster.link = Link::Away;
            changes.records.push(cluster.change(name, self.replica, now));
            cluster.touch_all(name, &mut changes.touched);
        }
        self.note(name, v1::EventKind::Disconnected, id, message, now, changes);
    }

    /// Adds an event of the hub's own making.
    pub(super) fn note(
        &mut self,
        name: &ClusterName,
        kind: v1::EventKind,
        id: String,
        message: String,
        now: Now,
        changes: &mut Changes,
    ) {
        let time = Some(to_proto(now.wall));
        let event = v1::Event { id, time, kind: kind.into(), message, ..v1::Event::default() };
        self.remember(name, event, changes);
    }

    fn remember(&mut self, name: &ClusterName, event: v1::Event, changes: &mut Changes) {
        if let Some((event, records)) = self.history.push(name, event) {
            changes.records.extend(records);
            changes.touched.push(Touched::Event(event));
        }
    }
}

impl Cluster {
    /// Whether a report with this number is news; the answer to give when it is not.
    fn number(&mut self, app: &AppName, sequence: u64) -> Result<(), Answer> {
        let Link::Connected(stream) = &mut self.link else { return Err(Answer::None) };
        if let Some(highest) = stream.sequences.get_mut(app) {
            if *highest >= sequence {
                return Err(Answer::App(app.clone(), *highest));
            }
            *highest = sequence;
            return Ok(());
        }
        let full = self.apps.len() >= APPS_MAX && !self.apps.contains_key(app);
        // Gone apps count twice over, so that numbers cannot pile up without end.
        if full || stream.sequences.len() >= 2 * APPS_MAX {
            return Err(Answer::Refused(Excess::Apps(app.clone())));
        }
        stream.sequences.insert(app.clone(), sequence);
        Ok(())
    }

    fn put(
        &mut self,
        name: &ClusterName,
        app: AppName,
        digest: Digest,
        status: v1::AppStatus,
        now: Now,
        changes: &mut Changes,
    ) {
        let before = self.apps.get(&app);
        if before.is_some_and(|before| before.digest == digest && !before.stale) {
            return;
        }
        let counted = |app: &App| (app.stale, app.status.sync, app.status.health);
        let counted_before = before.map(counted);
        let new = App { status: Arc::new(status), digest, reported_at: now.wall, stale: false };
        if counted_before != Some(counted(&new)) {
            changes.touched.push(Touched::Cluster(name.clone()));
        }
        changes.touched.push(Touched::App(name.clone(), app.clone()));
        changes.records.push(Change::Put(Record::App(AppRecord {
            cluster: name.clone(),
            app: app.clone(),
            digest,
            reported_at: now.wall,
            status: Arc::clone(&new.status),
        })));
        self.apps.insert(app, new);
    }
}
