//! Does the real agent follow its hub when who trusts whom changes?

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use muster_tests::fleet::{DEADLINE, Fleet, Hub, Target};
use muster_tests::process::Launch;
use muster_tests::wait;

const CLUSTER: &str = "dev";

async fn joined() -> (Fleet, Target) {
    let document = |kind: &str, name: &str, rest: &str| {
        format!("apiVersion: muster.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}\n")
            .into_bytes()
    };
    let files = [
        ("muster.yaml".to_owned(), document("Fleet", "test", "spec: {interval: 30s}")),
        ("clusters/dev.yaml".to_owned(), document("Cluster", CLUSTER, "")),
    ];
    let mut fleet = Fleet::start(&files.into()).await.unwrap();
    let target = Target::simulated(&[CLUSTER]).await.remove(0);
    fleet.join(CLUSTER, &target.kubeconfig).await.unwrap();
    connection_becomes(&fleet.hub, "Connected").await;
    (fleet, target)
}

async fn connection_becomes(hub: &Hub, wanted: &str) {
    wait::until(&format!("the cluster to be {wanted}"), DEADLINE, async || {
        let (_, document) = hub.json(&["clusters"]).await.map_err(|error| error.to_string())?;
        let found = document["clusters"][0]["connection"].as_str().unwrap_or_default().to_owned();
        if found == wanted { Ok(()) } else { Err(document.to_string()) }
    })
    .await;
}

/// How many CAs the agent keeps in its Secret.
async fn cas_become(target: &Target, wanted: usize) {
    let secrets: Api<Secret> = Api::namespaced(target.client.clone(), "muster-system");
    wait::until(&format!("{wanted} CAs in the agent's Secret"), DEADLINE, async || {
        let secret = secrets.get("muster-agent-identity").await.map_err(|error| error.to_string())?;
        let data = secret.data.unwrap_or_default();
        let ca = String::from_utf8_lossy(&data["ca.crt"].0).into_owned();
        let found = ca.matches("BEGIN CERTIFICATE").count();
        if found == wanted { Ok(()) } else { Err(format!("{found}")) }
    })
    .await;
}

async fn rotate(hub: &Hub, arguments: &[&str]) {
    let directory = hub.operator_config().parent().unwrap().to_owned();
    let rotate = Launch::binary("muster-hub").unwrap().args(["ca", "rotate", "--dir"]).arg(directory);
    rotate.args(arguments).run(DEADLINE).await.unwrap().success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_learns_a_new_ca_over_its_stream_and_comes_back_by_it() {
    let (mut fleet, target) = joined().await;
    cas_become(&target, 1).await;
    rotate(&fleet.hub, &[]).await;
    cas_become(&target, 2).await;
    wait::until("the hub to know that the agent follows", DEADLINE, async || {
        let (code, document) = fleet.hub.json(&["ca"]).await.map_err(|error| error.to_string())?;
        if code == 0 { Ok(()) } else { Err(document.to_string()) }
    })
    .await;
    rotate(&fleet.hub, &[]).await;
    // A restart of the hub makes the agent connect anew, to a certificate of the new CA.
    fleet.hub.program.terminate(DEADLINE).await.unwrap();
    fleet.hub.restart().await.unwrap();
    connection_becomes(&fleet.hub, "Connected").await;
    assert!(
        !fleet.agent(CLUSTER).program.log().contains("cannot be trusted"),
        "it never lost its trust in the hub"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_cluster_goes_on_from_git_and_comes_back_with_a_new_token() {
    let (mut fleet, _target) = joined().await;
    fleet.hub.muster(["cluster", "revoke", CLUSTER]).unwrap().run(DEADLINE).await.unwrap().success();
    connection_becomes(&fleet.hub, "Unreachable").await;
    let agent = fleet.agent(CLUSTER);
    agent.program.wait_for_log("were revoked", DEADLINE).await.unwrap();
    let log = agent.program.log();
    assert!(log.contains("goes on with Git alone") && log.contains("muster token create dev"), "{log}");
    let token = fleet.hub.token(CLUSTER).await.unwrap();
    fleet.agent(CLUSTER).set_token(&token).unwrap();
    connection_becomes(&fleet.hub, "Connected").await;
}
