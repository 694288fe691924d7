//! Stories told to the core, and what it wants done.
mod any_order;
mod leaving;
mod names;
mod order;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use muster_wire::v1::{EventKind, HealthStatus, SyncStatus};
use serde_json::json;

use crate::source::{Kind, Problem};
use world::{World, git, key};

fn web() -> World {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("b", "1")])]));
    world.settle();
    world
}

fn broken() -> Vec<Problem> {
    vec![Problem { kind: Kind::Document, place: "web.yaml:1:1".to_owned(), message: "Broken.".to_owned() }]
}

#[test]
fn a_new_app_is_applied_and_reported() {
    let world = web();
    assert_eq!(world.writes, ["set web", "apply a", "apply b"]);
    let status = &world.statuses["web"];
    assert_eq!((status.sync(), status.health()), (SyncStatus::Synced, HealthStatus::Healthy));
    assert_eq!((status.revision.as_str(), status.wanted_revision.as_str()), ("r1", "r1"));
    assert_eq!((status.object_count, status.message.as_str(), status.syncing), (2, "", false));
    assert_eq!(world.events, [(EventKind::Synced, "All 2 objects are as Git says.".to_owned())]);
}

#[test]
fn a_restart_finds_what_is_in_sync_and_writes_nothing() {
    let mut world = web();
    world.writes.clear();
    world.restart();
    world.settle();
    assert_eq!(world.writes, [""; 0]);
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
}

#[test]
fn each_drift_is_one_write_and_a_report() {
    let mut world = web();
    world.writes.clear();
    world.events.clear();
    world.change("a", "/data/key", json!("5"));
    world.settle();
    assert_eq!(world.writes, ["apply a"]);
    let message = "ConfigMap/demo/a was changed: .data.key is \"5\", not \"1\".".to_owned();
    assert_eq!(world.events[0], (EventKind::DriftDetected, message));
    assert_eq!(world.events[1].0, EventKind::DriftCorrected);
    let drift = &world.statuses["web"].drifts[0];
    assert!(drift.corrected_at.is_some());
    assert_eq!(drift.fields[0].path, ".data.key");
    world.delete(&key("b"));
    world.settle();
    assert_eq!(world.writes, ["apply a", "apply b"]);
    assert!(world.statuses["web"].drifts[0].deleted);
}

#[test]
fn a_stripped_label_is_seen_though_the_watch_sees_it_no_more() {
    let mut world = web();
    world.writes.clear();
    world.change("a", "/metadata/labels", json!({}));
    world.settle();
    assert_eq!(world.writes, ["apply a"]);
    let paths: Vec<_> =
        world.statuses["web"].drifts[0].fields.iter().map(|field| field.path.as_str()).collect();
    assert!(paths.contains(&".metadata.labels[\"muster.dev/app\"]"), "{paths:?}");
}

#[test]
fn a_change_that_comes_while_we_write_is_not_missed() {
    let mut world = web();
    world.writes.clear();
    world.change("a", "/data/key", json!("5"));
    // The correction is written, but not yet answered, when somebody changes it again.
    assert!(world.step());
    assert_eq!(world.writes, ["apply a"]);
    world.change("a", "/data/key", json!("6"));
    world.settle();
    assert_eq!(world.values()["a"], "1");
    assert_eq!(world.writes, ["apply a", "apply a"]);
}

#[test]
fn what_is_seen_while_we_write_needs_not_be_asked_for() {
    let mut world = web();
    world.writes.clear();
    world.change("a", "/data/key", json!("5"));
    assert!(world.step());
    assert_eq!(world.writes, ["apply a"]);
    // The next change is seen before the answer, and the watch goes on with what it saw before.
    world.change("a", "/data/key", json!("6"));
    let latest = world.queue.pop_back().unwrap();
    world.queue.push_front(latest);
    world.settle();
    assert_eq!(world.values()["a"], "1");
    assert_eq!(world.writes, ["apply a", "apply a"]);
    assert_eq!(world.reads, 0);
}

/// What is deleted and written at the same time has to be read: which of both was first?
#[test]
fn what_is_gone_while_we_write_is_looked_for() {
    let mut world = web();
    world.writes.clear();
    world.change("a", "/data/key", json!("5"));
    assert!(world.step());
    world.delete(&key("a"));
    let latest = world.queue.pop_back().unwrap();
    world.queue.push_front(latest);
    world.settle();
    assert_eq!(world.values()["a"], "1");
    assert_eq!(world.reads, 1);
}

#[test]
fn what_left_git_is_pruned_and_foreign_objects_never() {
    let mut world = web();
    world.create_foreign("c");
    world.git = git(&[("web", &[("a", "1")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["a", "c"]);
    world.git = git(&[]);
    world.announce();
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["c"]);
    assert!(world.parents().is_empty() && world.statuses.is_empty());
}

#[test]
fn what_left_git_while_the_agent_was_dead_is_pruned_at_its_start() {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("b", "1")]), ("old", &[("c", "1")])]));
    world.settle();
    world.git = git(&[("web", &[("a", "1")])]);
    world.restart();
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(world.parents(), ["web"]);
}

#[test]
fn a_broken_document_holds_its_app_also_over_a_restart() {
    let mut world = web();
    world.writes.clear();
    for restart in [false, true] {
        if restart {
            world.restart();
            world.queue.retain(|input| !matches!(input, super::core::Input::Snapshot(_)));
        }
        world.announce_with(BTreeMap::from([("web".to_owned(), broken())]), true);
        world.settle();
        assert_eq!(world.values().len(), 2);
        let status = &world.statuses["web"];
        assert_eq!((status.sync(), status.errors.len()), (SyncStatus::Unspecified, 1));
        assert_eq!(status.message, "web.yaml:1:1: Broken.");
    }
    assert_eq!(world.writes, [""; 0]);
    world.announce();
    world.settle();
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
}

#[test]
fn an_app_that_only_seems_gone_keeps_its_objects() {
    let mut world = web();
    world.git = git(&[]);
    world.announce_with(BTreeMap::new(), false);
    world.settle();
    assert_eq!(world.values().len(), 2);
    assert!(world.statuses["web"].message.contains("stays as it is"));
    // Its objects are still healed.
    world.change("a", "/data/key", json!("5"));
    world.settle();
    assert_eq!(world.values()["a"], "1");
}

#[test]
fn a_failing_object_fails_its_app_and_is_tried_again() {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("b", "1")]), ("other", &[("c", "1")])]));
    while world.writes.is_empty() {
        world.failing = 1;
        assert!(world.step());
    }
    world.failing = 1;
    while world.step() {}
    world.pass(Duration::from_millis(1));
    assert!(world.values().len() >= 2);
    world.settle();
    assert_eq!(world.values().len(), 3);
    assert!(world.events.iter().any(|(kind, _)| *kind == EventKind::SyncFailed), "{:?}", world.events);
    assert!(world.statuses.values().all(|status| status.sync() == SyncStatus::Synced));
}

#[test]
fn nothing_is_pruned_after_a_failure() {
    let mut world = web();
    world.git = git(&[("web", &[("a", "2")])]);
    world.failing = 1;
    world.announce();
    while world.step() {}
    assert_eq!(world.values(), git(&[("web", &[("a", "1"), ("b", "1")])])["web"]);
    world.settle();
    assert_eq!(world.values(), git(&[("web", &[("a", "2")])])["web"]);
}

#[test]
fn an_object_two_apps_want_is_left_alone_until_one_lets_go() {
    let mut world = web();
    world.git = git(&[("web", &[("a", "1"), ("b", "1")]), ("other", &[("a", "2")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values()["a"], "1");
    for app in ["web", "other"] {
        assert_eq!(world.statuses[app].sync(), SyncStatus::OutOfSync, "{app}");
        assert!(
            world.statuses[app].message.contains("has this object too"),
            "{}",
            world.statuses[app].message
        );
    }
    // Moved from one app to the other: handed over, never deleted.
    let uid = world.cluster[&key("a")]["metadata"]["uid"].clone();
    world.git = git(&[("web", &[("b", "1")]), ("other", &[("a", "2")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values()["a"], "2");
    assert_eq!(world.cluster[&key("a")]["metadata"]["uid"], uid);
    assert!(
        world.statuses.values().all(|status| status.sync() == SyncStatus::Synced),
        "{:?}",
        world.statuses
    );
}
