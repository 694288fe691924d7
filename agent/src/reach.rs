//! Where in the cluster may this agent act?
//!
//! Everywhere, or in some namespaces only. Then it has no right to anything outside of these: each kind is watched
//! in each of them, and what would be elsewhere is refused before anything is sent.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::applyset::Parent;
use crate::object::{GroupKind, ObjectKey, Resource};

/// The namespaces an agent may act in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// None for the whole cluster.
    namespaces: Option<Arc<BTreeSet<Arc<str>>>>,
}

impl Reach {
    /// Only these namespaces; the whole cluster when there are none.
    pub(crate) fn new(namespaces: impl IntoIterator<Item = String>) -> Reach {
        let namespaces: BTreeSet<Arc<str>> = namespaces.into_iter().map(Into::into).collect();
        Reach { namespaces: (!namespaces.is_empty()).then(|| Arc::new(namespaces)) }
    }

    /// Whether it is the whole cluster.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.namespaces.is_none()
    }

    /// The namespaces in which a kind is to be watched, an empty name for all at once. None when no object of that
    /// kind is within reach.
    pub(crate) fn scopes(&self, namespaced: bool) -> Vec<Arc<str>> {
        match &self.namespaces {
            None => vec!["".into()],
            Some(names) if namespaced => names.iter().cloned().collect(),
            Some(_) => Vec::new(),
        }
    }

    /// Whether an object may be written.
    ///
    /// # Errors
    /// A sentence that names the object and says what to do.
    pub(crate) fn allow(&self, key: &ObjectKey) -> Result<(), String> {
        let Some(names) = &self.namespaces else { return Ok(()) };
        if names.contains(&*key.namespace) {
            return Ok(());
        }
        let only = format!("this agent acts only in {}, as its setting `namespaces` says", list(names));
        Err(if key.namespace.is_empty() {
            format!(
                "{key} is in no namespace, and {only}. Apply it by other means, or let the agent act everywhere."
            )
        } else {
            format!(
                "{key} is in another namespace, and {only}. Move it, or add its namespace and the rights in it."
            )
        })
    }

    /// What the parent of an app says it may have that is out of reach, as a clause. `located` is where the kinds are
    /// that Git names no more.
    pub(crate) fn beyond(
        &self,
        parent: &Parent,
        located: &BTreeMap<GroupKind, Option<Arc<Resource>>>,
    ) -> Option<String> {
        let names = self.namespaces.as_ref()?;
        if let Some(name) = parent.namespaces.iter().find(|name| !names.contains(name.as_str())) {
            return Some(format!("the namespace {name}"));
        }
        let of_cluster =
            |kind: &&GroupKind| matches!(located.get(*kind), Some(Some(found)) if !found.namespaced);
        parent.kinds.iter().find(of_cluster).map(|kind| format!("the kind {kind}, which is in no namespace"))
    }
}

fn list(names: &BTreeSet<Arc<str>>) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let what = if names.len() == 1 { "the namespace" } else { "the namespaces" };
    format!("{what} {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;

    fn key(kind: &str, namespace: &str) -> ObjectKey {
        ObjectKey::new(GroupKind::new("", kind), namespace, "a")
    }

    #[test]
    fn without_namespaces_everything_is_within_reach() {
        let reach = Reach::new([]);
        assert_eq!(reach, Reach::default());
        assert!(reach.is_everywhere() && reach.allow(&key("Namespace", "")).is_ok());
        assert_eq!(reach.scopes(true), reach.scopes(false));
        assert_eq!(reach.scopes(true), ["".into()]);
    }

    #[test]
    fn what_is_elsewhere_is_refused_by_name() {
        let reach = Reach::new(["web".to_owned(), "api".to_owned()]);
        assert_eq!(reach.scopes(true), ["api".into(), "web".into()]);
        assert!(reach.scopes(false).is_empty() && !reach.is_everywhere());
        assert_eq!(reach.allow(&key("ConfigMap", "web")), Ok(()));
        let refused = |kind, namespace| reach.allow(&key(kind, namespace)).unwrap_err();
        let only = "this agent acts only in the namespaces api, web, as its setting `namespaces` says";
        assert_eq!(
            refused("ConfigMap", "kube-system"),
            format!(
                "ConfigMap/kube-system/a is in another namespace, and {only}. Move it, or add its namespace and the rights in it."
            )
        );
        assert!(
            refused("Namespace", "").starts_with(&format!("Namespace/a is in no namespace, and {only}."))
        );
    }

    #[test]
    fn an_inventory_from_wider_days_is_not_taken_for_whole() {
        let reach = Reach::new(["web".to_owned()]);
        let parent = |kind: &str, namespace: &str| Parent {
            kinds: [GroupKind::new("", kind)].into(),
            namespaces: [namespace.to_owned()].into(),
            ..Parent::empty("web")
        };
        let resource = |kind: &str, namespaced| {
            let resource = Resource { gvk: Gvk::new("", "v1", kind), plural: String::new(), namespaced };
            (GroupKind::new("", kind), Some(Arc::new(resource)))
        };
        let located = [resource("Namespace", false), resource("Secret", true)].into();
        assert_eq!(reach.beyond(&parent("Secret", "web"), &located), None);
        assert!(reach.beyond(&parent("Secret", "other"), &located).unwrap().contains("namespace other"));
        assert!(reach.beyond(&parent("Namespace", "web"), &located).unwrap().contains("kind Namespace"));
        assert_eq!(Reach::default().beyond(&parent("Namespace", "other"), &located), None);
    }
}
