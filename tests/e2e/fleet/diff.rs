//! `muster diff` says what differs in any cluster, by what its agent reports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams};
use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::wait;
use serde_json::{Value, json};

const DOCUMENTS: &str = "apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: dev}
---
apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: prod}
---
apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: web}
spec: {clusters: {}, source: {path: web}, namespace: web, sync: {selfHeal: false}}
";

const MANIFESTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: one}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: hunter2-git}
";

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_is_left_alone_is_shown_for_the_whole_fleet() {
    let files = BTreeMap::from([
        ("fleet.yaml".to_owned(), DOCUMENTS.as_bytes().to_vec()),
        ("web/all.yaml".to_owned(), MANIFESTS.as_bytes().to_vec()),
    ]);
    let mut fleet = Fleet::start(&files).await.unwrap();
    let targets = Target::simulated(&["dev", "prod"]).await;
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    wait::until("both clusters well", DEADLINE, async || {
        let (code, apps) = fleet.hub.json(&["apps"]).await.map_err(|error| error.to_string())?;
        let all = apps["apps"].as_array().map_or(0, Vec::len);
        if code == 0 && all == 2 { Ok(()) } else { Err(apps.to_string()) }
    })
    .await;
    let (code, document) = fleet.hub.json(&["diff"]).await.unwrap();
    assert_eq!((code, &document["differences"]), (0, &json!([])));

    let client = &targets[1].client;
    let by_hand = PatchParams { field_manager: Some("by-hand".to_owned()), ..PatchParams::default() };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "web");
    maps.patch("settings", &by_hand, &Patch::Merge(json!({"data": {"key": "two"}}))).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "web");
    let other = json!({"data": {"password": "aHVudGVyMi1oYW5k"}});
    secrets.patch("key", &by_hand, &Patch::Merge(other)).await.unwrap();
    let found = wait::until("both drifts", DEADLINE, async || {
        let (code, document) = fleet.hub.json(&["diff"]).await.map_err(|error| error.to_string())?;
        let found: Vec<Value> = document["differences"].as_array().cloned().unwrap_or_default();
        if code == 1 && found.len() == 2 { Ok(found) } else { Err(document.to_string()) }
    })
    .await;
    let map = &found[0];
    assert_eq!(
        (&map["cluster"], &map["app"], &map["state"]),
        (&json!("prod"), &json!("web"), &json!("Changed"))
    );
    assert_eq!((&map["object"]["name"], &map["fieldManager"]), (&json!("settings"), &json!("by-hand")));
    assert_eq!(map["fields"], json!([{"path": ".data.key", "wanted": "\"one\"", "found": "\"two\""}]));
    assert_eq!(found[1]["object"]["kind"], "Secret");
    assert!(!json!(found).to_string().contains("aHVudGVyMi"), "{found:?}");
    let page = fleet.hub.muster(["diff", "web", "--cluster", "prod"]).unwrap().run(DEADLINE).await.unwrap();
    assert_eq!(page.code(), Some(1));
    assert!(page.stdout.contains(".data.key: \"two\" -> \"one\""), "{}", page.stdout);
    let dev = fleet.hub.json(&["diff", "--cluster", "dev"]).await.unwrap();
    assert_eq!((dev.0, &dev.1["differences"]), (0, &json!([])));
}
