//! The fleet through the eyes of agents and operators; see `replay` for all interleavings.

mod replay;
mod shared;

use std::collections::BTreeMap;

use muster_wire::v1::{Connection, EventKind, HealthStatus, SyncStatus};

use super::{limits::digest_of, *};
use crate::{
    clock::Now,
    record::{Change, Key, Loaded, Record},
};

pub(super) fn at(seconds: u64) -> Now {
    Now {
        wall: Timestamp::from_second(1_800_000_000 + i64::try_from(seconds).unwrap()).unwrap(),
        uptime: Duration::from_secs(seconds),
    }
}

pub(super) const RULES: Rules = Rules { heartbeat: Duration::from_secs(10) };

pub(super) fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

pub(super) fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

pub(super) fn status(name: &str, revision: &str) -> v1::AppStatus {
    v1::AppStatus {
        app: name.into(),
        revision: revision.into(),
        sync: SyncStatus::Synced.into(),
        health: HealthStatus::Healthy.into(),
        ..Default::default()
    }
}

pub(super) fn report(sequence: u64, status: v1::AppStatus) -> Report {
    Report::App { app: app(&status.app), sequence, digest: digest_of(&status), status }
}

pub(super) fn connect(name: &str, stream: u64, apps: &[v1::AppStatus]) -> Input {
    Input::Connected {
        cluster: cluster(name),
        stream: StreamId(stream),
        certificate_expires_at: at(86_400).wall,
        generation: 0,
        apps: apps.iter().map(|status| (app(&status.app), digest_of(status))).collect(),
    }
}

pub(super) fn say(name: &str, stream: u64, report: Report) -> Input {
    Input::Reported { cluster: cluster(name), stream: StreamId(stream), report: Box::new(report) }
}

fn hang_up(name: &str, stream: u64, hub_stops: bool) -> Input {
    Input::Disconnected { cluster: cluster(name), stream: StreamId(stream), hub_stops }
}

fn empty() -> State {
    State::restore(Loaded::default(), RULES, at(0))
}

/// A fleet with cluster `prod`, connected on stream 1 with app `web` at revision `r1`.
fn connected() -> State {
    let mut state = empty();
    let answer = state.apply(connect("prod", 1, &[status("web", "r1")]), at(0)).answer;
    assert_eq!(answer, Answer::Welcome(vec![app("web")]));
    let answer = state.apply(say("prod", 1, report(1, status("web", "r1"))), at(0)).answer;
    assert_eq!(answer, Answer::App(app("web"), 1));
    state
}

fn connection(state: &State, name: &str) -> Connection {
    state.show_cluster(name).unwrap().connection()
}

fn revision(state: &State) -> String {
    state.show_app("prod", "web", Detail::Full).unwrap().status.unwrap().revision
}

fn kinds(state: &State) -> Vec<EventKind> {
    state.list_events(EventFilter::default(), 100).iter().map(|event| event.kind()).collect()
}

#[test]
fn an_enrolled_cluster_is_shown_as_never_connected() {
    let mut state = empty();
    let enrolment = |serial: &str, seconds| Enrolment {
        cluster: cluster("prod"),
        enrolled_at: at(seconds).wall,
        certificate_expires_at: at(seconds + 100).wall,
        serial: serial.into(),
        generation: 0,
        labels: BTreeMap::new(),
    };
    state.apply(Input::Certified { enrolment: enrolment("a", 1), renewed: false }, at(1));
    assert_eq!(connection(&state, "prod"), Connection::Never);
    state.apply(Input::Certified { enrolment: enrolment("b", 50), renewed: true }, at(50));
    let shown = state.show_cluster("prod").unwrap();
    assert_eq!(shown.enrolled_at.unwrap().seconds, at(1).wall.as_second(), "the first time counts");
    assert_eq!(shown.certificate_expires_at.unwrap().seconds, at(150).wall.as_second(), "the newest counts");
    assert_eq!(kinds(&state), [EventKind::Enrolled], "a renewal is no event");
}

#[test]
fn a_lower_or_equal_sequence_is_ignored_and_the_highest_acknowledged() {
    let mut state = connected();
    state.apply(say("prod", 1, report(5, status("web", "r5"))), at(1));
    for old in [1, 4, 5] {
        let changes = state.apply(say("prod", 1, report(old, status("web", "old"))), at(2));
        assert_eq!(changes.answer, Answer::App(app("web"), 5));
        assert!(changes.records.is_empty());
    }
    let removed = state.apply(say("prod", 1, Report::Removed { app: app("web"), sequence: 3 }), at(2));
    assert_eq!(removed.answer, Answer::App(app("web"), 5));
    assert_eq!(revision(&state), "r5");
}

#[test]
fn a_removed_app_stays_removed_when_an_older_report_follows() {
    let mut state = connected();
    let changes = state.apply(say("prod", 1, Report::Removed { app: app("web"), sequence: 7 }), at(1));
    assert_eq!(changes.records, [Change::Delete(Key::App(cluster("prod"), app("web")))]);
    state.apply(say("prod", 1, report(6, status("web", "r6"))), at(1));
    assert!(state.show_app("prod", "web", Detail::Full).is_none());
    state.apply(say("prod", 1, report(8, status("web", "r8"))), at(1));
    assert_eq!(revision(&state), "r8");
}

#[test]
fn a_newer_stream_ends_the_older_one_and_begins_to_count_anew() {
    let mut state = connected();
    state.apply(say("prod", 1, report(100, status("web", "r100"))), at(1));
    let changes = state.apply(connect("prod", 2, &[status("web", "r101")]), at(2));
    assert_eq!(changes.ended, [(StreamId(1), Ended::Superseded)]);
    assert_eq!(changes.answer, Answer::Welcome(vec![app("web")]));
    let late = state.apply(say("prod", 1, report(200, status("web", "late"))), at(3));
    assert_eq!(late.answer, Answer::None);
    state.apply(say("prod", 2, report(1, status("web", "r101"))), at(3));
    assert_eq!(revision(&state), "r101");
    let end = state.apply(hang_up("prod", 1, false), at(4));
    assert!(end.records.is_empty() && end.touched.is_empty());
    assert_eq!(connection(&state, "prod"), Connection::Connected);
    assert_eq!(kinds(&state), [EventKind::Connected], "it was never away");
}

#[test]
fn hello_asks_for_what_differs_and_forgets_what_is_not_listed() {
    let mut state = connected();
    state.apply(say("prod", 1, report(1, status("db", "r1"))), at(0));
    state.apply(say("prod", 1, report(1, status("gone", "r1"))), at(0));
    let hello = [status("web", "r1"), status("db", "r2"), status("new", "r1")];
    let changes = state.apply(connect("prod", 2, &hello), at(1));
    assert_eq!(changes.answer, Answer::Welcome(vec![app("db"), app("new")]));
    assert!(changes.records.contains(&Change::Delete(Key::App(cluster("prod"), app("gone")))));
    let names: Vec<String> = state
        .list_apps(AppFilter::default(), Detail::Summary)
        .into_iter()
        .map(|a| a.status.unwrap().app)
        .collect();
    assert_eq!(names, ["db", "web"]);
}

#[test]
fn three_missed_heartbeats_make_a_cluster_unreachable() {
    let mut state = connected();
    state.apply(say("prod", 1, Report::Heartbeat { sent_at: None }), at(10));
    assert!(pass(&mut state, 1..=40).ended.is_empty());
    let changes = state.apply(Input::Tick { leads: true }, at(41));
    assert_eq!(changes.ended, [(StreamId(1), Ended::Silent)]);
    assert_eq!(connection(&state, "prod"), Connection::Unreachable);
    assert_eq!(state.show_cluster("prod").unwrap().last_seen.unwrap().seconds, at(10).wall.as_second());
    assert!(state.apply(Input::Tick { leads: true }, at(42)).touched.is_empty(), "said once");
    assert_eq!(kinds(&state), [EventKind::Disconnected, EventKind::Connected]);
    assert!(
        changes.touched.contains(&Touched::App(cluster("prod"), app("web"))),
        "its apps look different too"
    );
}

/// Lets time pass as the hub does, and gives what the last second led to.
fn pass(state: &mut State, seconds: std::ops::RangeInclusive<u64>) -> Changes {
    let mut last = Changes::none();
    for second in seconds {
        last = state.apply(Input::Tick { leads: true }, at(second));
    }
    last
}

#[test]
fn a_hub_that_slept_takes_nobody_for_silent() {
    let mut state = connected();
    pass(&mut state, 0..=5);
    let woken = state.apply(Input::Tick { leads: true }, at(500));
    assert!(woken.ended.is_empty() && woken.records.is_empty());
    assert!(pass(&mut state, 501..=530).ended.is_empty());
    assert_eq!(pass(&mut state, 531..=531).ended, [(StreamId(1), Ended::Silent)]);
}

#[test]
fn a_clock_that_is_set_forward_makes_nobody_unreachable() {
    let mut state = connected();
    let jumped = Now { wall: at(100_000).wall, ..at(5) };
    assert!(state.apply(Input::Tick { leads: true }, jumped).ended.is_empty());
}

#[test]
fn a_heartbeat_costs_no_write_and_tells_nobody() {
    let mut state = connected();
    let changes = state.apply(say("prod", 1, Report::Heartbeat { sent_at: None }), at(10));
    assert!(changes.records.is_empty() && changes.touched.is_empty());
}

#[test]
fn an_unchanged_status_is_acknowledged_without_a_write() {
    let mut state = connected();
    let changes = state.apply(say("prod", 1, report(2, status("web", "r1"))), at(1));
    assert_eq!(changes.answer, Answer::App(app("web"), 2));
    assert!(changes.records.is_empty() && changes.touched.is_empty());
    let of_cluster = || Report::Cluster(v1::ClusterStatus { leader: "pod-1".into(), ..Default::default() });
    assert_eq!(state.apply(say("prod", 1, of_cluster()), at(1)).records.len(), 1);
    let again = state.apply(say("prod", 1, of_cluster()), at(1));
    assert_eq!((again.records.len(), again.answer), (0, Answer::Cluster));
}

#[test]
fn nothing_known_to_be_out_of_date_is_counted_as_green() {
    let mut state = connected();
    let counts = |state: &State| state.show_cluster("prod").unwrap().apps.unwrap();
    let unhealthy = |state: &State| {
        state.list_apps(AppFilter { only_unhealthy: true, ..Default::default() }, Detail::Full).len()
    };
    assert_eq!((counts(&state).synced, counts(&state).healthy, unhealthy(&state)), (1, 1, 0));

    state.apply(hang_up("prod", 1, false), at(1));
    assert_eq!((counts(&state).sync_unknown, counts(&state).health_unknown), (1, 1));
    assert_eq!((counts(&state).synced, counts(&state).healthy, unhealthy(&state)), (0, 0, 1));
    let shown = state.show_app("prod", "web", Detail::Full).unwrap();
    assert_eq!(shown.connection(), Connection::Unreachable);
    assert_eq!(shown.status.unwrap().sync(), SyncStatus::Synced, "the last known status is kept");

    state.apply(connect("prod", 2, &[status("web", "r2")]), at(2));
    let shown = state.show_app("prod", "web", Detail::Full).unwrap();
    assert_eq!(shown.connection(), Connection::Connected);
    assert_eq!(shown.status.unwrap().sync(), SyncStatus::Unspecified, "a newer one is on its way");
    assert_eq!((counts(&state).synced, unhealthy(&state)), (0, 1));

    state.apply(say("prod", 2, report(1, status("web", "r2"))), at(2));
    assert_eq!((counts(&state).synced, unhealthy(&state)), (1, 0));
}

#[test]
fn going_back_to_the_status_the_hub_has_makes_it_current_again() {
    let mut state = connected();
    state.apply(connect("prod", 2, &[status("web", "r2")]), at(1));
    state.apply(say("prod", 2, report(1, status("web", "r1"))), at(1));
    let shown = state.show_app("prod", "web", Detail::Full).unwrap();
    assert_eq!(shown.status.unwrap().sync(), SyncStatus::Synced);
}

#[test]
fn events_of_agents_are_kept_once_and_under_their_own_cluster() {
    let mut state = connected();
    let event =
        || v1::Event { id: "e1".into(), cluster: "other".into(), app: "web".into(), ..Default::default() };
    let first = state.apply(say("prod", 1, Report::Event(event())), at(1));
    assert_eq!((first.answer, first.records.len()), (Answer::Event("e1".into()), 1));
    let again = state.apply(say("prod", 1, Report::Event(event())), at(2));
    assert_eq!((again.answer, again.records.len()), (Answer::Event("e1".into()), 0));
    let filter = EventFilter { cluster: Some("prod"), app: Some("web") };
    let events = state.list_events(filter, 10);
    assert_eq!((events.len(), events[0].cluster.as_str()), (1, "prod"));
    assert_eq!(events[0].time.unwrap().seconds, at(1).wall.as_second(), "the hub dates what is not dated");
    assert!(state.list_events(EventFilter { cluster: Some("other"), app: None }, 10).is_empty());
}

#[test]
fn too_many_apps_are_refused_one_by_one_and_the_rest_goes_on() {
    let mut state = connected();
    for number in 0..APPS_MAX - 1 {
        let answer = state.apply(say("prod", 1, report(1, status(&format!("a{number}"), "r"))), at(1)).answer;
        assert!(matches!(answer, Answer::App(..)));
    }
    let changes = state.apply(say("prod", 1, report(1, status("one-more", "r"))), at(1));
    assert_eq!(changes.answer, Answer::Refused(Excess::Apps(app("one-more"))));
    assert!(changes.records.is_empty());
    let known = state.apply(say("prod", 1, report(2, status("web", "r2"))), at(1));
    assert_eq!(known.answer, Answer::App(app("web"), 2));
}

#[test]
fn removals_of_endless_names_are_bounded() {
    let mut state = connected();
    let mut refused = 0;
    for number in 0..3 * APPS_MAX {
        let removed = Report::Removed { app: app(&format!("a{number}")), sequence: 1 };
        refused +=
            usize::from(matches!(state.apply(say("prod", 1, removed), at(1)).answer, Answer::Refused(_)));
    }
    assert_eq!(refused, APPS_MAX + 1);
}

/// What a store would hold after these changes.
pub(super) fn keep(kept: &mut BTreeMap<String, Record>, changes: &[Change]) {
    let name = |record: &Record| match record {
        Record::Token(token) => format!("t/{}", token.id),
        Record::Enrolment(enrolment) => format!("n/{}", enrolment.cluster),
        Record::Cluster(cluster) => format!("c/{}", cluster.cluster),
        Record::App(app) => format!("a/{}/{}", app.cluster, app.app),
        Record::Event(event) => format!("e/{}", event.number),
        Record::Revocation(revocation) => format!("r/{}", revocation.cluster),
        Record::Audit(row) => format!("u/{}", row.number),
        Record::Alert(alert) => format!("w/{}", alert.key),
        Record::Silence(silence) => format!("s/{}", silence.id),
        Record::AlertRules(_) => "l".to_owned(),
    };
    for change in changes {
        match change {
            Change::Put(record) => drop(kept.insert(name(record), record.clone())),
            Change::Claim(cluster) => {
                let record = Record::Cluster(cluster.clone());
                drop(kept.insert(name(&record), record));
            }
            Change::Delete(Key::Token(id)) => drop(kept.remove(&format!("t/{id}"))),
            Change::Delete(Key::App(cluster, app)) => drop(kept.remove(&format!("a/{cluster}/{app}"))),
            Change::Delete(Key::Event(number)) => drop(kept.remove(&format!("e/{number}"))),
            Change::Delete(Key::Audit(number)) => drop(kept.remove(&format!("u/{number}"))),
            Change::Delete(Key::Alert(key)) => drop(kept.remove(&format!("w/{key}"))),
            Change::Delete(Key::Silence(id)) => drop(kept.remove(&format!("s/{id}"))),
        }
    }
}

pub(super) fn reload(kept: &BTreeMap<String, Record>) -> Loaded {
    let mut loaded = Loaded::default();
    kept.values().cloned().for_each(|record| loaded.push(record));
    loaded
}

/// Runs the inputs, then restarts the hub from what it kept.
fn restarted(inputs: Vec<Input>, now: Now) -> State {
    let mut state = empty();
    let mut kept = BTreeMap::new();
    for input in inputs {
        keep(&mut kept, &state.apply(input, now).records);
    }
    State::restore(reload(&kept), RULES, at(1_000))
}

#[test]
fn a_restart_of_the_hub_is_not_taken_for_one_of_the_agent() {
    for ending in [None, Some(hang_up("prod", 1, true))] {
        let mut inputs =
            vec![connect("prod", 1, &[status("web", "r1")]), say("prod", 1, report(1, status("web", "r1")))];
        inputs.extend(ending);
        let mut state = restarted(inputs, at(0));
        assert_eq!(connection(&state, "prod"), Connection::Unreachable, "nobody has been heard yet");
        assert_eq!(revision(&state), "r1");
        let changes = state.apply(connect("prod", 2, &[status("web", "r1")]), at(1_001));
        assert_eq!(changes.answer, Answer::Welcome(vec![]), "an unchanged agent sends nothing again");
        assert_eq!(kinds(&state), [EventKind::Connected], "no second event");
    }
}

#[test]
fn an_agent_that_does_not_come_back_after_a_restart_is_reported_once() {
    let mut state = restarted(vec![connect("prod", 1, &[])], at(0));
    assert!(pass(&mut state, 1_000..=1_090).touched.is_empty());
    assert!(!state.apply(Input::Tick { leads: true }, at(1_091)).touched.is_empty());
    assert!(state.apply(Input::Tick { leads: true }, at(1_092)).touched.is_empty());
    assert_eq!(kinds(&state), [EventKind::Disconnected, EventKind::Connected]);
}

#[test]
fn an_agent_that_left_before_the_restart_is_away_after_it() {
    let mut state = restarted(vec![connect("prod", 1, &[]), hang_up("prod", 1, false)], at(0));
    assert!(pass(&mut state, 1_000..=2_000).touched.is_empty());
    state.apply(connect("prod", 2, &[]), at(2_001));
    assert_eq!(kinds(&state), [EventKind::Connected, EventKind::Disconnected, EventKind::Connected]);
}

#[test]
fn clusters_are_found_by_labels() {
    let mut state = connected();
    state.apply(connect("dev", 2, &[]), at(0));
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    };
    let status =
        v1::ClusterStatus { labels: labels(&[("env", "prod"), ("tier", "a")]), ..Default::default() };
    state.apply(say("prod", 1, Report::Cluster(status)), at(0));
    let found = |pairs: &[(&str, &str)]| {
        state.list_clusters(&labels(pairs)).into_iter().map(|cluster| cluster.name).collect::<Vec<_>>()
    };
    assert_eq!(found(&[]), ["dev", "prod"]);
    assert_eq!(found(&[("env", "prod")]), ["prod"]);
    assert_eq!(found(&[("env", "prod"), ("tier", "b")]), Vec::<String>::new());
}
