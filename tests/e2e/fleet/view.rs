//! What the command line says of the fleet, read from its JSON documents.

use std::collections::BTreeMap;

use serde_json::Value;

/// One app in one cluster.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) sync: String,
    pub(crate) health: String,
    pub(crate) revision: String,
    /// Kind, place and message of each error.
    pub(crate) errors: Vec<(String, String, String)>,
}

impl State {
    pub(crate) fn is_well(&self) -> bool {
        self.sync == "Synced" && self.health == "Healthy"
    }
}

/// States of an app by cluster, from `muster app NAME -o json`, or of one cluster's apps by app, from
/// `muster apps --cluster NAME -o json`.
pub(crate) fn states(document: &Value) -> BTreeMap<String, State> {
    apps(document).iter().map(|app| (text(app, "cluster"), state(app))).collect()
}

/// States of one cluster's apps by app, from `muster apps --cluster NAME -o json`.
pub(crate) fn by_app(document: &Value) -> BTreeMap<String, State> {
    apps(document).iter().map(|app| (text(app, "app"), state(app))).collect()
}

/// Drifts of the first app of `muster app NAME --cluster NAME -o json`.
pub(crate) fn drifts(document: &Value) -> Vec<Value> {
    let app = apps(document).first();
    app.and_then(|app| app["drifts"].as_array()).cloned().unwrap_or_default()
}

/// Kind, place and message of each error of a cluster, from `muster clusters -o json`.
pub(crate) fn cluster_errors(document: &Value, cluster: &str) -> Vec<(String, String, String)> {
    let clusters = document["clusters"].as_array().map(Vec::as_slice).unwrap_or_default();
    clusters.iter().filter(|entry| entry["name"] == cluster).flat_map(errors).collect()
}

fn apps(document: &Value) -> &[Value] {
    document["apps"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn state(app: &Value) -> State {
    State {
        sync: text(app, "sync"),
        health: text(app, "health"),
        revision: text(app, "revision"),
        errors: errors(app),
    }
}

fn errors(value: &Value) -> Vec<(String, String, String)> {
    let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (text(error, "kind"), text(error, "place"), text(error, "message"))).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
