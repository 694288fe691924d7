//! Stories of objects that leave Git, or that Git leaves alone.
use muster_wire::v1::SyncStatus;
use serde_json::{Value, json};

use super::world::{World, git, key};

fn object_message(world: &World, name: &str) -> String {
    let objects = &world.statuses["web"].objects;
    let named =
        |object: &&muster_wire::v1::ObjectStatus| object.object.as_ref().is_some_and(|of| of.name == name);
    objects.iter().find(named).map(|object| object.message.clone()).unwrap_or_default()
}

fn world(annotated: &str, annotations: Value) -> World {
    let mut world = World::new(git(&[]));
    world.annotations.insert(annotated.to_owned(), annotations);
    world.git = git(&[("web", &[("a", "1"), ("b", "1")])]);
    world.announce();
    world.settle();
    world
}

#[test]
fn what_is_to_be_kept_stays_without_being_out_of_sync() {
    let mut world = world("b", json!({"helm.sh/resource-policy": "keep"}));
    world.git = git(&[("web", &[("a", "1")])]);
    for restart in [false, true] {
        if restart {
            world.restart();
        }
        world.announce();
        world.settle();
        assert_eq!(world.values().len(), 2);
        assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
        assert_eq!(object_message(&world, "b"), "It left Git and stays, as its annotation says.");
    }
    world.git = git(&[]);
    world.announce();
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["b"]);
    assert!(world.parents().is_empty() && world.statuses.is_empty());
}

#[test]
fn what_git_leaves_alone_is_neither_written_nor_pruned() {
    let mut world = world("b", json!({"muster.dev/reconcile": "disabled"}));
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
    // It was managed before, and is let go of.
    world.annotations.insert("a".to_owned(), json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}));
    world.change("a", "/data/key", json!("5"));
    world.announce();
    world.settle();
    world.writes.clear();
    world.change("a", "/data/key", json!("6"));
    world.settle();
    assert_eq!((world.values()["a"].as_str(), world.writes.len()), ("6", 0));
    let status = &world.statuses["web"];
    assert_eq!(
        (status.sync(), status.drifts.iter().filter(|drift| drift.corrected_at.is_none()).count()),
        (SyncStatus::Synced, 0)
    );
    world.delete(&key("a"));
    world.settle();
    assert_eq!(world.writes, [""; 0]);
}

#[test]
fn what_is_made_once_is_made_again_only_when_it_is_gone() {
    let mut world = world("b", json!({"muster.dev/reconcile": "if-absent"}));
    world.writes.clear();
    world.change("b", "/data/key", json!("theirs"));
    world.git = git(&[("web", &[("a", "1"), ("b", "2")])]);
    world.announce();
    world.settle();
    assert_eq!((world.values()["b"].as_str(), world.writes.len()), ("theirs", 0));
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
    world.delete(&key("b"));
    world.settle();
    assert_eq!(world.values()["b"], "2");
}

#[test]
fn a_deletion_of_most_of_an_app_waits_over_restarts_until_git_confirms_it() {
    let old: &[(&str, &str)] = &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")];
    let new: &[(&str, &str)] = &[("p", "1"), ("q", "1"), ("r", "1"), ("s", "1"), ("t", "1")];
    let mut world = World::new(git(&[("web", old)]));
    world.prune_limit = 50;
    world.settle();
    world.git = git(&[("web", new)]);
    for restart in [false, true] {
        if restart {
            world.restart();
        }
        world.announce();
        world.settle();
        assert_eq!(world.values().len(), 10);
        let status = &world.statuses["web"];
        assert_eq!(status.sync(), SyncStatus::OutOfSync);
        assert!(status.message.contains("5 of 5 objects left Git"), "{}", status.message);
    }
    world.prune_limit = 100;
    world.announce();
    world.settle();
    assert_eq!(world.values(), git(&[("web", new)])["web"]);
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
    // And it is not confirmed for ever.
    world.prune_limit = 50;
    world.git = git(&[("web", &[("z", "1")])]);
    world.announce();
    world.settle();
    assert_eq!(world.values().len(), 6);
    world.git = git(&[("web", new)]);
    world.announce();
    world.settle();
    assert_eq!(world.values(), git(&[("web", new)])["web"]);
    assert_eq!(world.statuses["web"].message, "");
}

#[test]
fn a_finalizer_is_waited_for_and_named() {
    let mut world = world("c", Value::Null);
    let mut object = world.cluster[&key("b")].clone();
    object["metadata"]["finalizers"] = json!(["example.org/wait"]);
    world.store(&key("b"), object);
    world.git = git(&[("web", &[("a", "1")])]);
    world.announce();
    world.settle();
    let waits =
        "It is being deleted since 2026-01-01T00:00:00Z and waits for the finalizer example.org/wait.";
    assert_eq!(object_message(&world, "b"), waits);
    let status = &world.statuses["web"];
    assert_eq!(
        (status.sync(), status.message.as_str()),
        (SyncStatus::OutOfSync, format!("ConfigMap/b: {waits}").as_str())
    );
    // Asked for again: it goes first.
    world.git = git(&[("web", &[("a", "1"), ("b", "2")])]);
    world.announce();
    world.settle();
    assert_eq!(object_message(&world, "b"), format!("{waits} It is created anew once it is gone."));
    let mut object = world.cluster[&key("b")].clone();
    object["metadata"].as_object_mut().unwrap().remove("finalizers");
    world.store(&key("b"), object);
    world.delete(&key("b"));
    world.settle();
    assert_eq!(world.values()["b"], "2");
    assert_eq!(world.statuses["web"].sync(), SyncStatus::Synced);
}
