//! Which fields do the files under `configurations` and `crds` add to the tables?

use muster_yaml::{Mark, Node, Reading};
use serde_json::Value;

use super::{
    fields::{Fields, Found, Problem, problem},
    identity::Gvk,
    kustomization::{field_spec, first_document, name_reference},
    specs::{FieldSpec, NameReference, Specs, merge_one},
};
use crate::Limits;

/// CRDs may name one another; so deep they are followed.
const CRD_DEPTH_MAX: usize = 32;
/// So many definitions are looked at in one file, each as often as it is named.
const CRD_DEFINITIONS_MAX: usize = 20_000;

/// Reads a file of `configurations`.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Found<Specs> {
    let part = muster_yaml::parts(bytes, &limits.yaml).into_iter().next();
    let node = match part {
        None => return Ok(Specs::default()),
        Some(part) => part.and_then(|part| part.read(Reading::Strict, &limits.yaml)),
    };
    let Some(node) = node.map_err(|error| Problem { at: error.at, message: error.message })? else {
        return Ok(Specs::default());
    };
    let mut fields = Fields::of(&node, "")?;
    let mut specs = Specs {
        name_prefix: fields.list("namePrefix", field_spec)?,
        name_suffix: fields.list("nameSuffix", field_spec)?,
        namespace: fields.list("namespace", field_spec)?,
        common_labels: fields.list("commonLabels", field_spec)?,
        labels: fields.list("labels", field_spec)?,
        template_labels: fields.list("templateLabels", field_spec)?,
        common_annotations: fields.list("commonAnnotations", field_spec)?,
        name_references: fields.list("nameReference", name_reference)?,
        vars: fields.list("varReference", field_spec)?,
        images: fields.list("images", field_spec)?,
        replicas: fields.list("replicas", field_spec)?,
    };
    fields.finish()?;
    specs.sort();
    Ok(specs)
}

/// Reads a file of `crds`: definitions of an OpenAPI document whose properties are marked.
pub(crate) fn read_crds(bytes: &[u8], limits: &Limits) -> Found<Specs> {
    let Some(node) = first_document(bytes, limits)? else { return Ok(Specs::default()) };
    let definitions = Node::into_json(node);
    let Value::Object(definitions) = &definitions else {
        return problem(Mark::START, "the definitions of crds must be a mapping");
    };
    let mut specs = Specs::default();
    let mut left = CRD_DEFINITIONS_MAX;
    for (name, definition) in definitions {
        let properties = definition.get("Schema").or_else(|| definition.get("schema"));
        let properties = properties.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        let Some(properties) = properties else { continue };
        if !["kind", "apiVersion", "metadata"].iter().all(|field| properties.contains_key(*field)) {
            continue;
        }
        let kind = name.rsplit('.').next().unwrap_or(name).to_owned();
        let gvk = Gvk { kind, ..Gvk::default() };
        let mut reader = Crd { definitions, gvk, specs: &mut specs, left: &mut left };
        reader.definition(name, &mut Vec::new()).or_else(|message| problem(Mark::START, message))?;
    }
    specs.sort();
    Ok(specs)
}

struct Crd<'d> {
    definitions: &'d serde_json::Map<String, Value>,
    gvk: Gvk,
    specs: &'d mut Specs,
    /// Definitions that may still be looked at.
    left: &'d mut usize,
}

impl Crd<'_> {
    fn spec(&self, path: &[String]) -> FieldSpec {
        FieldSpec { gvk: self.gvk.clone(), path: path.join("/").into(), create: false }
    }

    fn definition(&mut self, name: &str, path: &mut Vec<String>) -> Result<(), String> {
        if path.len() > CRD_DEPTH_MAX || *self.left == 0 {
            return Err(format!("{name} contains itself, or the definitions are too many"));
        }
        *self.left -= 1;
        let definition = self.definitions.get(name);
        let schema = definition.and_then(|definition| definition.get("Schema").or(definition.get("schema")));
        let Some(properties) = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object)
        else {
            return Ok(());
        };
        for (property_name, property) in properties {
            path.push(property_name.clone());
            self.property(property, path)?;
            if let Some(reference) = property.get("$ref").and_then(Value::as_str) {
                self.definition(reference, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn property(&mut self, property: &Value, path: &[String]) -> Result<(), String> {
        let text = |key: &str| property.get(key).and_then(Value::as_str);
        let own = self.spec(path);
        if text("x-kubernetes-annotation").is_some() {
            merge_one(&mut self.specs.common_annotations, &own, "commonAnnotations")?;
        }
        if text("x-kubernetes-label-selector").is_some() {
            merge_one(&mut self.specs.common_labels, &own, "commonLabels")?;
        }
        if text("x-kubernetes-identity").is_some() {
            merge_one(&mut self.specs.name_prefix, &own, "namePrefix")?;
        }
        let version = text("x-kubernetes-object-ref-api-version");
        if let (Some(version), Some(kind)) = (version, text("x-kubernetes-object-ref-kind")) {
            let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
            let mut path = path.to_vec();
            path.push(key.to_owned());
            let target = Gvk { group: String::new(), version: version.to_owned(), kind: kind.to_owned() };
            let reference = NameReference { target, referrers: vec![self.spec(&path)] };
            self.specs.merge_reference(&reference)?;
        }
        Ok(())
    }
}
