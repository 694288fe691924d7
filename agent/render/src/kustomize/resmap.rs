//! Which objects are there, in which order, and is any of them there twice?

use std::collections::HashSet;

use serde_json::Value;

use super::{
    generate::spelling_of_data,
    identity::{Id, Kinds},
    resource::{Behavior, Resource, written},
};
use crate::patch::{Candidate, Selector};

/// Objects in the order they were found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ResMap {
    pub(crate) list: Vec<Resource>,
}

impl ResMap {
    /// Adds objects, none of which may be there already.
    pub(crate) fn append_all(&mut self, more: Vec<Resource>, kinds: Kinds<'_>) -> Result<(), String> {
        let mut ids: HashSet<Id> = self.list.iter().map(|resource| resource.id(kinds)).collect();
        for resource in more {
            let id = resource.id(kinds);
            if ids.contains(&id) {
                return Err(format!("may not add resource with an already registered id: {id}"));
            }
            ids.insert(id);
            self.list.push(resource);
        }
        Ok(())
    }

    /// Checks that no two objects are called the same.
    pub(crate) fn check_unique(&self, kinds: Kinds<'_>) -> Result<(), String> {
        let mut ids = HashSet::new();
        for resource in &self.list {
            let id = resource.id(kinds);
            if ids.contains(&id) {
                return Err(format!("may not add resource with an already registered id: {id}"));
            }
            ids.insert(id);
        }
        Ok(())
    }

    /// Adds a generated object, or puts it in place of the one it replaces or adds to.
    pub(crate) fn absorb(&mut self, mut new: Resource, kinds: Kinds<'_>) -> Result<(), String> {
        let id = new.id(kinds);
        let mut matches = (0..self.list.len()).filter(|at| self.list[*at].was_ever(&id, kinds));
        let (first, second) = (matches.next(), matches.next());
        match (first, second, new.behavior) {
            (None, _, Behavior::Create) => {
                self.list.push(new);
                Ok(())
            }
            (None, _, _) => Err(format!("id {id} does not exist; cannot merge or replace")),
            (Some(_), Some(_), _) => Err(format!("several objects could accept the merge of {id}")),
            (Some(_), None, Behavior::Create) => {
                Err(format!("id {id} exists; behavior must be merge or replace"))
            }
            (Some(at), None, behavior) => {
                let old = &self.list[at];
                inherit(&mut new, old);
                if behavior == Behavior::Merge {
                    add_data(&mut new, old);
                    new.origin.clone_from(&old.origin);
                }
                let id = new.id(kinds);
                if self.list[at].id(kinds) != id {
                    return Err(format!("cannot find resource with id {id} to replace"));
                }
                self.list[at] = new;
                Ok(())
            }
        }
    }

    /// The one object that is or was called this.
    pub(crate) fn find(&self, id: &Id, kinds: Kinds<'_>) -> Result<usize, String> {
        let mut matches = (0..self.list.len()).filter(|at| self.list[*at].was_ever(id, kinds));
        match (matches.next(), matches.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => {
                Err(format!("multiple matches for Id {id}; failed to find unique target for patch {id}"))
            }
            (None, _) => Err(format!("no matches for Id {id}; failed to find unique target for patch {id}")),
        }
    }

    /// The objects a selector means.
    pub(crate) fn select(&self, selector: &Selector, kinds: Kinds<'_>) -> Vec<usize> {
        let is_selected = |resource: &Resource| {
            let (labels, annotations) = if selector.looks_at_texts() {
                (resource.labels(), resource.annotations())
            } else {
                Default::default()
            };
            let (now, first) = (resource.id(kinds), resource.original_id(kinds));
            selector.matches(&Candidate {
                group: &now.gvk.group,
                version: &now.gvk.version,
                kind: &now.gvk.kind,
                names: [&first.name, &now.name],
                namespaces: [&first.namespace, &now.namespace],
                labels: &labels,
                annotations: &annotations,
            })
        };
        (0..self.list.len()).filter(|at| is_selected(&self.list[*at])).collect()
    }

    /// Drops objects that patches have deleted.
    pub(crate) fn drop_empty(&mut self) {
        self.list.retain(|resource| !resource.is_empty());
    }
}

/// What an object that merges or replaces has from the one it does it to.
fn inherit(new: &mut Resource, old: &Resource) {
    let mut labels = old.labels();
    labels.extend(new.labels());
    new.set_texts("labels", labels);
    let mut annotations = old.annotations();
    annotations.extend(new.annotations());
    new.set_texts("annotations", annotations);
    new.set_name(&old.name());
    new.set_namespace(&old.namespace());
    new.previous.clone_from(&old.previous);
    new.prefixes.clone_from(&old.prefixes);
    new.suffixes.clone_from(&old.suffixes);
    new.behavior = old.behavior;
    new.generated = old.generated;
    new.needs_hash &= old.needs_hash;
    new.vars.clone_from(&old.vars);
    new.transformations.clone_from(&old.transformations);
}

fn add_data(new: &mut Resource, old: &Resource) {
    let Some(fields) = new.value.as_object_mut() else { return };
    for field in ["data", "binaryData"] {
        let mut data = serde_json::Map::new();
        for (source, spelling) in [(old.value.get(field), &old.spelling), (fields.get(field), &new.spelling)]
        {
            for (key, value) in source.and_then(Value::as_object).into_iter().flatten() {
                let spelling = spelling.key(field).key(key);
                let text = if value.is_null() { String::new() } else { written(value, spelling) };
                data.insert(key.clone(), Value::String(text));
            }
        }
        if data.is_empty() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), Value::Object(data));
        }
    }
    if new.kind() == "ConfigMap" {
        new.spelling = spelling_of_data(&new.value);
    }
}
