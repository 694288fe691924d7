//! Nothing is written twice, and nobody is fought for ever.

use muster_simcluster::{Fault, Settings, SimCluster, Simulation};

use super::*;

/// A simulated cluster that can be asked what was asked of it.
async fn watched() -> (SimCluster, Target, Scratch) {
    let cluster = Simulation::new().unwrap().start("dev", Settings::default()).await.unwrap();
    let scratch = Scratch::new("dev").unwrap();
    let kubeconfig = scratch.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig("admin")).unwrap();
    let target = Target::existing("dev", &kubeconfig).await.unwrap();
    (cluster, target, scratch)
}

/// Writes so far, other than those of the Lease.
fn writes(cluster: &SimCluster) -> u64 {
    let counted = cluster.requests();
    let writing = ["patch", "create", "update", "delete"];
    let ours = |(verb, resource): &(String, String)| {
        writing.contains(&verb.as_str()) && !["leases", "events"].iter().any(|own| resource.starts_with(own))
    };
    counted.iter().filter(|(key, _)| ours(key)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn what_is_in_sync_is_not_written_again() {
    let (cluster, target, _scratch) = watched().await;
    let quantities = "apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {cpu: \"2\", memory: 1Gi}}
";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/web.yaml", &deployment("web", 2, "nginx:1.24")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
        ("apps/web/quota.yaml", quantities),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_logged("The app is synced.").await;
    let before = writes(&cluster);
    // A commit elsewhere, and one that changes no object.
    bench.commit(&[("README.md", "# Fleet")]);
    bench.commit(&[
        ("apps/web/NOTES.md", "Notes"),
        ("apps/web/config.yaml", &format!("# A comment\n{}", config_map("settings", "one"))),
    ]);
    bench.commit(&[("two.yaml", &app("two", "")), ("apps/two/a.yaml", &config_map("a", "one"))]);
    bench.until_config("two", "a", Some("one")).await;
    // The new app's inventory, namespace and object, and nothing of the old app.
    assert_eq!(writes(&cluster), before + 3);
    // A restart finds all in place.
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    bench.commit(&[("apps/two/a.yaml", &config_map("a", "two"))]);
    bench.until_config("two", "a", Some("two")).await;
    assert_eq!(writes(&cluster), before + 4);
    // One drift is one write.
    patch(&bench.deployments("web"), "web", json!({"spec": {"replicas": 5}})).await;
    bench.until_deployed("web", "web", 2, "nginx:1.24").await;
    bench.commit(&[("apps/two/a.yaml", &config_map("a", "three"))]);
    bench.until_config("two", "a", Some("three")).await;
    assert_eq!(writes(&cluster), before + 4 + 3, "the patch by hand, its correction, and the commit");
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let (cluster, target, _scratch) = watched().await;
    cluster.inject(Fault::status(429).verb("patch").times(3).retry_after_seconds(1));
    cluster.inject(Fault::status(503).verb("list").times(2));
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
    ];
    let bench = Bench::start(target, &files).await;
    bench.until_config("web", "settings", Some("one")).await;
    // Watches that expire and connections that break lose nothing.
    cluster.expire_watches();
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "settings", Some("one")).await;
    cluster.cut_connections();
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "settings", Some("one")).await;
}

#[tokio::test]
async fn who_keeps_changing_an_object_back_is_named_and_met_less_often() {
    let (_cluster, target, _scratch) = watched().await;
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    for _ in 0..3 {
        bench.until_config("web", "settings", Some("one")).await;
        patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "drift"}})).await;
    }
    bench.until_config("web", "settings", Some("one")).await;
    patch(&bench.config_maps("web"), "settings", json!({"data": {"key": "drift"}})).await;
    bench.until_logged("by-hand keeps changing ConfigMap/web/settings").await;
    bench.until_config("web", "settings", Some("one")).await;
}

#[tokio::test]
async fn without_self_heal_and_prune_the_cluster_is_left_alone() {
    let (cluster, target, _scratch) = watched().await;
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "  sync: {selfHeal: false, prune: false}\n")),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/b.yaml", &config_map("b", "one")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "b", Some("one")).await;
    bench.until_logged("The app is synced.").await;
    let before = writes(&cluster);
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_logged("was changed by by-hand").await;
    bench.repository.remove(&["apps/web/b.yaml"], "Remove b").unwrap();
    bench.commit(&[("two.yaml", &app("two", "")), ("apps/two/a.yaml", &config_map("a", "one"))]);
    bench.until_config("two", "a", Some("one")).await;
    bench.until_config("web", "b", Some("one")).await;
    // The patch by hand, three for the new app. New content overrules what others did.
    assert!(writes(&cluster) <= before + 1 + 3 + 1, "{:?}", cluster.requests());
}

#[tokio::test]
async fn a_deleted_namespace_comes_back_with_all_in_it() {
    let (_cluster, target, _scratch) = watched().await;
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n")),
        ("apps/web/a.yaml", &config_map("a", "one")),
    ];
    let bench = Bench::start(target, &files).await;
    bench.until_config("web", "a", Some("one")).await;
    let first = bench.config_maps("web").get("a").await.unwrap().metadata.uid;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(bench.target.client.clone());
    namespaces.delete("web", &kube::api::DeleteParams::default()).await.unwrap();
    wait::until("another object by that name", DEADLINE, async || {
        let uid = bench.config_maps("web").get_opt("a").await.ok()??.metadata.uid;
        (uid != first).then_some(())
    })
    .await;
}
