//! Of several hubs one promotes, and whatever becomes of it nothing is promoted twice.

use std::collections::BTreeMap;
use std::path::Path;

use muster_tests::etcd::Etcd;
use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::process::Signal;
use muster_tests::wait;

use super::story::{Story, deployment, timeline};

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_never_both_promote() {
    let Some(etcd) = Etcd::start_or_skip(1).await else { return };
    let share = |directory: &Path| {
        let config = directory.join("config.yaml");
        let text = std::fs::read_to_string(&config)?;
        std::fs::write(config, text + &etcd.store())
    };
    let targets = Target::simulated(&["dev", "staging", "prod"]).await;
    let mut fleet = Fleet::start_prepared(&Story::files(&targets), share).await.unwrap();
    wait::until("the first hub to lead", DEADLINE, async || fleet.hub.leads()).await;
    let keys = fleet.hub.directory().to_owned();
    let second = fleet.another_hub(|directory| {
        for name in ["ca.crt", "issuer.crt", "issuer.key", "operator.yaml"] {
            std::fs::copy(keys.join(name), directory.join(name))?;
        }
        share(directory)
    });
    let second = second.await.unwrap();
    // Agents and people use the one that does not lead, and it answers all the same.
    let mut first = std::mem::replace(&mut fleet.hub, second);
    let address = fleet.hub.address();
    let operator = fleet.hub.directory().join("operator.yaml");
    let text = std::fs::read_to_string(&operator).unwrap();
    std::fs::write(&operator, text.replace(&first.address(), &address)).unwrap();
    let story = Story::join(fleet, targets).await;
    let one = story.fleet.repository.resolve("main").unwrap();
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &one).await;
    assert!(first.leads() && !story.fleet.hub.leads());

    // The one that leads stands still; the other takes over. Then it wakes, and knows nothing of that.
    first.program.signal(Signal::SIGSTOP);
    let two = story.commit("apps/web/web.yaml", deployment("nginx:1.25"), "nginx 1.25");
    story.until_at("web", "staging", &two).await;
    assert!(story.fleet.hub.leads());
    first.program.signal(Signal::SIGCONT);
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &two).await;
    let three = story.commit("apps/web/web.yaml", deployment("nginx:1.26"), "nginx 1.26");
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &three).await;

    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    for step in timeline(&story.fleet.repository, "web") {
        *times.entry(step).or_default() += 1;
    }
    let expected = [&one, &two, &three].into_iter().flat_map(|revision| {
        let step = |wave: &str, action: &str| ((wave.to_owned(), action.to_owned(), revision.clone()), 1);
        [step("staging", "promote"), step("prod", "promote")]
    });
    times.retain(|(_, action, _), _| action != "approve");
    assert_eq!(times, expected.collect());
}
