//! Does one command bring a cluster to the fleet?

use super::*;

fn documents(text: &str) -> Vec<serde_json::Value> {
    let limits = muster_yaml::Limits { documents_max: 50, ..muster_yaml::Limits::default() };
    let parts = muster_yaml::parts(text.as_bytes(), &limits).into_iter();
    parts
        .filter_map(|part| part.unwrap().read(muster_yaml::Reading::Strict, &limits).unwrap())
        .map(muster_yaml::Node::into_json)
        .collect()
}

#[tokio::test]
async fn the_printed_manifests_hold_a_token_that_lets_this_cluster_in_once() {
    let hub = Hub::start().await;
    let arguments = ["bootstrap", "prod-1", "--repo", "https://git.example.com/fleet.git", "-l", "env=prod"];
    let printed = hub.muster(&arguments).run(DEADLINE).await.unwrap();
    assert_eq!(printed.code(), Some(0), "{}", printed.stderr);
    assert!(printed.stderr.contains("prod-1 may enrol once"), "{}", printed.stderr);
    let objects = documents(&printed.stdout);
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let config = of("ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    for line in ["cluster: prod-1", &format!("hub: \"{}\"", hub.address), "token-file: "] {
        assert!(config.contains(line), "{line} in {config}");
    }
    let token = of("Secret")["stringData"]["token"].as_str().unwrap();
    assert!(!printed.stderr.contains(token), "the token is for standard output alone");
    assert!(hub.enrol(token, "prod-2").await.is_err(), "the token is for prod-1");
    let identity = hub.enrol(token, "prod-1").await.unwrap();
    hub.agent("prod-1", &identity, &[]).await.unwrap();
    let labels = [("env".to_owned(), "prod".to_owned())].into();
    let request = v1::ListClustersRequest { labels, ..Default::default() };
    let found = hub.fleet().await.list_clusters(request).await.unwrap().into_inner().clusters;
    assert_eq!(found.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(), ["prod-1"]);
    assert!(hub.enrol(token, "prod-1").await.is_err(), "the token is for one use");
}

#[tokio::test]
async fn no_token_is_made_for_what_makes_no_sense() {
    let hub = Hub::start().await;
    for wrong in [
        vec!["bootstrap", "prod-1", "--repo", "nowhere"],
        vec!["bootstrap", "Prod_1", "--repo", "https://git.example.com/fleet.git"],
        vec!["bootstrap", "prod-1", "--repo", "https://git.example.com/fleet.git", "--namespaces", "No_One"],
    ] {
        let ended = hub.muster(&wrong).run(DEADLINE).await.unwrap();
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{wrong:?}: {}", ended.stderr);
    }
    let tokens = hub.tokens().await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
    assert_eq!(tokens.tokens.len(), 0);
}
