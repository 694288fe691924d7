//! How does `kubectl get` show objects?

use crate::kinds::Kind;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A table of objects.
pub(super) fn list(
    kind: &Kind,
    objects: impl Iterator<Item = Value>,
    metadata: &Value,
    whole: bool,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = objects.map(|object| row(kind, &object, whole, now)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns(kind), "rows": rows,
    })
}

/// A table of one object; in a watch only the first one names the columns.
pub(super) fn one(kind: &Kind, object: &Value, whole: bool, with_columns: bool, now: Timestamp) -> Value {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": if with_columns { columns(kind) } else { Value::Null },
        "rows": [row(kind, object, whole, now)],
    })
}

/// Its name and where its cells come from.
type Column = (&'static str, fn(&Value) -> Value);

/// The columns of a built-in kind between name and age.
fn extra(kind: &Kind) -> Vec<Column> {
    fn count(value: &Value) -> Value {
        json!(value.as_i64().unwrap_or(0))
    }
    fn fraction(one: &Value, other: &Value) -> Value {
        json!(format!("{}/{}", one.as_i64().unwrap_or(0), other.as_i64().unwrap_or(0)))
    }
    fn size(value: &Value) -> Value {
        json!(value.as_object().map_or(0, serde_json::Map::len))
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => vec![("Status", |o| o["status"]["phase"].clone())],
        ("", "ConfigMap") => vec![("Data", |o| size(&o["data"]))],
        ("", "Secret") => vec![("Type", |o| o["type"].clone()), ("Data", |o| size(&o["data"]))],
        ("", "Service") => vec![
            ("Type", |o| o["spec"]["type"].clone()),
            ("Cluster-IP", |o| o["spec"].get("clusterIP").cloned().unwrap_or(json!("<none>"))),
            ("Port(s)", |o| {
                let ports = o["spec"]["ports"].as_array().into_iter().flatten();
                let ports = ports
                    .map(|port| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP")));
                json!(ports.collect::<Vec<_>>().join(","))
            }),
        ],
        ("", "Pod") => vec![
            ("Ready", |o| {
                let states = o["status"]["containerStatuses"].as_array();
                let ready = states.into_iter().flatten().filter(|s| s["ready"] == json!(true)).count();
                json!(format!("{ready}/{}", o["spec"]["containers"].as_array().map_or(0, Vec::len)))
            }),
            ("Status", |o| {
                let mut states = o["status"]["containerStatuses"].as_array().into_iter().flatten();
                let waiting = states.find_map(|s| s["state"]["waiting"]["reason"].as_str());
                json!(waiting.or(o["status"]["phase"].as_str()))
            }),
            ("Restarts", |o| {
                let states = o["status"]["containerStatuses"].as_array().into_iter().flatten();
                json!(states.map(|s| s["restartCount"].as_i64().unwrap_or(0)).sum::<i64>())
            }),
        ],
        ("apps", "Deployment") => vec![
            ("Ready", |o| fraction(&o["status"]["readyReplicas"], &o["spec"]["replicas"])),
            ("Up-to-date", |o| count(&o["status"]["updatedReplicas"])),
            ("Available", |o| count(&o["status"]["availableReplicas"])),
        ],
        ("apps", "StatefulSet") => {
            vec![("Ready", |o| fraction(&o["status"]["readyReplicas"], &o["spec"]["replicas"]))]
        }
        ("apps", "ReplicaSet") => vec![
            ("Desired", |o| count(&o["spec"]["replicas"])),
            ("Current", |o| count(&o["status"]["replicas"])),
            ("Ready", |o| count(&o["status"]["readyReplicas"])),
        ],
        ("apps", "DaemonSet") => vec![
            ("Desired", |o| count(&o["status"]["desiredNumberScheduled"])),
            ("Current", |o| count(&o["status"]["currentNumberScheduled"])),
            ("Ready", |o| count(&o["status"]["numberReady"])),
        ],
        ("batch", "Job") => vec![
            ("Status", |o| {
                let conditions = o["status"]["conditions"].as_array().into_iter().flatten();
                let ended = conditions.filter(|c| c["status"] == "True").filter_map(|c| c["type"].as_str());
                let mut ended = ended.filter(|kind| matches!(*kind, "Complete" | "Failed" | "Suspended"));
                json!(ended.next_back().unwrap_or("Running"))
            }),
            ("Completions", |o| fraction(&o["status"]["succeeded"], &o["spec"]["completions"])),
        ],
        ("coordination.k8s.io", "Lease") => vec![("Holder", |o| o["spec"]["holderIdentity"].clone())],
        _ => Vec::new(),
    }
}

fn columns(kind: &Kind) -> Value {
    let column = |name: &str, of: &str, format: &str| json!({"name": name, "type": of, "format": format, "description": "", "priority": 0});
    let mut columns = vec![column("Name", "string", "name")];
    columns.extend(extra(kind).iter().map(|(name, _)| column(name, "string", "")));
    columns.extend(kind.columns.iter().map(|(name, _, of)| column(name, of, "")));
    if !columns.iter().any(|column| column["name"] == "Age") {
        columns.push(column("Age", "string", ""));
    }
    Value::Array(columns)
}

fn row(kind: &Kind, object: &Value, whole: bool, now: Timestamp) -> Value {
    let metadata = &object["metadata"];
    let age = age(metadata["creationTimestamp"].as_str(), now);
    let mut cells = vec![metadata["name"].clone()];
    cells.extend(extra(kind).iter().map(|(_, cell)| cell(object)));
    let mut has_age = false;
    for (name, path, of) in &kind.columns {
        let pointer = path.replace('.', "/");
        let found = object.pointer(&pointer).cloned().unwrap_or(Value::Null);
        has_age |= name == "Age";
        cells.push(if of == "date" { json!(self::age(found.as_str(), now)) } else { found });
    }
    if !has_age {
        cells.push(json!(age));
    }
    let shown = if whole { object.clone() } else { super::form::metadata(object) };
    json!({"cells": cells, "object": shown})
}

/// The time since, as kubectl words it.
fn age(time: Option<&str>, now: Timestamp) -> String {
    let Some(time) = time.and_then(|time| time.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let seconds = now.duration_since(time).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
