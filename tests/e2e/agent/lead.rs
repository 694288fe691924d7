//! Of several agents one acts.

use super::*;

/// Another agent for the same cluster, with a data directory of its own.
fn second(bench: &Bench, scratch: &Scratch) -> Agent {
    Agent::start(Bench::options(&bench.git, &bench.target, scratch)).unwrap()
}

#[tokio::test]
async fn another_takes_over_at_once_after_a_clean_stop_and_in_time_after_a_stall() {
    let files =
        [("fleet.yaml", FLEET), ("web.yaml", &app("web", "")), ("apps/web/a.yaml", &config_map("a", "one"))];
    let mut bench = Bench::start(simulated().await, &files).await;
    bench.until_config("web", "a", Some("one")).await;
    let scratch = Scratch::new("second").unwrap();
    let mut second = second(&bench, &scratch);
    second.program.wait_for_log("Standby", DEADLINE).await.unwrap();
    assert!(!second.program.log().contains("Read the repository"), "it has nothing to do yet");
    // A clean stop hands the Lease over.
    let status = bench.agent.program.terminate(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
    second.program.wait_for_log("leadership=Leading", Duration::from_secs(10)).await.unwrap();
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("one")).await;
    // A leader that stands still for longer than the Lease counts, and goes on then, has lost it.
    bench.agent.program.restart().unwrap();
    bench.until_logged("Standby").await;
    second.program.pause();
    let leads = || bench.agent.program.log().matches("leadership=Leading").count();
    wait::until("the first to lead again", DEADLINE, async || (leads() == 2).then_some(())).await;
    second.program.resume();
    let second_says = |text: &str| second.program.log().matches(text).count();
    wait::until("the second to stand by again", DEADLINE, async || {
        (second_says("Standby") == 2).then_some(())
    })
    .await;
    let corrected = second_says("The drift is corrected");
    for _ in 0..2 {
        patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
        bench.until_config("web", "a", Some("one")).await;
    }
    bench.until_logged("The drift is corrected").await;
    assert_eq!(second_says("The drift is corrected"), corrected);
}

/// How long nobody may lead after a leader died.
const TAKEOVER: Duration = Duration::from_secs(15);

/// How long a leader sleeps, in seconds; a minute where there is time for it.
fn sleep() -> Duration {
    let seconds = std::env::var("MUSTER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0).min(60))
}

/// On a real API server: killed, stopped for long and woken, and stopped cleanly.
#[tokio::test]
async fn a_leader_that_died_is_succeeded_and_one_that_slept_does_no_harm() {
    let files =
        [("fleet.yaml", FLEET), ("web.yaml", &app("web", "")), ("apps/web/a.yaml", &config_map("a", "one"))];
    let Some(target) = real().await else { return };
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "a", Some("one")).await;
    let scratch = Scratch::new("second").unwrap();
    let mut second = second(&bench, &scratch);
    second.program.wait_for_log("Standby", DEADLINE).await.unwrap();
    // Asleep: the other leads, and takes the app from one commit to the next.
    bench.agent.program.pause();
    let asleep = std::time::Instant::now();
    second.program.wait_for_log("leadership=Leading", TAKEOVER).await.unwrap();
    bench.commit(&[
        ("apps/web/a.yaml", &config_map("a", "two")),
        ("apps/web/b.yaml", &config_map("b", "two")),
    ]);
    for name in ["a", "b"] {
        bench.until_config("web", name, Some("two")).await;
    }
    let maps = bench.config_maps("web");
    let version = |name: &'static str| {
        let maps = maps.clone();
        async move { maps.get(name).await.unwrap().metadata.resource_version }
    };
    let before = (version("a").await, version("b").await);
    wait::until("a sleep long enough", DEADLINE * 2, async || (asleep.elapsed() >= sleep()).then_some(()))
        .await;
    // Awake: it still knows only the first commit, by which `b` is not wanted, and must not act on it.
    bench.agent.program.resume();
    let stood_by = || bench.agent.program.log().contains("Standby");
    wait::until("the sleeper to stand by", DEADLINE, async || stood_by().then_some(())).await;
    assert_eq!((version("a").await, version("b").await), before);
    // Killed: no word of it reaches the Lease.
    second.program.kill();
    let led = || bench.agent.program.log().matches("leadership=Leading").count();
    wait::until("the first to lead again", TAKEOVER, async || (led() == 2).then_some(())).await;
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("two")).await;
    // Stopped: nobody waits for the Lease to end.
    second.program.restart().unwrap();
    wait::until("the second to stand by", DEADLINE, async || {
        second.program.log().contains("Standby").then_some(())
    })
    .await;
    let status = bench.agent.program.terminate(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
    second.program.wait_for_log("leadership=Leading", Duration::from_secs(5)).await.unwrap();
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("two")).await;
}

#[tokio::test]
async fn a_data_directory_is_one_agents_own() {
    let bench = Bench::start(simulated().await, &[("fleet.yaml", FLEET)]).await;
    wait::until("the first agent at work", DEADLINE, async || {
        bench.agent.program.log().contains("Leading").then_some(())
    })
    .await;
    let mut other = second(&bench, &bench.scratch);
    let status = other.program.wait_for_end(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(other.program.log().contains("is in use by another agent"), "{}", other.program.log());
}
