//! Which objects does a patch apply to, and what must it leave as it is?

use serde_json::{Map, Value};

use crate::{
    Limits,
    kustomize::{
        identity::Kinds,
        kustomization::Patch,
        manifests,
        resmap::ResMap,
        resource::{Resource, note, spelling_at, stands_for, written},
        shared::{Place, Step},
    },
    patch::{self, Merged, Operations, Selector, Spelling},
};

/// An entry of `patches`.
#[derive(Debug, Clone)]
pub(crate) struct PatchStep {
    content: Content,
    target: Option<Selector>,
    allow_name_change: bool,
    allow_kind_change: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Strategic(Vec<Resource>),
    Json6902(Operations),
}

/// The strategic merge patches of a text.
pub(crate) fn strategic(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Resource>, String> {
    manifests::read(file, bytes, limits)
        .map_err(|problem| format!("{file}:{}: {}", problem.at.line, problem.message))
}

/// The operations of a JSON patch.
pub(crate) fn json6902(text: &str, limits: &Limits) -> Result<Operations, String> {
    Operations::parse(text, &limits.yaml).map_err(|error| error.to_string())
}

impl PatchStep {
    /// Makes a step of a patch whose text was found in `file`.
    pub(crate) fn new(patch: &Patch, file: &str, text: &str, limits: &Limits) -> Result<PatchStep, String> {
        let merge = strategic(file, text.as_bytes(), limits);
        let json = json6902(text, limits);
        let content = match (merge, json) {
            (Ok(merge), Err(_)) if !merge.is_empty() => Content::Strategic(merge),
            (Err(_), Ok(json)) => Content::Json6902(json),
            (Err(merge), Err(json)) => {
                return Err(format!(
                    "unable to parse SM or JSON patch: as a strategic merge patch: {merge}; as a JSON patch: {json}"
                ));
            }
            (Ok(_), _) => return Err(format!("the patch is empty, or no patch that can be told: {file}")),
        };
        let target =
            patch.target.as_ref().map(Selector::new).transpose().map_err(|error| error.to_string())?;
        let allows = |option: &str| patch.options.get(option).copied().unwrap_or_default();
        Ok(PatchStep {
            content,
            target,
            allow_name_change: allows("allowNameChange"),
            allow_kind_change: allows("allowKindChange"),
        })
    }

    /// Whether it merges objects, after the schema of their kind.
    pub(super) fn merges(&self) -> bool {
        matches!(self.content, Content::Strategic(_))
    }

    pub(super) fn run(&self, map: &mut ResMap, kinds: Kinds<'_>) -> Result<(), String> {
        match (&self.content, &self.target) {
            (Content::Json6902(_), None) => Err("must specify a target for JSON patch".to_owned()),
            (Content::Json6902(operations), Some(target)) => {
                for at in map.select(target, kinds) {
                    map.list[at].store_previous(kinds);
                    apply_operations(&mut map.list[at], operations)?;
                }
                Ok(())
            }
            (Content::Strategic(patches), None) => {
                for patch in patches {
                    let id = patch.id(kinds);
                    let at = map.find(&id, kinds).map_err(|error| {
                        format!("no resource matches strategic merge patch \"{id}\": {error}")
                    })?;
                    self.merge(&mut map.list[at], patch, kinds)?;
                }
                Ok(())
            }
            (Content::Strategic(patches), Some(target)) => {
                let [patch] = patches.as_slice() else {
                    return Err(
                        "Multiple strategic-merge patches in one entry of patches cannot have a target"
                            .to_owned(),
                    );
                };
                for at in map.select(target, kinds) {
                    let patch = for_target(patch, &map.list[at]);
                    self.merge(&mut map.list[at], &patch, kinds)?;
                }
                map.drop_empty();
                map.check_unique(kinds)
            }
        }
    }

    fn merge(&self, resource: &mut Resource, patch: &Resource, kinds: Kinds<'_>) -> Result<(), String> {
        if self.allow_name_change || self.allow_kind_change {
            resource.store_previous(kinds);
            let mut patch = patch.clone();
            patch.set_texts("annotations", patch.annotations());
            return merge(resource, &patch, self.allow_name_change, self.allow_kind_change, kinds);
        }
        merge(resource, patch, false, false, kinds)
    }
}

/// A patch with a target says nothing of the version of what it meets, and its labels and
/// annotations are text: even null sets, and does not remove, there.
fn for_target(patch: &Resource, target: &Resource) -> Resource {
    let mut patch = patch.clone();
    patch.set_texts("labels", patch.labels());
    patch.set_texts("annotations", patch.annotations());
    if let Some(fields) = patch.value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), Value::String(target.api_version()));
    }
    patch
}

fn merge(
    resource: &mut Resource,
    patch: &Resource,
    allow_name_change: bool,
    allow_kind_change: bool,
    kinds: Kinds<'_>,
) -> Result<(), String> {
    let (name, namespace, kind) = (resource.name(), resource.namespace(), resource.kind());
    refresh(&resource.value, &mut resource.spelling);
    let mut patch_spelling = patch.spelling.clone();
    refresh(&patch.value, &mut patch_spelling);
    let typed = give_types(resource, kinds);
    let (value, spelling) = (&mut resource.value, &mut resource.spelling);
    let merged = patch::merge(kinds.schema, value, spelling, &patch.value, &patch_spelling)
        .map_err(|error| format!("the patch {}: {error}", patch.id(kinds)))?;
    for (place, value, after) in typed {
        if place.find(&resource.value) == Some(&value) {
            note(&mut resource.spelling, &place.0, after);
        }
    }
    if merged == Merged::Deleted || resource.is_empty() {
        resource.value = Value::Null;
        return Ok(());
    }
    if !allow_kind_change && let Some(fields) = resource.value.as_object_mut() {
        fields.insert("kind".to_owned(), Value::String(kind));
    }
    if !allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}

/// Makes texts of the fields without a type that a merge comes by, as Kustomize does whether the patch names
/// them or not; one without any characters is no null to it, and stays. Returns how each is written after
/// the merge, if it still has that value.
fn give_types(resource: &mut Resource, kinds: Kinds<'_>) -> Vec<(Place, Value, Spelling)> {
    let (api_version, kind) = (resource.api_version(), resource.kind());
    let mut typed = Vec::new();
    for place in resource.shared.untyped().to_vec() {
        let before = spelling_at(&resource.spelling, &place).clone();
        let Some(value) = place.find_mut(&mut resource.value) else { continue };
        let is_walked = kinds.schema.walks(&api_version, &kind, place.0.iter().map(Step::key));
        let after = match value {
            Value::Number(_) | Value::Bool(_) if is_walked => {
                *value = Value::String(written(value, &before));
                Spelling::Quoted
            }
            Value::Null => before,
            _ => continue,
        };
        let value = value.clone();
        note(&mut resource.spelling, &place.0, Spelling::Plain);
        typed.push((place, value, after));
    }
    typed
}

/// Forgets how scalars were written that have changed since.
fn refresh(value: &Value, spelling: &mut Spelling) {
    match (value, &mut *spelling) {
        (
            _,
            Spelling::Plain
            | Spelling::Quoted
            | Spelling::Folded
            | Spelling::Retyped(..)
            | Spelling::Empty
            | Spelling::EmptyInFlow,
        ) => {}
        (value, Spelling::Text(text)) => {
            if !stands_for(text, value) {
                *spelling = Spelling::Plain;
            }
        }
        (Value::Object(fields), Spelling::Mapping(keys)) => {
            keys.retain(|key, _| fields.contains_key(key));
            for (key, spelling) in keys {
                if let Some(value) = fields.get(key) {
                    refresh(value, spelling);
                }
            }
        }
        (Value::Array(items), Spelling::List(spellings)) => {
            spellings.truncate(items.len());
            for (value, spelling) in items.iter().zip(spellings) {
                refresh(value, spelling);
            }
        }
        (_, Spelling::Mapping(_) | Spelling::List(_)) => *spelling = Spelling::Plain,
    }
}

pub(super) fn run_strategic(map: &mut ResMap, patches: &[Resource], kinds: Kinds<'_>) -> Result<(), String> {
    for patch in patches {
        let at = map.find(&patch.id(kinds), kinds)?;
        let patch = for_target(patch, &map.list[at]);
        merge(&mut map.list[at], &patch, false, false, kinds)?;
        map.drop_empty();
    }
    map.check_unique(kinds)
}

pub(super) fn run_json6902(
    map: &mut ResMap,
    operations: &Operations,
    selector: &Selector,
    kinds: Kinds<'_>,
) -> Result<(), String> {
    for at in map.select(selector, kinds) {
        apply_operations(&mut map.list[at], operations)?;
    }
    Ok(())
}

/// Applies a JSON patch. Kustomize keeps its accounts in annotations, so a patch may add one to an
/// object that has none of its own.
fn apply_operations(resource: &mut Resource, operations: &Operations) -> Result<(), String> {
    if resource.has_build_annotations()
        && resource.annotations().is_empty()
        && let Some(metadata) = resource.metadata_mut()
    {
        metadata.insert("annotations".to_owned(), Value::Object(Map::new()));
    }
    let name = format!("{} {}", resource.kind(), resource.name());
    resource.shared.check_types(&resource.value).map_err(|message| format!("{name}: {message}"))?;
    resource.spelling.settle(&mut resource.value);
    operations.apply(&mut resource.value).map_err(|error| format!("{name}: {error}"))?;
    if let Some(metadata) = resource.metadata_mut()
        && metadata.get("annotations").is_some_and(|annotations| !annotations.is_object())
    {
        // Kustomize puts its accounts there whatever is there.
        metadata.remove("annotations");
    }
    patch::as_json_numbers(&mut resource.value);
    resource.spelling = Spelling::printed(&resource.value);
    resource.shared.forget();
    if operations.replaces_annotations() {
        // Where an object comes from is an annotation to Kustomize, though one it prints last.
        resource.origin = None;
        resource.transformations.clear();
    }
    Ok(())
}
