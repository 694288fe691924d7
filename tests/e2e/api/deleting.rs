//! Deleting: finalizers, owners, collections, namespaces, definitions.

use muster_tests::wait;
use serde_json::{Value, json};

use super::backend::{Backend, SOON, config_map, workload};
use super::stories;

stories![
    a_finalizer_holds_an_object,
    what_is_owned_goes_with_its_owner,
    foreground_deletion_waits_for_dependents,
    orphans_stay,
    a_collection_goes_at_once,
    a_namespace_empties_itself_and_goes,
    a_custom_kind_is_served_and_goes_with_its_objects,
];

async fn a_finalizer_holds_an_object(api: Backend) {
    let mut map = config_map("held", &json!({}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(&api.core("configmaps"), &map).await.expect(201);
    let path = api.core("configmaps/held");
    let held = api.delete(&path).await.expect(200);
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    let again = api.delete(&path).await.expect(200);
    assert_eq!(again["metadata"]["deletionTimestamp"], held["metadata"]["deletionTimestamp"]);
    api.get(&path).await.expect(200);
    api.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    api.get(&path).await.expect(404);
}

/// A ConfigMap and another one it owns.
async fn family(api: &Backend, name: &str) -> (String, String) {
    let maps = api.core("configmaps");
    let owner = api.post(&maps, &config_map(&format!("{name}-owner"), &json!({}))).await.expect(201);
    let mut child = config_map(&format!("{name}-child"), &json!({}));
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": true,
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    }]);
    api.post(&maps, &child).await.expect(201);
    (format!("{maps}/{name}-owner"), format!("{maps}/{name}-child"))
}

async fn delete_with(api: &Backend, path: &str, policy: &str) -> Value {
    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
    api.send("DELETE", path, "application/json", &body).await.expect(200)
}

async fn what_is_owned_goes_with_its_owner(api: Backend) {
    let (owner, child) = family(&api, "background").await;
    delete_with(&api, &owner, "Background").await;
    api.get(&owner).await.expect(404);
    api.until_gone(&child).await;
}

async fn foreground_deletion_waits_for_dependents(api: Backend) {
    let (owner, child) = family(&api, "foreground").await;
    api.merge(&child, &json!({"metadata": {"finalizers": ["example.com/hold"]}})).await.expect(200);
    let deleting = delete_with(&api, &owner, "Foreground").await;
    assert_eq!(deleting["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    api.until("the child to be deleted", &child, |child| child["metadata"]["deletionTimestamp"].is_string())
        .await;
    api.get(&owner).await.expect(200);
    api.merge(&child, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    api.until_gone(&child).await;
    api.until_gone(&owner).await;
}

async fn orphans_stay(api: Backend) {
    let (owner, child) = family(&api, "orphan").await;
    delete_with(&api, &owner, "Orphan").await;
    api.until_gone(&owner).await;
    let orphan = api.get(&child).await.expect(200);
    assert!(orphan["metadata"].get("ownerReferences").is_none(), "{orphan}");
}

async fn a_collection_goes_at_once(api: Backend) {
    for name in ["one", "two", "three"] {
        let mut map = config_map(name, &json!({}));
        map["metadata"]["labels"] = json!({"gone": if name == "three" { "no" } else { "yes" }});
        api.post(&api.core("configmaps"), &map).await.expect(201);
    }
    let gone = api.delete(&format!("{}?labelSelector=gone%3Dyes", api.core("configmaps"))).await.expect(200);
    assert_eq!(gone["items"].as_array().unwrap().len(), 2);
    let left = api.get(&format!("{}?labelSelector=gone", api.core("configmaps"))).await.expect(200);
    assert_eq!(left["items"][0]["metadata"]["name"], "three");
}

async fn a_namespace_empties_itself_and_goes(api: Backend) {
    let name = format!("{}-x", api.namespace);
    let path = format!("/api/v1/namespaces/{name}");
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = api.post("/api/v1/namespaces", &body).await.expect(201);
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], name);
    let mut map = config_map("held", &json!({}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(&format!("{path}/configmaps"), &map).await.expect(201);

    let deleting = api.delete(&path).await.expect(200);
    assert_eq!(deleting["status"]["phase"], "Terminating");
    let refused = api.post(&format!("{path}/configmaps"), &config_map("late", &json!({}))).await.expect(403);
    assert_eq!(refused["reason"], "Forbidden");
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let held = format!("{path}/configmaps/held");
    api.until("its contents to be deleted", &held, |map| map["metadata"]["deletionTimestamp"].is_string())
        .await;
    api.get(&path).await.expect(200);
    api.merge(&held, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    api.until_gone(&path).await;
    api.get(&held).await.expect(404);
    let refused = api.post(&format!("{path}/configmaps"), &config_map("late", &json!({}))).await.expect(404);
    assert_eq!(refused["message"], format!("namespaces {name:?} not found"));
}

async fn a_custom_kind_is_served_and_goes_with_its_objects(api: Backend) {
    let group = format!("{}.example.com", api.namespace);
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let schema = json!({"openAPIV3Schema": {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gadgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    api.post(definitions, &definition).await.expect(201);
    let path = format!("{definitions}/gadgets.{group}");
    let gadgets = format!("/apis/{group}/v1/namespaces/{}/gadgets", api.namespace);
    let established = |object: &Value| super::backend::condition(object, "Established")["status"] == "True";
    api.until("the definition to be established", &path, established).await;
    let gadget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Gadget", "metadata": {"name": "g"},
        "spec": {"size": 1, "unknown": true},
    });
    let made = wait::until("the kind to be served", SOON, async || {
        let answer = api.post(&gadgets, &gadget).await;
        if answer.code == 201 { Ok(answer.body) } else { Err(answer.body.to_string()) }
    })
    .await;
    assert_eq!(made["spec"], json!({"size": 1}), "what the schema does not know is dropped");
    assert_eq!(made["metadata"]["generation"], 1);
    let list = api.get(&gadgets).await.expect(200);
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("GadgetList"), &json!("Gadget")));
    let mut wrong = gadget;
    wrong["metadata"]["name"] = json!("wrong");
    wrong["spec"]["size"] = json!("big");
    assert_eq!(api.post(&gadgets, &wrong).await.expect(422)["reason"], "Invalid");

    let mut events = api.watch(&format!("{gadgets}?watch=1")).await;
    assert_eq!(events.change().await.0, "ADDED");
    api.delete(&path).await.expect(200);
    assert_eq!(events.change().await.0, "DELETED");
    api.until_gone(&path).await;
    wait::until("the kind to be served no more", SOON, async || api.get(&gadgets).await.code == 404).await;
    // Built-in kinds are served as before.
    api.post(&api.apps("deployments"), &workload("Deployment", "after", "nginx")).await.expect(201);
}
