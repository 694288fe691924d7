//! What does setting a namespace change?

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::kustomize::{
    identity::{Id, Kinds},
    resmap::ResMap,
    resource::{Resource, text_of},
    specs::FieldSpec,
    visit::{Make, each, set_scalar},
};

/// Which subjects of bindings get the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Subjects {
    /// Those named `default`.
    #[default]
    Default,
    /// All service accounts.
    ServiceAccounts,
    /// None.
    None,
}

const META_NAMESPACE: &str = "metadata/namespace";
const META_NAME: &str = "metadata/name";
const SUBJECTS_NAMESPACE: &str = "subjects/namespace";

fn is_binding(kind: &str) -> bool {
    matches!(kind, "RoleBinding" | "ClusterRoleBinding")
}

pub(super) fn run(
    map: &mut ResMap,
    namespace: &str,
    specs: &[FieldSpec],
    unset_only: bool,
    subjects: Subjects,
    kinds: Kinds<'_>,
) -> Result<(), String> {
    if namespace.is_empty() {
        return Ok(());
    }
    let mut counts: HashMap<Id, usize> = HashMap::new();
    for resource in &map.list {
        *counts.entry(resource.id(kinds)).or_default() += 1;
    }
    for resource in map.list.iter_mut().filter(|resource| !resource.is_empty()) {
        let before = resource.id(kinds);
        resource.store_previous(kinds);
        one(resource, namespace, specs, unset_only, subjects, kinds)?;
        let after = resource.id(kinds);
        if after != before {
            if let Some(count) = counts.get_mut(&before) {
                *count -= 1;
            }
            *counts.entry(after.clone()).or_default() += 1;
        }
        if counts.get(&after).is_some_and(|count| *count != 1) {
            return Err(format!("namespace transformation produces ID conflict: {after}"));
        }
    }
    Ok(())
}

pub(super) fn one(
    resource: &mut Resource,
    namespace: &str,
    specs: &[FieldSpec],
    unset_only: bool,
    subjects: Subjects,
    kinds: Kinds<'_>,
) -> Result<(), String> {
    let set = |value: &mut Value| {
        if unset_only && !text_of(value).is_empty() {
            return Ok(());
        }
        set_scalar(value, Value::from(namespace))
    };
    let gvk = resource.gvk();
    if !kinds.is_cluster_scoped(&gvk) {
        let spec = FieldSpec { path: META_NAMESPACE.into(), create: true, ..FieldSpec::default() };
        each(resource, &spec, Make::Scalar, &mut { set })?;
    }
    let is_binding_now = is_binding(&gvk.kind);
    if is_binding_now {
        set_subjects(resource, subjects, set)?;
    }
    for spec in specs {
        let is_done = spec.path == META_NAMESPACE
            || spec.path == META_NAME && resource.api_version() != "v1"
            || is_binding_now && is_binding(&spec.gvk.kind) && spec.path == SUBJECTS_NAMESPACE;
        if !is_done {
            each(resource, spec, Make::Scalar, &mut { set })
                .map_err(|error| format!("namespace transformation failed: {error}"))?;
        }
    }
    Ok(())
}

fn set_subjects(
    resource: &mut Resource,
    subjects: Subjects,
    set: impl Fn(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let (field, wanted) = match subjects {
        Subjects::Default => ("name", "default"),
        Subjects::ServiceAccounts => ("kind", "ServiceAccount"),
        Subjects::None => return Ok(()),
    };
    let list = match resource.value.get_mut("subjects") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("subjects of a binding must be a list".to_owned()),
    };
    for subject in list.iter_mut().filter_map(Value::as_object_mut) {
        if subject.get(field).is_some_and(|value| text_of(value) == wanted) {
            set(namespace_of(subject))?;
        }
    }
    Ok(())
}

fn namespace_of(subject: &mut Map<String, Value>) -> &mut Value {
    subject.entry("namespace").or_insert_with(|| Value::String(String::new()))
}
