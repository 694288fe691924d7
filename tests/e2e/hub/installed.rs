//! Does a real API server take both shapes of `deploy/hub`, and a real hub their settings?

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use muster_hub::config::{RunFlags, Settings, StoreSettings};
use muster_tests::kubernetes::{Cluster, Options};
use muster_tests::skip;
use serde_json::Value;

use super::*;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

async fn apply(cluster: &Cluster, shape: &str) -> Option<()> {
    let kubectl = skip::program("kubectl")?;
    let applied = Launch::command(kubectl)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(["apply", "--server-side", "-k"])
        .arg(deploy().join("hub").join(shape))
        .run(DEADLINE)
        .await
        .unwrap();
    assert_eq!(applied.code(), Some(0), "{}{}", applied.stdout, applied.stderr);
    // A Pod that its namespace does not admit is told here.
    assert!(!applied.stderr.contains("Warning"), "{}", applied.stderr);
    Some(())
}

/// Pods of the hub, as they were admitted.
async fn pods(cluster: &Cluster, count: usize) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "muster-hub");
    wait::until(&format!("{count} Pods of the hub"), DEADLINE, async || {
        let found = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        if found.len() == count { Ok(found) } else { Err(format!("{}", found.len())) }
    })
    .await
}

/// Whether the hub's account may do this anywhere.
async fn may(cluster: &Cluster, verb: &str, group: &str, resource: &str) -> bool {
    let given = |text: &str| Some(text.to_owned());
    let attributes = ResourceAttributes {
        group: given(group),
        resource: given(resource),
        verb: given(verb),
        namespace: given("muster-hub"),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        user: given("system:serviceaccount:muster-hub:muster-hub"),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
async fn both_shapes_are_admitted_and_have_no_right_to_anything() {
    for (shape, count) in [("single", 1), ("replicated", 3)] {
        let Some(cluster) = Cluster::start_or_skip("hub", Options::default()).await else { return };
        if apply(&cluster, shape).await.is_none() {
            return;
        }
        for pod in pods(&cluster, count).await {
            let volumes = pod.spec.unwrap().volumes.unwrap_or_default();
            let tokens = volumes.iter().filter(|volume| {
                let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
                sources.is_some_and(|sources| {
                    sources.iter().any(|source| source.service_account_token.is_some())
                })
            });
            assert_eq!(tokens.count(), 0, "the hub's Pod has no way to authenticate to Kubernetes");
        }
        let client = cluster.client();
        if shape == "single" {
            let set = Api::<StatefulSet>::namespaced(client, "muster-hub").get("muster-hub").await.unwrap();
            assert_eq!(set.spec.unwrap().replicas, Some(1));
        } else {
            let deployments = Api::<Deployment>::namespaced(client, "muster-hub");
            wait::until("three hubs", DEADLINE, async || {
                let deployment = deployments.get("muster-hub").await.map_err(|error| error.to_string())?;
                let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default();
                if ready == 3 { Ok(()) } else { Err(format!("{ready} ready")) }
            })
            .await;
        }
        for (verb, group, resource) in [
            ("get", "", "secrets"),
            ("list", "", "pods"),
            ("create", "", "pods"),
            ("patch", "apps", "deployments"),
            ("get", "coordination.k8s.io", "leases"),
            ("impersonate", "", "serviceaccounts"),
        ] {
            assert!(!may(&cluster, verb, group, resource).await, "{shape}: may {verb} {resource}");
        }
    }
}

/// The objects of a shape, rendered as any app is.
fn objects(shape: &str) -> Vec<Value> {
    fn walk(directory: &Path, prefix: &str, files: &mut muster_render::Files) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{path}/"), files);
            } else {
                files.insert(path, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut files = muster_render::Files::new();
    walk(&deploy().join("hub"), "", &mut files);
    let rendered = muster_render::render(&files, shape, &muster_render::Limits::default());
    rendered.unwrap().into_iter().map(|object| object.value).collect()
}

/// The directory of a hub as a Pod sees it: settings and what signs, without the key of the CA.
async fn mounted(scratch: &Path, shape: &str) -> PathBuf {
    let made = scratch.join("made");
    init(&made, "127.0.0.1:1".parse().unwrap()).await;
    let mounted = scratch.join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    for file in ["ca.crt", "issuer.crt", "issuer.key"] {
        std::fs::copy(made.join(file), mounted.join(file)).unwrap();
    }
    let objects = objects(shape);
    let config = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let text = config["data"]["config.yaml"].as_str().unwrap();
    let data = scratch.join("data").display().to_string();
    let text = text.replace("/var/lib/muster-hub", &data).replace("hub.example.org:8443", "127.0.0.1:1");
    std::fs::write(mounted.join("config.yaml"), text).unwrap();
    mounted
}

#[tokio::test]
async fn a_hub_runs_with_what_is_mounted_and_writes_nothing_there() {
    let scratch = Scratch::new("mounted").unwrap();
    let directory = mounted(scratch.path(), "single").await;
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let (listen, dashboard) = (metrics.to_string(), format!("127.0.0.1:{}", ports::free()));
    let more = ["--metrics", &listen, "--dashboard", &dashboard];
    let mut hub = launch(&directory, address, &more).start().unwrap();
    hub.wait_for_port(address, DEADLINE).await.unwrap();
    hub.wait_for_port(metrics, DEADLINE).await.unwrap();
    assert!(scratch.path().join("data/store").is_dir());
    assert_eq!(names(), before);
}

#[tokio::test]
async fn the_settings_of_three_hubs_name_their_etcd() {
    let scratch = Scratch::new("mounted").unwrap();
    let directory = mounted(scratch.path(), "replicated").await;
    let settings = Settings::read(RunFlags { dir: directory, ..RunFlags::default() }).unwrap();
    assert!(matches!(settings.store, StoreSettings::Etcd(_)), "{:?}", settings.store);
    assert!(settings.metrics.is_some());
}
