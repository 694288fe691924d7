//! Which transformers does a kustomization run, in which order?

use super::{
    build::Step,
    fields::{Problem, node_of},
    kustomization::{Kustomization, Patch, Replacement, first_document, replacement},
    specs::{FieldSpec, Specs, merge_all, merge_one},
    transform::{PatchStep, Subjects, Transformer, json6902, strategic},
    tree::Tree,
};
use crate::{Limits, patch::Selector};

/// What reading patches and replacements takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'f> {
    pub(crate) tree: Tree<'f>,
    /// The directory of the kustomization.
    pub(crate) root: &'f str,
    /// The file of the kustomization.
    pub(crate) file: &'f str,
    pub(crate) limits: &'f Limits,
}

/// The transformers of a kustomization's own fields.
pub(crate) fn steps(
    kustomization: &Kustomization,
    specs: &Specs,
    sources: Sources<'_>,
) -> Result<Vec<Step>, Problem> {
    let mut transformers = Vec::new();
    let k = kustomization;
    let place = |field: &'static str| move |message: String| (field, message);
    let problem = |(field, message): (&str, String)| Problem {
        at: k.mark(field),
        message: format!("{field}: {message}"),
    };
    if !k.patches_strategic_merge.is_empty() {
        let patches = sources.strategic(&k.patches_strategic_merge);
        let patches = patches.map_err(place("patchesStrategicMerge")).map_err(problem)?;
        transformers.push(Transformer::StrategicMerge(patches));
    }
    for patch in &k.patches {
        let step = sources.patch(patch).map_err(place("patches")).map_err(problem)?;
        transformers.push(Transformer::Patch(step));
    }
    if !k.namespace.is_empty() {
        transformers.push(Transformer::Namespace {
            namespace: k.namespace.clone(),
            specs: specs.namespace.clone(),
            unset_only: false,
            subjects: Subjects::Default,
        });
    }
    if !k.name_prefix.is_empty() {
        transformers.push(Transformer::Prefix(k.name_prefix.clone(), specs.name_prefix.clone()));
    }
    if !k.name_suffix.is_empty() {
        transformers.push(Transformer::Suffix(k.name_suffix.clone(), specs.name_suffix.clone()));
    }
    labels(k, specs, &mut transformers).map_err(place("labels")).map_err(problem)?;
    if !k.common_annotations.is_empty() {
        let annotations = k.common_annotations.clone();
        transformers.push(Transformer::Annotations(annotations, specs.common_annotations.clone()));
    }
    for patch in &k.patches_json6902 {
        let step = sources.json6902(patch).map_err(place("patchesJson6902")).map_err(problem)?;
        transformers.push(step);
    }
    for replica in &k.replicas {
        transformers.push(Transformer::Replicas(replica.clone(), specs.replicas.clone()));
    }
    for image in &k.images {
        transformers.push(Transformer::Images(image.clone(), specs.images.clone()));
    }
    if !k.replacements.is_empty() {
        let replacements = sources.replacements(&k.replacements);
        let replacements = replacements.map_err(place("replacements")).map_err(problem)?;
        transformers.push(Transformer::Replacements(replacements));
    }
    let step =
        |transformer: Transformer| Step { at: k.mark(transformer.field()), transformer, configured: None };
    Ok(transformers.into_iter().map(step).collect())
}

fn labels(k: &Kustomization, specs: &Specs, transformers: &mut Vec<Transformer>) -> Result<(), String> {
    for label in &k.labels {
        let mut fields = label.fields.clone();
        merge_all(&mut fields, &specs.labels, "labels")?;
        if label.include_selectors {
            merge_all(&mut fields, &specs.common_labels, "labels")?;
        } else {
            if label.include_templates {
                merge_all(&mut fields, &specs.template_labels, "labels")?;
            }
            let own = FieldSpec { path: "metadata/labels".into(), create: true, ..FieldSpec::default() };
            merge_one(&mut fields, &own, "labels")?;
        }
        transformers.push(Transformer::Labels(label.pairs.clone(), fields));
    }
    if !k.labels.is_empty() || !k.common_labels.is_empty() {
        // Kustomize runs this one even if it has nothing to do.
        transformers.push(Transformer::Labels(k.common_labels.clone(), specs.common_labels.clone()));
    }
    Ok(())
}

impl<'f> Sources<'f> {
    fn text(self, path: &str) -> Result<(&'f str, String), String> {
        let (name, bytes) = self.tree.load(self.root, path)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok((name, text.to_owned())),
            Err(_) => Err(format!("{name}: the file is not UTF-8")),
        }
    }

    /// Patches that are files or stand in the kustomization.
    pub(crate) fn strategic(self, entries: &[String]) -> Result<Vec<super::resource::Resource>, String> {
        let mut patches = Vec::new();
        for entry in entries {
            match strategic(self.file, entry.as_bytes(), self.limits) {
                Ok(inline) => patches.extend(inline),
                Err(inline_error) => {
                    let loaded = self.tree.load(self.root, entry);
                    let (name, bytes) =
                        loaded.map_err(|error| if entry.contains('\n') { inline_error } else { error })?;
                    patches.extend(strategic(name, bytes, self.limits)?);
                }
            }
        }
        if patches.is_empty() {
            return Err("patch appears to be empty".to_owned());
        }
        Ok(patches)
    }

    /// An entry of `patches`.
    pub(crate) fn patch(self, patch: &Patch) -> Result<PatchStep, String> {
        let inline = patch.patch.trim();
        match (inline.is_empty(), patch.path.is_empty()) {
            (true, true) => Err("must specify one of patch and path".to_owned()),
            (false, false) => Err("patch and path can't be set at the same time".to_owned()),
            (false, true) => PatchStep::new(patch, self.file, inline, self.limits),
            (true, false) => {
                let (name, text) = self.text(&patch.path).map_err(|error| {
                    format!("failed to get the patch file from path({}): {error}", patch.path)
                })?;
                PatchStep::new(patch, name, &text, self.limits)
            }
        }
    }

    /// An entry of `patchesJson6902`.
    pub(crate) fn json6902(self, patch: &Patch) -> Result<Transformer, String> {
        let Some(target) = patch.target.as_ref().filter(|target| !target.name.is_empty()) else {
            return Err("must specify the target name".to_owned());
        };
        let text = match (patch.patch.is_empty(), patch.path.is_empty()) {
            (true, true) => return Err("empty file path and empty jsonOp".to_owned()),
            (false, false) => return Err("must specify a file path or jsonOp, not both".to_owned()),
            (false, true) => patch.patch.clone(),
            (true, false) => self.text(&patch.path)?.1,
        };
        let selector = Selector::new(target).map_err(|error| error.to_string())?;
        Ok(Transformer::Json6902(json6902(&text, self.limits)?, Box::new(selector)))
    }

    /// Replacements, those in files read.
    pub(crate) fn replacements(self, entries: &[Replacement]) -> Result<Vec<Replacement>, String> {
        let mut replacements = Vec::new();
        for entry in entries {
            if entry.path.is_empty() {
                replacements.push(entry.clone());
                continue;
            }
            if entry.source.is_some() || entry.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
                return Err("cannot specify both path and inline replacement".to_owned());
            }
            let (name, bytes) = self.tree.load(self.root, &entry.path)?;
            let shown = |problem: Problem| format!("{name}:{}: {}", problem.at.line, problem.message);
            let Some(node) = first_document(bytes, self.limits).map_err(shown)? else {
                return Err(format!("{name}: the file holds no replacement"));
            };
            let line = node.at.line;
            let node = node_of(&node.into_json(), line);
            match &node.value {
                muster_yaml::Value::Sequence(items) => {
                    for item in items {
                        replacements.push(replacement(item, "replacement").map_err(shown)?);
                    }
                }
                _ => replacements.push(replacement(&node, "replacement").map_err(shown)?),
            }
        }
        Ok(replacements)
    }
}
