//! What does Git say about this cluster?
//!
//! Documents first: those of the head, then of each revision that a track of this cluster's wave is pinned to.
//! Then the directory of each app, at its revision. What is wrong with one app stays with that app.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_git::{GitError, Mirror, Revision};
use muster_render::{RenderErrors, Source};
use muster_spec::{App, AppName, Catalog, Cluster, ClusterName, Fleet, Located, SpecError, Window};

use super::elsewhere::{self, Elsewhere};
use super::inputs::{AtRevision, Delivered, Found};
use super::pins::{Choice, Following, Known, Pinned, following};
use super::revisions::Catalogs;
use super::rules::rules;
use super::signers::Signers;
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

/// What is read, and what of it is known from before.
pub(super) struct Reading<'a> {
    pub(super) mirror: &'a mut Mirror,
    pub(super) catalogs: &'a mut Catalogs,
    /// What the reconciler has; it is brought up to date.
    pub(super) delivered: &'a mut Delivered,
    pub(super) metrics: &'a Metrics,
    /// The branch that is followed; pinned revisions must be on it.
    pub(super) branch: &'a str,
    /// Whose signatures revisions must have.
    pub(super) signers: &'a Signers,
    /// The other repositories that apps have their manifests from.
    pub(super) elsewhere: &'a mut Elsewhere,
    pub(super) cluster: &'a ClusterName,
    /// Whether the server may be asked for what is not here.
    pub(super) fetch: bool,
}

impl Reading<'_> {
    /// Reads everything, with the branch at `head` and the branch of pins at `pins`; `None` when the server
    /// would have to be asked for it.
    ///
    /// # Errors
    /// When the head cannot be read at all, or the server not be asked.
    pub(super) fn snapshot(
        &mut self,
        head: Revision,
        pins: Option<Revision>,
    ) -> Result<Option<(Snapshot, Option<Pace>)>, GitError> {
        let documents = self.catalogs.at(self.mirror, head)?;
        let mut snapshot = select(&documents, self.cluster, &head.to_string());
        let Some(cluster) = documents.clusters.get(self.cluster) else {
            self.delivered.end(|_| false);
            return Ok(Some((snapshot, pace(&documents, None))));
        };
        let cluster = &cluster.value;
        snapshot.windows = fleet_windows(documents.fleet.as_ref());
        let pace = pace(&documents, Some(cluster));
        let mut pinned = BTreeMap::new();
        let (mut wave, mut is_first) = (None, true);
        match following(&documents, cluster) {
            Following::Head => {}
            Following::Nothing(problem) => {
                snapshot.complete = false;
                for app in documents.apps_for(cluster) {
                    snapshot.held.insert(app.value.name().to_string(), vec![problem.clone()]);
                }
                return Ok(Some((snapshot, pace)));
            }
            Following::Wave { name, is_first: first } => {
                let Some(found) = self.pinned(pins, &name)? else { return Ok(None) };
                snapshot.complete &= first || found.is_complete();
                snapshot.problems.extend(found.problems);
                (wave, is_first, pinned) = (Some(name), first, found.tracks);
            }
        }
        let known = Known {
            head_revision: head,
            head: &documents,
            cluster,
            wave: wave.as_ref(),
            is_first,
            pinned: &pinned,
        };
        snapshot.complete &= known.is_complete();
        let choices = known.choose();
        let refused = self.elsewhere.follow(&places(&choices), self.fetch);
        snapshot.problems.extend(self.elsewhere.problems());
        for (name, choice) in &choices {
            match choice {
                Choice::Held(problems) => drop(snapshot.held.insert(name.to_string(), problems.clone())),
                Choice::Waits(problem) => drop(snapshot.waiting.insert(name.to_string(), problem.clone())),
                Choice::At(revision, app) => {
                    let mut problems = unsupported(app, &choices, wave.is_some());
                    if let Some(place) = elsewhere::place(&app.value) {
                        let why = refused.get(&place).cloned().or_else(|| self.elsewhere.at(&place).err());
                        problems.extend(why.map(|why| not_there(app, &place, &why)));
                    }
                    if !problems.is_empty() {
                        snapshot.held.insert(name.to_string(), problems);
                        continue;
                    }
                    let wanted = self.wanted(*revision, documents.fleet.as_ref(), app, cluster);
                    snapshot.apps.insert(name.to_string(), wanted);
                }
            }
        }
        self.delivered.end(|app| snapshot.apps.contains_key(app));
        let in_use = pinned.values().filter_map(|pinned| match pinned {
            Pinned::At(revision, _) => Some(*revision),
            Pinned::Refused(_) => None,
        });
        self.catalogs.retain(&in_use.chain([head]).collect());
        Ok(Some((snapshot, pace)))
    }

    fn wanted(
        &mut self,
        revision: Revision,
        fleet: Option<&Located<Fleet>>,
        app: &Located<App>,
        cluster: &Cluster,
    ) -> Wanted {
        let name = app.value.name().to_string();
        let mut options = options(fleet, app);
        let broken =
            |kind, place: String, message: String| Content::Broken(vec![Problem { kind, place, message }]);
        let source = app
            .value
            .source_path(cluster)
            .and_then(|path| Ok(Source { path, substitutions: app.value.substitutions(cluster)? }));
        let shown = revision.to_string();
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                self.delivered.forget(&name);
                let content = broken(Kind::Document, app.place(), error.to_string());
                return Wanted { revision: shown, options, path: String::new(), content };
            }
        };
        let path = source.path.clone();
        options.rules = match rules(fleet, app, &path) {
            Ok(rules) => rules,
            Err(problems) => {
                self.delivered.forget(&name);
                return Wanted { revision: shown, options, path, content: Content::Broken(problems) };
            }
        };
        let place = elsewhere::place(&app.value);
        let (mirror, at) = match place.and_then(|place| self.elsewhere.at(&place).ok()) {
            Some(elsewhere) => elsewhere,
            None => (&*self.mirror, revision),
        };
        let contents = AtRevision { mirror, revision: &at };
        let rendered_in = |took| self.metrics.rendered(took);
        let asked = format!("{options:?}");
        let content = match self.delivered.app(&name, &asked, &source, &contents, &rendered_in) {
            Ok(Found::Unchanged) => Content::Unchanged,
            Ok(Found::Rendered(rendered)) => content(rendered),
            Err(error) => {
                broken(Kind::Render, path.clone(), format!("{error}. Its objects stay as they are."))
            }
        };
        Wanted { revision: shown, options, path, content }
    }
}

/// The part of a snapshot that the documents alone decide.
fn select(catalog: &Catalog, name: &ClusterName, revision: &str) -> Snapshot {
    let mut snapshot = Snapshot { revision: revision.to_owned(), complete: true, ..Snapshot::default() };
    // What is wrong with an app is told where it is decided which apps there are.
    let of_no_app = |error: &&SpecError| error.document.as_ref().is_none_or(|(kind, _)| kind != "App");
    snapshot.problems = catalog.errors.iter().filter(of_no_app).map(of_document).collect();
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

/// An error of a document, in the words of a status.
pub(super) fn of_document(error: &SpecError) -> Problem {
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

/// What an app asks for that this agent cannot do here. Doing only the rest would be worse than nothing.
fn unsupported(app: &Located<App>, choices: &BTreeMap<AppName, Choice<'_>>, in_wave: bool) -> Vec<Problem> {
    let spec = &app.value.spec;
    let refuse = |message: String| Problem { kind: Kind::Document, place: app.place(), message };
    let moving = (in_wave && elsewhere::is_moving(&app.value)).then(|| {
        refuse(
            "spec.source.ref: in a fleet with waves name a commit (40 hexadecimal digits): a branch or tag of another \
             repository would reach the clusters of every wave at once. A new commit there is then a change here, which \
             goes through the waves like any other."
                .to_owned(),
        )
    });
    // It would be waited for without end.
    let missing = spec.depends_on.iter().enumerate().filter(|(_, name)| !choices.contains_key(*name));
    let missing = missing.map(|(index, name)| {
        refuse(format!(
            "spec.dependsOn[{index}]: the app {name} does not select this cluster, so it would be waited for for \
             ever. Let it select the cluster, or depend on it only where it does."
        ))
    });
    moving.into_iter().chain(missing).collect()
}

/// Where the apps that are kept have their manifests, if not here.
fn places(choices: &BTreeMap<AppName, Choice<'_>>) -> BTreeSet<(String, String)> {
    let kept = choices.values().filter_map(|choice| match choice {
        Choice::At(_, app) => Some(app),
        _ => None,
    });
    kept.filter_map(|app| elsewhere::place(&app.value)).collect()
}

fn not_there(app: &Located<App>, (repository, reference): &(String, String), why: &str) -> Problem {
    let message = format!(
        "{reference} of {repository} cannot be read: {why}. The app stays as it is; tried again by itself."
    );
    Problem { kind: Kind::Git, place: app.place(), message }
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

fn fleet_windows(fleet: Option<&Located<Fleet>>) -> Vec<Window> {
    fleet.map(|fleet| fleet.value.spec.windows.clone()).unwrap_or_default()
}

fn options(fleet: Option<&Located<Fleet>>, app: &Located<App>) -> Options {
    let spec = &app.value.spec;
    let sync = &spec.sync;
    let mut health = HealthRules::default();
    health.add(&spec.health, &app.place());
    if let Some(fleet) = fleet {
        health.add(&fleet.value.spec.health, &fleet.place());
    }
    let backoff = &sync.retry.backoff;
    let longest = backoff.max_duration.into();
    let fleet = fleet_windows(fleet).into_iter().filter(|window| window.concerns(app.value.name()));
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
    fn what_moves_by_itself_in_another_repository_passes_no_wave() {
        let commit = format!(", ref: '{}'", "a".repeat(40));
        for (reference, in_wave, is_refused) in [
            ("", true, true),
            (", ref: main", true, true),
            (", ref: main", false, false),
            (commit.as_str(), true, false),
        ] {
            let source = format!("path: apps/web, repo: 'https://git.example.com/web.git'{reference}");
            let catalog = load(&[
                ("c.yaml", CLUSTER),
                ("web.yaml", &app("web", "").replace("path: apps/web", &source)),
            ]);
            assert!(catalog.errors.is_empty(), "{:?}", catalog.errors);
            let app = catalog.apps.values().next().unwrap();
            let refused = unsupported(app, &BTreeMap::new(), in_wave);
            assert_eq!(!refused.is_empty(), is_refused, "{reference} {in_wave}");
            assert!(refused.iter().all(|problem| problem.message.contains("spec.source.ref")));
        }
    }

    #[test]
    fn what_never_comes_is_not_waited_for() {
        let waiting = app("web", "  dependsOn: [api]\n");
        let catalog = load(&[("c.yaml", CLUSTER), ("web.yaml", &waiting), ("api.yaml", &app("api", ""))]);
        let web = &catalog.apps["web"];
        let later =
            Choice::Waits(Problem { kind: Kind::Document, place: String::new(), message: String::new() });
        assert_eq!(unsupported(web, &[("api".parse().unwrap(), later)].into(), false), []);
        assert!(unsupported(web, &BTreeMap::new(), false)[0].message.contains("spec.dependsOn[0]"));
    }
}
