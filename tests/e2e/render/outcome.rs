//! What came out of rendering a repository, and do two renderings agree?

use std::collections::BTreeMap;
use std::path::Path;

use muster_render::Limits;
use serde_json::Value;

/// Relative paths and contents of a small repository.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Objects in order, or why there are none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Objects(Vec<Value>),
    Refused(String),
}

/// What muster-render makes of a repository.
pub(super) fn ours(files: &Files, entry: &str) -> Outcome {
    match muster_render::render(files, entry, &Limits::default()) {
        Ok(objects) => Outcome::Objects(objects.into_iter().map(|object| object.value).collect()),
        Err(errors) => Outcome::Refused(errors.to_string()),
    }
}

/// The objects in what kubectl printed.
pub(super) fn printed(text: &[u8]) -> Vec<Value> {
    let limits = muster_yaml::Limits::default();
    let parts = muster_yaml::parts(text, &limits).into_iter();
    parts
        .filter_map(|part| {
            let node = part.and_then(|part| part.read(muster_yaml::Reading::AsKustomize, &limits));
            node.expect("kubectl prints YAML").map(muster_yaml::Node::into_json)
        })
        .collect()
}

/// Everything below a directory, but for what this suite itself keeps there.
pub(super) fn read(directory: &Path) -> Files {
    fn walk(directory: &Path, prefix: &str, files: &mut Files) {
        for entry in std::fs::read_dir(directory).expect("the directory can be read") {
            let entry = entry.expect("the directory can be read");
            let path = format!("{prefix}{}", entry.file_name().to_str().expect("names are UTF-8"));
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{path}/"), files);
            } else if !matches!(path.as_str(), "expected.yaml" | "expected-error.txt" | "cause.txt") {
                files.insert(path, std::fs::read(entry.path()).expect("the file can be read"));
            }
        }
    }
    let mut files = Files::new();
    walk(directory, "", &mut files);
    files
}

/// The folder that is built: the repository's own, or `overlay`.
pub(super) fn entry(files: &Files) -> &'static str {
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    if names.iter().any(|name| files.contains_key(*name)) { "" } else { "overlay" }
}

/// How ours differs from theirs, if it does. Refusals agree if each contains all the words.
pub(super) fn difference(ours: &Outcome, theirs: &Outcome, words: &str) -> Option<String> {
    match (ours, theirs) {
        (Outcome::Objects(ours), Outcome::Objects(theirs)) => object_difference(ours, theirs),
        (Outcome::Refused(ours), Outcome::Objects(_)) => Some(format!("only we refuse: {ours}")),
        (Outcome::Objects(_), Outcome::Refused(theirs)) => Some(format!("only kubectl refuses: {theirs}")),
        (Outcome::Refused(ours), Outcome::Refused(_)) => {
            let lower = ours.to_lowercase();
            let absent = words.lines().find(|word| !lower.contains(&word.to_lowercase()));
            absent.map(|word| format!("our refusal does not say `{word}`: {ours}"))
        }
    }
}

fn label(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

fn object_difference(ours: &[Value], theirs: &[Value]) -> Option<String> {
    let labels = |objects: &[Value]| objects.iter().map(label).collect::<Vec<_>>().join(", ");
    for (ours, theirs) in ours.iter().zip(theirs) {
        if label(ours) != label(theirs) {
            break;
        }
        let mut found = Vec::new();
        value_difference(ours, theirs, "", &mut found);
        if !found.is_empty() {
            return Some(format!("{}: {}", label(theirs), found.join("; ")));
        }
    }
    let (ours, theirs) = (labels(ours), labels(theirs));
    (ours != theirs).then(|| format!("other objects: ours {ours}; kubectl's {theirs}"))
}

fn value_difference(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (ours.get(key), theirs.get(key)) {
                    (Some(ours), Some(theirs)) => value_difference(ours, theirs, &path, found),
                    (ours, theirs) => found.push(format!("{path}: ours {ours:?}, kubectl's {theirs:?}")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (position, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                value_difference(ours, theirs, &format!("{path}/{position}"), found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: ours {ours}, kubectl's {theirs}")),
    }
}
