//! What is asked of the API server?
use http::Method;

/// A kind of request, by the name Kubernetes' own rights and metrics use where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    /// Reads an object's `metadata` alone.
    GetMetadata,
    List,
    Watch,
    Create,
    /// Replaces a whole object.
    Update,
    /// A server-side apply; the right to it is called `patch`.
    Apply,
    /// A JSON patch.
    Patch,
    Delete,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verb::Get | Verb::GetMetadata => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Apply => "apply",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Verb::Get | Verb::GetMetadata | Verb::List | Verb::Watch => Method::GET,
            Verb::Create => Method::POST,
            Verb::Update => Method::PUT,
            Verb::Apply | Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }

    /// The form of the answer that is asked for.
    pub(super) fn accept(self) -> &'static str {
        match self {
            Verb::GetMetadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            _ => "application/json",
        }
    }
}
