//! An app has its manifests from another repository.

use std::collections::BTreeMap;

use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::wait;

use super::story::{FLEET, Story, app, cluster, deployment, settings};

fn elsewhere(url: &str, reference: &str) -> String {
    let source = format!("source: {{path: deploy, repo: '{url}', ref: '{reference}'}}");
    app("web").replace("source: {path: apps/web}", &source)
}

/// A fleet of these documents, whose app `web` is in another repository with one commit.
async fn start(fleet: &str, targets: &[Target], reference: &str) -> (Fleet, muster_tests::git::Repository) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert("muster.yaml".into(), fleet.into());
    files.insert("apps/api.yaml".into(), app("api").into());
    files.insert("apps/api/settings.yaml".into(), settings("one").into());
    for target in targets {
        files.insert(format!("clusters/{}.yaml", target.name), cluster(&target.name).into());
    }
    let started = Fleet::start_promoting(&files).await.unwrap();
    let shop = started.git.create("shop").unwrap();
    let first = shop.commit(&[("deploy/web.yaml", deployment("nginx:1.24"))], "one").unwrap();
    let reference = if reference.is_empty() { first } else { reference.to_owned() };
    let web = elsewhere(&started.git.url("shop"), &reference);
    started.repository.commit(&[("apps/web.yaml", web)], "web is elsewhere").unwrap();
    (started, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_another_repository_is_followed_and_holds_up_its_own_apps_alone() {
    let fleet =
        "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {interval: 1s}\n";
    let targets = Target::simulated(&["dev"]).await;
    let (started, shop) = start(fleet, &targets, "main").await;
    let nowhere = started.git.url("nowhere");
    let lost = app("lost")
        .replace("source: {path: apps/lost}", &format!("source: {{path: deploy, repo: '{nowhere}'}}"));
    started.repository.commit(&[("apps/lost.yaml", lost)], "one that cannot be had").unwrap();
    let mut story = Story::join_with(started, targets, |options| options.interval("1s")).await;
    story.until_image("dev", "nginx:1.24").await;
    let told = async || {
        let (_, lost) = story.fleet.hub.json(&["app", "lost"]).await.map_err(|error| error.to_string())?;
        let text = lost.to_string();
        if text.contains("HEAD of") && text.contains(&nowhere) { Ok(()) } else { Err(text) }
    };
    wait::until("the lost app to say why", DEADLINE, told).await;
    shop.commit(&[("deploy/web.yaml", deployment("nginx:1.25"))], "two").unwrap();
    story.until_image("dev", "nginx:1.25").await;

    // The branch is gone: what was read of it stays, also over a restart, and the other app goes on.
    let last = shop.resolve("main").unwrap();
    shop.set_branch("aside", &last).unwrap();
    shop.delete_branch("main").unwrap();
    story.fleet.agent("dev").program.kill();
    story.fleet.agent("dev").program.restart().unwrap();
    story.commit("apps/api/settings.yaml", settings("two"), "two");
    wait::until("the other app to go on", DEADLINE, async || {
        let (_, app) = story.fleet.hub.json(&["app", "api"]).await.map_err(|error| error.to_string())?;
        let head = story.fleet.repository.resolve("main").map_err(|error| error.to_string())?;
        if app.to_string().contains(&head) { Ok(()) } else { Err(app.to_string()) }
    })
    .await;
    assert_eq!(story.image("dev").await.as_deref(), Some("nginx:1.25"));
    shop.set_branch("main", &last).unwrap();
    shop.commit(&[("deploy/web.yaml", deployment("nginx:1.26"))], "three").unwrap();
    story.until_image("dev", "nginx:1.26").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_repository_goes_through_the_waves() {
    let targets = Target::simulated(&["dev", "staging", "prod"]).await;
    let (started, shop) = start(FLEET, &targets, "").await;
    let mut story = Story::join(started, targets).await;
    story.until("web", "prod", "AwaitingApproval").await;
    story.until_image("staging", "nginx:1.24").await;
    assert_eq!(story.image("prod").await, None);
    story.decide(&["approve", "web"]).await;
    story.until_image("prod", "nginx:1.24").await;

    let second = shop.commit(&[("deploy/web.yaml", deployment("nginx:1.25"))], "two").unwrap();
    let url = story.fleet.git.url("shop");
    story.commit("apps/web.yaml", elsewhere(&url, &second), "web two");
    story.until_image("staging", "nginx:1.25").await;
    story.until("web", "prod", "AwaitingApproval").await;
    assert_eq!(story.image("prod").await.as_deref(), Some("nginx:1.24"));
    story.decide(&["rollback", "web"]).await;
    story.until_image("dev", "nginx:1.24").await;

    // A branch would reach every wave at once.
    story.commit("apps/web.yaml", elsewhere(&url, "main"), "web follows");
    story
        .fleet
        .agent("dev")
        .program
        .wait_for_log("in a fleet with waves name a commit", DEADLINE)
        .await
        .unwrap();
    assert_eq!(story.image("dev").await.as_deref(), Some("nginx:1.24"));
}
