//! Getting and listing: selectors, pages, metadata only, tables.

use serde_json::{Value, json};

use super::backend::{Backend, config_map};
use super::stories;

stories![
    lists_select_by_labels_and_fields,
    long_lists_come_in_pages,
    metadata_can_be_had_alone,
    kubectl_gets_tables,
    discovery_names_what_there_is,
];

async fn make(api: &Backend, name: &str, labels: &Value) {
    let mut map = config_map(name, &json!({"name": name}));
    map["metadata"]["labels"] = labels.clone();
    api.post(&api.core("configmaps"), &map).await.expect(201);
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn lists_select_by_labels_and_fields(api: Backend) {
    make(&api, "a", &json!({"app": "web", "tier": "front"})).await;
    make(&api, "b", &json!({"app": "web"})).await;
    make(&api, "c", &json!({"app": "db"})).await;
    for (selector, expected) in [
        ("labelSelector=app%3Dweb", vec!["a", "b"]),
        ("labelSelector=app%21%3Dweb,app", vec!["c"]),
        ("labelSelector=app%20in%20(web,db),!tier", vec!["b", "c"]),
        ("labelSelector=app%20notin%20(web),app", vec!["c"]),
        ("labelSelector=tier", vec!["a"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=metadata.name%3Db&labelSelector=tier", vec![]),
    ] {
        let list = api.get(&format!("{}?{selector}", api.core("configmaps"))).await.expect(200);
        assert_eq!(names(&list), expected, "{selector}");
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
        let untyped = |item: &Value| item.get("kind").is_none() && item.get("apiVersion").is_none();
        assert!(list["items"].as_array().unwrap().iter().all(untyped), "items of built-in kinds say no kind");
    }
    let everywhere = api.get("/api/v1/configmaps?labelSelector=tier%3Dfront").await.expect(200);
    assert!(names(&everywhere).contains(&"a"));
    let malformed = api.get(&format!("{}?labelSelector=%3D%3D", api.core("configmaps"))).await.expect(400);
    assert_eq!(malformed["reason"], "BadRequest");
}

async fn long_lists_come_in_pages(api: Backend) {
    for index in 0..7 {
        make(&api, &format!("page-{index}"), &json!({"paged": "yes"})).await;
    }
    let path = format!("{}?limit=3&labelSelector=paged", api.core("configmaps"));
    let first = api.get(&path).await.expect(200);
    assert_eq!(names(&first), ["page-0", "page-1", "page-2"]);
    let mut seen = 3;
    let mut token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    while !token.is_empty() {
        let page = api.get(&format!("{path}&continue={token}")).await.expect(200);
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen += names(&page).len();
        token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(seen, 7);
    let rest = api.get(&format!("{}?limit=3", api.core("configmaps"))).await.expect(200);
    assert!(rest["metadata"]["remainingItemCount"].as_i64().unwrap() >= 4, "known without selectors");
}

async fn metadata_can_be_had_alone(api: Backend) {
    make(&api, "meta", &json!({"only": "metadata"})).await;
    let path = api.core("configmaps");
    let one = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let object = api.get_as(&format!("{path}/meta"), one).await.expect(200);
    assert_eq!(
        (&object["kind"], &object["apiVersion"]),
        (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(object["metadata"]["labels"]["only"], "metadata");
    assert!(object.get("data").is_none());
    let many = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = api.get_as(&format!("{path}?labelSelector=only"), many).await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(names(&list), ["meta"]);
    assert!(list["items"][0].get("data").is_none());
}

async fn kubectl_gets_tables(api: Backend) {
    make(&api, "row", &json!({"in": "table"})).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = api.get_as(&format!("{}?labelSelector=in", api.core("configmaps")), accept).await.expect(200);
    assert_eq!(table["kind"], "Table");
    let columns = table["columnDefinitions"].as_array().unwrap();
    let columns: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Name", "Data", "Age"]);
    let row = &table["rows"][0];
    assert_eq!((&row["cells"][0], &row["cells"][1]), (&json!("row"), &json!(1)));
    assert_eq!(row["object"]["metadata"]["name"], "row");
}

async fn discovery_names_what_there_is(api: Backend) {
    assert_eq!(api.get("/version").await.expect(200)["major"], "1");
    assert_eq!(api.get("/readyz").await.expect(200), "ok");
    let groups = api.get("/apis").await.expect(200);
    let group = groups["groups"].as_array().unwrap().iter().find(|group| group["name"] == "apps").unwrap();
    assert_eq!(group["preferredVersion"]["groupVersion"], "apps/v1");
    let resources = api.get("/apis/apps/v1").await.expect(200);
    let resources = resources["resources"].as_array().unwrap();
    let deployments = resources.iter().find(|resource| resource["name"] == "deployments").unwrap();
    assert_eq!((&deployments["kind"], &deployments["namespaced"]), (&json!("Deployment"), &json!(true)));
    assert!(deployments["verbs"].as_array().unwrap().contains(&json!("watch")));
    assert!(resources.iter().any(|resource| resource["name"] == "deployments/scale"));
    // As Rust clients use it.
    let discovery = kube::Discovery::new(api.client.clone()).run_aggregated().await.unwrap();
    let (resource, capabilities) =
        discovery.resolve_gvk(&kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment")).unwrap();
    assert_eq!(resource.plural, "deployments");
    assert_eq!(capabilities.scope, kube::discovery::Scope::Namespaced);
}
