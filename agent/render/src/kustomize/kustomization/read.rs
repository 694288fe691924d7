//! How is each part of a kustomization written?

use muster_yaml::Node;

use super::{
    COMPONENT, FieldOptions, Generator, GeneratorOptions, Image, KUSTOMIZATION, Label, ObjectSelector, Patch,
    Replacement, Replica, SortOptions, Source, Target, TargetSelector, ValueTarget, Var,
};
use crate::{
    kustomize::{
        fields::{Fields, Found, problem},
        identity::Gvk,
        resource::Behavior,
        specs::{FieldSpec, NameReference},
    },
    patch::SelectorFields,
};

/// Checks `apiVersion` and `kind`, and gives the kind.
pub(super) fn header(fields: &mut Fields<'_>) -> Found<String> {
    let at = fields.at;
    let mut kind = fields.string("kind")?;
    if kind.is_empty() {
        KUSTOMIZATION.clone_into(&mut kind);
    }
    if kind != KUSTOMIZATION && kind != COMPONENT {
        return problem(at, format!("kind should be {KUSTOMIZATION} or {COMPONENT}"));
    }
    let version = if kind == COMPONENT {
        "kustomize.config.k8s.io/v1alpha1"
    } else {
        "kustomize.config.k8s.io/v1beta1"
    };
    let api_version = fields.string("apiVersion")?;
    if !api_version.is_empty() && api_version != version {
        return problem(at, format!("apiVersion for {kind} should be {version}"));
    }
    Ok(kind)
}

/// Fields that run programs or fetch from the network.
pub(super) fn refuse_unsupported(fields: &mut Fields<'_>) -> Found<()> {
    for field in ["helmCharts", "helmGlobals", "helmChartInflationGenerator"] {
        if let Some(entry) = fields.entry(field) {
            let message = format!(
                "{field} is not supported: charts are not rendered here; commit what `helm template` prints and \
                 name it under resources"
            );
            return problem(entry.at, message);
        }
    }
    Ok(())
}

/// `metadata` has no effect, but must be well formed.
pub(super) fn metadata(fields: &mut Fields<'_>) -> Found<()> {
    let Some(node) = fields.node("metadata") else { return Ok(()) };
    let mut fields = Fields::of(node, "metadata")?;
    fields.string("name")?;
    fields.string("namespace")?;
    fields.map("labels")?;
    fields.map("annotations")?;
    fields.finish()
}

fn gvk(fields: &mut Fields<'_>) -> Found<Gvk> {
    Ok(Gvk {
        group: fields.string("group")?,
        version: fields.string("version")?,
        kind: fields.string("kind")?,
    })
}

fn object(fields: &mut Fields<'_>) -> Found<ObjectSelector> {
    Ok(ObjectSelector {
        gvk: gvk(fields)?,
        name: fields.string("name")?,
        namespace: fields.string("namespace")?,
    })
}

pub(crate) fn field_spec(node: &Node, path: &str) -> Found<FieldSpec> {
    let mut fields = Fields::of(node, path)?;
    let spec = FieldSpec {
        gvk: gvk(&mut fields)?,
        path: fields.string("path")?.into(),
        create: fields.boolean("create")?,
    };
    fields.finish()?;
    Ok(spec)
}

pub(crate) fn name_reference(node: &Node, path: &str) -> Found<NameReference> {
    let mut fields = Fields::of(node, path)?;
    let reference =
        NameReference { target: gvk(&mut fields)?, referrers: fields.list("fieldSpecs", field_spec)? };
    fields.finish()?;
    Ok(reference)
}

pub(crate) fn selector(node: &Node, path: &str) -> Found<SelectorFields> {
    let mut fields = Fields::of(node, path)?;
    let ObjectSelector { gvk: Gvk { group, version, kind }, name, namespace } = object(&mut fields)?;
    let selector = SelectorFields {
        group,
        version,
        kind,
        name,
        namespace,
        label_selector: fields.string("labelSelector")?,
        annotation_selector: fields.string("annotationSelector")?,
    };
    fields.finish()?;
    Ok(selector)
}

pub(crate) fn patch(node: &Node, path: &str) -> Found<Patch> {
    let mut fields = Fields::of(node, path)?;
    let target = fields.node("target").map(|node| selector(node, &format!("{path}.target"))).transpose()?;
    let mut patch = Patch {
        path: fields.string("path")?,
        patch: fields.string("patch")?,
        target,
        options: std::collections::BTreeMap::new(),
    };
    if let Some(node) = fields.node("options") {
        let mut options = Fields::of(node, &format!("{path}.options"))?;
        if let muster_yaml::Value::Mapping(entries) = &node.value {
            for entry in entries {
                patch.options.insert(entry.key.clone(), options.boolean(&entry.key)?);
            }
        }
    }
    fields.finish()?;
    Ok(patch)
}

pub(crate) fn image(node: &Node, path: &str) -> Found<Image> {
    let mut fields = Fields::of(node, path)?;
    let image = Image {
        name: fields.string("name")?,
        new_name: fields.string("newName")?,
        tag_suffix: fields.string("tagSuffix")?,
        new_tag: fields.string("newTag")?,
        digest: fields.string("digest")?,
    };
    fields.finish()?;
    Ok(image)
}

pub(crate) fn replica(node: &Node, path: &str) -> Found<Replica> {
    let mut fields = Fields::of(node, path)?;
    let replica =
        Replica { name: fields.string("name")?, count: fields.integer("count")?.unwrap_or_default() };
    fields.finish()?;
    Ok(replica)
}

pub(crate) fn label(node: &Node, path: &str) -> Found<Label> {
    let mut fields = Fields::of(node, path)?;
    let label = Label {
        pairs: fields.map("pairs")?.unwrap_or_default(),
        include_selectors: fields.boolean("includeSelectors")?,
        include_templates: fields.boolean("includeTemplates")?,
        fields: fields.list("fields", field_spec)?,
    };
    fields.finish()?;
    Ok(label)
}

pub(crate) fn generator_options(node: &Node, path: &str) -> Found<GeneratorOptions> {
    let mut fields = Fields::of(node, path)?;
    let options = GeneratorOptions {
        labels: fields.map("labels")?,
        annotations: fields.map("annotations")?,
        disable_name_suffix_hash: fields.boolean("disableNameSuffixHash")?,
        immutable: fields.boolean("immutable")?,
    };
    fields.finish()?;
    Ok(options)
}

pub(crate) fn generator(node: &Node, path: &str, is_secret: bool) -> Found<Generator> {
    let mut fields = Fields::of(node, path)?;
    let options = fields
        .node("options")
        .map(|node| generator_options(node, &format!("{path}.options")))
        .transpose()?
        .unwrap_or_default();
    let generator = generator_of(&mut fields, is_secret, options)?;
    fields.finish()?;
    Ok(generator)
}

/// The fields of a generator, of which others may be there as well.
pub(crate) fn generator_of(
    fields: &mut Fields<'_>,
    is_secret: bool,
    options: GeneratorOptions,
) -> Found<Generator> {
    let behavior = match fields.string("behavior")?.as_str() {
        "merge" => Behavior::Merge,
        "replace" => Behavior::Replace,
        // Whatever else it says, as in Kustomize.
        _ => Behavior::Create,
    };
    let mut envs = fields.strings("envs")?;
    let env = fields.string("env")?;
    if !env.is_empty() {
        envs.push(env);
    }
    Ok(Generator {
        secret_type: if is_secret { Some(fields.string("type")?) } else { None },
        name: fields.string("name")?,
        namespace: fields.string("namespace")?,
        behavior,
        literals: fields.strings("literals")?,
        files: fields.strings("files")?,
        envs,
        options,
    })
}

fn field_options(fields: &mut Fields<'_>, path: &str) -> Found<FieldOptions> {
    let Some(node) = fields.node("options") else { return Ok(FieldOptions::default()) };
    let mut fields = Fields::of(node, &format!("{path}.options"))?;
    // Kustomize knows the field, but makes nothing of it.
    fields.string("encoding")?;
    let options = FieldOptions {
        delimiter: fields.string("delimiter")?,
        index: fields.integer("index")?.unwrap_or_default(),
        create: fields.boolean("create")?,
    };
    fields.finish()?;
    Ok(options)
}

fn target_selector(node: &Node, path: &str) -> Found<TargetSelector> {
    let mut fields = Fields::of(node, path)?;
    let selector = TargetSelector {
        object: object(&mut fields)?,
        labels: fields.string("labelSelector")?,
        annotations: fields.string("annotationSelector")?,
    };
    fields.finish()?;
    Ok(selector)
}

fn target(node: &Node, path: &str) -> Found<Target> {
    let mut fields = Fields::of(node, path)?;
    let select =
        fields.node("select").map(|node| target_selector(node, &format!("{path}.select"))).transpose()?;
    let target = Target {
        select,
        reject: fields.list("reject", target_selector)?,
        field_paths: fields.strings("fieldPaths")?,
        options: field_options(&mut fields, path)?,
    };
    fields.finish()?;
    Ok(target)
}

fn source(node: &Node, path: &str) -> Found<Source> {
    let mut fields = Fields::of(node, path)?;
    let source = Source {
        object: object(&mut fields)?,
        field_path: fields.string("fieldPath")?,
        options: field_options(&mut fields, path)?,
    };
    fields.finish()?;
    Ok(source)
}

pub(crate) fn replacement(node: &Node, path: &str) -> Found<Replacement> {
    let mut fields = Fields::of(node, path)?;
    let source = fields.node("source").map(|node| source(node, &format!("{path}.source"))).transpose()?;
    let targets = if fields.node("targets").is_some() { Some(fields.list("targets", target)?) } else { None };
    let replacement = Replacement { source, targets, path: fields.string("path")? };
    fields.finish()?;
    Ok(replacement)
}

pub(crate) fn value_target(node: &Node, path: &str) -> Found<ValueTarget> {
    let mut fields = Fields::of(node, path)?;
    let at = fields.at;
    let selector =
        fields.node("selector").map(|node| selector(node, &format!("{path}.selector"))).transpose()?;
    let field_path = fields.string("fieldPath")?;
    if field_path.is_empty() {
        return problem(at, "fieldPath cannot be empty");
    }
    let position = fields.integer("filePathPosition")?.unwrap_or_default();
    let Ok(file_path_position) = usize::try_from(position) else {
        return problem(at, format!("value of FilePathPosition ({position}) cannot be negative"));
    };
    fields.finish()?;
    Ok(ValueTarget { selector, field_path, file_path_position })
}

pub(super) fn var(node: &Node, path: &str) -> Found<Var> {
    let mut fields = Fields::of(node, path)?;
    let name = fields.string("name")?;
    let mut selected = ObjectSelector::default();
    if let Some(node) = fields.node("objref") {
        let mut fields = Fields::of(node, &format!("{path}.objref"))?;
        selected = object(&mut fields)?;
        let api_version = fields.string("apiVersion")?;
        match api_version.split('/').collect::<Vec<_>>().as_slice() {
            [group, version] => {
                (*group).clone_into(&mut selected.gvk.group);
                (*version).clone_into(&mut selected.gvk.version);
            }
            [version] if !version.is_empty() => (*version).clone_into(&mut selected.gvk.version),
            _ => {}
        }
        fields.finish()?;
    }
    let mut field_path = String::new();
    if let Some(node) = fields.node("fieldref") {
        let mut fields = Fields::of(node, &format!("{path}.fieldref"))?;
        field_path = fields.string("fieldPath")?;
        fields.finish()?;
    }
    if field_path.is_empty() {
        "metadata.name".clone_into(&mut field_path);
    }
    fields.finish()?;
    Ok(Var { name, object: selected, field_path })
}

pub(super) fn sort_options(node: &Node) -> Found<SortOptions> {
    let mut fields = Fields::of(node, "sortOptions")?;
    let mut options = SortOptions { order: fields.string("order")?, legacy: None };
    if let Some(node) = fields.node("legacySortOptions") {
        let mut fields = Fields::of(node, "sortOptions.legacySortOptions")?;
        options.legacy = Some((fields.strings("orderFirst")?, fields.strings("orderLast")?));
        fields.finish()?;
    }
    fields.finish()?;
    Ok(options)
}
