//! Real clusters: they start, run workloads, deny, stop and come back, and leave nothing behind.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use muster_tests::kubernetes::{Cluster, Options, Stages};
use muster_tests::process::Launch;
use muster_tests::{skip, wait};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn deployment(name: &str, image: &str, replicas: u32) -> Deployment {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": image }] },
            },
        },
    }))
}

/// The reasons for which containers of these Pods wait.
async fn waiting(pods: &Api<Pod>, selector: &str) -> Vec<String> {
    let pods = pods.list(&ListParams::default().labels(selector)).await.unwrap();
    let statuses = pods.items.into_iter().flat_map(|pod| pod.status.unwrap_or_default().container_statuses);
    statuses.flatten().filter_map(|status| status.state?.waiting?.reason).collect()
}

#[tokio::test]
async fn a_deployment_becomes_available_is_updated_and_goes() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace("kit").await.unwrap();
    let deployments = Api::<Deployment>::namespaced(cluster.client(), &namespace);
    let pods = Api::<Pod>::namespaced(cluster.client(), &namespace);

    deployments.create(&PostParams::default(), &deployment("web", "nginx:1.24", 2)).await.unwrap();
    let available = async || -> Result<(), String> {
        let status = deployments.get_status("web").await.map_err(|error| error.to_string())?;
        let generation = status.metadata.generation;
        let status = status.status.unwrap_or_default();
        let current = status.observed_generation == generation && status.updated_replicas == Some(2);
        if current && status.available_replicas == Some(2) && status.replicas == Some(2) {
            return Ok(());
        }
        Err(format!("{status:?}"))
    };
    wait::until("two available replicas", SOON, available).await;

    let image = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "main", "image": "nginx:1.25" },
    ]}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
    wait::until("two available replicas of the new image", SOON, available).await;

    deployments.delete("web", &DeleteParams::background()).await.unwrap();
    wait::until("no Pods", SOON, async || pods.list(&ListParams::default()).await.unwrap().items.is_empty())
        .await;
}

#[tokio::test]
async fn images_that_fail_or_are_missing_keep_pods_waiting_and_jobs_succeed() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace("kit").await.unwrap();
    let deployments = Api::<Deployment>::namespaced(cluster.client(), &namespace);
    let jobs = Api::<Job>::namespaced(cluster.client(), &namespace);
    let pods = Api::<Pod>::namespaced(cluster.client(), &namespace);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "main", "image": "migrate:1" }],
        }}},
    });

    deployments.create(&PostParams::default(), &deployment("crash", "shop:fail", 1)).await.unwrap();
    deployments.create(&PostParams::default(), &deployment("typo", "shop:missing", 1)).await.unwrap();
    jobs.create(&PostParams::default(), &object(job)).await.unwrap();

    wait::until("a crash loop", SOON, async || waiting(&pods, "app=crash").await == ["CrashLoopBackOff"])
        .await;
    wait::until("a failed pull", SOON, async || waiting(&pods, "app=typo").await == ["ImagePullBackOff"])
        .await;
    let succeeded = async || jobs.get_status("migrate").await.unwrap().status.unwrap().succeeded == Some(1);
    wait::until("the Job to succeed", SOON, succeeded).await;
}

#[tokio::test]
async fn rights_are_what_rbac_gives() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace("kit").await.unwrap();
    let refused = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    let list = async |client: kube::Client| {
        Api::<ConfigMap>::namespaced(client, &namespace).list(&ListParams::default()).await
    };

    let user = cluster.user("mallory", Some("visitors")).await.unwrap();
    assert!(refused(list(user.client()).await.unwrap_err()));

    let accounts = Api::<ServiceAccount>::namespaced(cluster.client(), &namespace);
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } });
    accounts.create(&PostParams::default(), &object(account)).await.unwrap();
    let reader = cluster.service_account(&namespace, "reader").await.unwrap();
    assert!(refused(list(reader.client()).await.unwrap_err()));

    let bindings = Api::<RoleBinding>::namespaced(cluster.client(), &namespace);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "readers" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [
            { "kind": "ServiceAccount", "name": "reader", "namespace": namespace },
            { "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "visitors" },
        ],
    });
    bindings.create(&PostParams::default(), &object(binding)).await.unwrap();
    wait::until("the account to be allowed", SOON, async || list(reader.client()).await).await;
    wait::until("the group to be allowed", SOON, async || list(user.client()).await).await;
    let secrets = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(reader.client(), &namespace);
    assert!(refused(secrets.list(&ListParams::default()).await.unwrap_err()), "view must not show Secrets");
}

#[tokio::test]
async fn kubectl_works_with_the_kubeconfig() {
    let Some(cluster) = Cluster::shared().await else { return };
    let Some(kubectl) = skip::program("kubectl") else { return };
    let kubectl = Launch::command(kubectl).env("KUBECONFIG", cluster.kubeconfig());
    let nodes = kubectl.clone().args(["get", "nodes", "--no-headers"]).run(SOON).await.unwrap().success();
    assert!(nodes.starts_with("node-1   Ready"), "{nodes}");
    let version = kubectl.args(["get", "--raw", "/version"]).run(SOON).await.unwrap().success();
    assert!(version.contains("\"gitVersion\": \"v1.36.3\""), "{version}");
}

#[tokio::test]
async fn a_cluster_of_its_own_has_a_scheduler_comes_back_and_leaves_nothing() {
    let stages = Stages { ready_after: Duration::from_millis(300), ..Stages::default() };
    let options = Options { scheduler: true, stages, ..Options::default() };
    let Some(mut cluster) = Cluster::start_or_skip("own", options).await else { return };
    let directory = cluster.directory().to_owned();
    let text = directory.display().to_string();
    assert_eq!(muster_tests::process::processes_with(&text).len(), 8, "four programs, each with its leash");

    let deployments = Api::<Deployment>::namespaced(cluster.client(), "default");
    deployments.create(&PostParams::default(), &deployment("web", "nginx", 1)).await.unwrap();

    cluster.stop_api_server();
    deployments.get("web").await.expect_err("nothing listens");
    cluster.start_api_server().await.unwrap();
    cluster.pause();
    let silent = tokio::time::timeout(Duration::from_millis(300), deployments.get("web")).await;
    assert!(silent.is_err(), "a stopped server does not answer: {silent:?}");
    cluster.resume();

    let available = async || -> Result<(), String> {
        let status = deployments.get_status("web").await.map_err(|error| error.to_string())?.status;
        let status = status.unwrap_or_default();
        if status.available_replicas == Some(1) { Ok(()) } else { Err(format!("{status:?}")) }
    };
    wait::until("an available replica after all that", SOON, available).await;

    cluster.stop();
    assert_eq!(muster_tests::process::processes_with(&text), Vec::<u32>::new());
    assert!(!directory.exists() || muster_tests::scratch::keep());
}
