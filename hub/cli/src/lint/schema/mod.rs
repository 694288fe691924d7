//! Which kinds are there, and which fields have they?
//!
//! ```text
//! load    files given with --schema: OpenAPI documents of a cluster, CustomResourceDefinitions
//! check   an object against the schema of its kind
//! ```

mod check;
mod load;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use load::load;

use super::locate::FieldPath;
use super::rule::Rule;
use crate::definitions::Definition;
use crate::render::Scopes;

/// A field that is not as its kind wants it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lint) struct Flaw {
    pub(in crate::lint) rule: Rule,
    pub(in crate::lint) path: FieldPath,
    pub(in crate::lint) message: String,
}

/// The schemas of kinds.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    /// By `apiVersion` and kind.
    kinds: BTreeMap<(String, String), Value>,
    /// What `$ref` names: the last part of a reference to its schema.
    types: BTreeMap<String, Value>,
    /// Where kinds live, as far as the OpenAPI documents say.
    scopes: Vec<(String, String, bool)>,
    /// Whether every kind of the cluster is known, so that any other is a mistake.
    is_whole: bool,
}

impl Schemas {
    /// Adds the kinds that the repository or a file defines.
    pub(crate) fn define(&mut self, definitions: Vec<Definition>) {
        for definition in definitions {
            self.scopes.push((definition.group.clone(), definition.kind.clone(), definition.is_namespaced));
            for (version, schema) in definition.versions {
                let api_version = format!("{}/{version}", definition.group);
                self.kinds.insert((api_version, definition.kind.clone()), schema);
            }
        }
    }

    /// Says where kinds live.
    pub(crate) fn tell(&self, scopes: &mut Scopes) {
        for (group, kind, is_namespaced) in &self.scopes {
            scopes.tell(group, kind, *is_namespaced);
        }
    }

    /// What is wrong with an object. Without a schema of its kind nothing is, unless all kinds are known.
    pub(in crate::lint) fn check(&self, object: &Value) -> Vec<Flaw> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        match self.kinds.get(&(api_version.clone(), kind.clone())) {
            Some(schema) => check::object(object, schema, &self.types),
            None if self.is_whole => vec![self.unknown(&api_version, &kind)],
            None => Vec::new(),
        }
    }

    fn unknown(&self, api_version: &str, kind: &str) -> Flaw {
        let same = self.kinds.keys().filter(|(_, known)| known == kind).map(|(version, _)| version.as_str());
        let others: Vec<&str> = same.collect();
        let hint = match others.as_slice() {
            [] => "install its CustomResourceDefinition, or correct the name".to_owned(),
            others => format!("it has {kind} in {}", others.join(", ")),
        };
        let message = format!("the cluster of the schema has no {kind} in {api_version}; {hint}");
        Flaw { rule: Rule::UnknownKind, path: FieldPath::default(), message }
    }
}
