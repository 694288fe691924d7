//! What only a simulated cluster can be asked for: faults, expiry, cut connections, slow and failing workloads.

use std::time::Duration;

use muster_simcluster::{Fault, Settings, SimCluster, Simulation};
use muster_tests::wait;
use serde_json::json;

use super::backend::{Backend, SOON, client, condition, config_map, workload};

async fn started(story: &str) -> (Backend, SimCluster) {
    let backend = Backend::simulated(story).await;
    let cluster = backend.simulated.clone().unwrap();
    (backend, cluster)
}

#[tokio::test]
async fn requests_fail_as_asked_and_are_counted() {
    let (api, cluster) = started("faults").await;
    cluster.reset_requests();
    cluster.inject(Fault::status(429).verb("create").resource("configmaps").times(2).retry_after_seconds(7));
    cluster.inject(Fault::status(409).verb("patch").name("made"));
    let maps = api.core("configmaps");
    for _ in 0..2 {
        let answer = api.post(&maps, &config_map("made", &json!({}))).await;
        assert_eq!(answer.headers["retry-after"], "7");
        assert_eq!(answer.expect(429)["details"]["retryAfterSeconds"], 7);
    }
    api.post(&maps, &config_map("made", &json!({}))).await.expect(201);
    api.merge(&format!("{maps}/made"), &json!({"data": {"a": "b"}})).await.expect(409);
    api.merge(&format!("{maps}/made"), &json!({"data": {"a": "b"}})).await.expect(200);
    let requests = cluster.requests();
    assert_eq!(requests[&("create".to_owned(), "configmaps".to_owned())], 3);
    assert_eq!(requests[&("patch".to_owned(), "configmaps".to_owned())], 2);
    cluster.inject(Fault::status(500).times(u32::MAX));
    api.get(&maps).await.expect(500);
    cluster.clear_faults();
    api.get(&maps).await.expect(200);
}

#[tokio::test]
async fn expired_watches_and_lists_are_gone() {
    let (api, cluster) = started("expiry").await;
    let maps = api.core("configmaps");
    for name in ["a", "b", "c"] {
        api.post(&maps, &config_map(name, &json!({}))).await.expect(201);
    }
    let page = api.get(&format!("{maps}?limit=1")).await.expect(200);
    let version = page["metadata"]["resourceVersion"].as_str().unwrap();
    let mut running = api.watch(&format!("{maps}?watch=1&resourceVersion={version}")).await;
    cluster.expire_watches();
    let ended = running.next().await.unwrap();
    assert_eq!((&ended["type"], &ended["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(ended["object"]["reason"], "Expired");
    assert!(running.next().await.is_none());
    let mut late = api.watch(&format!("{maps}?watch=1&resourceVersion={version}")).await;
    assert_eq!(late.next().await.unwrap()["object"]["code"], 410);
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(api.get(&format!("{maps}?limit=1&continue={token}")).await.expect(410)["reason"], "Expired");
}

#[tokio::test]
async fn bookmarks_keep_an_idle_watch_fresh() {
    let simulation = Simulation::new().unwrap();
    let settings = Settings { bookmark_every: Duration::from_millis(50), ..Settings::default() };
    let cluster = simulation.start("bookmarks", settings).await.unwrap();
    let kubeconfig = cluster.kubeconfig("admin");
    let client = client(&kubeconfig).await;
    let api = Backend { client, namespace: "default".to_owned(), kubeconfig, simulated: Some(cluster) };
    let mut events = api.watch("/apis/apps/v1/deployments?watch=1&allowWatchBookmarks=true").await;
    let bookmark = events.next().await.unwrap();
    assert_eq!((&bookmark["type"], &bookmark["object"]["kind"]), (&json!("BOOKMARK"), &json!("Deployment")));
    let made = api.post(&api.core("configmaps"), &config_map("other", &json!({}))).await.expect(201);
    let version: u64 = made["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    loop {
        let bookmark = events.next().await.unwrap();
        assert_eq!(bookmark["type"], "BOOKMARK");
        let seen: u64 = bookmark["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        if seen >= version {
            break;
        }
    }
}

#[tokio::test]
async fn connections_are_cut_and_a_stopped_cluster_comes_back() {
    let (api, cluster) = started("stop").await;
    let maps = api.core("configmaps");
    let mut events = api.watch(&format!("{maps}?watch=1&labelSelector=none")).await;
    cluster.cut_connections();
    assert!(events.next().await.is_none(), "the watch ends without a word");
    api.post(&maps, &config_map("kept", &json!({}))).await.expect(201);

    cluster.stop();
    let config = http::Request::get(format!("{maps}/kept")).body(Vec::new()).unwrap();
    assert!(api.client.request_text(config).await.is_err(), "nobody listens");
    cluster.resume().await.unwrap();
    wait::until("the cluster to answer", SOON, async || {
        let request = http::Request::get(format!("{maps}/kept")).body(Vec::new()).unwrap();
        api.client.request_text(request).await
    })
    .await;
}

#[tokio::test]
async fn workloads_are_slow_or_fail_when_asked() {
    let (api, cluster) = started("slow").await;
    cluster.set_ready_after(Duration::from_secs(3600));
    api.post(&api.apps("deployments"), &workload("Deployment", "slow", "nginx")).await.expect(201);
    let path = api.apps("deployments/slow");
    let slow = api.until("the status", &path, |object| object["status"]["observedGeneration"] == 1).await;
    assert_eq!(condition(&slow, "Progressing")["reason"], "ReplicaSetUpdated");
    assert_eq!(slow["status"]["unavailableReplicas"], 1);

    cluster.set_ready_after(Duration::ZERO);
    api.post(&api.apps("deployments"), &workload("Deployment", "web", "nginx")).await.expect(201);
    let path = api.apps("deployments/web");
    let is_available = |object: &serde_json::Value| condition(object, "Available")["status"] == "True";
    api.until("availability", &path, is_available).await;
    cluster.fail("Deployment", &api.namespace, "web");
    api.until("the failure", &path, |object| condition(object, "Available")["status"] == "False").await;
    cluster.heal("Deployment", &api.namespace, "web");
    api.until("the healing", &path, is_available).await;
}

#[tokio::test]
async fn a_cluster_without_pods_keeps_statuses_only() {
    let simulation = Simulation::new().unwrap();
    let settings = Settings { pods: false, ready_after: Duration::ZERO, ..Settings::default() };
    let cluster = simulation.start("bare", settings).await.unwrap();
    let kubeconfig = cluster.kubeconfig("admin");
    let client = client(&kubeconfig).await;
    let api = Backend { client, namespace: "default".to_owned(), kubeconfig, simulated: Some(cluster) };
    api.post(&api.apps("deployments"), &workload("Deployment", "web", "nginx")).await.expect(201);
    let ready = |object: &serde_json::Value| object["status"]["readyReplicas"] == 1;
    api.until("readiness", &api.apps("deployments/web"), ready).await;
    assert!(api.get(&api.core("pods")).await.expect(200)["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn fifty_clusters_live_side_by_side() {
    let simulation = Simulation::new().unwrap();
    let mut clusters = Vec::new();
    for index in 0..50 {
        clusters.push(simulation.start(&format!("c{index}"), Settings::default()).await.unwrap());
    }
    for (index, cluster) in clusters.iter().enumerate() {
        let client = client(&cluster.kubeconfig("admin")).await;
        let api =
            Backend { client, namespace: "default".to_owned(), kubeconfig: String::new(), simulated: None };
        let map = config_map("mine", &json!({"index": index.to_string()}));
        api.post(&api.core("configmaps"), &map).await.expect(201);
        assert_eq!(
            cluster.object("configmaps", "default", "mine").unwrap()["data"]["index"],
            index.to_string()
        );
    }
    // The token of one cluster opens no other.
    let mut kubeconfig: serde_json::Value = serde_yaml::from_str(&clusters[0].kubeconfig("admin")).unwrap();
    kubeconfig["users"][0]["user"]["token"] = json!(clusters[1].token("admin"));
    let stranger = client(&kubeconfig.to_string()).await;
    let request = http::Request::get("/api/v1/namespaces").body(Vec::new()).unwrap();
    assert!(stranger.request_text(request).await.is_err());
}
