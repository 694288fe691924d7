//! The API server goes away, and comes back without the history that watches go on from.

use muster_tests::kubernetes::{Cluster, Options};

use super::*;

#[tokio::test]
async fn what_happened_in_a_lost_history_is_seen_all_the_same() {
    let Some(mut cluster) = Cluster::start_or_skip("dev", Options::default()).await else { return };
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/b.yaml", &config_map("b", "one")),
    ];
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "b", Some("one")).await;
    bench.until_logged("The app is synced.").await;
    // Watches break, and go on where they were.
    cluster.stop_api_server();
    cluster.start_api_server().await.unwrap();
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("one")).await;
    // While it is away an object changes, and all versions from before that are forgotten.
    cluster.stop_api_server();
    let etcd = cluster.etcd();
    etcd.replace("/registry/configmaps/web/b", "\u{3}one", "\u{3}two").await.unwrap();
    etcd.compact().await.unwrap();
    cluster.start_api_server().await.unwrap();
    wait::until("the change, seen as drift and put right", DEADLINE, async || {
        let log = bench.agent.program.log();
        log.contains("ConfigMap/web/b was changed").then_some(())
    })
    .await;
    bench.until_config("web", "b", Some("one")).await;
    patch(&bench.config_maps("web"), "b", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "b", Some("one")).await;
}
