//! What would an agent apply?
//!
//! ```text
//! Repository -> targets (which app, for which cluster) -> Renderer (each directory once)
//!            -> prepare (namespaces, order, as in an agent) -> print
//! ```

mod mask;
mod print;
mod renderer;
mod scope;
mod tenancy;

use std::collections::{BTreeMap, BTreeSet};

use muster_render::{Object, RenderError, Source, applied, order};
use muster_spec::{App, Cluster, Kind, Located, SpecError};
use serde_json::{Value, json};

pub(crate) use print::{list, name, names, table, yaml};
pub(crate) use renderer::{Rendered, Renderer};
pub(crate) use scope::Scopes;
pub(crate) use tenancy::refusals;

use crate::definitions;
use crate::failure::{Failure, nearest};
use crate::repository::{Repository, of_document};

/// Which part of a fleet is asked for; nothing given means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Name of a cluster.
    pub(crate) cluster: Option<String>,
    /// Name of an app.
    pub(crate) app: Option<String>,
}

/// An object as it would be applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Applied {
    /// The object.
    pub(crate) value: Value,
    /// `file:line` in Git; empty for what only the agent makes.
    pub(crate) place: String,
}

/// One app in one cluster, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AppObjects {
    /// Empty where a directory is rendered by itself.
    pub(crate) cluster: String,
    /// Empty where a directory is rendered by itself.
    pub(crate) app: String,
    /// The document says that nothing is to be changed for now.
    pub(crate) is_suspended: bool,
    /// In the order in which they are applied.
    pub(crate) objects: Vec<Applied>,
}

/// Something that keeps apps from being rendered, and where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) error: RenderError,
    /// The app, unless it is wrong with a document or a directory by itself.
    pub(crate) app: Option<String>,
    /// The clusters it is wrong in.
    pub(crate) clusters: BTreeSet<String>,
}

/// What was asked for, rendered; and everything that is wrong with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    /// By cluster, then by app, dependencies first.
    pub(crate) apps: Vec<AppObjects>,
    /// While there are any, something is missing above.
    pub(crate) problems: Vec<Problem>,
    /// Apps that are left out since their manifests are in other repositories: the name, and the repository.
    pub(crate) elsewhere: BTreeMap<String, String>,
}

/// Renders what is selected.
///
/// # Errors
/// When the repository has no cluster or app of that name.
pub(crate) fn run(repository: &Repository, selection: &Selection) -> Result<Outcome, Failure> {
    let mut renderer = Renderer::new(&*repository.reader);
    if let Some(only) = &repository.only {
        if selection.cluster.is_some() || selection.app.is_some() {
            return Err(Failure::Repository(
                "there is no Fleet, Cluster or App document, so there are no clusters and apps to choose from"
                    .to_owned(),
            ));
        }
        return Ok(directory(only, &mut renderer));
    }
    let clusters = clusters(repository, selection)?;
    check_app(repository, selection)?;
    let scopes = scopes(repository);
    let mut outcome = Outcome { problems: document_problems(repository, selection), ..Outcome::default() };
    let mut problems: BTreeMap<(RenderErrorKey, String), Problem> = BTreeMap::new();
    for cluster in clusters {
        for app in in_order(repository.apps_of(cluster)) {
            if selection.app.as_deref().is_some_and(|wanted| wanted != app.value.name().as_str()) {
                continue;
            }
            if let Some(repo) = &app.value.spec.source.repo {
                outcome.elsewhere.insert(app.value.name().to_string(), repo.to_string());
                continue;
            }
            match rendered(repository, app, cluster, &mut renderer, &scopes) {
                Ok(objects) => outcome.apps.push(objects),
                Err(errors) => {
                    for error in errors {
                        let name = app.value.name().to_string();
                        let key = (
                            (error.file.clone(), error.line, error.column, error.message.clone()),
                            name.clone(),
                        );
                        let problem = problems.entry(key).or_insert_with(|| Problem {
                            error,
                            app: Some(name),
                            clusters: BTreeSet::new(),
                        });
                        problem.clusters.insert(cluster.name().to_string());
                    }
                }
            }
        }
    }
    outcome.problems.extend(problems.into_values());
    Ok(outcome)
}

type RenderErrorKey = (String, usize, usize, String);

/// A directory by itself: its objects as they are rendered, in that order.
fn directory(path: &str, renderer: &mut Renderer<'_>) -> Outcome {
    match &*renderer.render(&Source::at(path)) {
        Ok(objects) => {
            let objects = objects
                .iter()
                .map(|object| Applied { value: object.value.clone(), place: object.place() })
                .collect();
            let app = AppObjects { cluster: String::new(), app: String::new(), is_suspended: false, objects };
            Outcome { apps: vec![app], ..Outcome::default() }
        }
        Err(errors) => Outcome {
            problems: errors
                .iter()
                .map(|error| Problem { error: error.clone(), app: None, clusters: BTreeSet::new() })
                .collect(),
            ..Outcome::default()
        },
    }
}

fn clusters<'r>(repository: &'r Repository, selection: &Selection) -> Result<Vec<&'r Cluster>, Failure> {
    let all = || repository.catalog.clusters.values().map(|cluster| &cluster.value);
    let Some(wanted) = &selection.cluster else { return Ok(all().collect()) };
    let found: Vec<_> = all().filter(|cluster| cluster.name().as_str() == wanted).collect();
    if !found.is_empty() || repository.catalog.is_broken(Kind::Cluster, wanted) {
        return Ok(found);
    }
    let names = repository.catalog.clusters.keys().map(|name| name.as_str());
    Err(Failure::NoDocument { kind: "Cluster", name: wanted.clone(), nearest: nearest(wanted, names) })
}

fn check_app(repository: &Repository, selection: &Selection) -> Result<(), Failure> {
    let Some(wanted) = &selection.app else { return Ok(()) };
    let mut names = repository.catalog.apps.keys().map(|name| name.as_str());
    if names.clone().any(|name| name == wanted) || repository.catalog.is_broken(Kind::App, wanted) {
        return Ok(());
    }
    Err(Failure::NoDocument { kind: "App", name: wanted.clone(), nearest: nearest(wanted, &mut names) })
}

/// Documents that cannot be read, as far as they may belong to what is asked for.
fn document_problems(repository: &Repository, selection: &Selection) -> Vec<Problem> {
    let is_other = |error: &&SpecError| {
        let is = |kind: &str, wanted: &Option<String>| match (&error.document, wanted) {
            (Some((of, name)), Some(wanted)) => of == kind && name != wanted,
            _ => false,
        };
        is("App", &selection.app) || is("Cluster", &selection.cluster)
    };
    let errors = repository.catalog.errors.iter().filter(|error| !is_other(error));
    errors.map(|error| Problem { error: of_document(error), app: None, clusters: BTreeSet::new() }).collect()
}

/// Where kinds live, as far as the repository says.
pub(crate) fn scopes(repository: &Repository) -> Scopes {
    let mut scopes = Scopes::default();
    for definition in definitions::find(&repository.manifests) {
        scopes.tell(&definition.group, &definition.kind, definition.is_namespaced);
    }
    scopes
}

/// By name, but what an app depends on before it. There are no cycles: such apps are in no catalog.
fn in_order(apps: Vec<&Located<App>>) -> Vec<&Located<App>> {
    let mut placed = BTreeSet::new();
    let mut ordered = Vec::with_capacity(apps.len());
    let mut open = apps;
    while !open.is_empty() {
        let names: BTreeSet<_> = open.iter().map(|app| app.value.name().clone()).collect();
        let (ready, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(|app| {
            app.value.spec.depends_on.iter().all(|name| placed.contains(name) || !names.contains(name))
        });
        if ready.is_empty() {
            ordered.extend(waiting);
            break;
        }
        placed.extend(ready.iter().map(|app| app.value.name().clone()));
        ordered.extend(ready);
        open = waiting;
    }
    ordered
}

/// What an app is made from, for a cluster.
pub(crate) fn source(app: &Located<App>, cluster: &Cluster) -> Result<Source, RenderError> {
    let source = app
        .value
        .source_path(cluster)
        .and_then(|path| Ok(Source { path, substitutions: app.value.substitutions(cluster)? }));
    source.map_err(|error| RenderError {
        file: app.file.clone(),
        line: app.line,
        column: app.column,
        message: error.to_string(),
    })
}

fn rendered(
    repository: &Repository,
    app: &Located<App>,
    cluster: &Cluster,
    renderer: &mut Renderer<'_>,
    scopes: &Scopes,
) -> Result<AppObjects, Vec<RenderError>> {
    let source = source(app, cluster).map_err(|error| vec![error])?;
    let rendered = renderer.render(&source);
    let objects = match &*rendered {
        Ok(objects) => objects,
        Err(errors) => return Err(errors.clone()),
    };
    if let Some(fleet) = &repository.catalog.fleet {
        let refused = refusals(fleet, app, &source.path, objects, scopes).into_iter();
        let errors: Vec<_> = refused.map(|(object, message)| refused_at(app, object, message)).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    Ok(AppObjects {
        cluster: cluster.name().to_string(),
        app: app.value.name().to_string(),
        is_suspended: app.value.spec.sync.suspend != muster_spec::Suspend::No,
        objects: prepare(objects, app.value.spec.namespace.as_ref().map(|name| name.as_str()), scopes)?,
    })
}

fn refused_at(app: &Located<App>, object: Option<&Object>, message: String) -> RenderError {
    let (file, line, column) = match object {
        Some(object) => (&object.file, object.line, 0),
        None => (&app.file, app.line, app.column),
    };
    RenderError { file: file.clone(), line, column, message }
}

/// The wave in which an object is applied, the namespace it gets, and the form in which it is sent.
///
/// # Errors
/// Why an agent would not apply it, as a sentence.
pub(crate) fn form(
    object: &Object,
    app_namespace: Option<&str>,
    scopes: &Scopes,
) -> Result<(order::Wave, String, Value), String> {
    let annotations = object.value.pointer("/metadata/annotations").and_then(Value::as_object);
    let wave = order::wave(annotations)?;
    let is_namespaced = scopes.is_namespaced(object.group(), object.kind());
    let namespace = applied::namespace(&object.value, is_namespaced, app_namespace).to_owned();
    let value = applied::complete(object.value.clone(), &namespace)?;
    Ok((wave, namespace, value))
}

/// What an agent makes of rendered objects: it gives them their namespace, and applies them in its order.
pub(crate) fn prepare(
    objects: &[Object],
    app_namespace: Option<&str>,
    scopes: &Scopes,
) -> Result<Vec<Applied>, Vec<RenderError>> {
    let mut ready = Vec::with_capacity(objects.len());
    let mut errors = Vec::new();
    for object in objects {
        match form(object, app_namespace, scopes) {
            Ok((wave, namespace, value)) => {
                let rank = (wave, order::tier(object.group(), object.kind()));
                let key = (rank, object.group(), object.kind(), namespace, object.name());
                ready.push((key, Applied { value, place: object.place() }));
            }
            Err(message) => {
                errors.push(RenderError { file: object.file.clone(), line: object.line, column: 0, message });
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    ready.sort_by(|(one, _), (other, _)| one.cmp(other));
    let namespace = app_namespace.filter(|wanted| {
        let is_used = ready.iter().any(|((_, _, _, namespace, _), _)| namespace == wanted);
        let is_brought = ready
            .iter()
            .any(|((_, group, kind, _, name), _)| (*group, *kind, name) == ("", "Namespace", wanted));
        is_used && !is_brought
    });
    let made = namespace.map(|name| Applied {
        value: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        place: String::new(),
    });
    Ok(made.into_iter().chain(ready.into_iter().map(|(_, applied)| applied)).collect())
}

#[cfg(test)]
mod tests;
