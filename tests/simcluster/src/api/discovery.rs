//! What can be asked of this cluster? (/version, /api, /apis, plain and aggregated)

use super::route::Document;
use super::{Reply, Request};
use crate::kinds::{Kind, Kinds};
use crate::status::Failure;
use serde_json::{Value, json};

/// The Kubernetes version whose behaviour is simulated.
pub(super) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
    })
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers a discovery request.
pub(super) fn reply(kinds: &Kinds, document: &Document, request: &Request) -> Result<Reply, Failure> {
    let wants_aggregated = request.accept.replace(' ', "").split(',').any(|range| {
        let mut parts: Vec<&str> = range.split(';').collect();
        parts.sort_unstable();
        ["application/json", "as=APIGroupDiscoveryList", "g=apidiscovery.k8s.io", "v=v2"]
            .iter()
            .all(|part| parts.contains(part))
    });
    let core = match document {
        Document::Core => true,
        Document::Groups => false,
        Document::Group(group) => return one_group(kinds, group),
        Document::Version(group, version) => return resources(kinds, group, version),
    };
    if wants_aggregated {
        let reply = Reply::value(200, &aggregated(kinds, core));
        return Ok(Reply { content_type: AGGREGATED.to_owned(), ..reply });
    }
    let value = match core {
        true => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        false => {
            let groups: Vec<Value> = kinds.groups().filter(|(name, _)| !name.is_empty()).map(group).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
    };
    Ok(Reply::value(200, &value))
}

type Group<'a> = (&'a str, &'a crate::kinds::Versions);

fn group((name, versions): Group<'_>) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn one_group(kinds: &Kinds, name: &str) -> Result<Reply, Failure> {
    let found = kinds.groups().find(|(group, _)| *group == name).ok_or_else(Failure::no_such_resource)?;
    let mut value = group(found);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Ok(Reply::value(200, &value))
}

fn resources(kinds: &Kinds, group: &str, version: &str) -> Result<Reply, Failure> {
    let (_, versions) =
        kinds.groups().find(|(name, _)| *name == group).ok_or_else(Failure::no_such_resource)?;
    let (_, served) =
        versions.iter().find(|(name, _)| name == version).ok_or_else(Failure::no_such_resource)?;
    let mut listed = Vec::new();
    for kind in served.values() {
        let mut entry = json!({
            "name": kind.resource, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs(kind),
        });
        if !kind.short_names.is_empty() {
            entry["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            entry["categories"] = json!(kind.categories);
        }
        listed.push(entry);
        for name in &kind.subresources {
            let (group, version, of) = response_kind(kind, name);
            let mut entry = json!({
                "name": format!("{}/{name}", kind.resource), "singularName": "", "namespaced": kind.namespaced,
                "kind": of, "verbs": ["get", "patch", "update"],
            });
            if name == "scale" {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            listed.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(Reply::value(
        200,
        &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}),
    ))
}

fn verbs(kind: &Kind) -> Vec<&'static str> {
    if kind.is_review() {
        return vec!["create"];
    }
    let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let one_by_one = kind.kind == "Namespace";
    all.into_iter().filter(|verb| !(one_by_one && *verb == "deletecollection")).collect()
}

/// Group, version and kind of what a subresource speaks.
fn response_kind<'a>(kind: &'a Kind, subresource: &str) -> (&'a str, &'a str, &'a str) {
    match subresource {
        "scale" => ("autoscaling", "v1", "Scale"),
        _ => (&kind.group, &kind.version, &kind.kind),
    }
}

fn aggregated(kinds: &Kinds, core: bool) -> Value {
    let groups = kinds.groups().filter(|(name, _)| name.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, served)| {
                    let resources: Vec<Value> =
                        served.values().map(|kind| aggregated_resource(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    // Empty stands for the group and version it is listed under; custom kinds spell them out.
    let response = |(group, version, of): (&str, &str, &str)| {
        let listed =
            !kind.schema.custom() && (group, version) == (kind.group.as_str(), kind.version.as_str());
        let (group, version) = if listed { ("", "") } else { (group, version) };
        json!({"group": group, "version": version, "kind": of})
    };
    let subresource = |name: &String| {
        json!({
            "subresource": name,
            "responseKind": response(response_kind(kind, name)),
            "verbs": ["get", "patch", "update"],
        })
    };
    let mut entry = json!({
        "resource": kind.resource,
        "responseKind": response(response_kind(kind, "")),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if !kind.subresources.is_empty() {
        entry["subresources"] = kind.subresources.iter().map(subresource).collect();
    }
    entry
}
