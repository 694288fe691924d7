//! Which fields of which kinds does a transformer change?
//!
//! The tables are in `specs/`, one a transformer; `configurations` and `crds` of a kustomization add to
//! them.

use std::{fmt, sync::OnceLock};

use super::{identity::Gvk, visit::split_path};

/// A field of some kinds. A list on the way means every item of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSpec {
    /// The kinds; empty parts mean all.
    pub(crate) gvk: Gvk,
    /// Where it is.
    pub(crate) path: FieldPath,
    /// Whether the field is made where it is missing.
    pub(crate) create: bool,
}

/// A way through mappings and lists: keys with `/` between them; `\/` is a slash in a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldPath {
    text: String,
    /// Split once, since every object is asked for every path.
    keys: Vec<String>,
}

impl FieldPath {
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl<T: Into<String>> From<T> for FieldPath {
    fn from(text: T) -> FieldPath {
        let text = text.into();
        FieldPath { keys: split_path(&text, '/'), text }
    }
}

impl PartialEq<&str> for FieldPath {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Kinds of objects, and the fields by which others name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameReference {
    pub(crate) target: Gvk,
    pub(crate) referrers: Vec<FieldSpec>,
}

/// All tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Specs {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_references: Vec<NameReference>,
    pub(crate) vars: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

impl Specs {
    /// What applies to every kustomization.
    pub(crate) fn built_in() -> &'static Specs {
        static SPECS: OnceLock<Specs> = OnceLock::new();
        SPECS.get_or_init(|| {
            let names = table(include_str!("../../specs/name-prefix.txt"));
            let mut specs = Specs {
                name_suffix: names.clone(),
                name_prefix: names,
                namespace: table(include_str!("../../specs/namespace.txt")),
                common_labels: table(include_str!("../../specs/labels.txt")),
                labels: Vec::new(),
                template_labels: table(include_str!("../../specs/template-labels.txt")),
                common_annotations: table(include_str!("../../specs/annotations.txt")),
                name_references: references(include_str!("../../specs/name-references.txt")),
                vars: table(include_str!("../../specs/vars.txt")),
                images: table(include_str!("../../specs/images.txt")),
                replicas: table(include_str!("../../specs/replicas.txt")),
            };
            specs.sort();
            specs
        })
    }

    /// Adds what is new in other tables.
    pub(crate) fn merge(&mut self, other: &Specs) -> Result<(), String> {
        if self == other {
            return Ok(());
        }
        merge_all(&mut self.name_prefix, &other.name_prefix, "namePrefix")?;
        merge_all(&mut self.name_suffix, &other.name_suffix, "nameSuffix")?;
        merge_all(&mut self.namespace, &other.namespace, "namespace")?;
        merge_all(&mut self.common_annotations, &other.common_annotations, "commonAnnotations")?;
        merge_all(&mut self.common_labels, &other.common_labels, "commonLabels")?;
        merge_all(&mut self.labels, &other.labels, "labels")?;
        merge_all(&mut self.template_labels, &other.template_labels, "templateLabels")?;
        merge_all(&mut self.vars, &other.vars, "varReference")?;
        for reference in &other.name_references {
            self.merge_reference(reference)?;
        }
        merge_all(&mut self.images, &other.images, "images")?;
        merge_all(&mut self.replicas, &other.replicas, "replicas")?;
        self.sort();
        Ok(())
    }

    pub(crate) fn merge_reference(&mut self, reference: &NameReference) -> Result<(), String> {
        match self.name_references.iter_mut().find(|known| known.target == reference.target) {
            Some(known) => merge_all(&mut known.referrers, &reference.referrers, "nameReference"),
            None => {
                self.name_references.push(reference.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn sort(&mut self) {
        for list in [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.common_annotations,
            &mut self.vars,
            &mut self.images,
            &mut self.replicas,
        ] {
            list.sort_by_cached_key(|spec| super::sort::rank(&spec.gvk));
        }
        self.name_references.sort_by_cached_key(|reference| super::sort::rank(&reference.target));
    }
}

/// Adds the specs that are new.
pub(crate) fn merge_all(into: &mut Vec<FieldSpec>, more: &[FieldSpec], table: &str) -> Result<(), String> {
    more.iter().try_for_each(|spec| merge_one(into, spec, table))
}

/// Adds a spec unless one that is there means the same or less.
pub(crate) fn merge_one(into: &mut Vec<FieldSpec>, spec: &FieldSpec, table: &str) -> Result<(), String> {
    match into.iter().find(|known| known.path == spec.path && known.gvk.is_selected(&spec.gvk)) {
        None => into.push(spec.clone()),
        Some(known) if known.create == spec.create => {}
        Some(_) => {
            return Err(format!(
                "failed to merge {table} fieldSpec: conflicting fieldspecs for {}",
                spec.path
            ));
        }
    }
    Ok(())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn table(text: &str) -> Vec<FieldSpec> {
    lines(text).map(spec).collect()
}

fn references(text: &str) -> Vec<NameReference> {
    let mut references: Vec<NameReference> = Vec::new();
    for line in lines(text) {
        if let Some(target) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            references.push(NameReference { target: gvk(target), referrers: Vec::new() });
        } else if let Some(last) = references.last_mut() {
            last.referrers.push(spec(line));
        }
    }
    references
}

fn spec(line: &str) -> FieldSpec {
    let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
    FieldSpec { gvk: gvk(rest), path: path.into(), create: rest.split(' ').next() == Some("create") }
}

fn gvk(words: &str) -> Gvk {
    let mut gvk = Gvk::default();
    for (key, value) in words.split(' ').filter_map(|word| word.split_once('=')) {
        match key {
            "group" => value.clone_into(&mut gvk.group),
            "version" => value.clone_into(&mut gvk.version),
            _ => value.clone_into(&mut gvk.kind),
        }
    }
    gvk
}
