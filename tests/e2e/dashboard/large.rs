//! A fleet of a thousand clusters in a real browser.

use futures::StreamExt as _;
use muster_tests::agents::{self, Agent};
use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::wait;
use muster_wire::v1;
use serde_json::json;

use super::browser::Browser;
use super::pages::{clear_of_obstacles, files};

const MANY: usize = 1_000;
const APP: &str = "gitops-demo";
/// Handshakes at once.
const AT_ONCE: usize = 32;
/// Notes the longest time that the page did not answer.
const WATCH_FRAMES: &str = "window.longest = 0; let last = performance.now();
const step = (now) => { window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(step); };
requestAnimationFrame(step);";

async fn connect(fleet: &Fleet, revision: &str) -> Vec<Agent> {
    let configs = agents::configs(fleet.hub.directory(), MANY).unwrap();
    let address = fleet.hub.address().parse().unwrap();
    let connecting = configs.iter().enumerate().map(|(number, config)| async move {
        let status = [agents::status(APP, revision)];
        let mut agent = wait::until("an agent to be connected", DEADLINE, async || {
            let agent = Agent::connect(address, config, &agents::name(number), &status).await;
            agent.map_err(|error| error.to_string())
        })
        .await;
        say(&mut agent, 1, status[0].clone()).await;
        agent
    });
    futures::stream::iter(connecting).buffered(AT_ONCE).collect().await
}

async fn say(agent: &mut Agent, number: u64, status: v1::AppStatus) {
    agent.outbound.send(agents::report(number, status)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clusters_stay_readable_and_live() {
    let Some(browser) = Browser::start().await else { return };
    let names = ["dev", "staging", "prod"];
    let targets = match Target::real(&names).await {
        Some(targets) => targets,
        None => Target::simulated(&names).await,
    };
    let mut files = files();
    let edge = "  - {name: edge, clusters: {matchLabels: {env: edge}}, batches: [1%, 10%, 100%]}\n";
    files.get_mut("muster.yaml").unwrap().extend(edge.bytes());
    let document = |number| {
        let name = agents::name(number);
        format!(
            "---\napiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {name}, labels: {{env: edge}}}}\n"
        )
    };
    files.insert("clusters/edge.yaml".into(), (0..MANY).map(document).collect::<String>().into_bytes());
    let mut fleet = Fleet::start_promoting(&files).await.unwrap();
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    let revision = fleet.repository.resolve("main").unwrap();
    let mut many = connect(&fleet, &revision).await;
    let token = fleet.hub.user("pat", "promoter").await.unwrap();
    browser.go(&format!("http://{}/#token={token}", fleet.hub.dashboard())).await;
    browser.shows(&["user/pat", "live", "1003"]).await;
    clear_of_obstacles(&browser, "the overview of 1,003 clusters").await;
    let paint =
        "return Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0)";
    println!("first paint after {} ms", browser.run(paint, &[]).await);

    // Found by name, with the filter in the address.
    browser.run("window.stays = true", &[]).await;
    browser.fill("filter", "cluster-0500").await;
    browser.shows(&["cluster-0500"]).await;
    let address = browser.run("return location.href", &[]).await;
    assert!(address.as_str().unwrap_or_default().contains("cluster-0500"), "{address}");
    browser.run("location.hash = '#/clusters/cluster-0500'", &[]).await;
    browser.shows(&["Cluster cluster-0500", APP]).await;
    browser.run("location.hash = '#/'", &[]).await;

    // One that fails among a thousand is seen at once, while all others have news as well.
    browser.run(WATCH_FRAMES, &[]).await;
    for (number, agent) in many.iter_mut().enumerate() {
        let mut status = agents::status(APP, &revision);
        if number == 777 {
            status.health = v1::HealthStatus::Degraded.into();
            "Deployment/shop: Pod shop-1: CrashLoopBackOff".clone_into(&mut status.message);
        } else {
            status.objects.pop();
        }
        say(agent, 2, status).await;
    }
    browser.shows(&["What is not well", "gitops-demo in cluster-0777", "CrashLoopBackOff"]).await;
    let longest = browser.run("return Math.round(window.longest)", &[]).await;
    println!("longest pause of the page while 1,000 reports arrive: {longest} ms");
    clear_of_obstacles(&browser, "the overview with one that fails").await;
    browser.picture("dashboard-thousand").await;
    browser.click("Waves").await;
    browser.shows(&["edge"]).await;
    clear_of_obstacles(&browser, "the waves of 1,003 clusters").await;
    assert_eq!(browser.run("return window.stays", &[]).await, json!(true), "the page was loaded again");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
