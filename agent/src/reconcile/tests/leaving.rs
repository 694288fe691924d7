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

/// Six apps in the cluster.
fn fleet() -> World {
    let apps: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| (name, [(name, "1")])).into();
    let apps: Vec<_> = apps.iter().map(|(name, objects)| (*name, objects.as_slice())).collect();
    let mut world = World::new(git(&apps));
    world.settle();
    assert_eq!(world.values().len(), 6);
    world
}

/// Some of the apps do not select this cluster any more.
fn deselect(world: &mut World, names: &[&str]) {
    for name in names {
        world.git.remove(*name);
        world.deselected.insert((*name).to_owned());
    }
    world.announce();
}

#[test]
fn a_mistyped_label_takes_no_app_away_until_git_confirms_it() {
    let mut world = fleet();
    let all = world.git.clone();
    deselect(&mut world, &["a", "b", "c", "d", "e", "f"]);
    world.settle();
    for restart in [false, true] {
        if restart {
            world.restart();
            world.settle();
        }
        assert_eq!(world.values().len(), 6);
        let status = &world.statuses["a"];
        assert_eq!(
            (status.sync(), status.errors[0].place.as_str()),
            (SyncStatus::Unspecified, "cluster.yaml:1")
        );
        let message = "6 of 6 apps would leave this cluster at once (a, b, c, d, e and 1 more). That is more than \
                       spec.pruneLimit of its Cluster document, 50%, so all of them stay as they are.";
        assert!(status.message.contains(message), "{}", status.message);
    }
    // Apps that come in their place make them no smaller a share.
    for name in ["p", "q", "r", "s", "t", "u", "v"] {
        world.git.insert(name.to_owned(), [(name.to_owned(), "1".to_owned())].into());
    }
    world.announce();
    world.settle();
    world.announce();
    world.settle();
    assert_eq!(world.values().len(), 13);
    // Corrected: all is as it was, and nothing of it is remembered.
    world.git.extend(all);
    world.deselected.clear();
    world.announce();
    world.settle();
    assert!(world.statuses.values().all(|status| status.sync() == SyncStatus::Synced));
    deselect(&mut world, &["a", "b", "c", "d", "e", "f"]);
    world.settle();
    assert_eq!(world.values().len(), 7, "six of thirteen may go");
}

#[test]
fn a_held_departure_is_confirmed_by_the_limit() {
    let mut world = fleet();
    deselect(&mut world, &["a", "b", "c", "d"]);
    world.settle();
    assert_eq!(world.values().len(), 6);
    // What is healed meanwhile is what was there.
    world.change("a", "/data/key", json!("5"));
    world.settle();
    assert_eq!(world.values()["a"], "1");
    world.apps_limit = 100;
    world.announce();
    world.settle();
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), ["e", "f"]);
    assert_eq!(world.parents(), ["e", "f"]);
}

#[test]
fn removed_documents_are_meant_unless_nearly_all_go() {
    let mut world = fleet();
    let names: Vec<String> = world.git.keys().cloned().collect();
    for name in &names[..3] {
        world.git.remove(name);
    }
    world.announce();
    world.settle();
    assert_eq!(world.values().len(), 3, "three of six");
    world.git.clear();
    world.announce();
    world.settle();
    assert_eq!(world.values().len(), 0, "three may always go");
    let mut world = fleet();
    world.git.clear();
    world.announce();
    world.settle();
    assert_eq!(world.values().len(), 6);
    // The last app of a cluster that selects something else by mistake.
    let mut world = World::new(git(&[("web", &[("a", "1")])]));
    world.settle();
    deselect(&mut world, &["web"]);
    world.settle();
    assert_eq!(world.values().len(), 1);
    assert!(world.statuses["web"].message.contains("1 of 1 apps"), "{}", world.statuses["web"].message);
}

/// All that can happen without time passing.
fn run(world: &mut World) {
    while world.step() {}
    world.report();
}

#[test]
fn what_changed_in_git_while_a_window_is_closed_is_healed_to_what_was_applied() {
    let mut world = World::new(git(&[("web", &[("a", "1"), ("b", "1")]), ("old", &[("c", "1")])]));
    world.settle();
    // The commit that closes the window brings other content too.
    world.frozen = true;
    world.git = git(&[("web", &[("a", "2"), ("d", "2")])]);
    world.announce();
    run(&mut world);
    world.writes.clear();
    for name in ["a", "b", "c"] {
        world.change(name, "/data/key", json!("drift"));
    }
    run(&mut world);
    let before =
        [("a", "1"), ("b", "1"), ("c", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(world.values(), before.into());
    world.writes.sort();
    assert_eq!(world.writes, ["apply a", "apply b", "apply c"]);
    for app in ["web", "old"] {
        let status = &world.statuses[app];
        assert_eq!(status.sync(), SyncStatus::OutOfSync, "{app}");
        assert!(status.message.starts_with("Changes from Git wait"), "{app}: {}", status.message);
    }
    // Newer content overrules what waits, and what is taken back is as if it never was.
    world.git = git(&[("web", &[("a", "3"), ("b", "1")]), ("old", &[("c", "1")])]);
    world.announce();
    run(&mut world);
    assert_eq!(world.statuses["old"].message, "");
    assert_eq!(world.values()["a"], "1");
    world.frozen = false;
    world.announce();
    world.settle();
    assert_eq!(world.values(), git(&[("all", &[("a", "3"), ("b", "1"), ("c", "1")])])["all"]);
    assert!(world.statuses.values().all(|status| status.sync() == SyncStatus::Synced));
}

#[test]
fn an_app_removed_while_a_window_is_closed_goes_when_it_opens() {
    let mut world = World::new(git(&[("web", &[("a", "1")])]));
    world.settle();
    world.frozen = true;
    world.git.clear();
    world.announce();
    run(&mut world);
    world.delete(&key("a"));
    run(&mut world);
    assert_eq!(world.values().len(), 1, "it is healed");
    world.frozen = false;
    world.announce();
    world.settle();
    assert!(world.values().is_empty() && world.parents().is_empty());
}
