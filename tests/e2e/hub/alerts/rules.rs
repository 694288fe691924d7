//! Do rules in Git decide who is told, and does a bot in Slack tell of the end in the thread where it told of the beginning?

use muster_tests::git;

use super::*;

const CLUSTER: &str = "apiVersion: muster.dev/v1alpha1
kind: Cluster
metadata: {name: prod, labels: {env: prod}}
";

fn fleet(spec: &str) -> String {
    format!("apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n{spec}")
}

const RULES: &str = "  alerts:
  - {kinds: [OutOfSync], clusters: {matchLabels: {env: prod}}, mute: true}
  - {kinds: [Degraded], apps: [we*], severity: warning, receivers: [chat, nobody]}
";

/// Keeps an agent alive while something is waited for.
async fn beating<T>(agent: &Agent, what: &str, mut done: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait::until(what, DEADLINE, async || {
        agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
        done().await
    })
    .await
}

#[tokio::test]
async fn rules_in_git_say_who_is_told_also_after_a_restart_with_a_fleet_document_that_is_broken() {
    let git = git::Server::start(git::Options::default()).unwrap();
    let repository = git.create("fleet").unwrap();
    let first = repository
        .commit(&[("muster.yaml", fleet(RULES)), ("prod.yaml", CLUSTER.to_owned())], "Rules")
        .unwrap();
    let (receiver, address) = Receiver::start().await;
    let url = git.url("fleet");
    let arguments = ["--heartbeat", "1s", "--repo", url.as_str(), "--repo-interval", "1s"];
    let mut hub = hub_with_flags(&arguments, address, "1s").await;
    // What a rule names that is no receiver is a problem for people, and none of Git.
    let waves = async |hub: &Hub| hub.muster(&["waves", "-o", "json"]).run(DEADLINE).await.unwrap().stdout;
    wait::until("the rules to be read", DEADLINE, async || {
        let shown = waves(&hub).await;
        if shown.contains("does not have: nobody") { Ok(()) } else { Err(shown) }
    })
    .await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    let failed = v1::AppStatus { revision: first.clone(), ..broken("web") };
    agent.report_kept(1, failed.clone()).await;
    let late = v1::AppStatus { sync: v1::SyncStatus::OutOfSync.into(), ..status("api", &first) };
    agent.report_kept(2, late.clone()).await;
    let chat = beating(&agent, "chat to be told", async || {
        receiver.taken("/chat").into_iter().next().ok_or_else(|| "nothing".to_owned())
    })
    .await;
    let text = chat.body["text"].to_string();
    assert!(
        text.contains("web is Degraded in prod") && text.contains(&format!("commit {first} by ")),
        "{text}"
    );
    let muted = beating(&agent, "the other to be muted", async || {
        let shown = hub.muster(&["alerts", "-o", "json"]).run(DEADLINE).await.unwrap().stdout;
        let shown: Value = serde_json::from_str(&shown).map_err(|error| error.to_string())?;
        let alerts = shown["alerts"].as_array().cloned().unwrap_or_default();
        let web = alerts.iter().any(|one| one["app"] == "web" && one["severity"] == "warning");
        let api = alerts.iter().any(|one| one["state"] == "Firing" && one["mutedBy"] == "spec.alerts[0]");
        if web && api { Ok(()) } else { Err(shown.to_string()) }
    });
    muted.await;

    repository.commit(&[("muster.yaml", fleet("  alerts: [{kinds: [Odd]}]\n"))], "A slip").unwrap();
    beating(&agent, "the broken document to be seen", async || {
        let shown = waves(&hub).await;
        if shown.contains("cannot be read") { Ok(()) } else { Err(shown) }
    })
    .await;
    hub.program.kill();
    hub.restart().await;
    let agent = hub.agent("prod", &identity, &[failed, late]).await.unwrap();
    let git_fails = |taken: Vec<Received>| taken.iter().any(|one| one.body["kind"] == "GitFailing");
    beating(&agent, "ops to be told of Git", async || {
        if git_fails(receiver.taken("/ops")) { Ok(()) } else { Err(format!("{:?}", receiver.taken("/ops"))) }
    })
    .await;
    assert!(
        receiver.taken("/ops").iter().all(|one| one.body["kind"] == "GitFailing"),
        "the rules hold still"
    );

    // Without rules all are told of all.
    repository.commit(&[("muster.yaml", fleet("  interval: 1h\n"))], "No rules").unwrap();
    beating(&agent, "ops to be told of both", async || {
        let kinds: Vec<Value> =
            receiver.taken("/ops").into_iter().map(|one| one.body["kind"].clone()).collect();
        let all = ["Degraded", "OutOfSync"].iter().all(|kind| kinds.contains(&Value::from(*kind)));
        if all { Ok(()) } else { Err(format!("{kinds:?}")) }
    })
    .await;
}

#[tokio::test]
async fn of_a_track_that_halted_in_a_wave_its_apps_there_are_not_told_besides() {
    let git = git::Server::start(git::Options::default()).unwrap();
    let repository = git.create("fleet").unwrap();
    let waves = "  waves: [{name: prod, clusters: {matchLabels: {env: prod}}}]\n";
    let app = "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: web}\nspec: {clusters: {}, source: {path: web}}\n";
    let files = [
        ("muster.yaml", fleet(waves)),
        ("prod.yaml", CLUSTER.to_owned()),
        ("app.yaml", app.to_owned()),
        ("web/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n".to_owned()),
    ];
    let head = repository.commit(&files, "An app in a wave").unwrap();
    let (receiver, address) = Receiver::start().await;
    let url = git.url("fleet");
    let arguments = ["--heartbeat", "1s", "--repo", url.as_str(), "--repo-interval", "1s"];
    let hub = hub_with_flags(&arguments, address, "6s").await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, v1::AppStatus { revision: head, ..broken("web") }).await;
    beating(&agent, "the app to be muted", async || {
        let shown = hub.muster(&["alerts", "-o", "json"]).run(DEADLINE).await.unwrap().stdout;
        let shown: Value = serde_json::from_str(&shown).map_err(|error| error.to_string())?;
        let alerts = shown["alerts"].as_array().cloned().unwrap_or_default();
        let muted = |one: &Value| one["state"] == "Firing" && one["mutedBy"] == "PromotionHalted/prod/web";
        if alerts.iter().any(muted) { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    let told = beating(&agent, "ops to be told", async || {
        receiver.taken("/ops").into_iter().next().ok_or_else(|| "nothing".to_owned())
    })
    .await;
    assert_eq!(told.body["kind"], "PromotionHalted");
    assert!(receiver.taken("/ops").iter().all(|one| one.body["kind"] != "Degraded"), "it follows from that");
}

#[tokio::test]
async fn a_receiver_that_took_a_message_as_the_hub_was_killed_hears_of_the_end() {
    let (receiver, address) = Receiver::start().await;
    let mut hub = hub_with(address, "1s").await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    receiver.is_mute.store(true, Ordering::SeqCst);
    agent.report_kept(1, broken("web")).await;
    beating(&agent, "ops to take it without a word", async || {
        if receiver.taken("/ops").is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
    })
    .await;
    hub.program.kill();
    hub.restart().await;
    let agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report(1, status("web", "abc")).await;
    // All is well before the receiver can be told once more that it is not.
    beating(&agent, "it to be over", async || {
        let shown = hub.muster(&["alerts", "-o", "json"]).run(DEADLINE).await.unwrap().stdout;
        let shown: Value = serde_json::from_str(&shown).map_err(|error| error.to_string())?;
        if shown["alerts"][0]["state"] == "Resolved" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    receiver.is_mute.store(false, Ordering::SeqCst);
    beating(&agent, "ops to hear of the end", async || {
        let taken = receiver.taken("/ops");
        let is_over = taken.last().is_some_and(|one| one.body["status"] == "resolved");
        if is_over { Ok(()) } else { Err(format!("{taken:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_bot_tells_slack_of_the_end_in_the_thread_also_after_a_restart() {
    let (receiver, address) = Receiver::start().await;
    let mut hub = Hub::start_prepared(&["--heartbeat", "1s"], |directory| {
        let token = directory.join("slack-token");
        std::fs::write(&token, "xoxb-secret\n").unwrap();
        let alerts = format!(
            "alerts:\n  after: 1s\n  receivers:\n  - name: bot\n    slack-channel: alerts\n    \
             slack-api: \"http://{address}/slack/\"\n    token-file: {}\n    template: {{title: \"{{{{ kind }}}}: {{{{ title }}}}\"}}\n",
            token.display()
        );
        let path = directory.join("config.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + &alerts).unwrap();
    })
    .await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, broken("web")).await;
    let posted = "/slack/chat.postMessage";
    beating(&agent, "a post that is noted", async || {
        if hub.program.log().contains("told") { Ok(()) } else { Err(hub.program.log()) }
    })
    .await;
    let post = receiver.taken(posted).remove(0);
    assert_eq!(
        (&post.body["channel"], post.authorization.as_str()),
        (&"alerts".into(), "Bearer xoxb-secret")
    );
    assert!(post.body["text"].as_str().unwrap().contains("*Degraded: web is Degraded in prod*"), "{post:?}");
    hub.program.kill();
    hub.restart().await;
    let agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report(1, status("web", "abc")).await;
    let reply = beating(&agent, "a reply", async || {
        receiver.taken(posted).into_iter().nth(1).ok_or_else(|| "none".to_owned())
    })
    .await;
    assert_eq!((&reply.body["channel"], &reply.body["thread_ts"]), (&"C1".into(), &"17.5".into()));
    let update = receiver.taken("/slack/chat.update").remove(0);
    assert_eq!((&update.body["ts"], &update.body["channel"]), (&"17.5".into(), &"C1".into()));
    assert!(update.body["text"].as_str().unwrap().contains("no longer Degraded"), "{update:?}");
    assert!(!hub.program.log().contains("xoxb-secret"));
}
