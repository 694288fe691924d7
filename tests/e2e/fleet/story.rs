//! A fleet with waves in which a revision of two apps goes from dev to prod, and what tests ask about it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use muster_tests::fleet::{AgentOptions, DEADLINE, Fleet, Target};
use muster_tests::{git, wait};
use serde_json::Value;

/// Clusters of real API servers take turns on a busy machine.
pub(super) const ARRIVAL: Duration = Duration::from_secs(120);

pub(super) const FLEET: &str = "apiVersion: muster.dev/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  interval: 1h
  waves:
  - {name: dev, clusters: {matchLabels: {env: dev}}}
  - {name: staging, clusters: {matchLabels: {env: staging}}, soak: 1s}
  - {name: prod, clusters: {matchLabels: {env: prod}}, approval: {required: 1}}
";

pub(super) fn cluster(name: &str) -> String {
    format!(
        "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {name}, labels: {{env: {name}}}}}\n"
    )
}

pub(super) fn app(name: &str) -> String {
    format!(
        "apiVersion: muster.dev/v1alpha1
kind: App
metadata: {{name: {name}}}
spec:
  clusters: {{}}
  namespace: {name}
  source: {{path: apps/{name}}}
"
    )
}

pub(super) fn deployment(image: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: web}}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: web, image: \"{image}\"}}
"
    )
}

pub(super) fn settings(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{value: {value}}}\n")
}

pub(super) struct Story {
    pub(super) fleet: Fleet,
    pub(super) targets: Vec<Target>,
}

impl Story {
    /// Apps `web` and `api`, each a track, in a cluster for each wave.
    pub(super) async fn begin(targets: Vec<Target>) -> Story {
        let fleet = Fleet::start_promoting(&Story::files(&targets)).await.unwrap();
        Story::join(fleet, targets).await
    }

    pub(super) fn files(targets: &[Target]) -> BTreeMap<String, Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut put = |path: String, text: String| drop(files.insert(path, text.into_bytes()));
        put("muster.yaml".into(), FLEET.into());
        for target in targets {
            put(format!("clusters/{}.yaml", target.name), cluster(&target.name));
        }
        for name in ["web", "api"] {
            put(format!("apps/{name}.yaml"), app(name));
        }
        put("apps/web/web.yaml".into(), deployment("nginx:1.24"));
        put("apps/api/settings.yaml".into(), settings("one"));
        files
    }

    pub(super) async fn join(fleet: Fleet, targets: Vec<Target>) -> Story {
        // Agents hear of news from the hub alone, so that hints are what moves them.
        Story::join_with(fleet, targets, |options| options.interval("1h")).await
    }

    pub(super) async fn join_with(
        mut fleet: Fleet,
        targets: Vec<Target>,
        with: impl Fn(AgentOptions) -> AgentOptions,
    ) -> Story {
        for target in &targets {
            let token = fleet.hub.token(&target.name).await.unwrap();
            let options = with(fleet.agent_options(&target.name, &target.kubeconfig));
            let options = options.hub(&fleet.hub.address(), &token).unwrap();
            fleet.add(options).unwrap();
        }
        Story { fleet, targets }
    }

    pub(super) fn commit(&self, path: &str, text: String, message: &str) -> String {
        self.fleet.repository.commit(&[(path, text)], message).unwrap()
    }

    pub(super) async fn waves(&self) -> Result<Value, String> {
        self.fleet.hub.json(&["waves"]).await.map(|(_, waves)| waves).map_err(|error| error.to_string())
    }

    pub(super) async fn stage(&self, track: &str, wave: &str) -> Result<Value, String> {
        let waves = self.waves().await?;
        let tracks = waves["tracks"].as_array().cloned().unwrap_or_default();
        let found = tracks.iter().find(|found| found["track"] == track).cloned().unwrap_or_default();
        let stages = found["stages"].as_array().cloned().unwrap_or_default();
        stages.into_iter().find(|stage| stage["wave"] == wave).ok_or_else(|| waves.to_string())
    }

    /// Waits until a track is in that state in a wave.
    pub(super) async fn until(&self, track: &str, wave: &str, state: &str) {
        wait::until(&format!("{track} to be {state} in {wave}"), ARRIVAL, async || {
            let stage = self.stage(track, wave).await?;
            if stage["state"] == state { Ok(()) } else { Err(stage.to_string()) }
        })
        .await;
    }

    /// Waits until a wave has proved a revision of a track.
    pub(super) async fn until_at(&self, track: &str, wave: &str, revision: &str) {
        wait::until(&format!("{track} to be at {revision} in {wave}"), ARRIVAL, async || {
            let stage = self.stage(track, wave).await?;
            let there = stage["state"] == "Current" && stage["revision"] == revision;
            if there { Ok(()) } else { Err(stage.to_string()) }
        })
        .await;
    }

    pub(super) async fn decide(&self, arguments: &[&str]) -> String {
        let output = self.fleet.hub.muster(arguments.iter().copied()).unwrap().run(DEADLINE).await;
        output.unwrap().success()
    }

    pub(super) async fn image(&self, cluster: &str) -> Option<String> {
        let target = self.targets.iter().find(|target| target.name == cluster).unwrap();
        let deployments: Api<Deployment> = Api::namespaced(target.client.clone(), "web");
        let found = deployments.get_opt("web").await.ok()??;
        found.spec?.template.spec?.containers.first()?.image.clone()
    }

    pub(super) async fn until_image(&self, cluster: &str, image: &str) {
        wait::until(&format!("{image} in {cluster}"), ARRIVAL, async || {
            let found = self.image(cluster).await;
            if found.as_deref() == Some(image) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }

    pub(super) fn pins(&self, arguments: &[&str]) -> String {
        self.fleet.repository.git(arguments).unwrap()
    }
}

/// What the branch of pins says happened, oldest first, from `git log` alone.
pub(super) fn timeline(repository: &git::Repository, track: &str) -> Vec<(String, String, String)> {
    let format = "--format=%(trailers:key=Muster-Move,valueonly)";
    let log = repository.git(&["log", "--reverse", format, "muster"]).unwrap();
    let lines = log.lines().filter(|line| !line.is_empty());
    let read = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (wave, of) = words[0].split_once('/').unwrap();
        let to = words[2].split_once("..").unwrap().1;
        (of == track).then(|| (wave.to_owned(), words[1].to_owned(), to.to_owned()))
    };
    lines.filter_map(read).collect()
}
