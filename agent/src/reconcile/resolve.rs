//! Which object of the cluster does a manifest mean, and what exactly is applied?
use std::collections::BTreeMap;
use std::sync::Arc;

use muster_render::applied;
use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::api::discovery::Discovery;
use crate::applyset::PART_OF;
use crate::directives::Directives;
use crate::drift::Ignores;
use crate::object::{Digest, Gvk, ObjectKey, Resource, at, digest, hex, text};
use crate::plan::hook::{self, Hook};
use crate::plan::wave::{self, Wave};
use crate::plan::{Desired, Place};
use crate::reach::Reach;
use crate::source::{Kind, Manifest, Problem, Rules};
use crate::{APP_LABEL, CONTENT_ANNOTATION};

/// Longest part of `generateName` used: with what is added, a name is at most 63 letters, as that of a Job.
const GENERATED_PREFIX_MAX: usize = 55;

/// What became of some manifests.
#[derive(Debug, Default)]
pub(super) struct Resolution {
    pub(super) objects: Vec<(ObjectKey, Desired)>,
    /// Their kind is not known (yet).
    pub(super) unresolved: Vec<(Manifest, Problem)>,
    /// Manifests that cannot be applied as they are written.
    pub(super) problems: Vec<Problem>,
    /// Places of annotations that should say when an object is applied, and make no sense.
    pub(super) unclear: Vec<String>,
}

/// Whose objects they are.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) app: String,
    pub(super) set_id: String,
    pub(super) namespace: Option<String>,
    /// Digest of all manifests of the app.
    pub(super) content: Digest,
    /// What the app may have; none when that is everything.
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) ignores: Ignores,
}

/// Asks the server for the kinds and makes the objects ready to be applied.
pub(super) async fn resolve(
    discovery: &Discovery,
    reach: &Reach,
    owner: &Owner,
    manifests: Vec<Manifest>,
) -> Resolution {
    let mut kinds: BTreeMap<Gvk, Result<Option<Arc<Resource>>, ApiError>> = BTreeMap::new();
    let mut resolution = Resolution::default();
    let mut places = BTreeMap::new();
    for manifest in manifests {
        let value = manifest.read();
        let gvk = Gvk::of(text(&value, &["apiVersion"]), text(&value, &["kind"]));
        let resource = match kinds.get(&gvk) {
            Some(resource) => resource.clone(),
            None => {
                let resource = discovery.resource(&gvk).await;
                kinds.insert(gvk.clone(), resource.clone());
                resource
            }
        };
        match resource {
            Ok(Some(resource)) => match prepare(owner, &resource, value, &manifest.place) {
                Ok((key, desired)) => {
                    if let Err(message) = reach.allow(&key) {
                        let place = desired.place.to_string();
                        resolution.problems.push(Problem { kind: Kind::Render, place, message });
                    } else if let Some(first) = places.insert(key.clone(), desired.place.clone()) {
                        resolution.problems.push(written_twice(&key, &first, &desired.place));
                    } else {
                        resolution.objects.push((key, desired));
                    }
                }
                Err(problem) => {
                    if turn(&manifest.read()).is_err() {
                        resolution.unclear.push(problem.place.clone());
                    }
                    resolution.problems.push(problem);
                }
            },
            Ok(None) => {
                let problem = unknown_kind(&gvk, &manifest);
                resolution.unresolved.push((manifest, problem));
            }
            Err(error) => {
                let message = format!("The API server could not be asked about the kind {gvk}: {error}");
                let problem = Problem { kind: Kind::Apply, place: manifest.place.to_string(), message };
                resolution.unresolved.push((manifest, problem));
            }
        }
    }
    resolution
}

fn unknown_kind(gvk: &Gvk, manifest: &Manifest) -> Problem {
    let message = format!(
        "The API server has no kind {} in {}. Install its CustomResourceDefinition or correct the manifest; it is \
         applied by itself once the kind is there.",
        gvk.group_kind.kind,
        gvk.api_version()
    );
    Problem { kind: Kind::Apply, place: manifest.place.to_string(), message }
}

fn written_twice(key: &ObjectKey, first: &crate::plan::Place, second: &crate::plan::Place) -> Problem {
    Problem {
        kind: Kind::Render,
        place: second.to_string(),
        message: format!("{key} is also written in {first}; remove one of them."),
    }
}

/// The object as it is applied: in its namespace, with our labels.
pub(super) fn prepare(
    owner: &Owner,
    resource: &Arc<Resource>,
    value: Value,
    place: &Place,
) -> Result<(ObjectKey, Desired), Problem> {
    let refuse = |message: String| Problem { kind: Kind::Render, place: place.to_string(), message };
    let kind = &resource.gvk.group_kind;
    let (wave, hook) = turn(&value).map_err(&refuse)?;
    let mut name = text(&value, &["metadata", "name"]).to_owned();
    let generate = text(&value, &["metadata", "generateName"]);
    if name.is_empty() && hook.is_some() && !generate.is_empty() {
        name = generated_name(generate, &owner.content);
    }
    if name.is_empty() {
        return Err(refuse(format!(
            "This {kind} has no metadata.name; generated names cannot be kept in sync."
        )));
    }
    let namespace = applied::namespace(&value, resource.namespaced, owner.namespace.as_deref()).to_owned();
    let mut value = applied::complete(value, &namespace).map_err(refuse)?;
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(refuse(format!("This {kind} has no metadata.")));
    };
    if hook.is_some() {
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), name.as_str().into());
    }
    let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if labels.is_null() {
        *labels = Value::Object(Map::new());
    }
    let Some(labels) = labels.as_object_mut() else {
        return Err(refuse(format!("The metadata.labels of this {kind} are not a map.")));
    };
    labels.insert(APP_LABEL.to_owned(), owner.app.as_str().into());
    labels.insert(PART_OF.to_owned(), owner.set_id.as_str().into());
    let directives = Directives::parse(&value).map_err(refuse)?;
    let key = ObjectKey::new(kind.clone(), &namespace, &name);
    let ignored = owner.ignores.of_object(&key);
    // What is ignored no longer is to be put right, though the object is the same.
    let without = ignored.as_ref().map(|ignored| format!("{ignored:?}"));
    let content = value.to_string();
    let digest = digest([content.as_bytes()].into_iter().chain(without.as_ref().map(String::as_bytes)));
    annotate(&mut value, CONTENT_ANNOTATION, &hex(&digest))
        .ok_or_else(|| refuse(format!("The metadata.annotations of this {kind} are not a map.")))?;
    if let Some(rules) = &owner.rules {
        let allowed = rules.allow(&kind.group, &kind.kind, &namespace, &name);
        allowed.map_err(|message| refuse(format!("{key} is not applied: {message}")))?;
    }
    let body: Arc<[u8]> = value.to_string().into_bytes().into();
    let (resource, place, hook) = (resource.clone(), place.clone(), hook.map(Arc::new));
    Ok((key, Desired { resource, body, ignored, digest, place, directives, wave, hook }))
}

/// Sets an annotation; `None` when there is something else in the place of annotations.
fn annotate(object: &mut Value, name: &str, text: &str) -> Option<()> {
    let annotations =
        object.get_mut("metadata")?.as_object_mut()?.entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = Value::Object(Map::new());
    }
    annotations.as_object_mut()?.insert(name.to_owned(), text.into());
    Some(())
}

/// When an object is applied: its wave, and what it is a hook of.
fn turn(object: &Value) -> Result<(Wave, Option<Hook>), String> {
    let annotations = at(object, &["metadata", "annotations"]).and_then(Value::as_object);
    Ok((wave::read(annotations)?, hook::read(annotations)?))
}

/// A name for a hook that leaves it to be generated: the same for the same content, so that a run is found
/// again.
fn generated_name(prefix: &str, content: &Digest) -> String {
    let prefix: String = prefix.chars().take(GENERATED_PREFIX_MAX).collect();
    format!("{prefix}{}", &hex(content)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(namespaced: bool, kind: &str, value: Value) -> Result<(ObjectKey, Value), Problem> {
        let gvk = Gvk::new("", "v1", kind);
        let resource = Arc::new(Resource { gvk, plural: "any".to_owned(), namespaced });
        let owner = Owner {
            app: "web".to_owned(),
            set_id: "id".to_owned(),
            namespace: Some("demo".to_owned()),
            content: [0xab; 16],
            rules: None,
            ignores: Ignores::default(),
        };
        prepare(&owner, &resource, value, &Place { file: "a.yaml".into(), line: 3 })
            .map(|(key, desired)| (key, serde_json::from_slice(&desired.body).unwrap()))
    }

    #[test]
    fn namespaces_follow_scope_then_the_object_then_the_app() {
        let named = |namespace: Value| json!({"metadata": {"name": "a", "namespace": namespace}});
        let (key, value) = run(true, "ConfigMap", json!({"metadata": {"name": "a"}})).unwrap();
        assert_eq!(key.to_string(), "ConfigMap/demo/a");
        assert_eq!(value["metadata"]["namespace"], "demo");
        assert_eq!(run(true, "ConfigMap", named(json!("own"))).unwrap().0.to_string(), "ConfigMap/own/a");
        let (key, value) = run(false, "Namespace", named(json!("own"))).unwrap();
        assert_eq!(key.to_string(), "Namespace/a");
        assert_eq!(value["metadata"].get("namespace"), None);
    }

    #[test]
    fn our_labels_are_added_and_the_servers_fields_dropped() {
        let value =
            json!({"metadata": {"name": "a", "labels": {"x": "y"}, "uid": "1", "creationTimestamp": null}});
        let (_, value) = run(true, "ConfigMap", value).unwrap();
        let content = &value["metadata"]["annotations"][CONTENT_ANNOTATION];
        assert!(content.as_str().and_then(crate::object::from_hex).is_some(), "{content}");
        let metadata = json!({
            "name": "a", "namespace": "demo", "labels": {"x": "y", APP_LABEL: "web", PART_OF: "id"},
            "annotations": {CONTENT_ANNOTATION: content},
        });
        assert_eq!(value["metadata"], metadata);
    }

    #[test]
    fn a_hook_may_leave_its_name_to_be_generated() {
        let value = json!({"metadata": {
            "generateName": "migrate-", "annotations": {"argocd.argoproj.io/hook": "PreSync"},
        }});
        let (key, value) = run(true, "Job", value).unwrap();
        assert_eq!(key.to_string(), "Job/demo/migrate-abababab");
        assert_eq!(value["metadata"]["name"], "migrate-abababab");
        assert_eq!(value["metadata"].get("generateName"), None);
        assert_eq!(generated_name(&"long-".repeat(20), &[0; 16]).len(), 63);
    }

    #[test]
    fn what_cannot_be_applied_is_refused_with_its_place() {
        for value in [
            json!({"metadata": {"generateName": "a-"}}),
            json!({}),
            json!({"metadata": {"name": "a", "labels": 1}}),
            json!({"metadata": {"name": "a", "annotations": "x"}}),
            json!({"metadata": {"name": "a", "annotations": {"muster.dev/prune": "never"}}}),
            json!({"metadata": {"name": "a", "annotations": {"muster.dev/sync-wave": "first"}}}),
            json!({"metadata": {"name": "a", "annotations": {"muster.dev/hook": "before"}}}),
        ] {
            assert_eq!(run(true, "ConfigMap", value).unwrap_err().place, "a.yaml:3");
        }
    }
}
