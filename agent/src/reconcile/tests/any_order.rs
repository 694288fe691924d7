//! Whatever happens in whatever order: the cluster ends as Git says, with nothing foreign touched, and then
//! nothing is written any more.
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::world::{Git, World, key};

#[derive(Clone, Debug)]
enum Happening {
    Commit(Git),
    /// So many pieces of news arrive.
    News(u8),
    Change(String),
    Strip(String),
    Delete(String),
    Foreign(u8),
    WritesFail(u8),
    HookFails,
    /// A window closes or opens.
    Freeze(bool),
    Ripen,
    Crash,
    /// Seconds pass.
    Pass(u16),
}

/// Any object, hooks and such in waves among them.
fn any_name() -> impl Strategy<Value = String> {
    let names =
        vec!["a", "b", "c", "d", "e1", "f2", "pre-a", "pre-gone", "mid-a", "mid-b2", "post-a", "oops-a"];
    prop::sample::select(names).prop_map(str::to_owned)
}

/// Objects that others change. Hooks are left alone: one that is deleted when it has just ended runs again.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d", "e1", "f2"]).prop_map(str::to_owned)
}

/// Repositories in which no object is in two apps: that is a mistake, and another story.
fn repository() -> impl Strategy<Value = Git> {
    let app = prop::sample::select(vec!["web", "other"]).prop_map(str::to_owned);
    let value = prop::sample::select(vec!["1", "2"]).prop_map(str::to_owned);
    prop::collection::btree_map(any_name(), (app, value), 0..7).prop_map(|objects| {
        let mut git = Git::new();
        for (name, (app, value)) in objects {
            git.entry(app).or_default().insert(name, value);
        }
        git
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => repository().prop_map(Happening::Commit),
        8 => (1u8..12).prop_map(Happening::News),
        3 => name().prop_map(Happening::Change),
        2 => name().prop_map(Happening::Strip),
        2 => name().prop_map(Happening::Delete),
        1 => (0u8..3).prop_map(Happening::Foreign),
        1 => (1u8..4).prop_map(Happening::WritesFail),
        1 => Just(Happening::HookFails),
        1 => any::<bool>().prop_map(Happening::Freeze),
        3 => Just(Happening::Ripen),
        1 => Just(Happening::Crash),
        2 => (1u16..400).prop_map(Happening::Pass),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Commit(git) => {
            // What comes back after it has left is new, and runs again.
            world.succeeded.clear();
            world.git = git;
            world.announce();
        }
        Happening::News(count) => {
            for _ in 0..count {
                world.step();
            }
        }
        Happening::Change(name) => world.change(&name, "/data/key", json!("drift")),
        Happening::Strip(name) => world.change(&name, "/metadata/labels", json!({})),
        Happening::Delete(name) => world.delete(&key(&name)),
        Happening::Foreign(number) => world.create_foreign(&format!("foreign-{number}")),
        Happening::WritesFail(count) => world.failing = count.into(),
        // Not so often that it is given up.
        Happening::HookFails => {
            let failed =
                world.events.iter().filter(|(_, message)| message.contains("has failed (try")).count();
            world.hooks_failing = u32::from(failed < 4);
        }
        Happening::Freeze(frozen) => {
            world.frozen = frozen;
            world.announce();
        }
        Happening::Ripen => drop(world.ripen()),
        Happening::Crash => world.restart(),
        Happening::Pass(seconds) => world.pass(Duration::from_secs(seconds.into())),
    }
}

/// Objects whose label was taken away and that left Git before that was put right: nobody's, by the
/// cluster's own account.
fn lost(world: &World, wanted: &BTreeMap<String, String>) -> Vec<String> {
    let unlabelled = |name: &String| world.cluster[&key(name)]["metadata"]["labels"] == json!({});
    world.values().into_keys().filter(|name| !wanted.contains_key(name) && unlabelled(name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_cluster_ends_as_git_says(first in repository(), story in prop::collection::vec(happening(), 0..40)) {
        let mut world = World::new(first);
        for happening in story {
            happen(&mut world, happening);
        }
        world.failing = 0;
        world.hooks_failing = 0;
        if world.frozen {
            world.frozen = false;
            world.announce();
        }
        world.settle();
        let runs = world.succeeded.len();
        world.succeeded.sort();
        world.succeeded.dedup();
        prop_assert_eq!(runs, world.succeeded.len(), "a hook ran twice for one content");
        let mut wanted: BTreeMap<String, String> =
            world.git.values().flatten().map(|(n, v)| (n.clone(), v.clone())).collect();
        let mut found = world.values();
        // A hook for failures has run or not, one that is to go is gone.
        for name in ["oops-a", "pre-gone"] {
            let (found, wanted) = (found.remove(name), wanted.remove(name));
            prop_assert!(found.is_none() || (wanted.is_some() && name == "oops-a"), "{} {:?}", name, found);
        }
        let foreign: Vec<String> = found.keys().filter(|name| name.starts_with("foreign")).cloned().collect();
        for name in foreign {
            prop_assert_eq!(found.remove(&name), Some("foreign".to_owned()));
        }
        for name in lost(&world, &wanted) {
            found.remove(&name);
        }
        prop_assert_eq!(found, wanted);
        prop_assert_eq!(world.parents(), world.git.keys().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(world.statuses.values().all(|status| status.message.is_empty()), "{:?}", world.statuses);
        // The second time nothing is written, neither by this agent nor by the next.
        world.writes.clear();
        world.announce();
        world.settle();
        world.restart();
        world.settle();
        prop_assert!(world.writes.is_empty(), "{:?}", world.writes);
    }
}
