//! Stories of hooks, waves and apps that wait for one another.
use std::time::Duration;

use muster_wire::v1::SyncStatus;
use serde_json::json;

use super::world::{World, git, key};

const SHOP: &[(&str, &str)] = &[("a1", "1"), ("b2", "1"), ("mid-x1", "1"), ("post-x", "1"), ("pre-x", "1")];

fn shop() -> World {
    World::new(git(&[("web", SHOP)]))
}

/// All that can happen without time passing or anything ripening.
fn run(world: &mut World) {
    while world.step() {}
    world.pass(Duration::ZERO);
}

fn message(world: &mut World) -> String {
    world.report();
    world.statuses["web"].message.clone()
}

#[test]
fn hooks_and_waves_go_one_after_the_other() {
    let mut world = shop();
    let mut seen = Vec::new();
    loop {
        run(&mut world);
        seen.push((std::mem::take(&mut world.writes).join(", "), message(&mut world)));
        if !world.ripen() {
            break;
        }
    }
    let expected = [
        ("set web, apply pre-x", "It waits for pre-sync hooks: ConfigMap/demo/pre-x (Ready: Soon)."),
        ("set web, apply a1, apply mid-x1", "It waits for sync hooks: ConfigMap/demo/mid-x1 (Ready: Soon)."),
        ("set web, apply b2", "It waits for wave 2 to be healthy: ConfigMap/demo/b2 (Ready: Soon)."),
        ("apply post-x", "It waits for post-sync hooks: ConfigMap/demo/post-x (Ready: Soon)."),
        ("set web", ""),
    ];
    let seen: Vec<_> = seen.iter().map(|(writes, message)| (writes.as_str(), message.as_str())).collect();
    assert_eq!(seen, expected);
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
    assert_eq!(world.statuses["web"].object_count, 2, "hooks are no objects of the app");
}

#[test]
fn hooks_run_once_for_each_content_whatever_happens_to_the_agent_and_the_objects() {
    let mut world = shop();
    world.settle();
    assert_eq!(world.succeeded.len(), 3);
    world.writes.clear();
    // Drift is put back at once, without any hook.
    world.change("a1", "/data/key", json!("5"));
    world.settle();
    assert_eq!(world.writes, ["apply a1"]);
    // Nor is a hook healed or made again.
    world.change("pre-x", "/data/key", json!("5"));
    world.delete(&key("post-x"));
    world.settle();
    world.restart();
    world.settle();
    assert_eq!(world.writes, ["apply a1"]);
    assert_eq!(world.succeeded.len(), 3);
    // New content, and the old one again: each time they run.
    for (value, runs) in [("2", 6), ("1", 9)] {
        world.git.get_mut("web").unwrap().insert("a1".to_owned(), value.to_owned());
        world.announce();
        world.settle();
        assert_eq!(world.succeeded.len(), runs);
        assert_eq!(world.values()["a1"], value);
    }
}

#[test]
fn a_failed_pre_sync_hook_stops_the_sync_and_runs_what_is_for_failures() {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("oops-x", "1"), ("pre-x", "bad")])]));
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["oops-x", "pre-x"]);
    let tries = world.writes.iter().filter(|write| *write == "apply pre-x").count();
    assert_eq!(tries, 6, "the first and five more, as spec.sync.retry says");
    assert_eq!(world.succeeded.len(), 1, "{:?}", world.succeeded);
    let status = &world.statuses["web"];
    assert_eq!(status.sync(), SyncStatus::OutOfSync);
    assert_eq!(
        status.errors[0].message,
        "The pre-sync hook has failed 6 times and is not run again before its app changes in Git, so the sync does \
         not go on. Failed: No luck."
    );
    // Not by a restart either.
    world.writes.clear();
    world.restart();
    world.settle();
    assert_eq!(world.writes, [""; 0]);
    world.git = git(&[("web", &[("a", "1"), ("oops-x", "1"), ("pre-x", "1")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values()["a"], "1");
    assert_eq!(world.statuses["web"].message, "");
}

#[test]
fn a_hook_that_is_to_go_goes_when_that_it_ran_is_written_down() {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("pre-gone", "1")])]));
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        world.writes,
        ["set web", "apply pre-gone", "set web", "delete pre-gone", "apply a", "set web"]
    );
    world.restart();
    world.settle();
    assert_eq!(world.succeeded.len(), 1);
}

#[test]
fn newer_content_ends_the_wait_for_what_is_broken_at_once() {
    let mut world = World::new(git(&[("web", &[("a1", "bad"), ("b2", "1")])]));
    run(&mut world);
    assert!(message(&mut world).starts_with("It waits for wave 1"));
    world.git = git(&[("web", &[("a1", "2"), ("b2", "1")])]);
    world.announce();
    run(&mut world);
    assert_eq!(world.values()["a1"], "2", "no time has passed");
    world.settle();
    assert_eq!(world.values()["b2"], "1");
}

#[test]
fn a_sync_that_takes_too_long_is_said_to_and_goes_on_when_it_can() {
    let mut world = World::new(git(&[("web", &[("a1", "bad"), ("b2", "1"), ("oops-x", "1")])]));
    world.settle();
    let status = &world.statuses["web"];
    assert_eq!(
        status.errors[0].message,
        "The sync is not done after 5m (spec.sync.timeout). It still waits for wave 1 to be healthy: \
         ConfigMap/demo/a1 (Ready: Soon)."
    );
    assert_eq!(world.succeeded.len(), 1, "the hook for failures has run");
    // A wait that is over late is over all the same.
    let ready = json!([{"type": "Ready", "status": "True"}]);
    world.change("a1", "/status/conditions", ready);
    world.settle();
    assert_eq!(world.values()["b2"], "1");
    assert_eq!(world.statuses["web"].message, "");
}

#[test]
fn drift_is_put_back_while_another_wave_is_waited_for() {
    let mut world = World::new(git(&[("web", &[("a1", "1"), ("b2", "bad"), ("c3", "1")])]));
    world.settle();
    world.writes.clear();
    world.change("a1", "/metadata/labels", json!({}));
    run(&mut world);
    assert_eq!(world.writes, ["apply a1"]);
    assert!(!world.values().contains_key("c3"));
}

#[test]
fn an_app_waits_for_those_it_depends_on() {
    let mut world = World::new(git(&[("db", &[("d1", "bad")]), ("web", &[("a", "1")])]));
    world.depends_on.insert("web".to_owned(), vec!["db".to_owned()]);
    world.announce();
    world.settle();
    assert!(!world.values().contains_key("a"));
    let message = &world.statuses["web"].message;
    assert!(message.contains("waits for apps: db (ConfigMap/demo/d1: Ready: Soon)"), "{message}");
    world.git = git(&[("db", &[("d1", "1")]), ("web", &[("a", "1")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values()["a"], "1");
    // What is in is healed, however those it depends on fare.
    world.git = git(&[("db", &[("d1", "bad")]), ("web", &[("a", "1")])]);
    world.announce();
    world.settle();
    world.writes.clear();
    world.delete(&key("a"));
    world.settle();
    assert_eq!(world.writes, ["apply a"]);
}

#[test]
fn what_left_git_goes_last_wave_first_and_hooks_with_it() {
    let mut world = shop();
    world.settle();
    world.writes.clear();
    world.git = git(&[("web", &[("z", "1")])]);
    world.announce();
    world.settle();
    let prunes: Vec<_> = world.writes.iter().filter_map(|write| write.strip_prefix("prune ")).collect();
    assert_eq!(prunes, ["b2", "a1", "mid-x1", "post-x", "pre-x"]);
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["z"]);
}

#[test]
fn a_hook_that_moves_to_another_app_starts_from_nothing_there() {
    let mut world = World::new(git(&[("other", &[("pre-x", "1")]), ("web", &[("a", "1")])]));
    while world.step() {}
    world.git = git(&[("web", &[("pre-x", "1")])]);
    world.announce();
    world.settle();
    let app = world.cluster[&key("pre-x")]["metadata"]["labels"]["muster.dev/app"].clone();
    assert_eq!(app, "web");
    assert_eq!(world.succeeded.len(), 1);
    assert_eq!(world.parents(), ["web"]);
}

#[test]
fn an_agent_killed_after_any_write_converges_and_runs_no_hook_twice() {
    let files: &[(&str, &str)] =
        &[("a1", "1"), ("b2", "1"), ("mid-x1", "1"), ("post-x", "1"), ("pre-gone", "1"), ("pre-x", "1")];
    for write in 0.. {
        let mut world = World::new(git(&[("web", files)]));
        let happened = world.until_writes(write);
        world.restart();
        world.settle();
        let mut succeeded = world.succeeded.clone();
        succeeded.sort();
        succeeded.dedup();
        assert_eq!((succeeded.len(), world.succeeded.len()), (4, 4), "killed after write {write}");
        assert_eq!(world.statuses["web"].message, "", "killed after write {write}");
        assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
        world.writes.clear();
        world.restart();
        world.settle();
        assert_eq!(world.writes, [""; 0], "killed after write {write}");
        if !happened {
            assert!(write > 8, "only {write} writes");
            return;
        }
    }
}

#[test]
fn two_apps_that_exchange_running_hooks_wait_for_neither_and_leave_none_behind() {
    for steps in 0..12 {
        let mut world = World::new(git(&[("other", &[("mid-b2", "1")]), ("web", &[("pre-gone", "1")])]));
        for _ in 0..steps {
            world.step();
        }
        world.git = git(&[("other", &[("pre-gone", "1")]), ("web", &[("mid-b2", "1")])]);
        world.announce();
        world.settle();
        assert_eq!(
            world.values().into_keys().collect::<Vec<_>>(),
            ["mid-b2"],
            "after {steps} pieces of news"
        );
        assert_eq!(world.cluster[&key("mid-b2")]["metadata"]["labels"]["muster.dev/app"], "web");
        assert!(world.statuses.values().all(|status| status.message.is_empty()), "{:?}", world.statuses);
    }
}
