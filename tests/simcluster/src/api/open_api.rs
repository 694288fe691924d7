//! Which parameters and patches does each kind take? (/openapi/v3, as little of it as clients need)
//!
//! kubectl asks whether a kind's patches take `fieldValidation`; if so it leaves validation to the server. Types are
//! not described: `kubectl explain` has nothing to say here.

use super::Reply;
use crate::kinds::{Kind, Kinds};
use crate::status::Failure;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers for a path under /openapi.
pub(super) fn reply(kinds: &Kinds, path: &str) -> Result<Reply, Failure> {
    let Some(rest) = path.strip_prefix("v3") else {
        return Err(Failure::no_such_resource());
    };
    let rest = rest.trim_start_matches('/');
    if rest.is_empty() {
        let mut paths = Map::new();
        for (name, of) in kinds.groups().flat_map(|(group, versions)| {
            versions.iter().map(move |(version, _)| (document_path(group, version), (group, version)))
        }) {
            let _ = of;
            paths.insert(name.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{name}?hash=0")}));
        }
        return Ok(Reply::value(200, &json!({"paths": paths})));
    }
    for (group, versions) in kinds.groups() {
        if let Some((_, served)) = versions.iter().find(|(version, _)| document_path(group, version) == rest)
        {
            return Ok(Reply::value(200, &document(served)));
        }
    }
    Err(Failure::no_such_resource())
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(served: &BTreeMap<String, Arc<Kind>>) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in served.values() {
        let base = document_path(&kind.group, &kind.version);
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let parameters = json!([query("dryRun"), query("fieldManager"), query("fieldValidation")]);
        let operation = |action: &str| {
            json!({
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
            })
        };
        let mut patch = operation("patch");
        let mut content = json!({
            "application/json-patch+json": {}, "application/merge-patch+json": {}, "application/apply-patch+yaml": {},
        });
        if !kind.schema.custom() {
            content["application/strategic-merge-patch+json"] = json!({});
        }
        patch["requestBody"] = json!({"content": content});
        paths.insert(format!("/{base}{scope}/{}", kind.resource), json!({"post": operation("post")}));
        let item = json!({"patch": patch, "put": operation("put")});
        paths.insert(format!("/{base}{scope}/{}/{{name}}", kind.resource), item);
        schemas.insert(
            format!("{}.{}", base.replace('/', "."), kind.kind),
            json!({"type": "object", "x-kubernetes-group-version-kind": [gvk]}),
        );
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}
