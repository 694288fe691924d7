//! What does one transformer do to all objects?

mod images;
mod namespace;
mod patches;
mod replacements;
mod value_add;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use namespace::Subjects;
pub(crate) use patches::{PatchStep, json6902, strategic};

use super::{
    hash,
    identity::{Gvk, Kinds},
    kustomization::{Image, Replacement, Replica, ValueTarget},
    resmap::ResMap,
    resource::{Resource, text_of},
    shared,
    specs::FieldSpec,
    visit::{Make, each, set_entry, set_scalar},
};
use crate::patch::{Operations, Selector};

/// A transformer, ready to run.
#[derive(Debug, Clone)]
pub(crate) enum Transformer {
    /// `patchesStrategicMerge`.
    StrategicMerge(Vec<Resource>),
    /// One of `patches`.
    Patch(PatchStep),
    /// One of `patchesJson6902`.
    Json6902(Operations, Box<Selector>),
    /// `namespace`.
    Namespace { namespace: String, specs: Vec<FieldSpec>, unset_only: bool, subjects: Subjects },
    /// `namePrefix`.
    Prefix(String, Vec<FieldSpec>),
    /// `nameSuffix`.
    Suffix(String, Vec<FieldSpec>),
    /// `labels` and `commonLabels`.
    Labels(BTreeMap<String, String>, Vec<FieldSpec>),
    /// `commonAnnotations`.
    Annotations(BTreeMap<String, String>, Vec<FieldSpec>),
    /// One of `replicas`.
    Replicas(Replica, Vec<FieldSpec>),
    /// One of `images`.
    Images(Image, Vec<FieldSpec>),
    /// `replacements`.
    Replacements(Vec<Replacement>),
    /// The suffixes of generated names, before their time.
    Hashes,
    /// A text put into fields.
    ValueAdd(String, Vec<ValueTarget>),
}

impl Transformer {
    /// The name by which Kustomize knows it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Transformer::StrategicMerge(_) => "PatchStrategicMergeTransformer",
            Transformer::Patch(_) => "PatchTransformer",
            Transformer::Json6902(..) => "PatchJson6902Transformer",
            Transformer::Namespace { .. } => "NamespaceTransformer",
            Transformer::Prefix(..) => "PrefixTransformer",
            Transformer::Suffix(..) => "SuffixTransformer",
            Transformer::Labels(..) => "LabelTransformer",
            Transformer::Annotations(..) => "AnnotationsTransformer",
            Transformer::Replicas(..) => "ReplicaCountTransformer",
            Transformer::Images(..) => "ImageTagTransformer",
            Transformer::Replacements(_) => "ReplacementTransformer",
            Transformer::Hashes => "HashTransformer",
            Transformer::ValueAdd(..) => "ValueAddTransformer",
        }
    }

    /// The field of a kustomization that asks for it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Transformer::StrategicMerge(_) => "patchesStrategicMerge",
            Transformer::Patch(_) => "patches",
            Transformer::Json6902(..) => "patchesJson6902",
            Transformer::Namespace { .. } => "namespace",
            Transformer::Prefix(..) => "namePrefix",
            Transformer::Suffix(..) => "nameSuffix",
            Transformer::Labels(..) => "labels",
            Transformer::Annotations(..) => "commonAnnotations",
            Transformer::Replicas(..) => "replicas",
            Transformer::Images(..) => "images",
            Transformer::Replacements(_) => "replacements",
            Transformer::Hashes | Transformer::ValueAdd(..) => "transformers",
        }
    }

    /// Whether it looks into the schema.
    pub(crate) fn merges(&self) -> bool {
        match self {
            Transformer::StrategicMerge(_) => true,
            Transformer::Patch(step) => step.merges(),
            _ => false,
        }
    }

    /// Runs it.
    pub(crate) fn run(&self, map: &mut ResMap, kinds: Kinds<'_>) -> Result<(), String> {
        self.run_alone(map, kinds)?;
        for resource in &mut map.list {
            resource.shared.settle(&mut resource.value);
        }
        Ok(())
    }

    fn run_alone(&self, map: &mut ResMap, kinds: Kinds<'_>) -> Result<(), String> {
        match self {
            Transformer::StrategicMerge(patches) => patches::run_strategic(map, patches, kinds),
            Transformer::Patch(step) => step.run(map, kinds),
            Transformer::Json6902(operations, selector) => {
                patches::run_json6902(map, operations, selector, kinds)
            }
            Transformer::Namespace { namespace, specs, unset_only, subjects } => {
                namespace::run(map, namespace, specs, *unset_only, *subjects, kinds)
            }
            Transformer::Prefix(text, _) | Transformer::Suffix(text, _) if text.is_empty() => Ok(()),
            Transformer::Prefix(prefix, specs) => rename(
                map,
                specs,
                kinds,
                |resource| resource.prefixes.push(prefix.clone()),
                |name| format!("{prefix}{name}"),
            ),
            Transformer::Suffix(suffix, specs) => rename(
                map,
                specs,
                kinds,
                |resource| resource.suffixes.push(suffix.clone()),
                |name| format!("{name}{suffix}"),
            ),
            Transformer::Labels(pairs, specs) | Transformer::Annotations(pairs, specs) => {
                entries(map, pairs, specs)
            }
            Transformer::Replicas(replica, specs) => replicas(map, replica, specs, kinds),
            Transformer::Images(image, specs) => images::run(map, image, specs),
            Transformer::Replacements(replacements) => replacements::run(map, replacements),
            Transformer::ValueAdd(text, targets) => value_add::run(map, text, targets, kinds),
            Transformer::Hashes => {
                hashes(map, kinds);
                Ok(())
            }
        }
    }
}

/// Kinds whose names no prefix or suffix changes.
fn keeps_name(gvk: &Gvk) -> bool {
    match gvk.kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => gvk.group == "apiregistration.k8s.io",
        _ => false,
    }
}

fn rename(
    map: &mut ResMap,
    specs: &[FieldSpec],
    kinds: Kinds<'_>,
    note: impl Fn(&mut Resource),
    change: impl Fn(&str) -> String,
) -> Result<(), String> {
    for resource in &mut map.list {
        let original = resource.original_id(kinds).gvk;
        if keeps_name(&original) {
            continue;
        }
        for spec in specs.iter().filter(|spec| original.is_selected(&spec.gvk)) {
            if spec.path == "metadata/name" {
                note(resource);
                resource.store_previous(kinds);
            }
            each(resource, spec, Make::Scalar, &mut |value| {
                let changed = change(&text_of(value));
                set_scalar(value, Value::String(changed))
            })?;
        }
    }
    Ok(())
}

fn entries(map: &mut ResMap, pairs: &BTreeMap<String, String>, specs: &[FieldSpec]) -> Result<(), String> {
    for resource in &mut map.list {
        for (key, text) in pairs {
            let mut added = Vec::new();
            for spec in specs {
                if !resource.is_selected(&spec.gvk) {
                    continue;
                }
                let before = shared::places(&resource.value, spec.path.keys(), key);
                each(resource, spec, Make::Mapping, &mut |value| set_entry(value, key, text))?;
                let mut places = shared::places(&resource.value, spec.path.keys(), key);
                places.retain(|place| !before.contains(place));
                added.extend(places);
            }
            resource.shared.settle(&mut resource.value);
            resource.shared.note(Value::from(text.as_str()), added);
        }
    }
    Ok(())
}

fn replicas(
    map: &mut ResMap,
    replica: &Replica,
    specs: &[FieldSpec],
    kinds: Kinds<'_>,
) -> Result<(), String> {
    let mut found = false;
    for spec in specs {
        for resource in &mut map.list {
            let mut ids = resource.previous_ids();
            ids.push(resource.id(kinds));
            if !ids.iter().any(|id| id.name == replica.name && id.gvk.is_selected(&spec.gvk)) {
                continue;
            }
            found = true;
            let is_quoted = resource.spelling.at(spec.path.keys()).is_quoted();
            let count =
                || if is_quoted { replica.count.to_string().into() } else { Value::from(replica.count) };
            each(resource, spec, Make::Scalar, &mut |value| set_scalar(value, count()))?;
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<_> = specs.iter().map(|spec| spec.gvk.to_string()).collect();
    Err(format!(
        "resource with name {} does not match a config with the following GVK [{}]",
        replica.name,
        kinds.join(" ")
    ))
}

/// Adds to the names of generated objects what depends on their content.
pub(crate) fn hashes(map: &mut ResMap, kinds: Kinds<'_>) {
    for resource in &mut map.list {
        if resource.needs_hash {
            let suffix = hash::suffix(&resource.value);
            resource.store_previous(kinds);
            resource.set_name(&format!("{}-{suffix}", resource.name()));
        }
    }
}
