//! Nothing moves while a window is closed, and everything else does.

use muster_tests::fleet::{DEADLINE, Target};
use muster_tests::wait;

use super::story::{FLEET, Story};

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_holds_the_apps_it_is_for_and_no_others() {
    let story = Story::begin(Target::simulated(&["dev", "staging", "prod"]).await).await;
    story.until("web", "prod", "AwaitingApproval").await;
    story.until("api", "prod", "AwaitingApproval").await;
    let freeze = "  windows:\n  - {kind: deny, apps: [web], schedule: '* * * * *', duration: 1h, reason: Christmas trade}\n";
    let frozen = story.commit("muster.yaml", format!("{FLEET}{freeze}"), "freeze web");
    wait::until("the hub to have read the freeze", DEADLINE, async || {
        let waves = story.waves().await?;
        if waves["headRevision"] == frozen.as_str() { Ok(()) } else { Err(waves["headRevision"].to_string()) }
    })
    .await;
    for track in ["web", "api"] {
        story.decide(&["approve", track]).await;
    }
    story.until("web", "prod", "Frozen").await;
    story.until("api", "prod", "Current").await;
    let detail = story.stage("web", "prod").await.unwrap()["detail"].to_string();
    assert!(detail.contains("Christmas trade"), "{detail}");
    // Nor does a person's word move it.
    let output = story.fleet.hub.muster(["promote", "web", "--to", "prod"]).unwrap().run(DEADLINE).await;
    let said = output.unwrap();
    assert!(!said.status.success() && said.stderr.contains("is frozen"), "{}", said.stderr);
    assert_eq!(story.image("prod").await, None);
    story.commit("muster.yaml", FLEET.to_owned(), "thaw");
    story.until("web", "prod", "Current").await;
    story.until_image("prod", "nginx:1.24").await;
}
