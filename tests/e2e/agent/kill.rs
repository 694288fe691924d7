//! The agent may be killed at any moment, and nothing is lost or left over.

use super::*;

/// Objects of each round, so that a round takes long enough to be killed in.
const OBJECTS: usize = 30;

/// The files of round `round`: one object less, one more, and a changed value in the rest.
fn files(round: usize) -> Vec<(String, String)> {
    (round..round + OBJECTS)
        .map(|number| {
            (format!("apps/web/{number}.yaml"), config_map(&format!("c{number}"), &format!("v{round}")))
        })
        .collect()
}

async fn killed_anywhere(target: Target, rounds: usize) {
    let head = [("fleet.yaml".to_owned(), FLEET.to_owned()), ("web.yaml".to_owned(), app("web", ""))];
    let begin: Vec<_> = head.into_iter().chain(files(0)).collect();
    let begin: Vec<_> = begin.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut bench = Bench::start(target, &begin).await;
    for round in 1..=rounds {
        let next = files(round);
        let next: Vec<_> = next.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        bench.commit(&next);
        bench.repository.remove(&[&format!("apps/web/{}.yaml", round - 1)], "Remove one").unwrap();
        // Killed a little later in each round, so that each step is hit by some; no state is waited for.
        let wait = Duration::from_millis(37 * round as u64 % 1_100);
        tokio::time::sleep(wait).await;
        bench.agent.program.kill();
        bench.agent.program.restart().unwrap();
    }
    bench.until_config("web", "c0", None).await;
    let wanted: BTreeMap<String, String> =
        (rounds..rounds + OBJECTS).map(|number| (format!("c{number}"), format!("v{rounds}"))).collect();
    wait::until("exactly what Git says", DEADLINE, async || {
        let listed =
            bench.config_maps("web").list(&kube::api::ListParams::default().labels("muster.dev/app")).await;
        let found: BTreeMap<_, _> = listed
            .ok()?
            .items
            .into_iter()
            .filter_map(|map| Some((map.metadata.name?, map.data?.get("key")?.clone())))
            .collect();
        (found == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_on_a_simulated_cluster() {
    killed_anywhere(simulated().await, 20).await;
}

#[tokio::test]
async fn killed_anywhere_on_a_real_cluster() {
    let Some(target) = real().await else { return };
    killed_anywhere(target, 8).await;
}

#[tokio::test]
async fn what_left_git_while_the_agent_was_dead_goes_when_it_is_back() {
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("old.yaml", &app("old", "")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/b.yaml", &config_map("b", "one")),
        ("apps/web/web.yaml", &deployment("web", 1, "nginx")),
        ("apps/old/a.yaml", &config_map("a", "one")),
    ];
    let mut bench = Bench::start(simulated().await, &files).await;
    bench.until_config("web", "b", Some("one")).await;
    bench.until_config("old", "a", Some("one")).await;
    bench.until_deployed("web", "web", 1, "nginx").await;
    bench.agent.program.kill();
    // An object, the last object of a kind, and a whole app.
    bench.repository.remove(&["apps/web/b.yaml", "apps/web/web.yaml", "old.yaml"], "Remove").unwrap();
    bench.agent.program.restart().unwrap();
    bench.until_config("web", "b", None).await;
    bench.until_config("old", "a", None).await;
    wait::until("the Deployment gone", DEADLINE, async || {
        bench.deployments("web").get_opt("web").await.ok()?.is_none().then_some(())
    })
    .await;
    wait::until("the inventory gone", DEADLINE, async || bench.parent("old").await.is_none().then_some(()))
        .await;
    bench.until_config("web", "a", Some("one")).await;
}
