//! What follows from what other hubs that share the store have done?
//!
//! The store's word counts: where another hub took over a cluster whose agent is heard here, the stream here
//! is a leftover, and is ended. Anything else that is written of such a cluster shows that two hubs believed
//! to hear it; then too the stream is ended, and the agent's next one settles by digests who has what.

use std::{collections::BTreeSet, sync::Arc};

use muster_spec::ClusterName;

use super::{
    Changes, Ended, State, Touched,
    state::{App, Cluster, Link},
};
use crate::{
    clock::Now,
    record::{AppRecord, Change, ClusterRecord, Holder, Key, News, Record, ReplicaId},
};

impl Link {
    /// How a cluster is connected, by the store.
    pub(super) fn found(holder: Option<Holder>, others: &BTreeSet<ReplicaId>, now: Now) -> Self {
        match holder {
            None => Self::Away,
            Some(holder) if others.contains(&holder.replica) => Self::Elsewhere(holder),
            Some(holder) => Self::Awaited { since: now.uptime, holder },
        }
    }
}

impl App {
    /// An app, by the store.
    pub(super) fn found(record: &AppRecord) -> Self {
        Self {
            status: Arc::clone(&record.status),
            digest: record.digest,
            reported_at: record.reported_at,
            stale: false,
        }
    }
}

impl State {
    /// Takes in what another hub did. Nothing of it is to be kept: it is.
    pub fn learn(&mut self, news: News, now: Now) -> Changes {
        let mut changes = Changes::none();
        match news {
            News::Joined(replica) => {
                self.others.insert(replica);
                self.relink(replica, now, &mut changes);
            }
            News::Left(replica) => {
                self.others.remove(&replica);
                self.relink(replica, now, &mut changes);
            }
            News::Changed(Change::Put(Record::Cluster(record)) | Change::Claim(record)) => {
                self.learn_cluster(&record, now, &mut changes);
            }
            News::Changed(Change::Put(Record::App(record))) => {
                let cluster = self.foreign(&record.cluster, now, &mut changes);
                cluster.apps.insert(record.app.clone(), App::found(&record));
                changes.touched.push(Touched::Cluster(record.cluster.clone()));
                changes.touched.push(Touched::App(record.cluster, record.app));
            }
            News::Changed(Change::Delete(Key::App(name, app))) => {
                let cluster = self.foreign(&name, now, &mut changes);
                if cluster.apps.remove(&app).is_some() {
                    changes.touched.push(Touched::Cluster(name.clone()));
                    changes.touched.push(Touched::App(name, app));
                }
            }
            News::Changed(Change::Put(Record::Enrolment(enrolment))) => {
                let name = enrolment.cluster.clone();
                let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
                cluster.certificate_expires_at = Some(enrolment.certificate_expires_at);
                cluster.enrolment = Some(enrolment);
                changes.touched.push(Touched::Cluster(name));
            }
            News::Changed(Change::Put(Record::Event(record))) => {
                if let Some(event) = self.history.learn(record) {
                    changes.touched.push(Touched::Event(event));
                }
            }
            News::Changed(Change::Delete(Key::Event(number))) => self.history.forget(number),
            News::Changed(Change::Put(Record::Revocation(revocation))) => {
                self.learn_revocation(revocation, &mut changes);
            }
            // Tokens, the audit log and alerts are no part of this.
            News::Changed(
                Change::Put(
                    Record::Token(_)
                    | Record::Audit(_)
                    | Record::Alert(_)
                    | Record::Silence(_)
                    | Record::AlertRules(_),
                )
                | Change::Delete(Key::Token(_) | Key::Audit(_) | Key::Alert(_) | Key::Silence(_)),
            ) => {}
        }
        changes
    }

    /// The names of all clusters and apps.
    #[must_use]
    pub fn everything(&self) -> Vec<Touched> {
        let mut all = Vec::new();
        self.clusters.iter().for_each(|(name, cluster)| cluster.touch_all(name, &mut all));
        all
    }

    /// Ends the stream of this cluster's agent here, since what it was told cannot be kept.
    pub fn release(&mut self, name: &ClusterName, now: Now) -> Changes {
        let mut changes = Changes::none();
        if self.clusters.contains_key(name) {
            self.foreign(name, now, &mut changes);
        }
        changes
    }

    fn learn_cluster(&mut self, record: &ClusterRecord, now: Now, changes: &mut Changes) {
        let (replica, name) = (self.replica, &record.cluster);
        let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
        cluster.last_seen = cluster.last_seen.max(Some(record.last_seen));
        cluster.status.clone_from(&record.status);
        let before = std::mem::discriminant(&cluster.link);
        match &cluster.link {
            Link::Connected(stream) if record.holder == Some(Holder { replica, stream: stream.id }) => {}
            link => {
                if let Link::Connected(stream) = link {
                    changes.ended.push((stream.id, Ended::Superseded));
                }
                cluster.link = Link::found(record.holder, &self.others, now);
            }
        }
        if std::mem::discriminant(&cluster.link) == before {
            changes.touched.push(Touched::Cluster(name.clone()));
        } else {
            cluster.touch_all(name, &mut changes.touched);
        }
    }

    /// A cluster another hub writes of; its stream here is ended.
    fn foreign(&mut self, name: &ClusterName, now: Now, changes: &mut Changes) -> &mut Cluster {
        let replica = self.replica;
        let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
        if let Link::Connected(stream) = &cluster.link {
            changes.ended.push((stream.id, Ended::Outrun));
            let holder = Holder { replica, stream: stream.id };
            cluster.link = Link::Awaited { since: now.uptime, holder };
            cluster.touch_all(name, &mut changes.touched);
        }
        cluster
    }

    /// Looks again at the clusters a hub held.
    fn relink(&mut self, replica: ReplicaId, now: Now, changes: &mut Changes) {
        for (name, cluster) in &mut self.clusters {
            let holder = match &cluster.link {
                Link::Elsewhere(holder) | Link::Awaited { holder, .. } if holder.replica == replica => {
                    *holder
                }
                _ => continue,
            };
            let link = Link::found(Some(holder), &self.others, now);
            if std::mem::discriminant(&link) != std::mem::discriminant(&cluster.link) {
                cluster.link = link;
                cluster.touch_all(name, &mut changes.touched);
            }
        }
    }
}
