//! What does one commit say about this cluster?
//!
//! Documents first, then the directory of each app that selects the cluster. What is wrong with one app
//! stays with that app.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_git::{GitError, Mirror, ReadLimits, Revision};
use muster_render::{RenderErrors, Source};
use muster_spec::{App, Catalog, Cluster, ClusterName, Located, SpecError, Window};

use super::inputs::{AtRevision, Delivered, Found};
use super::rules::rules;
use super::{Content, Kind, Manifest, Options, Problem, Retry, Snapshot, Wanted, place};
use crate::drift::Ignores;
use crate::health::rules::HealthRules;
use crate::metrics::Metrics;

/// How often agents look at Git, as the Fleet document says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    /// Share of the interval by which waits differ, in percent.
    pub(super) jitter_percent: u8,
}

/// Reads everything at a revision. `delivered` says what the reconciler has; it is brought up to date.
///
/// # Errors
/// When the revision cannot be read at all.
pub(super) fn snapshot(
    mirror: &Mirror,
    revision: &Revision,
    name: &ClusterName,
    delivered: &mut Delivered,
    metrics: &Metrics,
) -> Result<(Snapshot, Option<Pace>), GitError> {
    // What no document can be in is not loaded; what is too large to be one is left out.
    let limits = ReadLimits { skip_refused: true, ..ReadLimits::default() };
    let tree = mirror.read_matching(revision, "", &limits, &is_manifest)?;
    let catalog = Catalog::load(tree.files().iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    drop(tree);
    let mut snapshot = select(&catalog, name, &revision.to_string());
    let Some(cluster) = catalog.clusters.get(name) else {
        delivered.retain(|_| false);
        let pace = pace(&catalog, None);
        return Ok((snapshot, pace));
    };
    let pace = pace(&catalog, Some(&cluster.value));
    snapshot.windows = fleet_windows(&catalog);
    for (app, problems) in unsupported(&catalog, &cluster.value) {
        snapshot.held.entry(app).or_default().extend(problems);
    }
    for app in catalog.apps_for(&cluster.value) {
        if !snapshot.held.contains_key(app.value.name().as_str()) {
            let wanted = wanted(mirror, revision, &catalog, app, &cluster.value, delivered, metrics);
            snapshot.apps.insert(app.value.name().to_string(), wanted);
        }
    }
    delivered.retain(|app| snapshot.apps.contains_key(app));
    Ok((snapshot, pace))
}

fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

/// The part of a snapshot that the documents alone decide.
fn select(catalog: &Catalog, name: &ClusterName, revision: &str) -> Snapshot {
    let mut snapshot = Snapshot { revision: revision.to_owned(), complete: true, ..Snapshot::default() };
    for error in &catalog.errors {
        let app = error.document.as_ref().filter(|(kind, _)| kind == "App");
        match app {
            Some((_, app)) => snapshot.held.entry(app.clone()).or_default().push(of_document(error)),
            None => snapshot.problems.push(of_document(error)),
        }
    }
    match catalog.clusters.get(name) {
        Some(cluster) => {
            let labels = &cluster.value.metadata.labels;
            snapshot.labels =
                labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            snapshot.complete = !catalog.has_unnamed_errors();
            snapshot.prune_limit_percent = cluster.value.spec.prune_limit.get();
            snapshot.place = cluster.place();
            let others = catalog.apps.values().filter(|app| !app.value.spec.clusters.selects(&cluster.value));
            snapshot.deselected = others.map(|app| app.value.name().to_string()).collect();
        }
        None => {
            snapshot.complete = false;
            let broken = catalog.is_broken(muster_spec::Kind::Cluster, name.as_str());
            if !broken {
                snapshot.problems.push(Problem {
                    kind: Kind::Document,
                    place: String::new(),
                    message: format!(
                        "There is no Cluster document named {name} at revision {revision}, so it is not known which \
                         apps this cluster runs. Nothing is changed until there is one."
                    ),
                });
            }
        }
    }
    snapshot
}

fn of_document(error: &SpecError) -> Problem {
    let message = match error.field.as_str() {
        "" => error.message.clone(),
        field => format!("{field}: {}", error.message),
    };
    Problem {
        kind: Kind::Document,
        place: format!("{}:{}:{}", error.file, error.line, error.column),
        message,
    }
}

/// Apps that ask for something this agent cannot do. Doing only the rest would be worse than nothing:
/// an ignored wave lets an unproved revision into production.
fn unsupported(catalog: &Catalog, cluster: &Cluster) -> Vec<(String, Vec<Problem>)> {
    let wave = waits_in_wave(catalog, cluster);
    let refuse = |app: &Located<App>, field: &str| Problem {
        kind: Kind::Document,
        place: app.place(),
        message: format!(
            "This version of the agent cannot do what {field} asks for; remove it or update the agent."
        ),
    };
    catalog
        .apps_for(cluster)
        .into_iter()
        .filter_map(|app| {
            let spec = &app.value.spec;
            let fields = [("spec.source.repo", spec.source.repo.is_some())];
            let fields = fields.iter().filter(|(_, used)| *used).map(|(field, _)| refuse(app, field));
            let problems: Vec<_> =
                fields.chain(elsewhere(catalog, cluster, app)).chain(wave.clone()).collect();
            (!problems.is_empty()).then(|| (app.value.name().to_string(), problems))
        })
        .collect()
}

/// Apps that this one waits for and that do not come to this cluster: it would wait for ever.
fn elsewhere(catalog: &Catalog, cluster: &Cluster, app: &Located<App>) -> Vec<Problem> {
    let missing = app.value.spec.depends_on.iter().enumerate().filter(|(_, name)| {
        catalog.apps.get(*name).is_some_and(|other| !other.value.spec.clusters.selects(cluster))
    });
    missing
        .map(|(index, name)| Problem {
            kind: Kind::Document,
            place: app.place(),
            message: format!(
                "spec.dependsOn[{index}]: the app {name} does not select this cluster, so it would be waited for \
                 for ever. Let it select the cluster, or depend on it only where it does."
            ),
        })
        .collect()
}

/// Only the first wave follows the head of the branch; this agent cannot read the pins that all others follow.
fn waits_in_wave(catalog: &Catalog, cluster: &Cluster) -> Option<Problem> {
    if catalog.has_broken(muster_spec::Kind::Fleet) {
        let message = "The Fleet document cannot be read, so it is not known whether this cluster waits for a wave. \
                       Its apps stay as they are until it can.";
        return Some(Problem { kind: Kind::Document, place: String::new(), message: message.to_owned() });
    }
    let fleet = catalog.fleet.as_ref()?;
    let first = fleet.value.spec.waves.first()?;
    let place = fleet.place();
    let refuse = |message| Some(Problem { kind: Kind::Document, place, message });
    match fleet.value.wave_of(cluster) {
        Some(wave) if wave.name == first.name => None,
        Some(wave) => refuse(format!(
            "This cluster is in wave {}, and this version of the agent cannot follow the pins of any wave but the \
             first, {}. Its apps stay as they are; remove spec.waves or update the agent.",
            wave.name, first.name
        )),
        None => refuse(
            "The fleet has waves and no wave selects this cluster. Its apps stay as they are; add its labels to a wave."
                .to_owned(),
        ),
    }
}

/// How often to ask Git: as the fleet says, or as the most impatient of the cluster's apps does.
fn pace(catalog: &Catalog, cluster: Option<&Cluster>) -> Option<Pace> {
    let fleet = catalog.fleet.as_ref().map(|fleet| fleet.value.spec.clone()).unwrap_or_default();
    let apps = cluster.map(|cluster| catalog.apps_for(cluster)).unwrap_or_default();
    let shortest = apps.iter().filter_map(|app| app.value.spec.sync.interval).min();
    if catalog.fleet.is_none() && shortest.is_none() {
        return None;
    }
    let interval = shortest.map_or(fleet.interval, |shortest| shortest.min(fleet.interval));
    Some(Pace { interval: interval.into(), jitter_percent: fleet.jitter.get() })
}

fn fleet_windows(catalog: &Catalog) -> Vec<Window> {
    catalog.fleet.as_ref().map(|fleet| fleet.value.spec.windows.clone()).unwrap_or_default()
}

fn options(catalog: &Catalog, app: &Located<App>) -> Options {
    let spec = &app.value.spec;
    let sync = &spec.sync;
    let mut health = HealthRules::default();
    health.add(&spec.health, &app.place());
    if let Some(fleet) = &catalog.fleet {
        health.add(&fleet.value.spec.health, &fleet.place());
    }
    let backoff = &sync.retry.backoff;
    let longest = backoff.max_duration.into();
    let fleet = fleet_windows(catalog).into_iter().filter(|window| window.concerns(app.value.name()));
    let account = sync.service_account.as_ref().zip(spec.namespace.as_ref());
    Options {
        namespace: spec.namespace.as_ref().map(ToString::to_string),
        prune: sync.prune,
        prune_limit_percent: sync.prune_limit.get(),
        conflicts: sync.conflicts,
        self_heal: sync.self_heal,
        suspend: sync.suspend.clone(),
        windows: sync.windows.iter().cloned().chain(fleet).collect(),
        account: account.map(|(name, namespace)| format!("system:serviceaccount:{namespace}:{name}").into()),
        rules: None,
        place: app.place(),
        ignores: Ignores::of(&sync.ignore_differences),
        health,
        retry: Retry {
            limit: sync.retry.limit,
            first: backoff.duration.into(),
            factor: backoff.factor,
            longest,
            last: longest,
        },
        timeout: sync.timeout.into(),
        depends_on: app.value.spec.depends_on.iter().map(ToString::to_string).collect(),
    }
}

fn wanted(
    mirror: &Mirror,
    revision: &Revision,
    catalog: &Catalog,
    app: &Located<App>,
    cluster: &Cluster,
    delivered: &mut Delivered,
    metrics: &Metrics,
) -> Wanted {
    let name = app.value.name().to_string();
    let mut options = options(catalog, app);
    let broken =
        |kind, place: String, message: String| Content::Broken(vec![Problem { kind, place, message }]);
    let source = app
        .value
        .source_path(cluster)
        .and_then(|path| Ok(Source { path, substitutions: app.value.substitutions(cluster)? }));
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            delivered.forget(&name);
            let content = broken(Kind::Document, app.place(), error.to_string());
            return Wanted { options, path: String::new(), content };
        }
    };
    let path = source.path.clone();
    options.rules = match rules(catalog, app, &path) {
        Ok(rules) => rules,
        Err(problems) => {
            delivered.forget(&name);
            return Wanted { options, path, content: Content::Broken(problems) };
        }
    };
    let contents = AtRevision { mirror, revision };
    let rendered_in = |took| metrics.rendered(took);
    let content = match delivered.app(&name, &format!("{options:?}"), &source, &contents, &rendered_in) {
        Ok(Found::Unchanged) => Content::Unchanged,
        Ok(Found::Rendered(rendered)) => content(rendered),
        Err(error) => broken(Kind::Render, path.clone(), format!("{error}. Its objects stay as they are.")),
    };
    Wanted { options, path, content }
}

fn content(rendered: Result<Vec<muster_render::Object>, RenderErrors>) -> Content {
    match rendered {
        Ok(objects) => {
            let mut names: BTreeMap<String, Arc<str>> = BTreeMap::new();
            let manifests = objects.into_iter().map(|object| {
                let file = names.entry(object.file).or_insert_with_key(|name| name.as_str().into());
                Manifest::new(&object.value, place(file, object.line))
            });
            Content::Rendered(manifests.collect())
        }
        Err(errors) => {
            let problem = |error: muster_render::RenderError| Problem {
                kind: Kind::Render,
                place: error.place(),
                message: error.message,
            };
            Content::Broken(errors.0.into_iter().map(problem).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str =
        "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: dev, labels: {env: dev}}\n";

    fn app(name: &str, more: &str) -> String {
        format!(
            "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  \
             clusters: {{matchLabels: {{env: dev}}}}\n  source: {{path: apps/{name}}}\n{more}"
        )
    }

    fn load(files: &[(&str, &str)]) -> Catalog {
        Catalog::load(files.iter().map(|(path, text)| (*path, text.as_bytes())))
    }

    fn dev() -> ClusterName {
        "dev".parse().unwrap()
    }

    #[test]
    fn a_broken_app_is_held_and_the_rest_is_complete() {
        let broken = app("web", "  prune: yes\n");
        let catalog = load(&[("c.yaml", CLUSTER), ("web.yaml", &broken), ("api.yaml", &app("api", ""))]);
        let snapshot = select(&catalog, &dev(), "abc");
        assert!(snapshot.complete && snapshot.problems.is_empty());
        assert_eq!(snapshot.held.keys().collect::<Vec<_>>(), ["web"]);
        assert!(snapshot.held["web"][0].place.starts_with("web.yaml:"), "{:?}", snapshot.held);
    }

    #[test]
    fn an_app_that_selects_other_clusters_is_told_from_one_that_is_gone() {
        let elsewhere = app("api", "").replace("env: dev", "env: prod");
        let cluster = format!("{CLUSTER}spec: {{pruneLimit: 80%}}\n");
        let catalog = load(&[("c.yaml", &cluster), ("web.yaml", &app("web", "")), ("api.yaml", &elsewhere)]);
        let snapshot = select(&catalog, &dev(), "abc");
        assert_eq!(snapshot.deselected, ["api".to_owned()].into());
        assert_eq!((snapshot.prune_limit_percent, snapshot.place.as_str()), (80, "c.yaml:1"));
    }

    #[test]
    fn without_its_cluster_document_nothing_counts_as_removed() {
        let snapshot = select(&load(&[("api.yaml", &app("api", ""))]), &dev(), "abc");
        assert!(!snapshot.complete);
        assert!(snapshot.problems[0].message.contains("no Cluster document named dev"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_field() {
        let catalog = load(&[
            ("c.yaml", CLUSTER),
            (
                "web.yaml",
                &app("web", "")
                    .replace("path: apps/web", "path: apps/web, repo: 'https://git.example.com/web.git'"),
            ),
        ]);
        assert!(catalog.errors.is_empty(), "{:?}", catalog.errors);
        let refused = unsupported(&catalog, &catalog.clusters[&dev()].value);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].1[0].message.contains("spec.source.repo"));
    }

    #[test]
    fn only_the_first_wave_follows_the_head() {
        let wave = |name: &str, env: &str| {
            format!("  - {{name: {name}, clusters: {{matchLabels: {{env: {env}}}}}}}\n")
        };
        let held = |waves: String| {
            let head =
                "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  waves:\n";
            let fleet = format!("{head}{waves}");
            let catalog = load(&[("f.yaml", &fleet), ("c.yaml", CLUSTER), ("web.yaml", &app("web", ""))]);
            assert!(catalog.errors.is_empty(), "{:?}", catalog.errors);
            let held = unsupported(&catalog, &catalog.clusters[&dev()].value);
            held.into_iter().map(|(_, problems)| problems[0].message.clone()).next()
        };
        assert_eq!(held(wave("first", "dev") + &wave("last", "prod")), None);
        let second = held(wave("first", "test") + &wave("last", "dev")).unwrap();
        assert!(second.starts_with("This cluster is in wave last"), "{second}");
        let none = held(wave("first", "test")).unwrap();
        assert!(none.contains("no wave selects this cluster"), "{none}");
    }

    #[test]
    fn a_fleet_that_cannot_be_read_holds_every_app() {
        let fleet =
            "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {wave: []}\n";
        let catalog = load(&[("f.yaml", fleet), ("c.yaml", CLUSTER), ("web.yaml", &app("web", ""))]);
        let held = unsupported(&catalog, &catalog.clusters[&dev()].value);
        assert!(held[0].1[0].message.starts_with("The Fleet document cannot be read"), "{held:?}");
    }
}
