//! The fleet through the eyes of two hubs that share a store.

use super::*;
use crate::record::{Holder, News, ReplicaId};

const HERE: ReplicaId = ReplicaId(1);
const THERE: ReplicaId = ReplicaId(2);

/// One of two hubs, which knows of the other.
fn hub(replica: ReplicaId, other: ReplicaId) -> State {
    let loaded = Loaded { replica, slot: Some(0), others: [other].into(), ..Loaded::default() };
    State::restore(loaded, RULES, at(0))
}

/// Brings what one hub keeps to the other; gives the streams that end there.
fn bring(records: Vec<Change>, to: &mut State, now: Now) -> Vec<(StreamId, Ended)> {
    records.into_iter().flat_map(|change| to.learn(News::Changed(change), now).ended).collect()
}

/// Does this at one hub and brings it to the other; gives the streams that end there.
fn act(here: &mut State, input: Input, there: &mut State, seconds: u64) -> Vec<(StreamId, Ended)> {
    let changes = here.apply(input, at(seconds));
    bring(changes.records, there, at(seconds))
}

#[test]
fn what_one_hub_hears_the_other_shows() {
    let (mut here, mut there) = (hub(HERE, THERE), hub(THERE, HERE));
    act(&mut here, connect("prod", 1, &[status("web", "r1")]), &mut there, 1);
    act(&mut here, say("prod", 1, report(1, status("web", "r1"))), &mut there, 1);
    assert_eq!((connection(&there, "prod"), revision(&there)), (Connection::Connected, "r1".into()));
    assert_eq!(kinds(&there), [EventKind::Connected]);
    there.apply(Input::Tick { leads: true }, at(20));
    assert_eq!(there.show_cluster("prod").unwrap().last_seen.unwrap().seconds, at(20).wall.as_second());
    let removed = Report::Removed { app: app("web"), sequence: 2 };
    act(&mut here, say("prod", 1, removed), &mut there, 2);
    assert!(there.show_app("prod", "web", Detail::Full).is_none());
    act(&mut here, hang_up("prod", 1, false), &mut there, 3);
    assert_eq!(connection(&there, "prod"), Connection::Unreachable);
    assert_eq!(kinds(&there), [EventKind::Disconnected, EventKind::Connected]);
}

#[test]
fn an_agent_that_goes_to_another_hub_leaves_the_first() {
    let (mut here, mut there) = (hub(HERE, THERE), hub(THERE, HERE));
    act(&mut here, connect("prod", 1, &[]), &mut there, 1);
    let ended = act(&mut there, connect("prod", 2, &[]), &mut here, 2);
    assert_eq!(ended, [(StreamId(1), Ended::Superseded)]);
    let late = here.apply(say("prod", 1, report(1, status("web", "late"))), at(2));
    assert!(late.records.is_empty());
    assert_eq!(kinds(&here), [EventKind::Connected], "it was connected all the time");
}

#[test]
fn what_another_hub_writes_of_a_cluster_heard_here_ends_the_stream() {
    let (mut here, mut there) = (hub(HERE, THERE), hub(THERE, HERE));
    there.apply(connect("prod", 1, &[]), at(1));
    let written = there.apply(say("prod", 1, report(1, status("web", "r1"))), at(1)).records;
    here.apply(connect("prod", 2, &[]), at(1));
    assert_eq!(bring(written, &mut here, at(1)), [(StreamId(2), Ended::Outrun)]);
    assert_eq!(revision(&here), "r1");
    let again = here.apply(connect("prod", 3, &[status("web", "r2")]), at(2));
    assert_eq!(again.answer, Answer::Welcome(vec![app("web")]));
}

#[test]
fn the_clusters_of_a_hub_that_is_gone_are_waited_for_and_given_up_by_the_leader() {
    let (mut here, mut there) = (hub(HERE, THERE), hub(THERE, HERE));
    act(&mut here, connect("prod", 1, &[]), &mut there, 1);
    there.learn(News::Left(HERE), at(10));
    assert_eq!(connection(&there, "prod"), Connection::Unreachable);
    let pass = |state: &mut State, leads, until| {
        let ticks = (11..=until).map(|second| state.apply(Input::Tick { leads }, at(second)).records.len());
        ticks.sum::<usize>()
    };
    assert_eq!(pass(&mut there, false, 200), 0, "that is for the leader to say");
    assert_eq!(pass(&mut there, true, 200), 2, "the cluster and the event");
    assert_eq!(kinds(&there), [EventKind::Disconnected, EventKind::Connected]);
}

#[test]
fn a_hub_that_comes_back_under_another_name_takes_its_clusters_along() {
    let (mut here, mut there) = (hub(HERE, THERE), hub(THERE, HERE));
    act(&mut here, connect("prod", 1, &[]), &mut there, 1);
    there.learn(News::Left(HERE), at(10));
    let new = ReplicaId(3);
    there.learn(News::Joined(new), at(11));
    let mut again = hub(new, THERE);
    let holder = Some(Holder { replica: HERE, stream: StreamId(1) });
    let record = crate::record::ClusterRecord {
        cluster: cluster("prod"),
        last_seen: at(1).wall,
        holder,
        status: None,
    };
    again.learn(News::Changed(Change::Put(Record::Cluster(record))), at(11));
    assert_eq!(connection(&again, "prod"), Connection::Unreachable);
    act(&mut again, connect("prod", 2, &[]), &mut there, 12);
    assert_eq!(connection(&there, "prod"), Connection::Connected);
    assert!(kinds(&again).is_empty(), "it was only waited for");
}

#[test]
fn a_refused_report_ends_its_stream_and_the_store_has_the_last_word() {
    let mut here = hub(HERE, THERE);
    here.apply(connect("prod", 1, &[]), at(1));
    here.apply(say("prod", 1, report(1, status("web", "mine"))), at(1));
    let released = here.release(&cluster("prod"), at(2));
    assert_eq!(released.ended, [(StreamId(1), Ended::Outrun)]);
    here.learn(News::Changed(Change::Delete(Key::App(cluster("prod"), app("web")))), at(2));
    assert!(here.show_app("prod", "web", Detail::Full).is_none());
}
