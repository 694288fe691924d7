//! Fifty clusters get a revision in batches, whatever becomes of the hub meanwhile, and a bad one stops in the canary.

use std::collections::BTreeMap;

use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::wait;

use super::story::{Story, deployment, timeline};

const FLEET: &str = "apiVersion: muster.dev/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  interval: 1h
  waves:
  - {name: dev, clusters: {matchLabels: {wave: dev}}}
  - {name: staging, clusters: {matchLabels: {wave: staging}}, soak: 1s}
  - {name: canary, clusters: {matchLabels: {wave: canary}}, soak: 1s}
  - {name: prod, clusters: {matchLabels: {wave: prod}}, approval: {required: 1}, batches: [10%, 50%, 100%]}
";
const APP: &str = "apiVersion: muster.dev/v1alpha1
kind: App
metadata: {name: web}
spec: {clusters: {}, namespace: web, source: {path: 'web/{{ cluster.labels.wave }}'}}
";
const WAVES: [(&str, usize); 4] = [("dev", 2), ("staging", 4), ("canary", 4), ("prod", 40)];

fn overlays(of: impl Fn(&str) -> &'static str) -> Vec<(String, String)> {
    WAVES.iter().map(|(wave, _)| (format!("web/{wave}/web.yaml"), deployment(of(wave)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_go_on_after_a_kill_and_a_bad_revision_stops_in_the_canary() {
    let names = WAVES.iter().flat_map(|(wave, count)| (1..=*count).map(move |number| (*wave, number)));
    let names: Vec<(String, &str)> = names.map(|(wave, number)| (format!("{wave}-{number}"), wave)).collect();
    let targets = Target::simulated(&names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()).await;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert("muster.yaml".into(), FLEET.into());
    files.insert("web.yaml".into(), APP.into());
    files.extend(overlays(|_| "nginx:1.24").into_iter().map(|(path, text)| (path, text.into_bytes())));
    for (name, wave) in &names {
        let text = format!(
            "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {name}, labels: {{wave: {wave}}}}}\n"
        );
        files.insert(format!("clusters/{name}.yaml"), text.into_bytes());
    }
    let mut story = Story::join(Fleet::start_promoting(&files).await.unwrap(), targets).await;
    let first = story.fleet.repository.resolve("main").unwrap();
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;

    wait::until("a batch to be on its way", DEADLINE, async || {
        let stage = story.stage("web", "prod").await?;
        let reached = stage["reached"].as_u64().unwrap_or_default();
        if (1..40).contains(&reached) { Ok(()) } else { Err(stage.to_string()) }
    })
    .await;
    story.fleet.hub.program.kill();
    story.fleet.hub.restart().await.unwrap();
    story.until_at("web", "prod", &first).await;
    let reached = |of: &str| {
        let format = "--format=%(trailers:key=Muster-Move,valueonly)";
        let log = story.fleet.repository.git(&["log", "--reverse", format, "muster"]).unwrap();
        let moves =
            log.lines().filter(|line| line.starts_with("prod/web") && line.contains(&format!(" {of} ")));
        moves.map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(reached("promote"), ["4/40"]);
    assert_eq!(reached("extend"), ["20/40", "40/40"]);
    for cluster in ["dev-1", "canary-4", "prod-1", "prod-40"] {
        assert_eq!(story.image(cluster).await.as_deref(), Some("nginx:1.24"), "{cluster}");
    }

    // What is wrong with it only the canary shows.
    let files = overlays(|wave| if matches!(wave, "canary" | "prod") { "fail:1" } else { "nginx:1.25" });
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let second = story.fleet.repository.commit(&files, "nginx 1.25").unwrap();
    story.until("web", "canary", "Halted").await;
    wait::until("an alert that says so", DEADLINE, async || {
        let (_, alerts) = story.fleet.hub.json(&["alerts"]).await.map_err(|error| error.to_string())?;
        let text = alerts.to_string();
        if text.contains("PromotionHalted") && text.contains("canary") { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(story.stage("web", "staging").await.unwrap()["revision"], second.as_str());
    let moved = timeline(&story.fleet.repository, "web");
    assert!(moved.iter().all(|(wave, _, to)| wave != "prod" || *to == first), "{moved:?}");
    story.decide(&["rollback", "web"]).await;
    story.until_image("canary-4", "nginx:1.24").await;
    story.until_image("staging-1", "nginx:1.24").await;
}
