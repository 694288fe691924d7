//! Kustomize bases and overlays, one overlay a cluster, as teams that come from other tools have them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::wait;

const BASE: &str = "environments/base/deployment.yaml";

fn base(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: shop}}\nspec:\n  selector: {{matchLabels: {{app: shop}}}}\n  \
         template:\n    metadata: {{labels: {{app: shop}}}}\n    spec: {{containers: [{{name: shop, image: \"{image}\"}}]}}\n"
    )
}

fn overlay(replicas: u32) -> String {
    format!(
        "resources: [../base]\nnamespace: shop\nnamePrefix: my-\nreplicas: [{{name: shop, count: {replicas}}}]\n"
    )
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let document = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: muster.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n{spec}")
    };
    let spec = "spec: {clusters: {}, source: {path: 'environments/{{ cluster.name }}'}, namespace: shop}\n";
    [
        ("muster.yaml", document("Fleet", "test", "")),
        ("clusters/dev.yaml", document("Cluster", "dev", "")),
        ("clusters/prod.yaml", document("Cluster", "prod", "")),
        ("apps/shop.yaml", document("App", "shop", spec)),
        ("environments/base/kustomization.yaml", "resources: [deployment.yaml]\n".to_owned()),
        (BASE, base("shop:1")),
        ("environments/dev/kustomization.yaml", overlay(1)),
        ("environments/prod/kustomization.yaml", overlay(5)),
    ]
    .map(|(path, text)| (path.to_owned(), text.into_bytes()))
    .into()
}

async fn becomes(target: &Target, replicas: i32, image: &str) {
    let deployments: Api<Deployment> = Api::namespaced(target.client.clone(), "shop");
    wait::until(&format!("{replicas} of {image} in {}", target.name), DEADLINE, async || {
        let found = deployments.get_opt("my-shop").await.map_err(|error| error.to_string())?;
        let spec = found.and_then(|found| found.spec).ok_or("no Deployment")?;
        let now = (spec.replicas, spec.template.spec.and_then(|pod| pod.containers[0].image.clone()));
        if now == (Some(replicas), Some(image.to_owned())) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cluster_gets_its_overlay_and_follows_the_base() {
    let mut fleet = Fleet::start(&files()).await.unwrap();
    let targets = Target::simulated(&["dev", "prod"]).await;
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    becomes(&targets[0], 1, "shop:1").await;
    becomes(&targets[1], 5, "shop:1").await;
    fleet.repository.commit(&[(BASE, base("shop:2"))], "A change in the base alone").unwrap();
    becomes(&targets[0], 1, "shop:2").await;
    becomes(&targets[1], 5, "shop:2").await;
}
