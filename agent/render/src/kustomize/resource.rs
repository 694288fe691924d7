//! What does a kustomization know of one object besides the object itself?

use std::collections::BTreeMap;

use muster_yaml::{Node, Reading, Written};
use serde_json::{Map, Value};

use super::{
    identity::{Gvk, Id, Kinds},
    shared::{Place, Shared, Step},
};
use crate::{cache::weight, patch::Spelling};

/// What a generated object does with one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behavior {
    /// There must be none.
    #[default]
    Create,
    /// It takes its place.
    Replace,
    /// It adds its data to it.
    Merge,
}

/// A name an object had. Group and version are those it has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// Annotations by which Kustomize keeps account; none is in its output.
pub(crate) const BUILD_ANNOTATIONS: [&str; 18] = [
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
];

/// One object on its way through kustomizations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    /// The object; null once a patch has deleted it.
    pub(crate) value: Value,
    /// How its scalars were written.
    pub(crate) spelling: Spelling,
    /// Where it was found: the manifest, or the kustomization that generates it.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The names it had, oldest first.
    pub(crate) previous: Vec<Previous>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) behavior: Behavior,
    /// Generated objects are marked in Kustomize even if nothing else is to be said of them.
    pub(crate) generated: bool,
    pub(crate) needs_hash: bool,
    /// The vars that take a value from it.
    pub(crate) vars: Vec<String>,
    /// Where it came from, for `buildMetadata`.
    pub(crate) origin: Option<String>,
    /// The transformers it went through, for `buildMetadata`.
    pub(crate) transformations: Vec<String>,
    /// Fields that change together.
    pub(crate) shared: Shared,
}

/// A value and its spelling from a node.
pub(crate) fn spelt(node: Node) -> (Value, Spelling) {
    match node.value {
        muster_yaml::Value::Sequence(items) => {
            let (values, spellings): (Vec<_>, Vec<_>) = items.into_iter().map(spelt).unzip();
            (Value::Array(values), Spelling::list(spellings))
        }
        muster_yaml::Value::Mapping(entries) => {
            let mut fields = Map::new();
            let mut spellings = Vec::new();
            for entry in entries {
                let (value, spelling) = spelt(entry.value);
                spellings.push((entry.key.clone(), spelling));
                fields.insert(entry.key, value);
            }
            (Value::Object(fields), Spelling::mapping(spellings))
        }
        muster_yaml::Value::Null
        | muster_yaml::Value::Bool(_)
        | muster_yaml::Value::Number(_)
        | muster_yaml::Value::String(_) => {
            let spelling = match &node.written {
                Written::Plain => Spelling::Plain,
                Written::Quoted => Spelling::Quoted,
                Written::Folded => Spelling::Folded,
                Written::Empty => Spelling::Empty,
                Written::EmptyInFlow => Spelling::EmptyInFlow,
                Written::Text(text) => Spelling::Text(text.clone()),
            };
            (node.into_json(), spelling)
        }
    }
}

/// The text of a scalar as JSON has it; nothing for null, mappings and lists.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// The value that a text stands for when nothing says of which type it is.
pub(crate) fn plain(text: &str) -> Result<Value, String> {
    let value = muster_yaml::plain(text, Reading::AsKustomize).map_err(|error| error.message)?;
    Ok(value.into_json())
}

/// The text of a scalar as it was written, unless another value was put there since.
pub(crate) fn written(value: &Value, spelling: &Spelling) -> String {
    match (value, spelling) {
        (Value::Null, Spelling::Empty | Spelling::EmptyInFlow) => String::new(),
        (value, Spelling::Text(text)) if stands_for(text, value) => text.clone(),
        (Value::Null, _) => "null".to_owned(),
        _ => text_of(value),
    }
}

/// Whether a text without quotes is this value.
pub(crate) fn stands_for(text: &str, value: &Value) -> bool {
    plain(text).is_ok_and(|plain| plain == *value)
}

/// How the value at the end of the way was written.
pub(crate) fn spelling_at<'s>(spelling: &'s Spelling, way: &Place) -> &'s Spelling {
    way.0.iter().fold(spelling, |spelling, step| match step {
        Step::Key(key) => spelling.key(key),
        Step::Index(index) => spelling.item(*index),
    })
}

/// Notes how the scalar at the end of the way is written.
pub(crate) fn note(spelling: &mut Spelling, way: &[Step], new: Spelling) {
    match way.split_first() {
        None => *spelling = new,
        Some((Step::Key(key), rest)) => {
            if !matches!(spelling, Spelling::Mapping(_)) {
                *spelling = Spelling::Mapping(BTreeMap::new());
            }
            if let Spelling::Mapping(keys) = spelling {
                note(keys.entry(key.clone()).or_default(), rest, new);
            }
        }
        Some((Step::Index(index), rest)) => {
            if !matches!(spelling, Spelling::List(_)) {
                *spelling = Spelling::List(Vec::new());
            }
            if let Spelling::List(items) = spelling {
                if items.len() <= *index {
                    items.resize(index + 1, Spelling::Plain);
                }
                note(&mut items[*index], rest, new);
            }
        }
    }
}

/// Notes that a scalar which is no string is written as this text.
pub(crate) fn note_written(spelling: &mut Spelling, way: &Place, value: &Value, text: &str) {
    let new = match value {
        Value::Null if text.is_empty() => Spelling::Empty,
        Value::Null if text == "null" => return,
        Value::Bool(_) | Value::Number(_) if text_of(value) == text => return,
        Value::Null | Value::Bool(_) | Value::Number(_) => Spelling::Text(text.to_owned()),
        // A date, which is printed in full.
        Value::String(value) if value != text && stands_for(text, &Value::from(value.as_str())) => {
            Spelling::Text(text.to_owned())
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) => return,
    };
    note(spelling, &way.0, new);
}

impl Resource {
    pub(crate) fn new(value: Value, spelling: Spelling, file: &str, line: usize) -> Resource {
        Resource {
            value,
            spelling,
            file: file.to_owned(),
            line,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::Create,
            generated: false,
            needs_hash: false,
            vars: Vec::new(),
            origin: None,
            transformations: Vec::new(),
            shared: Shared::default(),
        }
    }

    /// The memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        const SELF_BYTES: usize = 512;
        SELF_BYTES + self.file.len() + weight(&self.value)
    }

    fn meta(&self, field: &str) -> String {
        self.value.get("metadata").and_then(|metadata| metadata.get(field)).map(text_of).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> String {
        self.value.get("kind").map(text_of).unwrap_or_default()
    }

    pub(crate) fn api_version(&self) -> String {
        self.value.get("apiVersion").map(text_of).unwrap_or_default()
    }

    pub(crate) fn gvk(&self) -> Gvk {
        let text = |field| self.value.get(field).and_then(Value::as_str).unwrap_or_default();
        Gvk::new(text("apiVersion"), text("kind"))
    }

    /// Whether a selector means its kind.
    pub(crate) fn is_selected(&self, selector: &Gvk) -> bool {
        let text = |field| self.value.get(field).and_then(Value::as_str).unwrap_or_default();
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        let api_version = text("apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        fits(&selector.kind, text("kind")) && fits(&selector.group, group) && fits(&selector.version, version)
    }

    pub(crate) fn name(&self) -> String {
        self.meta("name")
    }

    /// The namespace as written, empty for none.
    pub(crate) fn namespace(&self) -> String {
        self.meta("namespace")
    }

    /// Deleted, or nothing left of it.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }

    /// What it is called now.
    pub(crate) fn id(&self, kinds: Kinds<'_>) -> Id {
        let gvk = self.gvk();
        let namespace = kinds.effective_namespace(&gvk, &self.namespace());
        Id { gvk, name: self.name(), namespace }
    }

    /// What it was called, oldest first.
    pub(crate) fn previous_ids(&self) -> Vec<Id> {
        let Gvk { group, version, .. } = self.gvk();
        let id = |previous: &Previous| Id {
            gvk: Gvk { group: group.clone(), version: version.clone(), kind: previous.kind.clone() },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
        };
        self.previous.iter().map(id).collect()
    }

    /// What it was called first.
    pub(crate) fn original_id(&self, kinds: Kinds<'_>) -> Id {
        match self.previous.first() {
            None => self.id(kinds),
            Some(previous) => {
                let gvk = Gvk { kind: previous.kind.clone(), ..self.gvk() };
                Id { gvk, name: previous.name.clone(), namespace: previous.namespace.clone() }
            }
        }
    }

    /// Whether it is or was ever called this.
    pub(crate) fn was_ever(&self, id: &Id, kinds: Kinds<'_>) -> bool {
        self.id(kinds) == *id || self.previous_ids().contains(id)
    }

    /// Remembers what it is called now.
    ///
    /// Kustomize does it by annotations of its own, for which annotations that are no mapping make way.
    pub(crate) fn store_previous(&mut self, kinds: Kinds<'_>) {
        if let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_object_mut)
            && metadata.get("annotations").is_some_and(|annotations| !annotations.is_object())
        {
            metadata.remove("annotations");
        }
        let Id { gvk, name, namespace } = self.id(kinds);
        self.previous.push(Previous { kind: gvk.kind, name, namespace });
    }

    /// Whether Kustomize would have annotations of its own on it.
    pub(crate) fn has_build_annotations(&self) -> bool {
        self.generated || !self.previous.is_empty() || !self.prefixes.is_empty() || !self.suffixes.is_empty()
    }

    pub(crate) fn metadata_mut(&mut self) -> Option<&mut Map<String, Value>> {
        let fields = self.value.as_object_mut()?;
        let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut()
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        if let Some(metadata) = self.metadata_mut() {
            metadata.insert("name".to_owned(), Value::from(name));
        }
    }

    /// Sets or removes the namespace.
    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        let Some(metadata) = self.metadata_mut() else { return };
        if namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".to_owned(), Value::from(namespace));
        }
    }

    fn texts(&self, field: &str) -> BTreeMap<String, String> {
        let fields = self.value.get("metadata").and_then(|metadata| metadata.get(field));
        let Some(Value::Object(fields)) = fields else { return BTreeMap::new() };
        let spelling = self.spelling.key("metadata").key(field);
        fields.iter().map(|(key, value)| (key.clone(), written(value, spelling.key(key)))).collect()
    }

    /// Its labels, as text.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.texts("labels")
    }

    /// Its annotations, as text.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        self.texts("annotations")
    }

    /// Puts labels or annotations in place of those it has; none at all if there are none.
    pub(crate) fn set_texts(&mut self, field: &str, texts: BTreeMap<String, String>) {
        self.spelling.forget(&["metadata", field]);
        let Some(metadata) = self.metadata_mut() else { return };
        if texts.is_empty() {
            metadata.remove(field);
        } else {
            let texts = texts.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            metadata.insert(field.to_owned(), Value::Object(texts));
        }
    }
}
