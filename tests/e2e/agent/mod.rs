//! Stories of one agent without a hub: the built program, a Git server, and one cluster, simulated or real.

mod adopting;
mod corpus;
mod crash;
mod drift;
mod faults;
mod health;
mod history;
mod installed;
mod kill;
mod kubectl;
mod lead;
mod loops;
mod order;
mod pruning;
mod replacing;
mod requests;
mod webhooks;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use muster_tests::fleet::{Agent, AgentOptions, Target};
use muster_tests::git;
use muster_tests::scratch::Scratch;
use muster_tests::wait;

/// The longest anything should take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const FLEET: &str = "apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: dev, labels: {env: dev}}
";

/// An App document; its manifests are in `apps/NAME`, its objects in the namespace of its name.
fn app(name: &str, more: &str) -> String {
    format!(
        "apiVersion: muster.dev/v1alpha1
kind: App
metadata: {{name: {name}}}
spec:
  clusters: {{matchLabels: {{env: dev}}}}
  source: {{path: apps/{name}}}
  namespace: {name}
{more}"
    )
}

fn deployment(name: &str, replicas: i32, image: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: web, image: \"{image}\", ports: [{{containerPort: 80}}]}}
"
    )
}

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

/// The definition of a kind `Widget`, with `n` at the end of its name.
fn widgets(n: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets{n}.example.org}}
spec:
  group: example.org
  scope: Namespaced
  names: {{kind: Widget{n}, plural: widgets{n}, singular: widget{n}}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{size: {{type: integer}}}}}}}}}}}}
"
    )
}

/// A Git server, a cluster and an agent between them.
struct Bench {
    agent: Agent,
    git: git::Server,
    repository: git::Repository,
    target: Target,
    scratch: Scratch,
}

impl Bench {
    /// Commits the files and starts the agent.
    async fn start(target: Target, files: &[(&str, &str)]) -> Bench {
        Bench::start_with(target, files, &[]).await
    }

    /// The same, with the agent in a namespace of its own: so several may share a cluster.
    async fn start_in(target: Target, home: &str, files: &[(&str, &str)]) -> Bench {
        Bench::start_with(target, files, &["--namespace", home]).await
    }

    /// The same, with more flags.
    async fn start_with(target: Target, files: &[(&str, &str)], flags: &[&str]) -> Bench {
        let scratch = Scratch::new("agent").unwrap();
        let git = git::Server::start(git::Options::default()).unwrap();
        let repository = git.create("fleet").unwrap();
        repository.commit(files, "Begin").unwrap();
        let options = Bench::options(&git, &target, &scratch);
        let agent = Agent::start(flags.iter().fold(options, |options, flag| options.arg(flag))).unwrap();
        Bench { agent, git, repository, target, scratch }
    }

    fn options(git: &git::Server, target: &Target, scratch: &Scratch) -> AgentOptions {
        AgentOptions::new("dev", &git.url("fleet"), &target.kubeconfig, scratch.path())
    }

    fn commit(&self, files: &[(&str, &str)]) {
        self.repository.commit(files, "Change").unwrap();
    }

    fn deployments(&self, namespace: &str) -> Api<Deployment> {
        Api::namespaced(self.target.client.clone(), namespace)
    }

    fn config_maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.target.client.clone(), namespace)
    }

    /// Waits until a Deployment has these replicas and image.
    async fn until_deployed(&self, namespace: &str, name: &str, replicas: i32, image: &str) {
        let wanted = (Some(replicas), Some(image.to_owned()));
        wait::until(&format!("{name} with {replicas} of {image}"), DEADLINE, async || {
            let spec = self.deployments(namespace).get_opt(name).await.ok()??.spec?;
            let image = spec.template.spec?.containers.first()?.image.clone();
            ((spec.replicas, image) == wanted).then_some(())
        })
        .await;
    }

    /// Waits until a ConfigMap's key has this value; `None` until it is gone.
    async fn until_config(&self, namespace: &str, name: &str, value: Option<&str>) {
        wait::until(&format!("{name} with {value:?}"), DEADLINE, async || {
            let found = self.config_maps(namespace).get_opt(name).await.ok()?;
            let found = found.and_then(|map| map.data?.get("key").cloned());
            (found.as_deref() == value).then_some(())
        })
        .await;
    }

    /// Waits until the agent has logged this.
    async fn until_logged(&mut self, text: &str) {
        self.agent.program.wait_for_log(text, DEADLINE).await.unwrap();
    }

    async fn parent(&self, app: &str) -> Option<BTreeMap<String, String>> {
        let parents = self.config_maps("muster-system");
        parents.get_opt(&format!("muster-app-{app}")).await.unwrap()?.metadata.annotations
    }
}

/// Changes an object as a person would, under another manager's name.
async fn patch<K>(objects: &Api<K>, name: &str, patch: Value)
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let parameters = PatchParams { field_manager: Some("by-hand".to_owned()), ..PatchParams::default() };
    // Again when a test has just cut the connection.
    wait::until("a change by hand", DEADLINE, async || {
        objects.patch(name, &parameters, &Patch::Merge(&patch)).await.ok().map(drop)
    })
    .await;
}

async fn simulated() -> Target {
    Target::simulated(&["dev"]).await.remove(0)
}

async fn real() -> Option<Target> {
    Some(Target::real(&["dev"]).await?.remove(0))
}

const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";

/// What an agent is for, from the first object to the last.
async fn everyday(target: Target) {
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "")),
        ("apps/web/web.yaml", &deployment("web", 2, "nginx:1.24")),
        ("apps/web/config.yaml", &config_map("settings", "one")),
    ];
    let bench = Bench::start(target, &files).await;
    bench.until_deployed("web", "web", 2, "nginx:1.24").await;
    bench.until_config("web", "settings", Some("one")).await;
    assert_eq!(bench.parent("web").await.unwrap()[KINDS], "ConfigMap,Deployment.apps");

    // A foreign object in the same namespace, labelled like ours but not applied by us.
    let foreign = json!({"metadata": {"name": "foreign", "labels": {"muster.dev/app": "web"}}, "data": {"key": "mine"}});
    let foreign: ConfigMap = serde_json::from_value(foreign).unwrap();
    bench.config_maps("web").create(&kube::api::PostParams::default(), &foreign).await.unwrap();

    // Scaled by hand.
    patch(&bench.deployments("web"), "web", json!({"spec": {"replicas": 5}})).await;
    bench.until_deployed("web", "web", 2, "nginx:1.24").await;
    // Its label taken away: no watch sees it after that.
    patch(&bench.config_maps("web"), "settings", json!({"metadata": {"labels": {"muster.dev/app": null}}}))
        .await;
    wait::until("the label again", DEADLINE, async || {
        let labels = bench.config_maps("web").get("settings").await.ok()?.metadata.labels?;
        (labels.get("muster.dev/app")? == "web").then_some(())
    })
    .await;
    // Deleted by hand.
    bench.config_maps("web").delete("settings", &kube::api::DeleteParams::default()).await.unwrap();
    bench.until_config("web", "settings", Some("one")).await;
    // What others own is theirs.
    patch(&bench.deployments("web"), "web", json!({"metadata": {"annotations": {"note": "kept"}}})).await;

    bench.commit(&[("apps/web/web.yaml", &deployment("web", 2, "nginx:1.25"))]);
    bench.until_deployed("web", "web", 2, "nginx:1.25").await;
    let annotations = bench.deployments("web").get("web").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations["note"], "kept");

    bench.repository.remove(&["apps/web/config.yaml"], "Remove the settings").unwrap();
    bench.until_config("web", "settings", None).await;
    wait::until("the inventory without it", DEADLINE, async || {
        (bench.parent("web").await?.get(KINDS)? == "Deployment.apps").then_some(())
    })
    .await;
    bench.until_config("web", "foreign", Some("mine")).await;

    bench.repository.remove(&["web.yaml"], "Remove the app").unwrap();
    wait::until("the Deployment gone", DEADLINE, async || {
        bench.deployments("web").get_opt("web").await.ok()?.is_none().then_some(())
    })
    .await;
    wait::until("the inventory gone", DEADLINE, async || bench.parent("web").await.is_none().then_some(()))
        .await;
    bench.until_config("web", "foreign", Some("mine")).await;
}

#[tokio::test]
async fn everyday_on_a_simulated_cluster() {
    everyday(simulated().await).await;
}

#[tokio::test]
async fn everyday_on_a_real_cluster() {
    let Some(target) = real().await else { return };
    everyday(target).await;
}
