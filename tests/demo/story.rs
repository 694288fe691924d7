//! What the demo does, step by step, and what it says.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use muster_tests::fleet::{self, DEADLINE, Fleet, Target};
use muster_tests::wait;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const APP: &str = "gitops-demo";
/// The Fleet document, and what it gains.
const FLEET: &str = "muster.yaml";
const WAVES: [&str; 4] = ["dev", "staging", "canary", "prod"];
const WAVES_TEXT: &str = "  waves:
  - {name: dev, clusters: {matchLabels: {env: dev}}}
  - {name: staging, clusters: {matchLabels: {env: staging}}, soak: 2s}
  - {name: canary, clusters: {matchLabels: {env: canary}}, soak: 2s}
  - {name: prod, clusters: {matchLabels: {env: prod}}, approval: {required: 1}}
";
/// The App document, and the directories it then has.
const APP_FILE: &str = "apps/gitops-demo.yaml";
const SOURCE: (&str, &str) = ("path: manifests/gitops-demo", "path: \"overlays/{{ cluster.labels.env }}\"");
/// What makes its manifests a base of those.
const BASE: (&str, &str) =
    ("manifests/gitops-demo/kustomization.yaml", "resources: [deployment.yaml, service.yaml]\n");
const FILE: &str = "manifests/gitops-demo/deployment.yaml";
/// First syncs on real clusters wait for images to be pulled.
const ROLL_OUT_DEADLINE: Duration = Duration::from_secs(300);

/// The fleet and how far the demo is with it.
pub(crate) struct Story {
    fleet: Fleet,
    clusters: Vec<Target>,
    simulated: bool,
    step: u32,
    /// Address of the dashboard, with a token that logs in.
    dashboard: String,
}

impl Story {
    /// Git server, hub, and an enrolled agent for each cluster.
    pub(crate) async fn begin(clusters: Vec<Target>, simulated: bool) -> Result<Story> {
        let mut files = fleet::example()?;
        for cluster in &clusters {
            let path = format!("clusters/{}.yaml", cluster.name);
            files.entry(path).or_insert_with(|| document(&cluster.name).into_bytes());
        }
        let fleet = Fleet::start_promoting(&files).await?;
        let token = fleet.hub.user("demo", "admin").await?;
        let dashboard = format!("http://{}/#token={token}", fleet.hub.dashboard());
        let mut story = Story { fleet, clusters, simulated, step: 0, dashboard };
        let names: Vec<_> = story.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        story.heading(&format!("A Git server, a hub, and an agent in each of {}", names.join(", ")));
        println!("Git     {}", story.fleet.git.url("fleet"));
        println!("hub     https://{}", story.fleet.hub.address());
        println!("look    {}", story.dashboard);
        for cluster in &story.clusters {
            story.fleet.join(&cluster.name, &cluster.kubeconfig).await?;
            println!("agent   {:<8} enrols with a token of its own and pulls from Git", cluster.name);
        }
        Ok(story)
    }

    /// The first commit arrives in every cluster.
    pub(crate) async fn deploy(&mut self) -> Result<()> {
        self.heading(&format!("The app {APP} is in Git: 2 replicas of nginx:1.24"));
        let revision = self.fleet.repository.resolve("main")?;
        let took = self.everywhere_at(&revision).await?;
        println!("In every cluster, Synced and Healthy, after {}.", seconds(took));
        self.show(&["status"]).await
    }

    /// Somebody scales by hand, in each cluster in turn.
    pub(crate) async fn drift(&mut self) -> Result<()> {
        self.heading("Somebody scales it to 5 by hand, as `kubectl scale` does");
        for cluster in &self.clusters {
            let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), APP);
            let scaled = fleet::scale_and_wait(&deployments, APP, 5, 2);
            let took =
                tokio::time::timeout(DEADLINE, scaled).await.map_err(|_| "the drift was not healed")??;
            println!("{:<8} 2 -> 5 -> 2 again after {} ms", cluster.name, took.as_millis());
        }
        self.drift_is_told().await?;
        // Its controller takes note of the change back and forth before all is well again.
        let revision = self.fleet.repository.resolve("main")?;
        self.everywhere_at(&revision).await?;
        self.show(&["app", APP]).await
    }

    /// A commit changes the image.
    pub(crate) async fn roll_out(&mut self) -> Result<()> {
        self.heading("A commit changes nginx:1.24 to nginx:1.25");
        let changed = example(FILE)?.replace("nginx:1.24", "nginx:1.25");
        let revision = self.fleet.repository.commit(&[(FILE, changed)], "nginx 1.25")?;
        let took = self.everywhere_at(&revision).await?;
        for cluster in &self.clusters {
            let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), APP);
            let image = image(&deployments.get(APP).await?);
            if image != "nginx:1.25" {
                return Err(format!("{} runs {image}", cluster.name).into());
            }
        }
        println!(
            "In every cluster, Synced and Healthy, after {} (agents ask Git every second).",
            seconds(took)
        );
        self.show(&["apps"]).await
    }

    /// True when there is a cluster for each of the waves.
    pub(crate) fn has_every_wave(&self) -> bool {
        WAVES.iter().all(|wave| self.clusters.iter().any(|cluster| cluster.name == *wave))
    }

    /// From wave to wave, with an approval.
    pub(crate) async fn promote(&mut self) -> Result<()> {
        self.heading("The fleet gets waves: dev, staging, a canary, then prod, which needs an approval");
        println!("{FLEET} gains:\n{WAVES_TEXT}");
        let mut files: Vec<(String, String)> = WAVES.iter().map(|wave| overlay(wave, "")).collect();
        files.push((BASE.0.to_owned(), BASE.1.to_owned()));
        files.push((FLEET.to_owned(), example(FLEET)? + WAVES_TEXT));
        files.push((APP_FILE.to_owned(), example(APP_FILE)?.replace(SOURCE.0, SOURCE.1)));
        self.fleet.repository.commit(&files, "Waves, each with an overlay")?;
        self.until("prod", "AwaitingApproval").await?;
        self.show(&["approve", APP, "--reason", "the first of all"]).await?;
        self.until("prod", "Current").await?;
        self.heading("A commit changes nginx:1.25 to nginx:1.26");
        let started = Instant::now();
        let revision = self.image("nginx:1.26")?;
        self.until("prod", "AwaitingApproval").await?;
        self.show(&["waves"]).await?;
        self.show(&["approve", APP]).await?;
        self.everywhere_at(&revision).await?;
        self.until("prod", "Current").await?;
        println!("In prod, Synced and Healthy, after {}.", seconds(started.elapsed()));
        self.show(&["waves"]).await
    }

    /// A revision that fails goes no further than it has to.
    pub(crate) async fn halt(&mut self) -> Result<()> {
        self.heading("A commit names an image for production, and it crashes there");
        let images = "images:\n- {name: nginx, newTag: fail}\n";
        self.fleet.repository.commit(&[overlay("canary", images), overlay("prod", images)], "nginx:fail")?;
        self.until("canary", "Halted").await?;
        self.show_any(&["waves", "--explain"]).await?;
        for cluster in self.clusters.iter().filter(|cluster| cluster.name != "canary") {
            let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), APP);
            let image = image(&deployments.get(APP).await?);
            println!("{:<8} still runs {image}", cluster.name);
            if image != "nginx:1.26" {
                return Err(format!("{} runs {image}", cluster.name).into());
            }
        }
        Ok(())
    }

    /// One word, and every wave that has the newest revision has the one before.
    pub(crate) async fn roll_back(&mut self) -> Result<()> {
        self.heading("One word takes it back");
        let started = Instant::now();
        self.show(&["rollback", APP, "--reason", "it crashes"]).await?;
        wait::try_until("all is well again", ROLL_OUT_DEADLINE, async || {
            let (code, document) =
                self.fleet.hub.json(&["app", APP]).await.map_err(|error| error.to_string())?;
            if code == 0 { Ok(()) } else { Err(document.to_string()) }
        })
        .await?;
        println!("All is well again after {}.", seconds(started.elapsed()));
        self.show(&["history", APP]).await?;
        println!("\n$ git log --format='%an: %s' muster");
        print!("{}", self.fleet.repository.git(&["log", "--format=%an: %s", "muster"])?);
        Ok(())
    }

    /// Commits another image.
    fn image(&self, image: &str) -> Result<String> {
        let changed = example(FILE)?.replace("nginx:1.24", image);
        Ok(self.fleet.repository.commit(&[(FILE, changed)], image)?)
    }

    /// Waits until the app is in that state in a wave.
    async fn until(&self, wave: &str, state: &str) -> Result<()> {
        wait::try_until(&format!("{APP} to be {state} in {wave}"), ROLL_OUT_DEADLINE, async || {
            let (_, waves) = self.fleet.hub.json(&["waves", APP]).await.map_err(|error| error.to_string())?;
            let stages = waves["tracks"][0]["stages"].as_array().cloned().unwrap_or_default();
            let there = stages.iter().any(|stage| stage["wave"] == wave && stage["state"] == state);
            if there { Ok(()) } else { Err(waves.to_string()) }
        })
        .await?;
        Ok(())
    }

    /// What happened, as the hub recorded it.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.heading("What the hub saw");
        self.show(&["events", "--limit", "12"]).await
    }

    /// How to go on by hand.
    pub(crate) fn invite(&self) {
        println!("\nThe fleet stays up until Ctrl-C. The dashboard, logged in: {}", self.dashboard);
        println!("\nIn another terminal:\n");
        println!("  export MUSTER_CONFIG={}", self.fleet.hub.operator_config().display());
        println!("  {} status", muster().display());
        println!("  {} watch", muster().display());
        println!("  git clone {}", self.fleet.git.url("fleet"));
        for cluster in &self.clusters {
            println!("  kubectl --kubeconfig {} -n {APP} get deployments", cluster.kubeconfig.display());
        }
        if !self.simulated {
            println!(
                "\nAfterwards, `kubectl delete namespace {APP} muster-system` removes it from your clusters."
            );
        }
    }

    /// Waits until the command line says that the app is well everywhere at `revision`.
    async fn everywhere_at(&self, revision: &str) -> Result<Duration> {
        let started = Instant::now();
        let count = self.clusters.len();
        wait::try_until(&format!("{APP} at {revision} everywhere"), ROLL_OUT_DEADLINE, async || {
            let (code, document) =
                self.fleet.hub.json(&["app", APP]).await.map_err(|error| error.to_string())?;
            let apps = document["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
            let there = apps.len() == count && apps.iter().all(|app| app["revision"] == revision);
            if code == 0 && there { Ok(()) } else { Err(document.to_string()) }
        })
        .await?;
        Ok(started.elapsed())
    }

    /// Waits until the hub knows of a corrected drift in each cluster.
    async fn drift_is_told(&self) -> Result<()> {
        wait::try_until("the drift in what the hub knows", DEADLINE, async || {
            let (_, document) =
                self.fleet.hub.json(&["app", APP]).await.map_err(|error| error.to_string())?;
            let apps = document["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
            let told = apps.iter().all(|app| app["drifts"][0]["correctedAt"].is_string());
            if told && !apps.is_empty() { Ok(()) } else { Err(document.to_string()) }
        })
        .await?;
        Ok(())
    }

    fn heading(&mut self, text: &str) {
        self.step += 1;
        println!("\n== {}. {text}", self.step);
    }

    /// Runs a command of `muster` and shows it with what it prints.
    async fn show(&self, arguments: &[&str]) -> Result<()> {
        match self.show_any(arguments).await? {
            0 => Ok(()),
            code => Err(format!("muster {} ended with {code}", arguments.join(" ")).into()),
        }
    }

    /// The same for a command that may say that not all is well; gives its exit code.
    async fn show_any(&self, arguments: &[&str]) -> Result<i32> {
        println!("\n$ muster {}", arguments.join(" "));
        let output = self.fleet.hub.muster(arguments.iter().copied())?.run(DEADLINE).await?;
        print!("{}", output.stdout);
        match output.code() {
            Some(code @ (0 | 1)) => Ok(code),
            _ => Err(format!("muster {}: {} {}", arguments.join(" "), output.status, output.stderr).into()),
        }
    }
}

fn document(cluster: &str) -> String {
    let env = if WAVES.contains(&cluster) { cluster } else { "dev" };
    format!(
        "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata:\n  name: {cluster}\n  labels:\n    env: {env}\n"
    )
}

/// A file of the example fleet.
fn example(path: &str) -> Result<String> {
    let bytes = fleet::example()?.remove(path).ok_or_else(|| format!("the example fleet has no {path}"))?;
    Ok(String::from_utf8(bytes)?)
}

/// The overlay of a wave, with what it adds.
fn overlay(wave: &str, more: &str) -> (String, String) {
    let text = format!("resources: [../../manifests/{APP}]\n{more}");
    (format!("overlays/{wave}/kustomization.yaml"), text)
}

fn image(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.and_then(|pod| pod.containers.first()?.image.clone()).unwrap_or_default()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn muster() -> std::path::PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name("muster")
}
