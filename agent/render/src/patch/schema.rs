//! Which lists of a kind have keys, and does the kind live in a namespace?

use std::{collections::HashMap, sync::OnceLock};

use serde_json::Value;

use super::PatchError;

/// The built-in kinds, written by `schema/generate.go`; its README says what the lines mean.
const BUILT_IN: &str = include_str!("../../schema/kinds.txt");

/// What is known of a place in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Nothing: lists are replaced as a whole, mappings merged.
    Unknown,
    /// A mapping of this type.
    Object(usize),
    /// A list merged element by element; the field's number.
    Merged(usize, usize),
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// Kinds, their types and the lists in them that have keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    kinds: HashMap<String, Kind>,
    types: Vec<Type>,
}

#[derive(Debug, Clone, Copy)]
struct Kind {
    scope: Option<Scope>,
    of: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct Type {
    /// Sorted by name.
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    /// The keys of a list that is merged; none at all in it for a list of scalars.
    keys: Option<Vec<String>>,
    /// The type of the mapping, or of the list's elements.
    of: Option<usize>,
}

impl Schema {
    /// The kinds that `kubectl kustomize` knows.
    pub(crate) fn built_in() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| Schema::parse(BUILT_IN))
    }

    /// Reads the lines of the table. What cannot be read is left out; a test sees to it that
    /// there is no such line.
    fn parse(text: &str) -> Schema {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let numbers: HashMap<&str, usize> = lines()
            .filter(|line| !line.starts_with("kind "))
            .filter_map(|line| line.split(' ').next())
            .enumerate()
            .map(|(number, name)| (name, number))
            .collect();
        let mut schema = Schema::default();
        for line in lines() {
            let mut words = line.split(' ');
            if words.next() == Some("kind") {
                let (Some(api_version), Some(kind), Some(scope)) = (words.next(), words.next(), words.next())
                else {
                    continue;
                };
                let scope = match scope {
                    "namespaced" => Some(Scope::Namespaced),
                    "cluster" => Some(Scope::Cluster),
                    _ => None,
                };
                let of = words.next().and_then(|name| numbers.get(name)).copied();
                schema.kinds.insert(format!("{api_version} {kind}"), Kind { scope, of });
            } else {
                let fields = words.filter_map(|word| field(word, &numbers)).collect();
                schema.types.push(Type { fields });
            }
        }
        schema
    }

    /// The schema of an OpenAPI document of version 2, as `openapi.path` of a kustomization names
    /// one: its `definitions`, those with `x-kubernetes-group-version-kind` being kinds. What `base` knows
    /// is known as well, unless the document has the same kind.
    ///
    /// # Errors
    /// When the document has no definitions.
    pub(crate) fn from_openapi(document: &Value, base: Option<&Schema>) -> Result<Schema, PatchError> {
        let Some(definitions) = document.get("definitions").and_then(Value::as_object) else {
            return Err(PatchError::new("the OpenAPI document has no definitions"));
        };
        let schema = base.cloned().unwrap_or_default();
        let mut reader = OpenApi { definitions, numbers: HashMap::new(), schema };
        for (name, definition) in definitions {
            let of = reader.definition(name);
            let kinds = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            for kind in kinds.into_iter().flatten() {
                let text = |key| kind.get(key).and_then(Value::as_str).unwrap_or_default();
                let (group, version, kind) = (text("group"), text("version"), text("kind"));
                let api_version =
                    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
                let kind = format!("{api_version} {kind}");
                reader.schema.kinds.insert(kind, Kind { scope: None, of: Some(of) });
            }
        }
        for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
            reader.path(path, item);
        }
        Ok(reader.schema)
    }

    /// Where objects of a kind live, if that is known.
    pub(crate) fn scope(&self, api_version: &str, kind: &str) -> Option<Scope> {
        self.kinds.get(&format!("{api_version} {kind}"))?.scope
    }

    /// The place of an object of this kind, if it is known.
    pub(super) fn object(&self, api_version: &str, kind: &str) -> Option<At> {
        self.kinds.get(&format!("{api_version} {kind}"))?.of.map(At::Object)
    }

    /// The place below a key of a mapping.
    pub(super) fn field(&self, at: At, key: &str) -> At {
        let At::Object(number) = at else { return At::Unknown };
        let Some(of) = self.types.get(number) else { return At::Unknown };
        let Some(position) = of.fields.iter().position(|field| field.name == key || field.name == "*") else {
            return At::Unknown;
        };
        match (&of.fields[position].keys, of.fields[position].of) {
            (Some(_), _) => At::Merged(number, position),
            (None, Some(of)) => At::Object(of),
            (None, None) => At::Unknown,
        }
    }

    /// Whether a merge into an object of a kind comes by this place: not if it is in a list that is replaced
    /// as a whole. The way there is made of keys, and nothing for an item of a list.
    pub(crate) fn walks<'k>(
        &self,
        api_version: &str,
        kind: &str,
        mut way: impl Iterator<Item = Option<&'k str>>,
    ) -> bool {
        let mut at = self.object(api_version, kind).unwrap_or(At::Unknown);
        way.all(|key| {
            at = match (key, at) {
                (Some(key), at) => self.field(at, key),
                (None, At::Merged(..)) => self.element(at),
                (None, _) => return false,
            };
            true
        })
    }

    fn merged(&self, at: At) -> Option<&Field> {
        let At::Merged(number, position) = at else { return None };
        self.types.get(number)?.fields.get(position)
    }

    /// The keys of a list that is merged; none for a list of scalars.
    pub(super) fn keys(&self, at: At) -> &[String] {
        self.merged(at).and_then(|field| field.keys.as_deref()).unwrap_or_default()
    }

    /// The place of the elements of a list that is merged.
    pub(super) fn element(&self, at: At) -> At {
        self.merged(at).and_then(|field| field.of).map_or(At::Unknown, At::Object)
    }
}

#[cfg(test)]
impl Schema {
    /// Fails on any line of the built-in table that was not understood.
    pub(super) fn check(&self) {
        let lines = BUILT_IN.lines().filter(|line| !line.starts_with('#'));
        let (kinds, types): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("kind "));
        assert_eq!((self.kinds.len(), self.types.len()), (kinds.len(), types.len()));
        for (line, of) in types.iter().zip(&self.types) {
            assert_eq!(line.split(' ').count() - 1, of.fields.len(), "{line}");
            let named = line.matches('=').count();
            assert_eq!(of.fields.iter().filter(|field| field.of.is_some()).count(), named, "{line}");
        }
    }
}

/// `name=Type`, `name[key,key]=Type` or `name[]`.
fn field(word: &str, numbers: &HashMap<&str, usize>) -> Option<Field> {
    let (left, of) = word.split_once('=').unwrap_or((word, ""));
    let of = numbers.get(of).copied();
    let (name, keys) = match left.split_once('[') {
        Some((name, keys)) => {
            let keys = keys.strip_suffix(']')?.split(',').filter(|key| !key.is_empty());
            (name, Some(keys.map(str::to_owned).collect()))
        }
        None => (left, None),
    };
    Some(Field { name: name.to_owned(), keys, of })
}

/// Reads the definitions of an OpenAPI document, each once.
struct OpenApi<'d> {
    definitions: &'d serde_json::Map<String, Value>,
    numbers: HashMap<String, usize>,
    schema: Schema,
}

/// References and inline types inside one another are followed so deep.
const REFERENCE_DEPTH_MAX: usize = 64;

impl OpenApi<'_> {
    fn definition(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.new_type();
        self.numbers.insert(name.to_owned(), number);
        let fields = self.definitions.get(name).map(|definition| self.fields(definition, 0));
        self.schema.types[number].fields = fields.unwrap_or_default();
        number
    }

    fn new_type(&mut self) -> usize {
        self.schema.types.push(Type::default());
        self.schema.types.len() - 1
    }

    fn fields(&mut self, definition: &Value, depth: usize) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, property) in definition.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            fields.extend(self.field(name, property, depth));
        }
        if let Some(values) = definition.get("additionalProperties").filter(|values| values.is_object()) {
            fields.extend(self.field("*", values, depth));
        }
        fields
    }

    /// A field, resolved through its references; the strategy stands at the end of them.
    fn field(&mut self, name: &str, property: &Value, depth: usize) -> Option<Field> {
        if depth > REFERENCE_DEPTH_MAX {
            return None;
        }
        let name = name.to_owned();
        if let Some(reference) = reference(property) {
            return Some(Field { name, keys: None, of: Some(self.definition(reference)) });
        }
        let strategy =
            property.get("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or_default();
        if !strategy.split(',').any(|word| word == "merge") {
            let of = property.get("properties").or_else(|| property.get("additionalProperties"));
            let of = of.is_some().then(|| self.inline(property, depth));
            return Some(Field { name, keys: None, of });
        }
        let texts = |value: &Value| value.as_str().map(str::to_owned);
        let keys = match property.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
            Some(keys) => keys.iter().filter_map(texts).collect(),
            None => property.get("x-kubernetes-patch-merge-key").and_then(texts).into_iter().collect(),
        };
        let of = property.get("items").map(|items| match reference(items) {
            Some(reference) => self.definition(reference),
            None => self.inline(items, depth),
        });
        Some(Field { name, keys: Some(keys), of })
    }

    fn inline(&mut self, definition: &Value, depth: usize) -> usize {
        let number = self.new_type();
        let fields = self.fields(definition, depth + 1);
        self.schema.types[number].fields = fields;
        number
    }

    /// A path of the API says whether its kind is in a namespace.
    fn path(&mut self, path: &str, item: &Value) {
        let Some(kind) = item.pointer("/get/x-kubernetes-group-version-kind") else { return };
        let text = |key| kind.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, version, kind) = (text("group"), text("version"), text("kind"));
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let kind = self
            .schema
            .kinds
            .entry(format!("{api_version} {kind}"))
            .or_insert(Kind { scope: None, of: None });
        if path.contains("namespaces/{namespace}") {
            kind.scope = Some(Scope::Namespaced);
        } else if kind.scope.is_none() {
            kind.scope = Some(Scope::Cluster);
        }
    }
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix("#/definitions/")
}
