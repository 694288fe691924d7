//! What stands in place of `$(NAME)`?

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    identity::{DEFAULT_NAMESPACE, Id, Kinds},
    kustomization::Var,
    lookup::{dotted, value},
    resmap::ResMap,
    resource::{Resource, text_of},
    specs::FieldSpec,
    visit::{Make, each, kind_of},
};

/// The vars of all kustomizations so far, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars(BTreeMap<String, Var>);

impl Vars {
    /// Adds the vars of one kustomization, and remembers which objects they are taken from.
    pub(crate) fn add(&mut self, vars: &[Var], map: &mut ResMap, kinds: Kinds<'_>) -> Result<(), String> {
        for var in vars {
            let is_meant = |id: &Id| {
                let selector = &var.object;
                let namespace =
                    if selector.namespace.is_empty() { DEFAULT_NAMESPACE } else { &selector.namespace };
                id.gvk == selector.gvk
                    && id.name == selector.name
                    && (selector.namespace.is_empty() || id.namespace == namespace)
            };
            let mut meant = map.list.iter_mut().filter(|resource| {
                is_meant(&resource.id(kinds)) || resource.previous_ids().iter().any(is_meant)
            });
            match (meant.next(), meant.next()) {
                (Some(_), Some(_)) => {
                    return Err(format!("several objects match var {} (unable to disambiguate)", var.name));
                }
                (Some(resource), None) => resource.vars.push(var.name.clone()),
                (None, _) => {}
            }
        }
        vars.iter().try_for_each(|var| self.insert(var))
    }

    fn insert(&mut self, var: &Var) -> Result<(), String> {
        match self.0.insert(var.name.clone(), var.clone()) {
            None => Ok(()),
            Some(_) => Err(format!("var '{}' already encountered", var.name)),
        }
    }

    /// Adds the vars of a base.
    pub(crate) fn merge(&mut self, other: &Vars) -> Result<(), String> {
        other.0.values().try_for_each(|var| self.insert(var))
    }

    /// Puts values in place of all vars.
    pub(crate) fn resolve(&self, map: &mut ResMap, specs: &[FieldSpec]) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let values = self.values(map)?;
        for resource in &mut map.list {
            let gvk = resource.gvk();
            for spec in specs {
                if gvk.is_selected(&spec.gvk) {
                    let keys: Vec<_> =
                        spec.path.keys().iter().map(|key| key.trim_end_matches("[]")).collect();
                    let Resource { value, spelling, shared, .. } = resource;
                    shared.make_texts(value, spelling, spec.path.keys());
                    spelling.forget(&keys);
                }
                each(resource, spec, Make::Nothing, &mut |value| replace(value, &values))?;
            }
        }
        Ok(())
    }

    fn values(&self, map: &ResMap) -> Result<BTreeMap<&str, Value>, String> {
        let mut values = BTreeMap::new();
        for (name, var) in &self.0 {
            let Some(resource) = map.list.iter().find(|resource| resource.vars.contains(name)) else {
                return Err(format!(
                    "var '{name}' cannot be mapped to a field in the set of known resources"
                ));
            };
            let found = value(&resource.value, &with_indexes(dotted(&var.field_path)));
            let Ok(Some(found)) = found else {
                return Err(format!("field specified in var '{name}' not found in corresponding resource"));
            };
            values.insert(name.as_str(), found.clone());
        }
        Ok(values)
    }
}

/// `ports[0]` is two steps.
fn with_indexes(path: Vec<String>) -> Vec<String> {
    let mut steps = Vec::new();
    for step in path {
        let index = step.strip_suffix(']').and_then(|step| step.rsplit_once('['));
        match index {
            Some((key, index)) if !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) => {
                if !key.is_empty() {
                    steps.push(key.to_owned());
                }
                steps.push(index.to_owned());
            }
            _ => steps.push(step),
        }
    }
    steps
}

fn replace(value: &mut Value, values: &BTreeMap<&str, Value>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            *value = expand(text, values);
            Ok(())
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                if let Value::String(text) = value {
                    *value = expand(text, values);
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
            Value::String(text) => {
                *item = expand(text, values);
                Ok(())
            }
            other => Err(format!("invalid value type expect a string, found {}", kind_of(other))),
        }),
        _ => Ok(()),
    }
}

/// Expands the vars in a text. A text that is nothing but a var takes the var's type.
fn expand(text: &str, values: &BTreeMap<&str, Value>) -> Value {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let behind = &rest[dollar + 1..];
        let Some(next) = behind.chars().next() else { break };
        expanded.push_str(&rest[..dollar]);
        match (next, behind.find(')')) {
            ('$', _) => {
                expanded.push('$');
                rest = &behind[1..];
            }
            ('(', Some(end)) => {
                let name = &behind[1..end];
                match values
                    .get(name)
                    .filter(|value| !value.is_object() && !value.is_array() && !value.is_null())
                {
                    Some(value) if behind.len() == end + 1 && dollar == 0 && text.len() == rest.len() => {
                        return value.clone();
                    }
                    Some(value) => expanded.push_str(&text_of(value)),
                    None => {
                        expanded.push_str("$(");
                        expanded.push_str(name);
                        expanded.push(')');
                    }
                }
                rest = &behind[end + 1..];
            }
            (next, _) => {
                expanded.push('$');
                expanded.push(next);
                rest = &behind[next.len_utf8()..];
            }
        }
    }
    expanded.push_str(rest);
    Value::String(expanded)
}
