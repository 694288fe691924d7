//! How often is the API server asked? Its own audit log says.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;

use muster_tests::kubernetes::Audit;

use super::drift::audited;
use super::*;

/// What was asked about single objects of a namespace, in the order of the objects: `verb resource/name code`.
fn asked(audit: &Audit, namespace: &str) -> Vec<String> {
    let requests = audit.requests().into_iter().filter(|request| {
        request.namespace == namespace && !["list", "watch"].contains(&request.verb.as_str())
    });
    let mut asked: Vec<_> = requests
        .map(|request| format!("{} {}/{} {}", request.verb, request.resource, request.name, request.code))
        .collect();
    asked.sort();
    asked
}

#[tokio::test]
async fn a_new_object_costs_one_request() {
    let Some((cluster, target, audit)) = audited().await else { return };
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "old"}})).unwrap();
    Api::all(cluster.client()).create(&PostParams::default(), &namespace).await.unwrap();
    let ignores = "  sync: {ignoreDifferences: [{kind: Deployment, jsonPointers: [/spec/replicas]}]}\n";
    let files = [
        ("fleet.yaml", FLEET),
        // Its namespace is there already.
        ("old.yaml", &app("old", ignores)),
        ("apps/old/web.yaml", &deployment("web", 0, "nginx")),
        ("apps/old/config.yaml", &config_map("settings", "one")),
        (
            "apps/old/once.yaml",
            &config_map("once", "one").replacen(
                "{name:",
                "{annotations: {muster.dev/reconcile: if-absent}, name:",
                1,
            ),
        ),
        // Its namespace comes with it.
        ("new.yaml", &app("new", "")),
        ("apps/new/web.yaml", &deployment("web", 0, "nginx")),
        ("apps/new/config.yaml", &config_map("settings", "one")),
    ];
    let bench = Bench::start(target, &files).await;
    let synced = async || bench.agent.program.log().matches("The app is synced.").count() == 2;
    wait::until("both apps synced", DEADLINE, synced).await;
    let events =
        || asked(&audit, "muster-system").iter().filter(|line| line.contains("create events/")).count();
    wait::until("their Events", DEADLINE, async || events() >= 2).await;

    let objects = |namespace| -> Vec<String> {
        let asked = asked(&audit, namespace).into_iter();
        asked.filter(|line| line.contains("configmaps/") || line.contains("deployments/")).collect()
    };
    assert_eq!(
        objects("old"),
        ["patch configmaps/once 201", "patch configmaps/settings 201", "patch deployments/web 201"]
    );
    assert_eq!(objects("new"), ["patch configmaps/settings 201", "patch deployments/web 201"]);
    assert_eq!(
        objects("muster-system"),
        ["patch configmaps/muster-app-new 201", "patch configmaps/muster-app-old 201"]
    );
    let made: Vec<_> = audit
        .requests()
        .into_iter()
        .filter(|request| request.resource == "namespaces" && ["old", "new"].contains(&request.name.as_str()))
        .map(|request| (request.verb, request.code))
        .collect();
    assert!(made.len() == 2 && made.iter().all(|(verb, _)| verb == "create"), "{made:?}");
}

/// What nobody told the agent of is found by the conflict, and nothing of it is written before it is judged.
#[tokio::test]
async fn an_object_that_is_there_is_looked_at_before_it_is_written() {
    let Some((cluster, target, audit)) = audited().await else { return };
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
    Api::all(cluster.client()).create(&PostParams::default(), &namespace).await.unwrap();
    let theirs: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "theirs"}, "data": {"other": "theirs"}})).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "web");
    let before = maps.create(&PostParams::default(), &theirs).await.unwrap();
    let files = [
        ("fleet.yaml", FLEET),
        ("web.yaml", &app("web", "  sync: {conflicts: Refuse}\n")),
        ("apps/web/theirs.yaml", &config_map("theirs", "ours")),
    ];
    let mut bench = Bench::start(target, &files).await;
    bench.until_logged("It exists already, made by").await;
    let after = maps.get("theirs").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    let asked = asked(&audit, "web");
    assert!(asked.contains(&"patch configmaps/theirs 409".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|line| line.starts_with("patch") && line.ends_with("200")), "{asked:?}");
}
