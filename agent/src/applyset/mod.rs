//! What does an app own in the cluster, by the cluster's own account?
//!
//! ```text
//! ConfigMap muster-app-web (parent)  --id-->  label part-of on each object (member)
//!   kinds and namespaces in which members may be
//! ```
//!
//! The format is KEP-3659 (ApplySet), so kubectl sees the same sets. The parent is widened before
//! anything new is applied and narrowed after the last member of a kind is gone: at any moment it names
//! at least every kind there is a member of, whenever the agent is killed.
mod record;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

pub(crate) use record::{Ended, Record};

use crate::object::{GroupKind, text};
use crate::plan::guard::Held;

/// Label on members: the id of their set.
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// Label on parents: the id of the set.
pub(crate) const ID: &str = "applyset.kubernetes.io/id";

/// Annotation on parents of apps that must not be pruned, so that this is known even when the document
/// that said so has left Git.
const PRUNE: &str = "muster.dev/prune";

/// Annotation on parents of apps of which too much would be deleted: how much of what.
const HELD: &str = "muster.dev/prune-held";

/// Annotation on parents of apps that would leave the cluster with too many others: how many of how many.
const LEAVING: &str = "muster.dev/leaving-held";

/// Annotation on parents of apps that are applied in the name of an account, so that they are pruned in
/// its name too when the document that said so has left Git.
const ACCOUNT: &str = "muster.dev/account";

/// Annotation on parents of suspended apps: since when they are.
const SUSPENDED: &str = "muster.dev/suspended-since";

const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// Name and version of the tool, as the parent carries it.
const TOOL: &str = "muster/v0.1";

const NAME_PREFIX: &str = "muster-app-";

/// Name of an app's parent.
pub(crate) fn parent_name(app: &str) -> String {
    format!("{NAME_PREFIX}{app}")
}

/// Id of an app's set: from its parent's name, namespace, kind and group, as the KEP gives it.
pub(crate) fn id(app: &str, namespace: &str) -> String {
    let identity = format!("{}.{namespace}.ConfigMap.", parent_name(app));
    let hash = digest(&SHA256, identity.as_bytes());
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
}

/// What a parent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The app it is for.
    pub(crate) app: String,
    /// Every kind that has a member, and perhaps some that have none any more.
    pub(crate) kinds: BTreeSet<GroupKind>,
    /// Every namespace that has a member, other than the parent's own.
    pub(crate) namespaces: BTreeSet<String>,
    /// Whether members may be pruned.
    pub(crate) prune: bool,
    /// A deletion of too many members at once, which waits to be confirmed.
    pub(crate) held: Option<Held>,
    /// How far the sync has come, for an app that is applied in order.
    pub(crate) sync: Option<Record>,
    /// The user in whose name members are written; none for the agent itself.
    pub(crate) account: Option<Arc<str>>,
    /// Since when the app is suspended, in RFC 3339; none while it is not.
    pub(crate) suspended_since: Option<String>,
    /// It would leave the cluster with too many other apps, so it stays until that is confirmed.
    pub(crate) leaving: Option<Held>,
}

impl Parent {
    /// A set without members.
    pub(crate) fn empty(app: &str) -> Self {
        Parent {
            app: app.to_owned(),
            kinds: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            prune: true,
            held: None,
            sync: None,
            account: None,
            suspended_since: None,
            leaving: None,
        }
    }

    /// The kinds and namespaces of both, and all else as `other` says.
    pub(crate) fn union(&self, other: &Parent) -> Parent {
        Parent {
            app: other.app.clone(),
            prune: other.prune,
            held: other.held,
            // A plan that only heals says nothing of how far a sync has come.
            sync: other.sync.clone().or_else(|| self.sync.clone()),
            account: other.account.clone(),
            suspended_since: self.suspended_since.clone(),
            leaving: self.leaving,
            kinds: &self.kinds | &other.kinds,
            namespaces: &self.namespaces | &other.namespaces,
        }
    }

    /// Reads a parent of ours; `None` for another tool's, or when it is not what it says it is.
    pub(crate) fn parse(object: &Value, namespace: &str) -> Option<Parent> {
        let app = text(object, &["metadata", "name"]).strip_prefix(NAME_PREFIX)?.to_owned();
        let ours = text(object, &["metadata", "annotations", TOOLING]).starts_with("muster/")
            && text(object, &["metadata", "labels", ID]) == id(&app, namespace);
        let list = |name| {
            text(object, &["metadata", "annotations", name])
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        let given = |name| match text(object, &["metadata", "annotations", name]) {
            "" => None,
            text => Some(text.to_owned()),
        };
        ours.then(|| Parent {
            kinds: list(KINDS).filter_map(GroupKind::parse).collect(),
            namespaces: list(NAMESPACES).map(str::to_owned).collect(),
            prune: text(object, &["metadata", "annotations", PRUNE]) != "false",
            held: Held::parse(text(object, &["metadata", "annotations", HELD])),
            sync: Record::parse(text(object, &["metadata", "annotations", record::SYNC])),
            account: given(ACCOUNT).map(Into::into),
            suspended_since: given(SUSPENDED),
            leaving: Held::parse(text(object, &["metadata", "annotations", LEAVING])),
            app,
        })
    }

    /// The ConfigMap to apply.
    pub(crate) fn to_object(&self, namespace: &str) -> Value {
        let kinds: Vec<_> = self.kinds.iter().map(ToString::to_string).collect();
        let namespaces: Vec<_> = self.namespaces.iter().filter(|name| *name != namespace).cloned().collect();
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": parent_name(&self.app),
                "namespace": namespace,
                "labels": {ID: id(&self.app, namespace), "app.kubernetes.io/managed-by": "muster-agent"},
                "annotations": {
                    TOOLING: TOOL,
                    KINDS: kinds.join(","),
                    NAMESPACES: namespaces.join(","),
                },
            },
        });
        if !self.prune {
            object["metadata"]["annotations"][PRUNE] = json!("false");
        }
        for (name, held) in [(HELD, self.held), (LEAVING, self.leaving)] {
            if let Some(held) = held {
                object["metadata"]["annotations"][name] = json!(held.to_string());
            }
        }
        if let Some(sync) = &self.sync {
            object["metadata"]["annotations"][record::SYNC] = json!(sync.to_string());
        }
        let given = [(ACCOUNT, self.account.as_deref()), (SUSPENDED, self.suspended_since.as_deref())];
        for (name, value) in given {
            if let Some(value) = value {
                object["metadata"]["annotations"][name] = json!(value);
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> Parent {
        Parent {
            app: "web".to_owned(),
            kinds: [GroupKind::new("apps", "Deployment"), GroupKind::new("", "Service")].into(),
            namespaces: ["demo".to_owned()].into(),
            prune: true,
            held: Some(Held { count: 4, of: 5 }),
            leaving: Some(Held { count: 6, of: 7 }),
            sync: Some(Record::begin([1; 16], None)),
            account: Some("system:serviceaccount:demo:deployer".into()),
            ..Parent::empty("web")
        }
    }

    #[test]
    fn a_parent_is_read_as_it_was_written() {
        let object = parent().to_object("muster-system");
        assert_eq!(text(&object, &["metadata", "annotations", KINDS]), "Service,Deployment.apps");
        assert_eq!(Parent::parse(&object, "muster-system"), Some(parent()));
        // The id names the namespace: a copy elsewhere is no parent.
        assert_eq!(Parent::parse(&object, "other"), None);
    }

    #[test]
    fn another_tools_parent_is_not_ours() {
        let mut object = parent().to_object("muster-system");
        object["metadata"]["annotations"][TOOLING] = json!("kubectl/v1.36.0");
        assert_eq!(Parent::parse(&object, "muster-system"), None);
    }

    #[test]
    fn the_id_is_the_one_the_kep_defines() {
        let hash = digest(&SHA256, b"muster-app-web.muster-system.ConfigMap.");
        assert_eq!(id("web", "muster-system"), format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash)));
        assert!(id("web", "a").len() <= 63);
    }

    #[test]
    fn a_union_has_the_kinds_and_namespaces_of_both() {
        let wider = parent().union(&Parent {
            app: "web".to_owned(),
            kinds: [GroupKind::new("", "ConfigMap")].into(),
            namespaces: ["extra".to_owned()].into(),
            prune: false,
            ..Parent::empty("web")
        });
        assert_eq!((wider.kinds.len(), wider.namespaces.len(), wider.prune), (3, 2, false));
        assert_eq!(Parent::parse(&wider.to_object("muster-system"), "muster-system"), Some(wider));
    }
}
