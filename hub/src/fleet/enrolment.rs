//! Which certificates of a cluster are taken?
//!
//! ```text
//! enrolled --revoked--> generation + 1, nothing is taken --enrolled with a newer token--> taken again
//! ```
//! A certificate names its generation in its serial number. One of an earlier generation than the
//! cluster's is not taken, so a revocation also covers whatever was renewed from a stolen certificate.

use jiff::Timestamp;
use muster_spec::ClusterName;
use muster_wire::v1;

use super::{
    Answer, Changes, Ended, Touched,
    state::{Cluster, Link, State},
};
use crate::{
    clock::Now,
    record::{Change, Enrolment, Record, Revocation},
};

impl Cluster {
    fn generation(&self) -> u32 {
        self.revocation.as_ref().map_or(0, |revocation| revocation.generation)
    }

    /// Since when nothing of the cluster's is taken, if that is so.
    pub(super) fn revoked_at(&self) -> Option<Timestamp> {
        let revoked_at = self.revocation.as_ref()?.revoked_at;
        let enrolled_since =
            self.enrolment.as_ref().is_some_and(|enrolment| enrolment.generation >= self.generation());
        (!enrolled_since).then_some(revoked_at)
    }
}

impl State {
    /// The generation that certificates of this cluster must have; 0 for one that is not known.
    #[must_use]
    pub fn generation(&self, cluster: &str) -> u32 {
        self.clusters.get(cluster).map_or(0, Cluster::generation)
    }

    /// When certificates of this cluster were last revoked; tokens made before do not do.
    #[must_use]
    pub fn last_revoked_at(&self, cluster: &str) -> Option<Timestamp> {
        self.clusters.get(cluster)?.revocation.as_ref().map(|revocation| revocation.revoked_at)
    }

    /// Whether a cluster of this name is known.
    #[must_use]
    pub fn knows(&self, cluster: &str) -> bool {
        self.clusters.contains_key(cluster)
    }

    pub(super) fn certified(&mut self, mut enrolment: Enrolment, renewed: bool, now: Now) -> Changes {
        let mut changes = Changes::none();
        let name = enrolment.cluster.clone();
        if enrolment.generation < self.generation(name.as_str()) {
            changes.answer = Answer::Revoked;
            return changes;
        }
        let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
        if let Some(before) = &cluster.enrolment {
            enrolment.enrolled_at = before.enrolled_at;
            if renewed {
                enrolment.labels.clone_from(&before.labels);
            }
        }
        changes.records.push(Change::Put(Record::Enrolment(enrolment.clone())));
        changes.touched.push(Touched::Cluster(name.clone()));
        cluster.certificate_expires_at = Some(enrolment.certificate_expires_at);
        let id = format!("{}-enrolled", enrolment.serial);
        cluster.enrolment = Some(enrolment);
        if !renewed {
            let message = "The cluster enrolled and was given a certificate.";
            self.note(&name, v1::EventKind::Enrolled, id, message.to_owned(), now, &mut changes);
        }
        changes
    }

    /// Takes no certificate the cluster has any more, and ends its stream. Nothing happens to one that is not known.
    pub(super) fn revoke(&mut self, name: &ClusterName, now: Now) -> Changes {
        let mut changes = Changes::none();
        let Some(cluster) = self.clusters.get_mut(name) else { return changes };
        let generation = cluster.generation().saturating_add(1);
        let revocation = Revocation { cluster: name.clone(), generation, revoked_at: now.wall };
        changes.records.push(Change::Put(Record::Revocation(revocation.clone())));
        changes.touched.push(Touched::Cluster(name.clone()));
        cluster.revocation = Some(revocation);
        let stream = match &cluster.link {
            Link::Connected(stream) => Some(stream.id),
            _ => None,
        };
        let message = "The certificates of the cluster were revoked; it needs a new token to enrol again.";
        let id = format!("{generation}-revoked-{}", now.wall.as_nanosecond());
        self.note(name, v1::EventKind::Revoked, id, message.to_owned(), now, &mut changes);
        if let Some(stream) = stream {
            changes.ended.push((stream, Ended::Revoked));
            let message = "The hub ended the stream: the cluster was revoked.".to_owned();
            self.lose(name, format!("{stream}-disconnected"), message, now, &mut changes);
        }
        changes
    }

    /// Takes in that another hub revoked the cluster; a stream of its agent here ends.
    pub(super) fn learn_revocation(&mut self, revocation: Revocation, changes: &mut Changes) {
        let name = revocation.cluster.clone();
        let cluster = self.clusters.entry(name.clone()).or_insert_with(Cluster::new);
        cluster.revocation = Some(revocation);
        if let Link::Connected(stream) = &cluster.link {
            changes.ended.push((stream.id, Ended::Revoked));
        }
        changes.touched.push(Touched::Cluster(name));
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fleet::tests::{RULES, at, cluster, connect, report, say, status},
        fleet::{Input, StreamId},
        record::Loaded,
    };

    use super::*;

    fn enrolment(generation: u32) -> Enrolment {
        Enrolment {
            cluster: cluster("prod"),
            enrolled_at: at(1).wall,
            certificate_expires_at: at(86_400).wall,
            serial: format!("{generation}"),
            generation,
            labels: [("env".to_owned(), "prod".to_owned())].into(),
        }
    }

    fn certified(generation: u32, renewed: bool) -> Input {
        Input::Certified { enrolment: enrolment(generation), renewed }
    }

    fn connect_with(generation: u32, stream: u64) -> Input {
        let Input::Connected { cluster, certificate_expires_at, apps, .. } = connect("prod", stream, &[])
        else {
            unreachable!("connect makes Connected")
        };
        Input::Connected { cluster, stream: StreamId(stream), certificate_expires_at, generation, apps }
    }

    fn enrolled() -> State {
        let mut state = State::restore(Loaded::default(), RULES, at(0));
        state.apply(certified(0, false), at(1));
        state
    }

    #[test]
    fn a_revocation_ends_the_stream_and_lets_nothing_older_in() {
        let mut state = enrolled();
        assert_eq!(state.apply(connect_with(0, 1), at(2)).answer, Answer::Welcome(vec![]));
        let changes = state.apply(Input::Revoked { cluster: cluster("prod") }, at(3));
        assert_eq!(changes.ended, [(StreamId(1), Ended::Revoked)]);
        assert_eq!(state.show_cluster("prod").unwrap().connection(), v1::Connection::Unreachable);
        assert_eq!(state.show_cluster("prod").unwrap().revoked_at.unwrap().seconds, at(3).wall.as_second());

        let changes = state.apply(say("prod", 1, report(1, status("web", "late"))), at(3));
        assert!(changes.records.is_empty(), "what its stream still says counts no more");
        for attempt in [connect_with(0, 2), certified(0, true), certified(0, false)] {
            let changes = state.apply(attempt, at(4));
            assert_eq!(changes.answer, Answer::Revoked);
            assert!(changes.records.is_empty());
        }
        let generation = state.generation("prod");
        assert_eq!(generation, 1);
        state.apply(certified(generation, false), at(5));
        assert_eq!(state.apply(connect_with(generation, 3), at(6)).answer, Answer::Welcome(vec![]));
        assert_eq!(state.show_cluster("prod").unwrap().revoked_at, None);
        assert_eq!(state.last_revoked_at("prod"), Some(at(3).wall), "older tokens stay of no use");
    }

    #[test]
    fn a_revocation_survives_a_restart_and_each_one_counts() {
        let mut state = enrolled();
        let mut loaded = Loaded::default();
        for generation in 1..=3 {
            for change in state.apply(Input::Revoked { cluster: cluster("prod") }, at(10)).records {
                let Change::Put(record) = change else { panic!("nothing is forgotten") };
                if let Record::Revocation(_) = record {
                    loaded.revocations.clear();
                    loaded.push(record);
                }
            }
            assert_eq!(state.generation("prod"), generation);
        }
        let mut restored = State::restore(loaded, RULES, at(0));
        assert_eq!(restored.generation("prod"), 3);
        assert_eq!(restored.apply(connect_with(2, 1), at(1)).answer, Answer::Revoked);
    }

    #[test]
    fn a_cluster_that_is_not_known_cannot_be_revoked() {
        let mut state = enrolled();
        assert!(!state.knows("dev"));
        assert!(state.apply(Input::Revoked { cluster: cluster("dev") }, at(1)).records.is_empty());
    }

    #[test]
    fn labels_of_the_token_win_over_what_the_agent_says_and_outlive_a_renewal() {
        let mut state = enrolled();
        state.apply(connect_with(0, 1), at(2));
        let said = v1::ClusterStatus {
            labels: [("env".to_owned(), "dev".to_owned()), ("zone".to_owned(), "a".to_owned())].into(),
            ..Default::default()
        };
        state.apply(say("prod", 1, super::super::Report::Cluster(said)), at(3));
        let mut renewed = enrolment(0);
        renewed.labels.clear();
        state.apply(Input::Certified { enrolment: renewed, renewed: true }, at(4));
        let by =
            |key: &str, value: &str| state.list_clusters(&[(key.to_owned(), value.to_owned())].into()).len();
        assert_eq!((by("env", "prod"), by("env", "dev"), by("zone", "a")), (1, 0, 1));
        let shown = state.show_cluster("prod").unwrap().status.unwrap().labels;
        assert_eq!(shown.get("env").map(String::as_str), Some("prod"));
    }
}
