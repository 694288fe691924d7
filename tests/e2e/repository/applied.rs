//! Is what `muster render` prints what an agent applies?

use std::time::Duration;

use serde_json::Value;

use muster_tests::fleet::{Agent, AgentOptions, Target};
use muster_tests::scratch::Scratch;
use muster_tests::{git, skip, wait};

use super::{kubectl, muster, write};

const DEADLINE: Duration = Duration::from_secs(90);

/// Labels and annotations that are the agent's own, and not part of what a repository says.
const OWN: [&str; 3] = ["f:muster.dev/app", "f:applyset.kubernetes.io/part-of", "f:muster.dev/content"];

const FILES: &[(&str, &str)] = &[
    (
        "fleet.yaml",
        "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: printed}\n---\n\
         apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: kustomized}\nspec:\n  clusters: {}\n  \
         source: {path: 'overlays/{{ cluster.name }}'}\n  namespace: kustomized\n---\n\
         apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: plain}\nspec:\n  clusters: {}\n  \
         source: {path: plain}\n",
    ),
    (
        "overlays/printed/kustomization.yaml",
        "resources: [../../base]\nnamePrefix: my-\nlabels: [{pairs: {team: a}}]\n",
    ),
    (
        "base/kustomization.yaml",
        "resources: [deployment.yaml]\nconfigMapGenerator: [{name: settings, literals: [mode=0644, on=yes]}]\n\
         secretGenerator: [{name: password, literals: [password=hunter2]}]\n",
    ),
    (
        "base/deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, creationTimestamp: null}\nspec:\n  \
         selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      \
         containers:\n      - name: web\n        image: nginx:1.27\n        envFrom: [{configMapRef: {name: settings}}]\n",
    ),
    (
        "plain/all.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: zone, namespace: plain}\ndata: {a: '1e3', b: \"x\\ny\"}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: both, namespace: plain}\nstringData: {a: b}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
         metadata: {name: printed-reader, namespace: dropped}\n\
         rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n",
    ),
];

/// The fields that a manager owns, as `managedFields` names them, and that an object does not have.
fn owned_elsewhere(owned: &Value, object: &Value, path: &str, missing: &mut Vec<String>) {
    let fields = owned.as_object().map(|fields| fields.iter().filter(|(key, _)| *key != "."));
    for (key, below) in fields.into_iter().flatten() {
        let path = format!("{path}/{key}");
        let value = match (key.strip_prefix("f:"), key.strip_prefix("k:")) {
            (Some(name), _) => object.get(name),
            (_, Some(keys)) => {
                let keys: Value = serde_json::from_str(keys).expect("keys are JSON");
                let keys = keys.as_object().expect("keys are a mapping");
                let has_keys = |item: &&Value| keys.iter().all(|(name, key)| item.get(name) == Some(key));
                object.as_array().and_then(|items| items.iter().find(has_keys))
            }
            // An item of a set.
            (None, None) => continue,
        };
        let is_leaf = below.as_object().is_none_or(serde_json::Map::is_empty);
        match value {
            None if is_leaf => missing.push(path),
            value => owned_elsewhere(below, value.unwrap_or(&Value::Null), &path, missing),
        }
    }
}

/// What an object has that another one has not, or not so.
fn different(printed: &Value, live: &Value, path: &str, found: &mut Vec<String>) {
    match (printed, live) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, value) in fields {
                let other = others.get(key).unwrap_or(&Value::Null);
                different(value, other, &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (number, (item, other)) in items.iter().zip(others).enumerate() {
                different(item, other, &format!("{path}[{number}]"), found);
            }
        }
        _ if printed == live => {}
        _ => found.push(format!("{path}: {printed} is {live}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_applies_what_is_printed() {
    let Some(program) = skip::program("kubectl") else { return };
    let Some(target) = Target::real(&["printed"]).await else { return };
    let target = &target[0];
    let scratch = Scratch::new("printed").unwrap();
    let directory = scratch.path();
    let server = git::Server::start(git::Options::default()).unwrap();
    let repository = server.create("fleet").unwrap();
    repository.commit(FILES, "Begin").unwrap();
    let options = AgentOptions::new("printed", &server.url("fleet"), &target.kubeconfig, directory);
    let _agent = Agent::start(options).unwrap();

    write(&directory.join("tree"), FILES);
    let (code, masked) = muster(&directory.join("tree"), &["render", "--cluster", "printed"]).await;
    assert_eq!(code, Some(0), "{masked}");
    assert!(!masked.contains("aHVudGVyMg"), "{masked}");
    let arguments = ["render", "--cluster", "printed", "-o", "json", "--show-secrets"];
    let (_, printed) = muster(&directory.join("tree"), &arguments).await;
    std::fs::write(directory.join("printed.json"), &printed).unwrap();
    std::fs::copy(&target.kubeconfig, directory.join("kubeconfig")).unwrap();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let printed = printed["items"].as_array().unwrap();
    assert_eq!(
        printed.len(),
        8,
        "two namespaces, three objects of one app and three of the other: {printed:?}"
    );

    let get =
        ["--kubeconfig", "kubeconfig", "get", "-f", "printed.json", "-o", "json", "--show-managed-fields"];
    let live = wait::until("everything that is printed", DEADLINE, async || {
        let launch = muster_tests::process::Launch::command(&program).args(get).directory(directory);
        let output =
            launch.env("HOME", directory).quiet().run(DEADLINE).await.map_err(|error| error.to_string())?;
        match output.code() {
            Some(0) => Ok(output.stdout),
            _ => Err(output.stderr),
        }
    })
    .await;
    let live: Value = serde_json::from_str(&live).unwrap();
    for (printed, live) in printed.iter().zip(live["items"].as_array().unwrap()) {
        let mut found = Vec::new();
        different(printed, live, "", &mut found);
        assert!(found.is_empty(), "{found:?} of {printed}");
        let managed = live["metadata"]["managedFields"].as_array().unwrap();
        for entry in
            managed.iter().filter(|entry| entry["manager"] == "muster-agent" && entry["operation"] == "Apply")
        {
            let mut missing = Vec::new();
            owned_elsewhere(&entry["fieldsV1"], printed, "", &mut missing);
            missing.retain(|path| !OWN.iter().any(|own| path.ends_with(own)));
            assert!(missing.is_empty(), "the agent applies {missing:?} beside {printed}");
        }
    }
    // And kubectl takes it.
    let (_, yaml) =
        muster(&directory.join("tree"), &["render", "--cluster", "printed", "--show-secrets"]).await;
    std::fs::write(directory.join("printed.yaml"), yaml).unwrap();
    let diff =
        ["--kubeconfig", "kubeconfig", "apply", "--server-side", "--dry-run=server", "--force-conflicts"];
    kubectl(&program, directory, &[&diff[..], &["-f", "printed.yaml"]].concat()).await;
}
