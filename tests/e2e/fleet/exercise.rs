//! The exercise of the GitOps module this project starts from, done by agents in place of a person: deploy
//! `gitops-demo` with 2 replicas of nginx:1.24, scale it to 5 by hand, see 2 again; change the image by a
//! commit; remove the file, see the object go; and see everything else untouched.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use kube::api::{Api, ObjectMeta, PostParams};
use muster_tests::fleet::{self, DEADLINE, Fleet, Target};
use muster_tests::process::Launch;
use muster_tests::{skip, wait};

use super::view;

const APP: &str = "gitops-demo";
const DEPLOYMENT_FILE: &str = "manifests/gitops-demo/deployment.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn on_three_simulated_clusters() {
    exercise(Target::simulated(&["dev", "staging", "prod"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_real_clusters() {
    if let Some(targets) = Target::real(&["dev", "staging", "prod"]).await {
        exercise(targets).await;
    }
}

async fn exercise(targets: Vec<Target>) {
    let mut fleet = Fleet::start(&fleet::example().unwrap()).await.unwrap();
    for target in &targets {
        put_foreign_objects(target).await;
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    let first = fleet.repository.resolve("main").unwrap();
    everywhere_at(&fleet, &targets, &first).await;
    for target in &targets {
        let deployment = deployments(target).get(APP).await.unwrap();
        assert_eq!(replicas_and_image(&deployment), (2, "nginx:1.24".to_owned()), "{}", target.name);
    }

    for target in &targets {
        scale_by_hand(target).await;
        back_to_two(target).await;
        drift_is_told(&fleet, target).await;
    }

    let text = String::from_utf8(fleet::example().unwrap()[DEPLOYMENT_FILE].clone()).unwrap();
    let second =
        fleet.repository.commit(&[(DEPLOYMENT_FILE, text.replace("nginx:1.24", "nginx:1.25"))], "nginx 1.25");
    everywhere_at(&fleet, &targets, &second.unwrap()).await;
    for target in &targets {
        let deployment = deployments(target).get(APP).await.unwrap();
        assert_eq!(replicas_and_image(&deployment), (2, "nginx:1.25".to_owned()), "{}", target.name);
    }

    let third = fleet.repository.remove(&[DEPLOYMENT_FILE], "Remove the Deployment").unwrap();
    everywhere_at(&fleet, &targets, &third).await;
    for target in &targets {
        let gone = async || deployments(target).get_opt(APP).await.unwrap().is_none();
        wait::until(&format!("the Deployment to be pruned in {}", target.name), DEADLINE, gone).await;
        let services: Api<Service> = Api::namespaced(target.client.clone(), APP);
        assert!(services.get_opt(APP).await.unwrap().is_some(), "the Service is still in Git");
        foreign_objects_are_untouched(target).await;
    }
}

fn deployments(target: &Target) -> Api<Deployment> {
    Api::namespaced(target.client.clone(), APP)
}

fn replicas_and_image(deployment: &Deployment) -> (i32, String) {
    let spec = deployment.spec.as_ref().unwrap();
    let pod = spec.template.spec.as_ref().unwrap();
    (spec.replicas.unwrap(), pod.containers[0].image.clone().unwrap())
}

/// Waits until the command line says that all is well (exit code 0) and the app is at `revision` in all.
async fn everywhere_at(fleet: &Fleet, targets: &[Target], revision: &str) {
    wait::until(&format!("{APP} to be well everywhere at {revision}"), DEADLINE, async || {
        let (code, document) = fleet.hub.json(&["app", APP]).await.map_err(|error| error.to_string())?;
        let states = view::states(&document);
        let there = targets.iter().all(|target| {
            states.get(&target.name).is_some_and(|state| state.is_well() && state.revision == revision)
        });
        if code == 0 && there { Ok(()) } else { Err(format!("exit code {code}, {states:?}")) }
    })
    .await;
    let (code, _) = fleet.hub.json(&["status"]).await.unwrap();
    assert_eq!(code, 0, "muster status agrees that all is well");
}

/// As a person would: with kubectl where there is one, else with the same request.
async fn scale_by_hand(target: &Target) {
    let Some(kubectl) = skip::program("kubectl") else {
        let patch = serde_json::json!({"spec": {"replicas": 5}});
        let parameters =
            kube::api::PatchParams { field_manager: Some("kubectl".into()), ..Default::default() };
        deployments(target).patch_scale(APP, &parameters, &kube::api::Patch::Merge(patch)).await.unwrap();
        return;
    };
    let output = Launch::command(kubectl)
        .arg("--kubeconfig")
        .arg(&target.kubeconfig)
        .args(["--namespace", APP, "scale", "deployment", APP, "--replicas=5"])
        .run(DEADLINE)
        .await;
    let said = output.unwrap().success();
    assert!(said.contains("scaled"), "{said}");
}

async fn back_to_two(target: &Target) {
    wait::until(&format!("2 replicas in {}", target.name), DEADLINE, async || {
        let deployment = deployments(target).get(APP).await.map_err(|error| error.to_string())?;
        match replicas_and_image(&deployment) {
            (2, _) => Ok(()),
            (replicas, _) => Err(format!("{replicas} replicas")),
        }
    })
    .await;
}

async fn drift_is_told(fleet: &Fleet, target: &Target) {
    wait::until("the corrected drift in the command line", DEADLINE, async || {
        let (_, document) = fleet
            .hub
            .json(&["app", APP, "--cluster", &target.name])
            .await
            .map_err(|error| error.to_string())?;
        let drifts = view::drifts(&document);
        let told = drifts.iter().any(|drift| {
            drift["fields"][0]["path"] == ".spec.replicas"
                && drift["fields"][0]["wanted"] == "2"
                && drift["fields"][0]["found"] == "5"
                && drift["fieldManager"].as_str().is_some_and(|who| who.starts_with("kubectl"))
                && drift["correctedAt"].is_string()
        });
        if told { Ok(()) } else { Err(format!("{drifts:?}")) }
    })
    .await;
}

/// A ConfigMap and a Deployment that are nobody's of Muster, in the namespace the app uses.
async fn put_foreign_objects(target: &Target) {
    let namespaces: Api<Namespace> = Api::all(target.client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(APP.into()), ..Default::default() },
        ..Default::default()
    };
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(target.client.clone(), APP);
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("foreign".into()), ..Default::default() },
        data: Some(BTreeMap::from([("mine".to_owned(), "yes".to_owned())])),
        ..Default::default()
    };
    maps.create(&PostParams::default(), &map).await.unwrap();
    let deployment: Deployment = serde_json::from_value(serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "foreign", "labels": {"app": APP}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "foreign"}}, "template": {
            "metadata": {"labels": {"app": "foreign"}},
            "spec": {"containers": [{"name": "main", "image": "nginx:1.0"}]}}}
    }))
    .unwrap();
    deployments(target).create(&PostParams::default(), &deployment).await.unwrap();
}

async fn foreign_objects_are_untouched(target: &Target) {
    let maps: Api<ConfigMap> = Api::namespaced(target.client.clone(), APP);
    let map = maps.get("foreign").await.unwrap();
    assert_eq!(map.data.unwrap()["mine"], "yes");
    assert_eq!(map.metadata.labels, None, "no label was put on what is not Muster's");
    let deployment = deployments(target).get("foreign").await.unwrap();
    assert_eq!(deployment.metadata.generation, Some(1), "its spec was never written to");
}
