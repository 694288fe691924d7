//! Does a real API server take `deploy/agent`, under the strictest Pod Security?

use std::path::Path;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use muster_tests::fleet::DEADLINE;
use muster_tests::kubernetes::Cluster;
use muster_tests::process::Launch;
use muster_tests::{skip, wait};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_daemon_set_is_taken_and_admitted() {
    let Some(kubectl) = skip::program("kubectl") else { return };
    let Some(cluster) = Cluster::shared().await else { return };
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent");
    let applied = Launch::command(kubectl)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(["apply", "--server-side", "-k"])
        .arg(&base)
        .run(DEADLINE)
        .await
        .unwrap();
    assert_eq!(applied.code(), Some(0), "{}{}", applied.stdout, applied.stderr);
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client());
    namespaces.patch("muster-system", &PatchParams::default(), &Patch::Merge(restricted)).await.unwrap();
    // It runs on the nodes of the control plane, and where this label says so.
    let nodes: Api<Node> = Api::all(cluster.client());
    let chosen = json!({"metadata": {"labels": {"muster.dev/agent": "true"}}});
    for node in nodes.list(&ListParams::default()).await.unwrap() {
        let name = node.metadata.name.unwrap_or_default();
        nodes.patch(&name, &PatchParams::default(), &Patch::Merge(&chosen)).await.unwrap();
    }
    let sets: Api<DaemonSet> = Api::namespaced(cluster.client(), "muster-system");
    wait::until("a Pod of the agent on the node", DEADLINE, async || {
        let set = sets.get("muster-agent").await.map_err(|error| error.to_string())?;
        let ready = set.status.map_or(0, |status| status.number_ready);
        if ready == 1 { Ok(()) } else { Err(format!("{ready} ready")) }
    })
    .await;
    assert!(may(cluster, "system:serviceaccount:muster-system:muster-agent", "patch", "deployments").await);
    assert!(!may(cluster, "system:serviceaccount:muster-system:default", "patch", "deployments").await);
}

/// Whether a user may do something to objects of group `apps` in the namespace `default`.
async fn may(cluster: &Cluster, user: &str, verb: &str, resource: &str) -> bool {
    let attributes = ResourceAttributes {
        group: Some("apps".into()),
        namespace: Some("default".into()),
        resource: Some(resource.into()),
        verb: Some(verb.into()),
        ..ResourceAttributes::default()
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            user: Some(user.into()),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}
