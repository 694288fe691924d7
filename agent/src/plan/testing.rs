//! Objects for tests of plans.
use std::sync::Arc;

use super::{Desired, Place};
use crate::directives::Directives;
use crate::object::{Digest, Gvk, ObjectKey, Resource};

/// What discovery would say of a key's kind.
pub(crate) fn resource(key: &ObjectKey) -> Arc<Resource> {
    let gvk = Gvk { group_kind: key.kind.clone(), version: "v1".into() };
    Arc::new(Resource { gvk, plural: "any".to_owned(), namespaced: !key.namespace.is_empty() })
}

/// An object of Git's, with nothing in it.
pub(crate) fn desired(key: &ObjectKey) -> Desired {
    let place = Place { file: "a.yaml".into(), line: 1 };
    let digest = Digest::default();
    Desired {
        resource: resource(key),
        body: Arc::from(*b"{}"),
        ignored: None,
        digest,
        place,
        directives: Directives::default(),
        wave: 0,
        hook: None,
    }
}
