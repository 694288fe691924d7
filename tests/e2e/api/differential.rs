//! The same requests to both: do they answer the same?
//!
//! The requests are the files of `differential/`. What cannot be the same (uids, versions, times, addresses) is masked,
//! and so is what controllers write whenever they come to it.

use std::collections::BTreeMap;
use std::path::Path;

use muster_tests::wait;
use serde_json::{Map, Value, json};

use super::backend::{Backend, SOON, condition};

/// One request of a file.
#[derive(Debug)]
struct Step {
    /// A method, or `APPLY`, `MERGE`, `JSON` or `STRATEGIC` for patches, or `SETTLE` to wait for controllers.
    verb: String,
    path: String,
    content_type: String,
    body: Value,
    /// Fields that are not compared.
    mask: Vec<String>,
    /// Compare the code, the reason and the causes' fields only: the words are Go's.
    loosely: bool,
    /// The condition a `SETTLE` waits for; without, controllers must have observed the last generation.
    until: Option<String>,
}

fn steps(file: &str, namespace: &str) -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/api/differential").join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("{ns}", namespace);
    let listed: Vec<Value> = serde_yaml::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let step = |value: &Value| {
        let (verb, path) = value["do"].as_str().unwrap().split_once(' ').unwrap();
        let content_type = match verb {
            "APPLY" => "application/apply-patch+yaml",
            "MERGE" => "application/merge-patch+json",
            "JSON" => "application/json-patch+json",
            "STRATEGIC" => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        Step {
            verb: verb.to_owned(),
            path: path.to_owned(),
            content_type: text(&value["type"]).unwrap_or_else(|| content_type.to_owned()),
            body: value["body"].clone(),
            mask: value["mask"].as_array().into_iter().flatten().filter_map(text).collect(),
            loosely: value["loosely"] == json!(true),
            until: text(&value["until"]),
        }
    };
    listed.iter().map(step).collect()
}

/// What a backend answers to a step, in a form that can be compared.
async fn answer(backend: &Backend, step: &Step) -> Value {
    let method = match step.verb.as_str() {
        "APPLY" | "MERGE" | "JSON" | "STRATEGIC" => "PATCH",
        "SETTLE" => {
            backend
                .until("controllers", &step.path, |object| is_settled(object, step.until.as_deref()))
                .await;
            return Value::Null;
        }
        method => method,
    };
    let answer = backend.send(method, &step.path, &step.content_type, &step.body).await;
    if step.loosely {
        let causes = answer.body["details"]["causes"].as_array().into_iter().flatten();
        let causes: Vec<Value> = causes.map(|cause| json!([cause["field"], cause["reason"]])).collect();
        return json!([answer.code, answer.body["reason"], causes]);
    }
    let warnings = answer.headers.get_all("warning").iter();
    let warnings: Vec<&str> = warnings.filter_map(|warning| warning.to_str().ok()).collect();
    let mut body = normal(&answer.body, &backend.namespace);
    for name in &step.mask {
        drop_field(&mut body, name);
    }
    json!([answer.code, body, warnings])
}

fn is_settled(object: &Value, until: Option<&str>) -> bool {
    match until {
        Some(kind) => condition(object, kind)["status"] == "True",
        None => object["status"]["observedGeneration"] == object["metadata"]["generation"],
    }
}

const MASKED: [&str; 9] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "time",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastPhaseTransitionTime",
    "clusterIP",
];

const CONTROLLED: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "Scale"];

fn normal(value: &Value, namespace: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = without_controllers(fields);
            let mask = |(name, value): (&String, &Value)| {
                let masked = value.is_string() && *value != "None" && MASKED.contains(&name.as_str());
                let masked =
                    masked || name == "nodePort" || (name == "clusterIPs" && *value != json!(["None"]));
                (name.clone(), if masked { json!("*") } else { normal(value, namespace) })
            };
            Value::Object(fields.iter().map(mask).collect())
        }
        Value::Array(items) => items.iter().map(|item| normal(item, namespace)).collect(),
        Value::String(text) => Value::String(normal_text(text, namespace)),
        other => other.clone(),
    }
}

/// What controllers write, they write in their own time.
fn without_controllers(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    if fields.get("kind").and_then(Value::as_str).is_some_and(|kind| CONTROLLED.contains(&kind))
        && let Some(status) = fields.get_mut("status")
    {
        *status = json!("*");
    }
    if let Some(annotations) = fields.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            fields.remove("annotations");
        }
    }
    if let Some(managed) = fields.get_mut("managedFields").and_then(Value::as_array_mut) {
        managed.retain(|entry| entry["manager"] != "kube-controller-manager");
        // The same second on one side may be two on the other: entries are in the order of their times.
        managed.sort_by_key(|entry| {
            format!("{}{}{}", entry["manager"], entry["operation"], entry["subresource"])
        });
        if managed.is_empty() {
            fields.remove("managedFields");
        }
    }
    fields
}

fn normal_text(text: &str, namespace: &str) -> String {
    let text = text.replace(namespace, "{ns}");
    // The patched object in the message of a strict patch has its fields in Go's order.
    let text = match (text.find("Invalid value: \"{"), text.find("}\": strict")) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &text[..start], &text[end..]),
        _ => text,
    };
    let words: Vec<String> =
        text.split(' ').map(|word| if is_uid(word) { "UID".to_owned() } else { word.to_owned() }).collect();
    words.join(" ")
}

fn is_uid(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
    let parts: Vec<usize> = word.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn drop_field(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(name);
            fields.remove(&format!("f:{name}"));
            fields.values_mut().for_each(|value| drop_field(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_field(item, name)),
        _ => {}
    }
}

/// The paths at which two answers differ, with both values.
fn differences(path: &str, simulated: &Value, real: &Value, found: &mut Vec<String>) {
    match (simulated, real) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let at = format!("{path}/{name}");
                differences(
                    &at,
                    one.get(name).unwrap_or(&Value::Null),
                    other.get(name).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}/{index}"), one, other, found);
            }
        }
        (one, other) if one != other => found.push(format!("{path}: simulated {one}, real {other}")),
        _ => {}
    }
}

async fn compare(file: &str) {
    let story = format!("differential-{}", file.trim_end_matches(".yaml"));
    let Some(real) = Backend::real(&story).await else { return };
    let simulated = Backend::simulated(&story).await;
    let pairs = steps(file, &simulated.namespace).into_iter().zip(steps(file, &real.namespace));
    let mut report = Vec::new();
    for (index, (simulated_step, real_step)) in pairs.enumerate() {
        let (one, other) = tokio::join!(answer(&simulated, &simulated_step), answer(&real, &real_step));
        let mut found = Vec::new();
        differences("", &one, &other, &mut found);
        if !found.is_empty() {
            let (verb, path) = (&simulated_step.verb, &simulated_step.path);
            report.push(format!("step {index}, {verb} {path}:\n  {}", found.join("\n  ")));
        }
    }
    real.delete(&format!("/api/v1/namespaces/{}", real.namespace)).await;
    assert!(report.is_empty(), "{file}: {} answers differ\n{}", report.len(), report.join("\n"));
}

#[tokio::test]
async fn server_side_apply_is_the_same() {
    compare("apply.yaml").await;
}

#[tokio::test]
async fn other_writes_are_the_same() {
    compare("update.yaml").await;
}

#[tokio::test]
async fn built_in_kinds_are_the_same() {
    compare("kinds.yaml").await;
}

#[tokio::test]
async fn custom_kinds_are_the_same() {
    compare("custom.yaml").await;
}

/// Resource and subresource -> what discovery says of it.
async fn discovered(backend: &Backend) -> BTreeMap<String, Value> {
    const ACCEPT: &str =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let mut found = BTreeMap::new();
    for path in ["/api", "/apis"] {
        let list = backend.get_as(path, ACCEPT).await.expect(200);
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        for group in list["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                for resource in version["resources"].as_array().unwrap() {
                    let name = format!(
                        "{}/{}/{}",
                        group["metadata"]["name"], version["version"], resource["resource"]
                    );
                    found.insert(name, resource.clone());
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn what_is_discovered_is_discovered_the_same() {
    let Some(real) = Backend::real("discovery").await else { return };
    let simulated = Backend::simulated("discovery").await;
    let (served, expected) = (discovered(&simulated).await, discovered(&real).await);
    assert!(served.len() > 40, "{}", served.len());
    let mut found = Vec::new();
    for (name, resource) in served {
        let mut real = expected.get(&name).cloned().unwrap_or_default();
        let mut resource = resource;
        // Not every subresource is simulated, and no kind takes part in storage migration.
        for side in [&mut real, &mut resource] {
            for field in ["subresources", "storageVersionHash"] {
                side.as_object_mut().unwrap().remove(field);
            }
            for field in ["verbs", "shortNames", "categories"] {
                if let Some(list) = side[field].as_array_mut() {
                    list.sort_by_key(Value::to_string);
                }
            }
        }
        differences(&name, &resource, &real, &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn tables_have_the_columns_that_kubectl_shows_first() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let Some(real) = Backend::real("tables").await else { return };
    let simulated = Backend::simulated("tables").await;
    for path in ["/api/v1/namespaces", "/apis/apps/v1/deployments", "/api/v1/pods", "/api/v1/services"] {
        let shown = async |backend: &Backend| -> Vec<String> {
            let table = backend.get_as(path, TABLE).await.expect(200);
            let columns = table["columnDefinitions"].as_array().unwrap().clone();
            let columns = columns.iter().filter(|column| column["priority"] == 0);
            columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect()
        };
        let (one, other) = (shown(&simulated).await, shown(&real).await);
        assert!(one.iter().all(|name| other.contains(name)), "{path}: {one:?}, real: {other:?}");
        assert_eq!(one.first(), Some(&"Name".to_owned()));
    }
    wait::until("the last table", SOON, async || simulated.get("/readyz").await.code == 200).await;
}
