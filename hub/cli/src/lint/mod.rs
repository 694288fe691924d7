//! Would this commit do harm in any cluster?
//!
//! ```text
//! Repository -> documents, files ----------------------------------> Found -> ignored? -> Report -> report/
//!            -> groups of clusters that want the same, rendered once -^
//! ```

mod finding;
mod ignore;
mod locate;
pub(crate) mod report;
pub(crate) mod rule;
mod rules;
pub(crate) mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use muster_render::{Object, RenderError, Source};
use muster_spec::{App, Fleet, Located};

use crate::render::{self, Rendered, Renderer, Scopes, refusals};
use crate::repository::Repository;
use crate::source::Files;
use finding::{At, Finding, Found, Mistake};
use rule::{Rule, Severity};
use rules::clusters::{self, Wanted};
use rules::{documents, images, secrets};
use schema::Schemas;

/// What is asked for beside the repository.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Rules that are not looked at.
    pub(crate) disabled: BTreeSet<Rule>,
    /// Rules whose warnings are errors.
    pub(crate) denied: BTreeSet<Rule>,
    /// The schemas of the kinds.
    pub(crate) schemas: Schemas,
}

/// What was looked at, and what was found.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    /// In the order of files and lines.
    pub(crate) findings: Vec<Finding>,
    /// How many more the repository itself takes back.
    pub(crate) ignored: usize,
    /// Apps whose documents could be read.
    pub(crate) apps: usize,
    /// Clusters whose documents could be read.
    pub(crate) clusters: usize,
    /// From the root of the work tree of Git to the root of the fleet.
    pub(crate) prefix: String,
}

impl Report {
    /// How many findings are so bad.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Clusters that run the same apps from the same sources, so that one look is enough for all of them.
struct Group<'r> {
    clusters: Vec<&'r str>,
    apps: Vec<AppOf<'r>>,
}

/// One app of a group.
struct AppOf<'r> {
    /// `None` for a directory by itself.
    document: Option<&'r Located<App>>,
    /// Its directory.
    path: String,
    rendered: Rc<Rendered>,
}

/// An app that uses what is looked at, in these clusters.
struct User<'g> {
    app: &'g AppOf<'g>,
    clusters: &'g [&'g str],
}

impl AppOf<'_> {
    fn name(&self) -> &str {
        self.document.map_or("", |app| app.value.name().as_str())
    }
}

/// Looks at everything.
pub(crate) fn run(repository: &Repository, mut settings: Settings) -> Report {
    let mut scopes = render::scopes(repository);
    settings.schemas.define(crate::definitions::find(&repository.manifests));
    settings.schemas.tell(&mut scopes);
    let mut renderer = Renderer::new(&*repository.reader);
    let groups = groups(repository, &mut renderer);
    let mut files = renderer.into_files();
    files.extend(repository.manifests.iter().map(|(path, bytes)| (path.clone(), bytes.clone())));
    let mut look = Look {
        settings: &settings,
        scopes: &scopes,
        fleet: repository.catalog.fleet.as_ref(),
        files: &files,
        ignored: 0,
        found: Found::default(),
    };
    look.repository(repository);
    look.groups(&groups);
    let severity = |rule: Rule| {
        if settings.denied.contains(&rule) { Severity::Error } else { rule.about().severity }
    };
    Report {
        ignored: look.ignored,
        findings: look.found.into_findings(severity),
        apps: repository.catalog.apps.len(),
        clusters: repository.catalog.clusters.len(),
        prefix: repository.prefix.clone(),
    }
}

fn groups<'r>(repository: &'r Repository, renderer: &mut Renderer<'_>) -> Vec<Group<'r>> {
    if let Some(only) = &repository.only {
        let rendered = renderer.render(&Source::at(only.as_str()));
        let app = AppOf { document: None, path: only.clone(), rendered };
        return vec![Group { clusters: vec![""], apps: vec![app] }];
    }
    let mut groups: BTreeMap<Vec<(&str, *const Rendered)>, Group<'r>> = BTreeMap::new();
    // Keeps every result alive, so that its address stands for it alone.
    let mut failures: BTreeMap<(String, String), Rc<Rendered>> = BTreeMap::new();
    for cluster in repository.catalog.clusters.values() {
        let mut apps = Vec::new();
        // What is in other repositories is looked at there.
        let here = |app: &&Located<App>| app.value.spec.source.repo.is_none();
        for app in repository.apps_of(&cluster.value).into_iter().filter(here) {
            let (path, rendered) = match render::source(app, &cluster.value) {
                Ok(source) => (source.path.clone(), renderer.render(&source)),
                Err(error) => {
                    let failed = failures.entry((app.value.name().to_string(), error.message.clone()));
                    (String::new(), failed.or_insert_with(|| Rc::new(Err(vec![error]))).clone())
                }
            };
            apps.push(AppOf { document: Some(app), path, rendered });
        }
        let key = apps
            .iter()
            .map(|app| {
                (
                    app.document.map_or("", |document| document.value.name().as_str()),
                    Rc::as_ptr(&app.rendered),
                )
            })
            .collect();
        let group = groups.entry(key).or_insert_with(|| Group { clusters: Vec::new(), apps });
        group.clusters.push(cluster.value.name().as_str());
    }
    groups.into_values().collect()
}

/// The look at one repository.
struct Look<'l> {
    settings: &'l Settings,
    scopes: &'l Scopes,
    fleet: Option<&'l Located<Fleet>>,
    /// Everything that was read.
    files: &'l Files,
    ignored: usize,
    found: Found,
}

impl<'l> Look<'l> {
    fn is_on(&self, rule: Rule) -> bool {
        !self.settings.disabled.contains(&rule)
    }

    /// Whether a mistake counts; one that the repository takes back is counted.
    fn counts(&self, mistake: &Mistake) -> bool {
        !ignore::by_comment(self.files, &mistake.at, mistake.rule)
    }

    fn repository(&mut self, repository: &Repository) {
        let mut found = Found::default();
        documents::check(&repository.catalog, &mut found);
        let documents = found.into_findings(|rule| rule.about().severity).into_iter();
        let secrets = if self.is_on(Rule::PlainSecret) { secrets::check(self.files) } else { Vec::new() };
        for mistake in documents.map(|finding| finding.mistake).chain(secrets) {
            if !self.is_on(mistake.rule) {
                continue;
            }
            if self.counts(&mistake) {
                self.found.add(mistake);
            } else {
                self.ignored += 1;
            }
        }
    }

    fn groups(&mut self, groups: &[Group<'_>]) {
        let mut users: BTreeMap<*const Rendered, (&Rc<Rendered>, Vec<User<'_>>)> = BTreeMap::new();
        for group in groups {
            for app in &group.apps {
                let (_, users) =
                    users.entry(Rc::as_ptr(&app.rendered)).or_insert_with(|| (&app.rendered, Vec::new()));
                users.push(User { app, clusters: &group.clusters });
            }
        }
        for (rendered, users) in users.values() {
            self.rendered(rendered, users);
        }
        let mut taken_back = BTreeSet::new();
        for group in groups {
            self.group(group, &mut taken_back);
        }
        self.ignored += taken_back.len();
    }

    /// Looks at what one source renders to, for all apps and clusters that use it.
    fn rendered(&mut self, rendered: &Rendered, users: &[User<'_>]) {
        let mistakes = match rendered {
            Ok(objects) => objects.iter().flat_map(|object| self.object(object)).collect(),
            Err(_) if !self.is_on(Rule::Render) => Vec::new(),
            Err(errors) => errors.iter().map(|error| of_rendering(error, users)).collect::<Vec<_>>(),
        };
        for mistake in mistakes {
            if !self.counts(&mistake) {
                self.ignored += 1;
                continue;
            }
            for user in users {
                self.found.add_for(&mistake, user.app.name(), user.clusters.iter().copied());
            }
        }
    }

    /// Looks at one object, whosever it is.
    fn object(&mut self, object: &Object) -> Vec<Mistake> {
        let mut flaws = Vec::new();
        if self.is_on(Rule::ImageTag) {
            flaws.extend(
                images::check(&object.value).into_iter().map(|(path, text)| (Rule::ImageTag, path, text)),
            );
        }
        let by_schema = self.settings.schemas.check(&object.value).into_iter();
        flaws.extend(
            by_schema.filter(|flaw| self.is_on(flaw.rule)).map(|flaw| (flaw.rule, flaw.path, flaw.message)),
        );
        let mut mistakes = Vec::new();
        if self.is_on(Rule::Render)
            && let Err(message) = render::form(object, None, self.scopes)
        {
            let message = format!("{object}: {message}");
            mistakes.push(Mistake { at: locate::object(object), rule: Rule::Render, message });
        }
        for (rule, path, message) in flaws {
            if ignore::by_annotation(object, rule) {
                self.ignored += 1;
                continue;
            }
            let at = locate::field(self.files, object, &path);
            mistakes.push(Mistake { at, rule, message: format!("{object}: {message}") });
        }
        mistakes
    }

    /// Looks at all apps of the same clusters together.
    fn group(&mut self, group: &Group<'_>, taken_back: &mut BTreeSet<Mistake>) {
        let mut wanted = Vec::new();
        for app in &group.apps {
            if let Ok(objects) = &*app.rendered {
                let namespace = app.document.and_then(|app| app.value.spec.namespace.as_ref());
                let namespace = namespace.map(|namespace| namespace.as_str());
                wanted.push(Wanted { app: app.name(), namespace, objects });
            }
        }
        let mut mistakes = Vec::new();
        if self.is_on(Rule::DuplicateObject) {
            mistakes.extend(clusters::ownership(&wanted, self.scopes));
        }
        // What an app that cannot be rendered brings is not known; a directory by itself may go anywhere.
        let is_whole =
            wanted.len() == group.apps.len() && group.apps.iter().all(|app| app.document.is_some());
        if self.is_on(Rule::MissingNamespace) && is_whole {
            mistakes.extend(clusters::namespaces(&wanted, self.scopes));
        }
        let mut all: Vec<_> =
            mistakes.into_iter().map(|(app, object, mistake)| (app, Some(object), mistake)).collect();
        if let Some(fleet) = self.fleet.filter(|_| self.is_on(Rule::Tenant)) {
            for app in &group.apps {
                let (Some(document), Ok(objects)) = (app.document, &*app.rendered) else { continue };
                for (object, message) in refusals(fleet, document, &app.path, objects, self.scopes) {
                    let at = object.map_or_else(|| at_document(document), locate::object);
                    all.push((app.name(), object, Mistake { at, rule: Rule::Tenant, message }));
                }
            }
        }
        for (app, object, mistake) in all {
            let by_annotation = object.is_some_and(|object| ignore::by_annotation(object, mistake.rule));
            if by_annotation || !self.counts(&mistake) {
                taken_back.insert(mistake);
            } else {
                self.found.add_for(&mistake, app, group.clusters.iter().copied());
            }
        }
    }
}

fn at_document(app: &Located<App>) -> At {
    At { file: app.file.clone(), line: app.line, column: app.column }
}

/// A problem of rendering. Where it is one of the whole directory, it stands where the app names it.
fn of_rendering(error: &RenderError, users: &[User<'_>]) -> Mistake {
    let documents = users.iter().filter_map(|user| user.app.document);
    let document = documents.min_by_key(|app| app.value.name());
    let (at, message) = match document.filter(|_| error.line == 0) {
        Some(app) => (at_document(app), format!("{}: {}", error.file, error.message)),
        None => {
            (At { file: error.file.clone(), line: error.line, column: error.column }, error.message.clone())
        }
    };
    Mistake { at, rule: Rule::Render, message }
}
