//! What does a kustomization file ask for?
//!
//! Unknown fields are errors, as in Kustomize; so is every known field that is not built here.

mod read;

use std::collections::BTreeMap;

use muster_yaml::{Mark, Node, Reading, Value};

pub(crate) use read::{
    field_spec, generator, generator_of, generator_options, image, label, name_reference, patch, replacement,
    replica, selector, value_target,
};

use super::{
    fields::{Fields, Found, problem},
    identity::Gvk,
    resource::Behavior,
    specs::FieldSpec,
};
use crate::{Limits, patch::SelectorFields};

/// The names a kustomization may have.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The version of the schema that Kustomize has in it.
pub(crate) const BUILT_IN_VERSION: &str = "v1.21.2";

const KUSTOMIZATION: &str = "Kustomization";
const COMPONENT: &str = "Component";

/// A patch of the field `patches` or `patchesJson6902`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    pub(crate) path: String,
    pub(crate) patch: String,
    pub(crate) target: Option<SelectorFields>,
    pub(crate) options: BTreeMap<String, bool>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) tag_suffix: String,
    pub(crate) new_tag: String,
    pub(crate) digest: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Label {
    pub(crate) pairs: BTreeMap<String, String>,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

/// A ConfigMap or Secret to generate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generator {
    /// The kind of a Secret; `None` for a ConfigMap.
    pub(crate) secret_type: Option<String>,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) behavior: Behavior,
    pub(crate) literals: Vec<String>,
    pub(crate) files: Vec<String>,
    pub(crate) envs: Vec<String>,
    pub(crate) options: GeneratorOptions,
}

/// One object, by what it is called; empty parts mean all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObjectSelector {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) create: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(crate) object: ObjectSelector,
    pub(crate) field_path: String,
    pub(crate) options: FieldOptions,
}

/// What a replacement selects or rejects.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetSelector {
    pub(crate) object: ObjectSelector,
    pub(crate) labels: String,
    pub(crate) annotations: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    pub(crate) select: Option<TargetSelector>,
    pub(crate) reject: Vec<TargetSelector>,
    pub(crate) field_paths: Vec<String>,
    pub(crate) options: FieldOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replacement {
    pub(crate) source: Option<Source>,
    pub(crate) targets: Option<Vec<Target>>,
    /// A file that holds the replacement, or a list of them.
    pub(crate) path: String,
}

/// Where a `ValueAddTransformer` puts its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueTarget {
    pub(crate) selector: Option<SelectorFields>,
    /// Keys with `/` between them.
    pub(crate) field_path: String,
    /// From 1, the part of a file's path that the value becomes; 0 when it is the whole text.
    pub(crate) file_path_position: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) object: ObjectSelector,
    pub(crate) field_path: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SortOptions {
    pub(crate) order: String,
    /// Kinds that come first and last.
    pub(crate) legacy: Option<(Vec<String>, Vec<String>)>,
}

/// A kustomization or component, deprecated spellings put in place of what they stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kustomization {
    /// The file, relative to the repository.
    pub(crate) file: String,
    pub(crate) is_component: bool,
    pub(crate) resources: Vec<String>,
    pub(crate) components: Vec<String>,
    pub(crate) configurations: Vec<String>,
    pub(crate) crds: Vec<String>,
    pub(crate) openapi: BTreeMap<String, String>,
    pub(crate) config_maps: Vec<Generator>,
    pub(crate) secrets: Vec<Generator>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) generators: Vec<String>,
    pub(crate) transformers: Vec<String>,
    pub(crate) validators: Vec<String>,
    pub(crate) patches_strategic_merge: Vec<String>,
    pub(crate) patches: Vec<Patch>,
    pub(crate) patches_json6902: Vec<Patch>,
    pub(crate) namespace: String,
    pub(crate) name_prefix: String,
    pub(crate) name_suffix: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) common_labels: BTreeMap<String, String>,
    pub(crate) common_annotations: BTreeMap<String, String>,
    pub(crate) images: Vec<Image>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) replacements: Vec<Replacement>,
    pub(crate) vars: Vec<Var>,
    pub(crate) sort_options: Option<SortOptions>,
    pub(crate) build_metadata: Vec<String>,
    /// Where each field stands.
    marks: BTreeMap<String, Mark>,
}

impl Kustomization {
    /// Reads a file.
    pub(crate) fn read(file: &str, bytes: &[u8], limits: &Limits) -> Found<Kustomization> {
        let Some(node) = first_document(bytes, limits)? else {
            return problem(Mark::START, "the kustomization is empty");
        };
        if !matches!(node.value, Value::Mapping(_)) {
            return problem(node.at, format!("a kustomization is a mapping, found {}", node.kind()));
        }
        let kustomization = of_node(file, &node)?;
        kustomization.check(&node)?;
        Ok(kustomization)
    }

    /// Where a field stands, else where the file begins.
    pub(crate) fn mark(&self, field: &str) -> Mark {
        self.marks.get(&field.to_ascii_lowercase()).copied().unwrap_or(Mark::START)
    }

    fn check(&self, node: &Node) -> Found<()> {
        let Value::Mapping(entries) = &node.value else { return Ok(()) };
        let says_something = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        let header = |key: &str| key.eq_ignore_ascii_case("kind") || key.eq_ignore_ascii_case("apiVersion");
        if !entries.iter().any(|entry| !header(&entry.key) && says_something(&entry.value.value)) {
            return problem(node.at, "the kustomization is empty");
        }
        Ok(())
    }
}

/// The first document of a file that Kustomize reads with Go's rules for its own documents.
pub(crate) fn first_document(bytes: &[u8], limits: &Limits) -> Found<Option<Node>> {
    let part = muster_yaml::parts(bytes, &limits.yaml).into_iter().next();
    let node = match part {
        None => Ok(None),
        Some(part) => part.and_then(|part| part.read(Reading::AsKubectl, &limits.yaml)),
    };
    node.or_else(|error| problem(error.at, error.message))
}

fn of_node(file: &str, node: &Node) -> Found<Kustomization> {
    let mut fields = Fields::of(node, "")?;
    let header = read::header(&mut fields)?;
    read::refuse_unsupported(&mut fields)?;
    let mut resources = fields.strings("resources")?;
    resources.extend(fields.strings("bases")?);
    let mut images = fields.list("images", image)?;
    images.extend(fields.list("imageTags", image)?);
    let marks = match &node.value {
        Value::Mapping(entries) => {
            entries.iter().map(|entry| (entry.key.to_ascii_lowercase(), entry.at)).collect()
        }
        _ => BTreeMap::new(),
    };
    let kustomization = Kustomization {
        file: file.to_owned(),
        is_component: header == COMPONENT,
        resources,
        components: fields.strings("components")?,
        configurations: fields.strings("configurations")?,
        crds: fields.strings("crds")?,
        openapi: fields.map("openapi")?.unwrap_or_default(),
        config_maps: fields.list("configMapGenerator", |node, path| generator(node, path, false))?,
        secrets: fields.list("secretGenerator", |node, path| generator(node, path, true))?,
        generator_options: fields
            .node("generatorOptions")
            .map(|node| generator_options(node, "generatorOptions"))
            .transpose()?,
        generators: fields.strings("generators")?,
        transformers: fields.strings("transformers")?,
        validators: fields.strings("validators")?,
        patches_strategic_merge: fields.strings("patchesStrategicMerge")?,
        patches: fields.list("patches", patch)?,
        patches_json6902: fields.list("patchesJson6902", patch)?,
        namespace: fields.string("namespace")?,
        name_prefix: fields.string("namePrefix")?,
        name_suffix: fields.string("nameSuffix")?,
        labels: fields.list("labels", label)?,
        common_labels: fields.map("commonLabels")?.unwrap_or_default(),
        common_annotations: fields.map("commonAnnotations")?.unwrap_or_default(),
        images,
        replicas: fields.list("replicas", replica)?,
        replacements: fields.list("replacements", replacement)?,
        vars: fields.list("vars", read::var)?,
        sort_options: fields.node("sortOptions").map(read::sort_options).transpose()?,
        build_metadata: fields.strings("buildMetadata")?,
        marks,
    };
    read::metadata(&mut fields)?;
    fields.finish()?;
    Ok(kustomization)
}
