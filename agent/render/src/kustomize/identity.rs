//! What is an object called, now and before?

use std::fmt;

use crate::patch::{Schema, Scope};

/// The namespace by which Kustomize knows objects that are in none.
pub(crate) const NO_NAMESPACE: &str = "_non_namespaceable_";
/// The namespace of an object that names none but lives in one.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Group, version and kind; as a selector, what is empty selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Gvk {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

impl Gvk {
    pub(crate) fn new(api_version: &str, kind: &str) -> Gvk {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// Whether a selector means this.
    pub(crate) fn is_selected(&self, selector: &Gvk) -> bool {
        let fits = |selector: &str, own: &str| selector.is_empty() || selector == own;
        fits(&selector.group, &self.group)
            && fits(&selector.version, &self.version)
            && fits(&selector.kind, &self.kind)
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Shown as Kustomize does: `Deployment.v1.apps`.
impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |text: &'_ str, other| if text.is_empty() { other } else { text.to_owned() };
        let (kind, version) = (or(&self.kind, "[noKind]".into()), or(&self.version, "[noVer]".into()));
        write!(f, "{kind}.{version}.{}", or(&self.group, "[noGrp]".into()))
    }
}

/// What tells one object from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    /// Never empty: [`NO_NAMESPACE`] or [`DEFAULT_NAMESPACE`] stand for none.
    pub(crate) namespace: String,
}

impl Id {
    pub(crate) fn is_cluster_scoped(&self) -> bool {
        self.namespace == NO_NAMESPACE
    }
}

/// Shown as Kustomize does: `Deployment.v1.apps/web.shop`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = match self.namespace.as_str() {
            NO_NAMESPACE | DEFAULT_NAMESPACE => "[noNs]",
            namespace => namespace,
        };
        write!(f, "{}/{}.{namespace}", self.gvk, self.name)
    }
}

/// Where objects of a kind live, after the built-in kinds and an OpenAPI document, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds<'s> {
    /// Merge keys of all kinds.
    pub(crate) schema: &'s Schema,
}

impl Kinds<'_> {
    /// Whether objects of this kind certainly are in no namespace.
    pub(crate) fn is_cluster_scoped(self, gvk: &Gvk) -> bool {
        let api_version = gvk.api_version();
        let scope = Schema::built_in().scope(&api_version, &gvk.kind);
        scope.or_else(|| self.schema.scope(&api_version, &gvk.kind)) == Some(Scope::Cluster)
    }

    /// The namespace by which an object is known.
    pub(crate) fn effective_namespace(self, gvk: &Gvk, namespace: &str) -> String {
        if self.is_cluster_scoped(gvk) {
            NO_NAMESPACE.to_owned()
        } else if namespace.is_empty() {
            DEFAULT_NAMESPACE.to_owned()
        } else {
            namespace.to_owned()
        }
    }
}
