//! Is any object there twice?

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{Object, RenderError};

/// Refuses objects of the same group, kind, namespace and name, naming both places. The version
/// does not tell objects apart: a Deployment of `apps/v1` and of `apps/v1beta1` are one.
pub(crate) fn check(objects: &[Object], errors: &mut Vec<RenderError>) {
    let mut first_of = BTreeMap::new();
    for object in objects {
        let identity = (object.group(), object.kind(), object.namespace(), object.name());
        match first_of.entry(identity) {
            Entry::Vacant(vacant) => {
                vacant.insert(object);
            }
            Entry::Occupied(first) => {
                let message = format!("{object} is also at {}; remove or rename one", first.get().place());
                errors.push(RenderError { file: object.file.clone(), line: object.line, column: 0, message });
            }
        }
    }
}
