//! Which objects does a manifest or patch hold, as Kustomize reads it?

use std::collections::VecDeque;

use muster_yaml::{Mark, Node, Reading, Value, kustomize_parts};

use super::{
    fields::{Found, Problem, problem},
    resource::{Resource, spelt},
};
use crate::Limits;

/// Kinds that wrap objects without being one.
const WRAPPERS: [&str; 2] = ["List", "ResourceList"];

/// Reads a text that came from `file`.
pub(crate) fn read(file: &str, bytes: &[u8], limits: &Limits) -> Found<Vec<Resource>> {
    let parts = kustomize_parts(bytes, &limits.yaml);
    let is_single = parts.len() == 1;
    let mut nodes = VecDeque::new();
    for part in parts {
        let node = part.and_then(|part| part.read(Reading::AsKustomize, &limits.yaml));
        let node = node.map_err(|error| Problem { at: error.at, message: error.message })?;
        match node {
            None => {}
            Some(node) if is_single && wraps(&node) => nodes.extend(items(node)?),
            Some(node) => nodes.push_back(node),
        }
    }
    let mut resources = Vec::new();
    while let Some(node) = nodes.pop_front() {
        if !is_something(&node)? {
            continue;
        }
        let kind = text(&node, "kind");
        if kind.ends_with("List") && node.entry("items").is_some() {
            nodes.extend(items(node)?);
        } else {
            let line = node.at.line;
            let (value, spelling) = spelt(node);
            resources.push(Resource::new(value, spelling, file, line));
        }
        if resources.len() + nodes.len() > limits.objects_max {
            return problem(Mark::START, format!("more than {} objects in one file", limits.objects_max));
        }
    }
    Ok(resources)
}

fn wraps(node: &Node) -> bool {
    WRAPPERS.contains(&text(node, "kind").as_str()) && node.entry("items").is_some()
}

fn items(node: Node) -> Found<Vec<Node>> {
    let Value::Mapping(entries) = node.value else { return Ok(Vec::new()) };
    let items = entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.value);
    match items {
        Some(Node { value: Value::Sequence(items), .. }) => Ok(items),
        None | Some(Node { value: Value::Null, .. }) => Ok(Vec::new()),
        Some(other) => problem(other.at, format!("expected a list in items, but found {}", other.kind())),
    }
}

/// The text of a scalar field, whatever it stands for.
fn text(node: &Node, field: &str) -> String {
    let scalar = |node: &Node| match &node.value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) => String::new(),
    };
    node.get(field).map(scalar).unwrap_or_default()
}

/// Whether there is an object in a node; an error if there is something else.
fn is_something(node: &Node) -> Found<bool> {
    match &node.value {
        Value::Null => return Ok(false),
        Value::Mapping(entries) if entries.is_empty() => return Ok(false),
        Value::Sequence(items) if items.is_empty() => return Ok(false),
        Value::Mapping(_) => {}
        _ => return problem(node.at, format!("missing Resource metadata: found {}", node.kind())),
    }
    let kind = text(node, "kind");
    let name = node.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
    if kind.is_empty() {
        return problem(node.at, "missing kind in object");
    }
    if name.is_empty() && !kind.ends_with("List") {
        return problem(node.at, format!("missing metadata.name in object {kind}"));
    }
    Ok(true)
}
