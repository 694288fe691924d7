//! Webhooks that change, refuse, fail and are slow stand between the agent and its objects.

use std::time::Duration;

use muster_tests::kubernetes::{Verdict, Webhook};

use super::kubectl::Kubectl;
use super::*;

/// Registers a webhook for the ConfigMaps of the namespace `web`, and waits until it is asked.
async fn register(kubectl: &Kubectl, webhook: &Webhook, kind: &str, timeout: u32) {
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": kind.to_lowercase()},
        "webhooks": [{
            "name": format!("{}.example.org", kind.to_lowercase()),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": timeout,
            "clientConfig": webhook.client_config(),
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    });
    let file = kubectl.file(&format!("{kind}.json"), &configuration.to_string());
    kubectl.run(&["apply", "-f", &file]).await;
    wait::until(&format!("the {kind} webhook to be asked"), DEADLINE, async || {
        let probe = kubectl.file("probe.yaml", &config_map("probe", "one"));
        kubectl.output(&["-n", "web", "create", "--dry-run=server", "-f", &probe]).await;
        webhook.asked().iter().any(|request| request["name"] == "probe").then_some(())
    })
    .await;
}

/// Adds an annotation, and spells values in capitals.
fn change(request: &Value) -> Verdict {
    // Not of those that controllers make.
    let Some(key) = request["object"]["data"]["key"].as_str() else { return Verdict::Allow };
    let mut changes = vec![
        json!({"op": "add", "path": "/data/key", "value": key.to_uppercase()}),
        json!({"op": "add", "path": "/data/more", "value": "by the webhook"}),
    ];
    if request["object"]["metadata"]["annotations"].is_object() {
        changes
            .push(json!({"op": "add", "path": "/metadata/annotations/example.org~1changed", "value": "yes"}));
    }
    Verdict::Change(changes.into())
}

/// How often the agent has written ConfigMaps of the app, as a webhook that is asked each time has seen.
fn writes(webhook: &Webhook) -> usize {
    let asked = webhook.asked();
    asked
        .iter()
        .filter(|request| request["dryRun"] == false && request["userInfo"]["username"] == "agent")
        .count()
}

#[tokio::test]
async fn what_webhooks_make_of_an_object_is_no_drift_and_what_they_refuse_is_said() {
    let Some(target) = Target::real_for("agent").await else { return };
    let Some(kubectl) = Kubectl::new(&target) else { return };
    kubectl.run(&["create", "namespace", "web"]).await;
    let mutating = Webhook::start(change).unwrap();
    register(&kubectl, &mutating, "Mutating", 5).await;
    let validating = Webhook::start(|request| match request["object"]["data"]["key"].as_str() {
        Some("BAD") => Verdict::Refuse("BAD is not a value.".to_owned()),
        _ => Verdict::Allow,
    })
    .unwrap();
    register(&kubectl, &validating, "Validating", 5).await;
    let retry = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", retry)),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("apps/web/b.yaml", &config_map("b", "two")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("web", "a", Some("ONE")).await;
    bench.until_config("web", "b", Some("TWO")).await;
    bench.until_logged("The app is synced.").await;
    // After a restart what the webhook has changed is applied once, since it is not what Git says; then no more.
    let before = writes(&mutating);
    bench.agent.program.kill();
    bench.agent.program.restart().unwrap();
    bench.commit(&[("apps/web/c.yaml", &config_map("c", "three"))]);
    bench.until_config("web", "c", Some("THREE")).await;
    assert!(writes(&mutating) <= before + 3, "{} writes", writes(&mutating) - before);
    let again = writes(&mutating);
    bench.commit(&[("apps/web/d.yaml", &config_map("d", "four"))]);
    bench.until_config("web", "d", Some("FOUR")).await;
    assert_eq!(writes(&mutating), again + 1);
    assert!(!bench.agent.program.log().contains("was changed by"), "{}", bench.agent.program.log());
    // Changed by hand it is put back, to what the webhook makes of it.
    patch(&bench.config_maps("web"), "a", json!({"data": {"key": "drift"}})).await;
    bench.until_config("web", "a", Some("ONE")).await;
    // Refused: its app says so with the webhook's words, the others of its objects go on.
    bench.commit(&[
        ("apps/web/a.yaml", &config_map("a", "bad")),
        ("apps/web/b.yaml", &config_map("b", "five")),
    ]);
    bench.until_config("web", "b", Some("FIVE")).await;
    bench.until_logged("BAD is not a value.").await;
    bench.until_config("web", "a", Some("ONE")).await;
    bench.commit(&[("apps/web/a.yaml", &config_map("a", "good"))]);
    bench.until_config("web", "a", Some("GOOD")).await;
}

#[tokio::test]
async fn a_webhook_that_fails_or_is_too_slow_is_outlasted() {
    let Some(target) = Target::real_for("agent").await else { return };
    let Some(kubectl) = Kubectl::new(&target) else { return };
    kubectl.run(&["create", "namespace", "web"]).await;
    let webhook = Webhook::start(|_| Verdict::Allow).unwrap();
    register(&kubectl, &webhook, "Validating", 1).await;
    let retry = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", retry)),
        ("apps/web/a.yaml", &config_map("a", "one")),
        ("other.yaml", &app("other", "")),
        ("apps/other/a.yaml", &config_map("a", "one")),
    ];
    webhook.set(|_| Verdict::Fail);
    let mut bench = Bench::start(target, &files).await;
    bench.until_config("other", "a", Some("one")).await;
    bench.until_logged("failed calling webhook").await;
    assert!(bench.config_maps("web").get_opt("a").await.unwrap().is_none());
    webhook.set(|_| Verdict::AllowAfter(Duration::from_millis(100)));
    bench.until_config("web", "a", Some("one")).await;
    // Slower than the API server waits for it.
    let slow = Duration::from_secs(3);
    webhook.set(move |_| Verdict::AllowAfter(slow));
    bench.commit(&[
        ("apps/web/a.yaml", &config_map("a", "two")),
        ("apps/other/a.yaml", &config_map("a", "two")),
    ]);
    bench.until_config("other", "a", Some("two")).await;
    let asked = webhook.asked().len();
    wait::until("the slow webhook to be asked more than once", DEADLINE, async || {
        (webhook.asked().len() > asked + 1).then_some(())
    })
    .await;
    bench.until_config("web", "a", Some("one")).await;
    webhook.set(|_| Verdict::Allow);
    bench.until_config("web", "a", Some("two")).await;
}
