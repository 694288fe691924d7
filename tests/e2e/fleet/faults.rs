//! Bad input and lost connections: each shows as a clear status of the app or cluster it concerns, the rest goes
//! on, and when the cause is gone everything recovers without a restart.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use muster_tests::fleet::{Agent, AgentOptions, DEADLINE, Fleet, Hub, Target};
use muster_tests::{git, wait};
use serde_json::json;

use super::view::{self, State};

const CLUSTER: &str = "dev";

/// A fleet with the apps `left` and `right`, each one ConfigMap `<app>` with `value: one`.
async fn two_apps() -> Fleet {
    let mut files = std::collections::BTreeMap::new();
    let mut put = |path: &str, text: String| files.insert(path.to_owned(), text.into_bytes());
    put("muster.yaml", document("Fleet", "test", "spec: {interval: 30s}"));
    put("clusters/dev.yaml", document("Cluster", CLUSTER, ""));
    put("clusters/other.yaml", document("Cluster", "other", ""));
    for app in ["left", "right"] {
        put(&format!("apps/{app}.yaml"), app_document(app));
        put(&format!("manifests/{app}/map.yaml"), map(app, "one"));
    }
    Fleet::start(&files).await.unwrap()
}

fn document(kind: &str, name: &str, rest: &str) -> String {
    format!("apiVersion: muster.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}\n")
}

fn app_document(app: &str) -> String {
    let spec = format!("spec:\n  clusters: {{}}\n  source: {{path: manifests/{app}}}\n  namespace: default");
    document("App", app, &spec)
}

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value}\n")
}

async fn joined() -> (Fleet, Target) {
    let mut fleet = two_apps().await;
    let target = Target::simulated(&[CLUSTER]).await.remove(0);
    fleet.join(CLUSTER, &target.kubeconfig).await.unwrap();
    for app in ["left", "right"] {
        app_becomes(&fleet.hub, app, "well", State::is_well).await;
    }
    (fleet, target)
}

fn maps(target: &Target) -> Api<ConfigMap> {
    Api::namespaced(target.client.clone(), "default")
}

async fn value_becomes(target: &Target, name: &str, value: &str) {
    wait::until(&format!("{name} to hold {value}"), DEADLINE, async || {
        let map = maps(target).get_opt(name).await.map_err(|error| error.to_string())?;
        let found = map.and_then(|map| map.data?.get("value").cloned());
        if found.as_deref() == Some(value) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn app_becomes(hub: &Hub, app: &str, what: &str, holds: impl Fn(&State) -> bool) {
    wait::until(&format!("{app} to be {what}"), DEADLINE, async || {
        let (_, document) = hub.json(&["apps"]).await.map_err(|error| error.to_string())?;
        let states = view::by_app(&document);
        if states.get(app).is_some_and(&holds) { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
}

fn has_error(state: &State, kind: &str, place: &str) -> bool {
    state.errors.iter().any(|error| error.0 == kind && error.1.contains(place) && !error.2.is_empty())
}

async fn cluster_has_error(hub: &Hub, kind: &str, text: &str) {
    wait::until(&format!("an error of kind {kind} with {text}"), DEADLINE, async || {
        let (_, document) = hub.json(&["clusters"]).await.map_err(|error| error.to_string())?;
        let errors = view::cluster_errors(&document, CLUSTER);
        let found =
            errors.iter().any(|error| error.0 == kind && (error.1.contains(text) || error.2.contains(text)));
        if found { Ok(()) } else { Err(format!("{document}")) }
    })
    .await;
}

async fn fleet_is_well(hub: &Hub) {
    wait::until("muster status to exit with 0", DEADLINE, async || {
        let (code, document) = hub.json(&["status"]).await.map_err(|error| error.to_string())?;
        if code == 0 { Ok(()) } else { Err(document.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_does_not_parse_holds_its_app_alone() {
    let (fleet, target) = joined().await;
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n";
    let files =
        [("manifests/left/map.yaml", broken.to_owned()), ("manifests/right/map.yaml", map("right", "two"))];
    fleet.repository.commit(&files, "Break left, change right").unwrap();
    app_becomes(&fleet.hub, "left", "held", |state| {
        has_error(state, "Render", "manifests/left/map.yaml:") && !state.is_well()
    })
    .await;
    value_becomes(&target, "right", "two").await;
    app_becomes(&fleet.hub, "right", "well", State::is_well).await;
    value_becomes(&target, "left", "one").await;
    fleet.repository.commit(&[("manifests/left/map.yaml", map("left", "two"))], "Mend left").unwrap();
    value_becomes(&target, "left", "two").await;
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_an_unknown_kind_is_named_and_harms_nothing() {
    let (fleet, target) = joined().await;
    let files = [
        ("apps/wrong.yaml", document("Aplication", "wrong", "spec: {}")),
        ("manifests/right/map.yaml", map("right", "two")),
    ];
    fleet.repository.commit(&files, "Add a document nobody knows").unwrap();
    cluster_has_error(&fleet.hub, "Document", "apps/wrong.yaml:").await;
    value_becomes(&target, "right", "two").await;
    fleet.repository.remove(&["apps/wrong.yaml"], "Take it back").unwrap();
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_app_document_prunes_nothing() {
    let (fleet, target) = joined().await;
    let broken = app_document("left").replace("source:", "sourc:");
    let files = [("apps/left.yaml", broken), ("manifests/right/map.yaml", map("right", "two"))];
    fleet.repository.commit(&files, "Break the document of left").unwrap();
    app_becomes(&fleet.hub, "left", "held", |state| {
        has_error(state, "Document", "apps/left.yaml:") && state.sync == "Unknown"
    })
    .await;
    value_becomes(&target, "right", "two").await;
    value_becomes(&target, "left", "one").await;
    fleet.repository.commit(&[("apps/left.yaml", app_document("left"))], "Mend it").unwrap();
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_the_api_server_rejects_fails_its_app_alone() {
    let (fleet, target) = joined().await;
    let rejected = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Not_A_Name\n";
    let files = [
        ("manifests/left/rejected.yaml", rejected.to_owned()),
        ("manifests/left/map.yaml", map("left", "two")),
        ("manifests/right/map.yaml", map("right", "two")),
    ];
    fleet.repository.commit(&files, "Add an object with a name no API server takes").unwrap();
    app_becomes(&fleet.hub, "left", "failed", |state| {
        has_error(state, "Apply", "Not_A_Name") && state.sync == "OutOfSync"
    })
    .await;
    value_becomes(&target, "left", "two").await;
    value_becomes(&target, "right", "two").await;
    app_becomes(&fleet.hub, "right", "well", State::is_well).await;
    fleet.repository.remove(&["manifests/left/rejected.yaml"], "Remove it").unwrap();
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_may_be_unreachable_at_start_and_later() {
    let mut fleet = two_apps().await;
    let target = Target::simulated(&[CLUSTER]).await.remove(0);
    fleet.git.stop();
    fleet.join(CLUSTER, &target.kubeconfig).await.unwrap();
    cluster_has_error(&fleet.hub, "Git", "127.0.0.1").await;
    fleet.git.start_again().unwrap();
    fleet_is_well(&fleet.hub).await;

    fleet.git.set_fault(git::Fault::Refuse);
    cluster_has_error(&fleet.hub, "Git", "503").await;
    let patch = json!({"data": {"value": "by hand"}});
    maps(&target).patch("left", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    value_becomes(&target, "left", "one").await;
    fleet.repository.commit(&[("manifests/left/map.yaml", map("left", "two"))], "While Git is away").unwrap();
    fleet.git.set_fault(git::Fault::Healthy);
    value_becomes(&target, "left", "two").await;
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_may_be_down_at_start_and_later() {
    let mut fleet = two_apps().await;
    let target = Target::simulated(&[CLUSTER]).await.remove(0);
    let token = fleet.hub.token(CLUSTER).await.unwrap();
    fleet.hub.program.kill();
    let options = fleet.agent_options(CLUSTER, &target.kubeconfig).hub(&fleet.hub.address(), &token).unwrap();
    fleet.add(options).unwrap();
    value_becomes(&target, "left", "one").await;
    fleet.hub.restart().await.unwrap();
    fleet_is_well(&fleet.hub).await;

    fleet.hub.program.kill();
    let revision =
        fleet.repository.commit(&[("manifests/left/map.yaml", map("left", "two"))], "While the hub is away");
    let revision = revision.unwrap();
    value_becomes(&target, "left", "two").await;
    fleet.hub.restart().await.unwrap();
    app_becomes(&fleet.hub, "left", "reported again", |state| state.is_well() && state.revision == revision)
        .await;
    fleet_is_well(&fleet.hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_reused_token_keeps_the_hub_closed_and_the_cluster_running() {
    let mut fleet = two_apps().await;
    let mut targets = Target::simulated(&[CLUSTER, "other"]).await;
    let (other, target) = (targets.remove(1), targets.remove(0));

    let good = fleet.hub.token(CLUSTER).await.unwrap();
    let wrong = good.replace("muster1.", "muster1.0000");
    let options = fleet.agent_options(CLUSTER, &target.kubeconfig).hub(&fleet.hub.address(), &wrong).unwrap();
    fleet.add(options).unwrap();
    value_becomes(&target, "left", "one").await;
    refused_at_the_door(&mut fleet, CLUSTER).await;
    fleet.agent(CLUSTER).set_token(&good).unwrap();
    app_becomes(&fleet.hub, "left", "well", State::is_well).await;

    // The same cluster name on a second cluster, with the token that is used up by now.
    let address = fleet.hub.address();
    let again =
        AgentOptions::new(CLUSTER, &fleet.git.url("fleet"), &other.kubeconfig, &fleet.directory().join("2"));
    let mut second = Agent::start(again.hub(&address, &good).unwrap()).unwrap();
    value_becomes(&other, "left", "one").await;
    second.program.wait_for_log("token", DEADLINE).await.unwrap();
    let (_, document) = fleet.hub.json(&["clusters"]).await.unwrap();
    assert_eq!(document["clusters"].as_array().map(Vec::len), Some(1), "{document}");
}

async fn refused_at_the_door(fleet: &mut Fleet, cluster: &str) {
    let program = &mut fleet.agent(cluster).program;
    program.wait_for_log("token", DEADLINE).await.unwrap();
    let (_, document) = fleet.hub.json(&["clusters"]).await.unwrap();
    assert_eq!(document["clusters"].as_array().map(Vec::len), Some(0), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_cluster_speaks_for_nobody() {
    let (mut fleet, target) = joined().await;
    let other = Target::simulated(&["other"]).await.remove(0);
    let secrets = |target: &Target| Api::<Secret>::namespaced(target.client.clone(), "muster-system");
    let mut stolen = secrets(&target).get("muster-agent-identity").await.unwrap();
    stolen.metadata = kube::api::ObjectMeta {
        name: stolen.metadata.name,
        labels: stolen.metadata.labels,
        ..Default::default()
    };
    let namespace = serde_json::from_value(json!({"metadata": {"name": "muster-system"}})).unwrap();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(other.client.clone());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    secrets(&other).create(&PostParams::default(), &stolen).await.unwrap();

    let address = fleet.hub.address();
    let options = fleet.agent_options("other", &other.kubeconfig).hub(&address, "").unwrap();
    fleet.add(options).unwrap();
    value_becomes(&other, "left", "one").await;
    fleet.agent("other").program.wait_for_log("its certificate is for cluster dev", DEADLINE).await.unwrap();
    let (_, document) = fleet.hub.json(&["clusters"]).await.unwrap();
    let clusters = document["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 1, "{document}");
    assert_eq!(clusters[0]["connection"], "Connected", "the true owner of the certificate is undisturbed");
    // With a token of its own it joins, and without a restart.
    let token = fleet.hub.token("other").await.unwrap();
    fleet.agent("other").set_token(&token).unwrap();
    wait::until("the second cluster to join", DEADLINE, async || {
        let (_, document) = fleet.hub.json(&["clusters"]).await.map_err(|error| error.to_string())?;
        let count = document["clusters"].as_array().map(Vec::len);
        if count == Some(2) { Ok(()) } else { Err(document.to_string()) }
    })
    .await;
    fleet_is_well(&fleet.hub).await;
}
