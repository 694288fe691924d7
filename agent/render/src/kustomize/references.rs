//! Which fields name objects that were renamed, and what must stand there now?

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    identity::{Gvk, Id, Kinds, NO_NAMESPACE},
    resmap::ResMap,
    resource::{Resource, text_of},
    specs::NameReference,
    visit::{Make, each_at, kind_of},
};

/// What counts of an object that may be named.
struct Named {
    id: Id,
    previous: Vec<Id>,
    original_namespace: String,
    /// As written, empty for none.
    namespace: String,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

struct Names {
    all: Vec<Named>,
    /// By each name an object had.
    by_previous: HashMap<String, Vec<usize>>,
}

/// Puts the present names in place of former ones, in all fields of the tables.
pub(crate) fn fix(map: &mut ResMap, tables: &[NameReference], kinds: Kinds<'_>) -> Result<(), String> {
    let names = Names::of(map, kinds);
    for (at, resource) in map.list.iter_mut().enumerate() {
        let original = resource.original_id(kinds).gvk;
        let allowed = subject_namespaces(resource)?;
        if names.by_previous.is_empty() {
            continue;
        }
        for table in tables {
            for spec in table.referrers.iter().filter(|spec| original.is_selected(&spec.gvk)) {
                let role = role_of(resource, spec.path.as_str());
                let search =
                    Search { names: &names, referrer: at, target: &table.target, role, allowed: &allowed };
                // The kind may have changed since; the field is looked for all the same.
                each_at(resource, &spec.path, Make::Nothing, &mut |value| search.fix(value))
                    .map_err(|error| format!("updating name reference: {error}"))?;
            }
        }
    }
    Ok(())
}

/// A binding may name service accounts of the namespaces it says.
fn subject_namespaces(resource: &Resource) -> Result<HashSet<String>, String> {
    let mut namespaces = HashSet::new();
    if resource.kind() != "RoleBinding" {
        return Ok(namespaces);
    }
    let subjects = resource.value.get("subjects").and_then(Value::as_array);
    for subject in subjects.into_iter().flatten() {
        let is_account = subject.get("kind").is_some_and(|kind| text_of(kind) == "ServiceAccount");
        match subject.get("namespace") {
            Some(Value::String(namespace)) if is_account => {
                namespaces.insert(namespace.clone());
            }
            Some(_) if is_account => {
                return Err(format!("a subject of RoleBinding {} has a blank namespace", resource.name()));
            }
            _ => {}
        }
    }
    Ok(namespaces)
}

/// The kind of role a binding names, if the field is its `roleRef`.
fn role_of(resource: &Resource, path: &str) -> Option<Gvk> {
    if !path.ends_with("roleRef/name") {
        return None;
    }
    let role = resource.value.get("roleRef")?;
    let text = |field| role.get(field).filter(|value| !value.is_null()).map(text_of);
    Some(Gvk { group: text("apiGroup")?, version: String::new(), kind: text("kind")? })
}

impl Names {
    fn of(map: &ResMap, kinds: Kinds<'_>) -> Names {
        let mut by_previous: HashMap<String, Vec<usize>> = HashMap::new();
        let mut all = Vec::with_capacity(map.list.len());
        for (at, resource) in map.list.iter().enumerate() {
            let previous = resource.previous_ids();
            for id in &previous {
                let known = by_previous.entry(id.name.clone()).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
            }
            all.push(Named {
                id: resource.id(kinds),
                previous,
                original_namespace: resource.original_id(kinds).namespace,
                namespace: resource.namespace(),
                prefixes: resource.prefixes.clone(),
                suffixes: resource.suffixes.clone(),
            });
        }
        Names { all, by_previous }
    }
}

/// One field of one object.
struct Search<'n> {
    names: &'n Names,
    /// The object that has the field.
    referrer: usize,
    target: &'n Gvk,
    role: Option<Gvk>,
    allowed: &'n HashSet<String>,
}

impl<'n> Search<'n> {
    fn fix(&self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter_mut().filter(|item| !item.is_null()).try_for_each(|item| {
                if item.is_array() {
                    return Err(format!("a name is a string or a mapping, found {}", kind_of(item)));
                }
                self.fix(item)
            }),
            Value::Object(_) => self.mapping(value),
            Value::Null => Ok(()),
            scalar => {
                let old = text_of(scalar);
                if let Some(new) = self.find(&old, None, false)?
                    && new.id.name != old
                {
                    *scalar = Value::from(new.id.name.as_str());
                }
                Ok(())
            }
        }
    }

    /// A mapping with `name` and perhaps `namespace`.
    fn mapping(&self, value: &mut Value) -> Result<(), String> {
        let Some(name) = value.get("name") else {
            return Err("path config error; no 'name' field in node".to_owned());
        };
        let old = text_of(name);
        let namespace = value.get("namespace").map(text_of);
        let Some(new) = self.find(&old, namespace.as_deref(), true)? else { return Ok(()) };
        if new.id.name != old || !new.namespace.is_empty() {
            value["name"] = Value::from(new.id.name.as_str());
            if !new.namespace.is_empty() {
                value["namespace"] = Value::from(new.namespace.as_str());
            }
        }
        Ok(())
    }

    /// Whether objects of this kind and place can be meant at all.
    fn could_name(&self, other: &Named) -> bool {
        let own = &self.names.all[self.referrer].id;
        own.is_cluster_scoped()
            || other.id.is_cluster_scoped()
            || other.id.namespace == own.namespace
            || self.allowed.contains(&other.namespace)
    }

    fn find(
        &self,
        name: &str,
        namespace: Option<&str>,
        is_mapping: bool,
    ) -> Result<Option<&'n Named>, String> {
        let Some(positions) = self.names.by_previous.get(name) else { return Ok(None) };
        let mut found: Vec<&Named> =
            positions.iter().map(|at| &self.names.all[*at]).filter(|other| self.could_name(other)).collect();
        if let Some(namespace) = namespace {
            self.narrow_to_namespace(&mut found, namespace);
        }
        found.retain(|other| other.previous.iter().any(|id| id.gvk.is_selected(self.target)));
        if let Some(role) = &self.role {
            found.retain(|other| other.previous.iter().any(|id| id.gvk.is_selected(role)));
        }
        let own = &self.names.all[self.referrer];
        if !own.id.is_cluster_scoped() {
            found.retain(|other| {
                other.id.is_cluster_scoped()
                    || other.id.gvk.kind == "ServiceAccount"
                    || other.id.namespace == own.id.namespace
            });
        }
        if let [one] = found.as_slice() {
            return Ok(Some(one));
        }
        found.retain(|other| same_affixes(own, other, true));
        if found.len() > 1 {
            found.retain(|other| same_affixes(own, other, false));
        }
        let Some(first) = found.first() else { return Ok(None) };
        let is_same = |other: &&Named| {
            other.id.name == first.id.name && (!is_mapping || other.namespace == first.namespace)
        };
        if found.iter().all(is_same) {
            return Ok(Some(first));
        }
        let ids: Vec<_> = found.iter().map(|other| other.id.to_string()).collect();
        Err(format!("found multiple possible referrals: {}", ids.join(", ")))
    }

    /// Keeps the objects of a namespace by its first name, and only if there is none (whatever it is
    /// called), by its present one.
    fn narrow_to_namespace(&self, found: &mut Vec<&Named>, namespace: &str) {
        let is_known = namespace != NO_NAMESPACE
            && self
                .names
                .all
                .iter()
                .any(|other| self.could_name(other) && other.original_namespace == namespace);
        if is_known {
            found.retain(|other| other.original_namespace == namespace);
        } else {
            found.retain(|other| other.id.namespace == namespace && namespace != NO_NAMESPACE);
        }
    }
}

/// Whether two objects went through the same last prefixes and suffixes.
fn same_affixes(one: &Named, other: &Named, allow_none: bool) -> bool {
    let same = |one: &[String], other: &[String]| {
        allow_none && (one.is_empty() || other.is_empty()) || same_ending(one, other)
    };
    same(&one.prefixes, &other.prefixes) && same(&one.suffixes, &other.suffixes)
}

fn same_ending(one: &[String], other: &[String]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.is_empty() { long.is_empty() } else { long.ends_with(short) }
}
