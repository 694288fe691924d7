//! Creating, updating, patching and applying.

use serde_json::{Value, json};

use super::backend::{Backend, config_map, workload};
use super::stories;

stories![
    a_stale_writer_is_refused,
    a_name_is_made_from_generate_name,
    two_appliers_share_a_deployment,
    a_dry_run_changes_nothing,
    the_generation_counts_changes_of_the_specification,
    a_lease_changes_hands,
    nobody_gets_in_without_credentials,
    a_manifest_with_unknown_fields_is_warned_of_or_refused,
];

async fn a_stale_writer_is_refused(api: Backend) {
    let path = api.core("configmaps/shared");
    let created =
        api.post(&api.core("configmaps"), &config_map("shared", &json!({"a": "1"}))).await.expect(201);
    let mut first = created.clone();
    first["data"]["a"] = json!("2");
    let updated = api.put(&path, &first).await.expect(200);
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(updated["metadata"]["uid"], created["metadata"]["uid"]);

    let mut second = created;
    second["data"]["a"] = json!("3");
    let refused = api.put(&path, &second).await.expect(409);
    assert_eq!(refused["reason"], "Conflict");
    // Without a version the last writer wins; writing what is there already changes no version.
    second["metadata"] = json!({"name": "shared"});
    let won = api.put(&path, &second).await.expect(200);
    let again = api.put(&path, &second).await.expect(200);
    assert_eq!(won["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"]);
}

async fn a_name_is_made_from_generate_name(api: Backend) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}});
    let mut names = Vec::new();
    for _ in 0..3 {
        let made = api.post(&api.core("configmaps"), &body).await.expect(201);
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("made-") && name.len() == "made-".len() + 5, "{name}");
        names.push(name);
    }
    names.dedup();
    assert_eq!(names.len(), 3);
}

fn replicas(count: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": count}})
}

async fn two_appliers_share_a_deployment(api: Backend) {
    let path = api.apps("deployments/web");
    let mut web = workload("Deployment", "web", "nginx:1.24");
    web["spec"]["replicas"] = json!(2);
    let applied = api.apply(&format!("{path}?fieldManager=muster-agent"), &web).await.expect(201);
    assert_eq!(applied["spec"]["strategy"]["type"], "RollingUpdate", "defaults are there, owned by nobody");
    assert!(!applied["metadata"]["managedFields"][0]["fieldsV1"].to_string().contains("f:strategy"));

    let conflict = api.apply(&format!("{path}?fieldManager=scaler"), &replicas(5)).await.expect(409);
    let cause = &conflict["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldManagerConflict");
    assert_eq!(cause["field"], ".spec.replicas");
    assert_eq!(cause["message"], "conflict with \"muster-agent\"");

    // Forced, the field changes hands; the first applier gives it up by not saying it any more.
    let forced = api.apply(&format!("{path}?fieldManager=scaler&force=true"), &replicas(5)).await.expect(200);
    assert_eq!(forced["spec"]["replicas"], 5);
    web["spec"].as_object_mut().unwrap().remove("replicas");
    let kept = api.apply(&format!("{path}?fieldManager=muster-agent"), &web).await.expect(200);
    assert_eq!(kept["spec"]["replicas"], 5, "it is the scaler's");

    // A field nobody applies any more goes back to its default.
    let empty = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    let left = api.apply(&format!("{path}?fieldManager=scaler"), &empty).await.expect(200);
    assert_eq!(left["spec"]["replicas"], 1);
    let managers = left["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().all(|entry| entry["manager"] != "scaler"), "{managers:?}");
}

async fn a_dry_run_changes_nothing(api: Backend) {
    let maps = api.core("configmaps");
    let tried = api.post(&format!("{maps}?dryRun=All"), &config_map("dry", &json!({}))).await.expect(201);
    assert!(tried["metadata"]["uid"].is_string());
    api.get(&format!("{maps}/dry")).await.expect(404);
    let before = api.post(&maps, &config_map("wet", &json!({"a": "1"}))).await.expect(201);
    let tried = api.merge(&format!("{maps}/wet?dryRun=All"), &json!({"data": {"a": "2"}})).await.expect(200);
    assert_eq!(tried["data"]["a"], "2");
    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
    api.send("DELETE", &format!("{maps}/wet"), "application/json", &body).await.expect(200);
    assert_eq!(api.get(&format!("{maps}/wet")).await.expect(200), before);
}

async fn the_generation_counts_changes_of_the_specification(api: Backend) {
    let sets = api.apps("statefulsets");
    let mut set = workload("StatefulSet", "db", "db:1");
    set["spec"]["serviceName"] = json!("db");
    let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap();
    assert_eq!(generation(&api.post(&sets, &set).await.expect(201)), 1);
    let path = format!("{sets}/db");
    let labelled = api.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    assert_eq!(generation(&labelled), 1);
    let scaled = api.merge(&path, &json!({"spec": {"replicas": 3}})).await.expect(200);
    assert_eq!(generation(&scaled), 2);
    let scale = api.get(&format!("{path}/scale")).await.expect(200);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    assert_eq!(scale["status"]["selector"], "app=db");
    let scaled = api.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 1}})).await.expect(200);
    assert_eq!(scaled["spec"]["replicas"], 1);
    assert_eq!(generation(&api.get(&path).await.expect(200)), 3);
}

async fn a_lease_changes_hands(api: Backend) {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", api.namespace);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.678901Z"},
    });
    let mut taken = api.post(&leases, &lease).await.expect(201);
    assert_eq!(taken["spec"]["renewTime"], "2026-01-02T03:04:05.678901Z");
    api.post(&leases, &lease).await.expect(409);
    let path = format!("{leases}/leader");
    taken["spec"]["holderIdentity"] = json!("two");
    taken["spec"]["leaseTransitions"] = json!(1);
    api.put(&path, &taken).await.expect(200);
    // Whoever read it before the change has lost.
    taken["spec"]["holderIdentity"] = json!("three");
    api.put(&path, &taken).await.expect(409);
    assert_eq!(api.get(&path).await.expect(200)["spec"]["holderIdentity"], "two");
}

async fn nobody_gets_in_without_credentials(api: Backend) {
    let mut kubeconfig: Value = serde_yaml::from_str(&api.kubeconfig).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": "not-a-token"});
    let client = super::backend::client(&kubeconfig.to_string()).await;
    let stranger =
        Backend { client, namespace: api.namespace.clone(), kubeconfig: String::new(), simulated: None };
    let refused = stranger.get(&stranger.core("configmaps")).await.expect(401);
    assert_eq!((&refused["kind"], &refused["reason"]), (&json!("Status"), &json!("Unauthorized")));
}

async fn a_manifest_with_unknown_fields_is_warned_of_or_refused(api: Backend) {
    let maps = api.core("configmaps");
    let mut body = config_map("typo", &json!({}));
    body["dta"] = json!({"a": "1"});
    let refused = api.post(&format!("{maps}?fieldValidation=Strict"), &body).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("unknown field \"dta\""), "{refused}");
    let warned = api.post(&maps, &body).await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"dta\\\"\"");
    assert!(warned.expect(201).get("dta").is_none(), "it is dropped");
}
