//! Which endpoint does a path mean, and which verb is a request?

use super::Request;
use crate::kinds::{Kind, Kinds};
use crate::status::Failure;
use std::sync::Arc;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Endpoint {
    Health,
    Version,
    Discovery(Document),
    /// The rest of the path under /openapi.
    OpenApi(String),
    Resource(Place),
}

/// A discovery document.
#[derive(Debug)]
pub(super) enum Document {
    /// /api
    Core,
    /// /apis
    Groups,
    /// /apis/GROUP
    Group(String),
    /// /api/v1 or /apis/GROUP/VERSION
    Version(String, String),
}

/// Objects of a kind, or one of them, or part of one.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Place {
    /// The namespace objects are kept under: empty for cluster-scoped ones.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn not_found(&self) -> Failure {
        Failure::not_found(&self.kind.group, &self.kind.resource, self.name())
    }
}

/// Finds the endpoint.
pub(super) fn route(kinds: &Kinds, path: &str) -> Result<Endpoint, Failure> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let owned = |text: &str| text.to_owned();
    let endpoint = match segments.as_slice() {
        ["healthz" | "readyz" | "livez", ..] => Endpoint::Health,
        ["version"] => Endpoint::Version,
        ["api"] => Endpoint::Discovery(Document::Core),
        ["apis"] => Endpoint::Discovery(Document::Groups),
        ["apis", group] => Endpoint::Discovery(Document::Group(owned(group))),
        ["api", version] => Endpoint::Discovery(Document::Version(String::new(), owned(version))),
        ["apis", group, version] => Endpoint::Discovery(Document::Version(owned(group), owned(version))),
        ["openapi", rest @ ..] => Endpoint::OpenApi(rest.join("/")),
        ["api", version, rest @ ..] => resource(kinds, "", version, rest)?,
        ["apis", group, version, rest @ ..] => resource(kinds, group, version, rest)?,
        _ => return Err(Failure::no_such_page()),
    };
    Ok(endpoint)
}

fn resource(kinds: &Kinds, group: &str, version: &str, rest: &[&str]) -> Result<Endpoint, Failure> {
    let (namespace, rest) = match rest {
        // A namespace's own subresources look like resources in it.
        ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (resource, None, None),
        [resource, name] => (resource, Some(*name), None),
        [resource, name, subresource] => (resource, Some(*name), Some(*subresource)),
        _ => return Err(Failure::no_such_resource()),
    };
    let known = kinds
        .groups()
        .any(|(name, versions)| name == group && versions.iter().any(|(name, _)| name == version));
    if !known {
        return Err(Failure::no_such_page());
    }
    let kind = kinds.find(group, version, resource).ok_or_else(Failure::no_such_resource)?;
    let scope_fits = match namespace {
        Some(_) => kind.namespaced,
        None => !kind.namespaced || name.is_none(),
    };
    if !scope_fits || subresource.is_some_and(|name| !kind.has(name)) {
        return Err(Failure::no_such_resource());
    }
    Ok(Endpoint::Resource(Place {
        kind: kind.clone(),
        namespace,
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    }))
}

/// The verb of a request, as RBAC and the counters name it.
pub(super) fn verb(method: &str, place: &Place, request: &Request) -> Result<&'static str, Failure> {
    let verb = match (method, &place.name) {
        ("GET" | "HEAD", None) if request.flag("watch") => "watch",
        ("GET" | "HEAD", None) => "list",
        ("GET" | "HEAD", Some(_)) if request.flag("watch") => "watch",
        ("GET" | "HEAD", Some(_)) => "get",
        ("POST", None) if !place.kind.namespaced || place.namespace.is_some() => "create",
        ("PUT", Some(_)) => "update",
        ("PATCH", Some(_)) => "patch",
        ("DELETE", Some(_)) if place.subresource.is_none() => "delete",
        ("DELETE", None) if place.kind.kind == "Namespace" => return Err(Failure::method_not_allowed()),
        ("DELETE", None) if place.namespace.is_some() || !place.kind.namespaced => "deletecollection",
        _ => return Err(Failure::method_not_allowed()),
    };
    if place.kind.is_review() && verb != "create" {
        return Err(Failure::method_not_allowed());
    }
    Ok(verb)
}
