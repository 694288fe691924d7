//! What do the objects under `generators`, `transformers` and `validators` ask for?
//!
//! Those of Kustomize itself (`apiVersion: builtin`) are run; all others are programs.

use std::collections::BTreeMap;

use muster_yaml::Node;
use serde_json::{Value, json};

use super::{
    build::{Builder, Built, Here, Step},
    fields::{Fields, Found, Problem, node_of, problem},
    kustomization::{
        Patch, field_spec, first_document, generator_of, generator_options, image, replacement, replica,
        selector, value_target,
    },
    manifests,
    plan::Sources,
    resource::Resource,
    specs::FieldSpec,
    transform::{Subjects, Transformer},
};
use crate::{RenderError, patch::Spelling};

const BUILT_IN: &str = "builtin";

impl Builder<'_> {
    /// The objects that entries of a field name or hold.
    fn configs(
        &mut self,
        here: Here<'_>,
        entries: &[String],
        field: &str,
    ) -> Result<Vec<Resource>, RenderError> {
        let mut built = Built::default();
        let mut paths = Vec::new();
        let file = &here.kustomization.file;
        for entry in entries {
            match manifests::read(file, entry.as_bytes(), self.limits) {
                Ok(mut inline) => {
                    let line = here.kustomization.mark(field).line;
                    let origin = self.metadata.first().map(|_| {
                        let name = file.rsplit('/').next().unwrap_or_default();
                        format!("path: {}\n", super::build::join(here.origin, name))
                    });
                    for resource in &mut inline {
                        resource.line = line;
                        resource.origin.clone_from(&origin);
                    }
                    self.openapi.note(&inline);
                    built.map.append_all(inline, self.kinds).or_else(|message| here.fail(field, message))?;
                }
                Err(problem) if entry.contains('\n') => {
                    return here.fail(
                        field,
                        format!("line {} of the text here: {}", problem.at.line, problem.message),
                    );
                }
                Err(_) => paths.push(entry.clone()),
            }
        }
        self.resources(here, &paths, field, &mut built)?;
        for resource in &mut built.map.list {
            resource.spelling.settle(&mut resource.value);
            if resource.api_version() != BUILT_IN {
                let message = format!(
                    "{} is a plugin, a program of its own, which is not run while rendering; only those with \
                     apiVersion: {BUILT_IN} are supported",
                    resource.kind()
                );
                return here.fail(field, message);
            }
        }
        Ok(built.map.list)
    }

    /// The transformers of `transformers` or `validators`.
    pub(super) fn external(
        &mut self,
        here: Here<'_>,
        entries: &[String],
        field: &str,
    ) -> Result<Vec<Step>, RenderError> {
        let mut steps = Vec::new();
        for config in self.configs(here, entries, field)? {
            let node = node_of(&config.value, config.line);
            let transformers =
                self.transformers(here, &config, &node).map_err(|Problem { at, message }| {
                    let message =
                        format!("plugin {} {} fails configuration: {message}", config.kind(), config.name());
                    RenderError { file: config.file.clone(), line: at.line, column: 0, message }
                })?;
            let configured = described(&config);
            let at = here.kustomization.mark(field);
            steps.extend(transformers.into_iter().map(|transformer| Step {
                at,
                transformer,
                configured: configured.clone(),
            }));
        }
        Ok(steps)
    }

    /// Runs the generators of `generators`.
    pub(super) fn external_generators(
        &mut self,
        here: Here<'_>,
        built: &mut Built,
    ) -> Result<(), RenderError> {
        for config in self.configs(here, &here.kustomization.generators, "generators")? {
            let fail = |message: String| RenderError {
                file: config.file.clone(),
                line: config.line,
                column: 0,
                message,
            };
            if config.kind() == "IAMPolicyGenerator" {
                let mut account = service_account(&config).map_err(|problem| fail(problem.message))?;
                account.origin = described(&config);
                built.map.absorb(account, self.kinds).or_else(|message| here.fail("generators", message))?;
                continue;
            }
            let is_secret = match config.kind().as_str() {
                "ConfigMapGenerator" => false,
                "SecretGenerator" => true,
                kind => {
                    return Err(fail(format!(
                        "{kind} is not supported under generators; ConfigMapGenerator, SecretGenerator and \
                         IAMPolicyGenerator are"
                    )));
                }
            };
            let node = node_of(&config.value, config.line);
            let generator =
                generator_config(&node, &config, is_secret).map_err(|problem| fail(problem.message))?;
            self.absorb_generated(here, "generators", &generator, described(&config), built)?;
        }
        Ok(())
    }

    fn transformers(&self, here: Here<'_>, config: &Resource, node: &Node) -> Found<Vec<Transformer>> {
        let mut fields = header(node)?;
        let sources = self.sources(here);
        let at = fields.at;
        let said = |message: String| Problem { at, message };
        let kind = config.kind();
        let transformer = match kind.as_str() {
            "NamespaceTransformer" => namespace(&mut fields, config)?,
            "PrefixTransformer" => Transformer::Prefix(fields.string("prefix")?, some_specs(&mut fields)?),
            "SuffixTransformer" => Transformer::Suffix(fields.string("suffix")?, some_specs(&mut fields)?),
            "PrefixSuffixTransformer" => {
                let specs = some_specs(&mut fields)?;
                let prefix = Transformer::Prefix(fields.string("prefix")?, specs.clone());
                return Ok(vec![prefix, Transformer::Suffix(fields.string("suffix")?, specs)]);
            }
            "HashTransformer" => Transformer::Hashes,
            "LabelTransformer" => {
                Transformer::Labels(fields.map("labels")?.unwrap_or_default(), specs(&mut fields)?)
            }
            "AnnotationsTransformer" => {
                Transformer::Annotations(fields.map("annotations")?.unwrap_or_default(), specs(&mut fields)?)
            }
            "ImageTagTransformer" => {
                let image = fields.node("imageTag").map(|node| image(node, "imageTag")).transpose()?;
                Transformer::Images(image.unwrap_or_default(), specs(&mut fields)?)
            }
            "ReplicaCountTransformer" => {
                let replica = fields.node("replica").map(|node| replica(node, "replica")).transpose()?;
                Transformer::Replicas(replica.unwrap_or_default(), specs(&mut fields)?)
            }
            "PatchTransformer" => {
                Transformer::Patch(sources.patch(&patch(&mut fields, "patch")?).map_err(said)?)
            }
            "PatchJson6902Transformer" => sources.json6902(&patch(&mut fields, "jsonOp")?).map_err(said)?,
            "PatchStrategicMergeTransformer" => {
                let mut entries = fields.strings("paths")?;
                let inline = fields.string("patches")?;
                if !inline.is_empty() {
                    entries.push(inline);
                }
                Transformer::StrategicMerge(sources.strategic(&entries).map_err(said)?)
            }
            "ReplacementTransformer" => {
                let entries = fields.list("replacements", replacement)?;
                Transformer::Replacements(sources.replacements(&entries).map_err(said)?)
            }
            "ValueAddTransformer" => value_add(&mut fields, sources)?,
            kind => return problem(at, format!("{kind} is not supported under transformers and validators")),
        };
        // Fields that it does not know are nothing to Kustomize here.
        Ok(vec![transformer])
    }
}

fn value_add(fields: &mut Fields<'_>, sources: Sources<'_>) -> Found<Transformer> {
    let at = fields.at;
    let text = fields.string("value")?;
    let directory = sources.root.rsplit('/').next().unwrap_or_default();
    let text = if text.trim().is_empty() { directory } else { text.trim() };
    if text.is_empty() {
        return problem(
            at,
            "value is missing, and the root of a repository has no name to take in its place",
        );
    }
    let mut targets = fields.list("targets", value_target)?;
    let path = fields.string("targetFilePath")?;
    if !path.is_empty() {
        let loaded = sources.tree.load(sources.root, &path);
        let (name, bytes) = loaded.or_else(|message| problem(at, message))?;
        let of_file = |error: Problem| Problem { at, message: format!("{name}: {}", error.message) };
        let node = first_document(bytes, sources.limits).map_err(of_file)?;
        let node = node_of(&node.map(Node::into_json).unwrap_or_default(), 0);
        targets.extend(Fields::of(&node, name)?.list("targets", value_target).map_err(of_file)?);
    }
    if targets.is_empty() {
        return problem(at, "must specify at least one target");
    }
    Ok(Transformer::ValueAdd(text.to_owned(), targets))
}

/// The fields of a configuration, without those that every object has.
fn header(node: &Node) -> Found<Fields<'_>> {
    let mut fields = Fields::of(node, "")?;
    for field in ["apiVersion", "kind", "metadata"] {
        fields.entry(field);
    }
    Ok(fields)
}

fn specs(fields: &mut Fields<'_>) -> Found<Vec<FieldSpec>> {
    fields.list("fieldSpecs", field_spec)
}

fn some_specs(fields: &mut Fields<'_>) -> Found<Vec<FieldSpec>> {
    let at = fields.at;
    if fields.node("fieldSpecs").is_none() {
        return problem(at, "fieldSpecs is not expected to be nil");
    }
    specs(fields)
}

fn namespace(fields: &mut Fields<'_>, config: &Resource) -> Found<Transformer> {
    let at = fields.at;
    let subjects = match fields.string("setRoleBindingSubjects")?.as_str() {
        "" | "defaultOnly" => Subjects::Default,
        "allServiceAccounts" => Subjects::ServiceAccounts,
        "none" => Subjects::None,
        other => {
            let message = format!(
                "invalid value \"{other}\" for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \
                 \"allServiceAccounts\""
            );
            return problem(at, message);
        }
    };
    Ok(Transformer::Namespace {
        namespace: config.namespace(),
        specs: specs(fields)?,
        unset_only: fields.boolean("unsetOnly")?,
        subjects,
    })
}

fn patch(fields: &mut Fields<'_>, text: &str) -> Found<Patch> {
    let target = fields.node("target").map(|node| selector(node, "target")).transpose()?;
    let mut options = BTreeMap::new();
    if let Some(node) = fields.node("options") {
        let mut inner = Fields::of(node, "options")?;
        for option in ["allowNameChange", "allowKindChange"] {
            options.insert(option.to_owned(), inner.boolean(option)?);
        }
    }
    Ok(Patch { path: fields.string("path")?, patch: fields.string(text)?, target, options })
}

fn generator_config(
    node: &Node,
    config: &Resource,
    is_secret: bool,
) -> Found<super::kustomization::Generator> {
    let mut fields = header(node)?;
    let options = fields.node("options").map(|node| generator_options(node, "options")).transpose()?;
    let mut generator = generator_of(&mut fields, is_secret, options.unwrap_or_default())?;
    if generator.name.is_empty() {
        generator.name = config.name();
    }
    if generator.namespace.is_empty() {
        generator.namespace = config.namespace();
    }
    Ok(generator)
}

/// The service account of an `IAMPolicyGenerator`, for the one cloud it knows.
fn service_account(config: &Resource) -> Found<Resource> {
    let node = node_of(&config.value, config.line);
    let mut fields = header(&node)?;
    let at = fields.at;
    let cloud = fields.string("cloud")?;
    if cloud != "gke" {
        return problem(at, format!("cloud provider {cloud} not supported yet"));
    }
    let project = fields.string("projectId")?;
    let mut inner = |field: &str, key: &str| match fields.node(field) {
        Some(node) => Fields::of(node, field)?.string(key),
        None => Ok(String::new()),
    };
    let (google, project_there) = (inner("serviceAccount", "name")?, inner("serviceAccount", "projectId")?);
    let (name, namespace) = (inner("kubernetesService", "name")?, inner("kubernetesService", "namespace")?);
    let project = if project_there.is_empty() { project } else { project_there };
    let key = "iam.gke.io/gcp-service-account";
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"annotations": {key: format!("{google}@{project}.iam.gserviceaccount.com")}, "name": name},
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = Value::String(namespace);
    }
    Ok(Resource::new(object, Spelling::Plain, &config.file, config.line))
}

/// How `buildMetadata` describes a transformer that is an object.
fn described(config: &Resource) -> Option<String> {
    let origin = config.origin.as_ref()?;
    let path = origin.strip_prefix("path: ").unwrap_or(origin).trim_end();
    let namespace = match config.value.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => format!("  namespace: {namespace}\n"),
        None => String::new(),
    };
    Some(format!(
        "configuredIn: {path}\nconfiguredBy:\n  apiVersion: builtin\n  kind: {}\n  name: {}\n{namespace}",
        config.kind(),
        config.name()
    ))
}
