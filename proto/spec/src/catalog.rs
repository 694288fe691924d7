//! What does a whole fleet repository say?
//!
//! ```text
//! files -> documents -> names that clash -> apps that wait for one another -> catalog
//! ```

use std::collections::{BTreeMap, BTreeSet};

use muster_yaml::Mark;

use crate::{
    App, AppName, Cluster, ClusterName, Document, Fleet, Kind, Located, SpecError, TrackName, WaveName,
    WavePin,
    parse::{depends_on, parse_file},
};

/// All documents of a repository, each under its name, and everything that is wrong with them.
///
/// A document that is broken, or whose name is taken twice, is in none of the maps: what it names
/// must be left as it is ([`Catalog::is_broken`]).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// The fleet. `None` also when the document is broken, see [`Catalog::has_broken`].
    pub fleet: Option<Located<Fleet>>,
    /// The clusters.
    pub clusters: BTreeMap<ClusterName, Located<Cluster>>,
    /// The apps.
    pub apps: BTreeMap<AppName, Located<App>>,
    /// The pins, by wave and track.
    pub pins: BTreeMap<(WaveName, TrackName), Located<WavePin>>,
    /// What is wrong, in the order of the files.
    pub errors: Vec<SpecError>,
}

impl Catalog {
    /// Reads the documents of all files that end in `.yaml`, `.yml` or `.json`.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Catalog {
        let mut catalog = Catalog::default();
        let mut found: BTreeMap<(Kind, String), Vec<Located<Document>>> = BTreeMap::new();
        let mut dependencies = BTreeMap::new();
        for (file, bytes) in files {
            if !is_manifest(file) {
                continue;
            }
            let parsed = parse_file(file, bytes);
            catalog.errors.extend(parsed.errors);
            for (document, marks) in parsed.documents.into_iter().zip(parsed.dependencies) {
                if document.value.kind() == Kind::App {
                    dependencies.insert(document.value.name().to_owned(), marks);
                }
                let kind = document.value.kind();
                // There is one fleet, whatever its name.
                let name = if kind == Kind::Fleet { String::new() } else { document.value.name().to_owned() };
                found.entry((kind, name)).or_default().push(document);
            }
        }
        for ((kind, _), mut documents) in found {
            match documents.pop() {
                Some(document) if documents.is_empty() => catalog.insert(document),
                Some(last) => {
                    documents.push(last);
                    catalog.refuse_all(kind, &documents);
                }
                None => {}
            }
        }
        catalog.check_dependencies(&dependencies);
        catalog.errors.sort_by(|one, other| {
            (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column))
        });
        catalog
    }

    /// The apps that select a cluster, by name.
    pub fn apps_for(&self, cluster: &Cluster) -> Vec<&Located<App>> {
        self.apps.values().filter(|app| app.value.spec.clusters.selects(cluster)).collect()
    }

    /// Whether there is a document of this kind and name that cannot be used. What it stands for
    /// must be left as it is: it has not been removed from Git.
    pub fn is_broken(&self, kind: Kind, name: &str) -> bool {
        self.broken(kind).any(|(_, broken)| broken == name)
    }

    /// Whether any document of this kind cannot be used.
    pub fn has_broken(&self, kind: Kind) -> bool {
        self.broken(kind).next().is_some() || self.has_unnamed_errors()
    }

    /// Whether there are broken documents whose kind or name could not be read. While there are,
    /// a document that seems to be gone may be one of them, so nothing may be removed for it.
    pub fn has_unnamed_errors(&self) -> bool {
        self.errors.iter().any(|error| error.document.is_none())
    }

    fn broken(&self, kind: Kind) -> impl Iterator<Item = &(String, String)> {
        self.errors
            .iter()
            .filter_map(|error| error.document.as_ref())
            .filter(move |(broken, _)| broken == kind.as_str())
    }

    fn insert(&mut self, document: Located<Document>) {
        let Located { value, file, line, column } = document;
        let place = Located { value: (), file, line, column };
        match value {
            Document::Fleet(fleet) => self.fleet = Some(place.map(|()| fleet)),
            Document::Cluster(cluster) => {
                self.clusters.insert(cluster.metadata.name.clone(), place.map(|()| cluster));
            }
            Document::App(app) => {
                self.apps.insert(app.metadata.name.clone(), place.map(|()| app));
            }
            Document::WavePin(pin) => {
                self.pins.insert((pin.spec.wave.clone(), pin.spec.track.clone()), place.map(|()| pin));
            }
        }
    }

    fn refuse_all(&mut self, kind: Kind, documents: &[Located<Document>]) {
        for document in documents {
            let others: Vec<String> = documents
                .iter()
                .filter(|other| !std::ptr::eq(*other, document))
                .map(Located::place)
                .collect();
            let name = document.value.name();
            let (field, message) = match kind {
                Kind::Fleet => {
                    ("kind", format!("there is another Fleet at {}; a repository has one", others.join(", ")))
                }
                _ => {
                    let message =
                        format!("the {kind} `{name}` is also at {}; remove or rename one", others.join(", "));
                    ("metadata.name", message)
                }
            };
            self.errors.push(SpecError {
                file: document.file.clone(),
                line: document.line,
                column: document.column,
                field: field.to_owned(),
                message,
                document: Some((kind.to_string(), name.to_owned())),
            });
        }
    }

    /// Refuses apps that depend on an app that is not there, or on themselves by way of others.
    fn check_dependencies(&mut self, marks: &BTreeMap<String, Vec<Mark>>) {
        let known: BTreeSet<&str> = self
            .apps
            .keys()
            .map(AppName::as_str)
            .chain(self.broken(Kind::App).map(|(_, name)| name.as_str()))
            .collect();
        let some_unknown = self.has_unnamed_errors();
        let mut refused = Vec::new();
        for (name, app) in &self.apps {
            for (index, dependency) in app.value.spec.depends_on.iter().enumerate() {
                if !known.contains(dependency.as_str()) && !some_unknown {
                    let names: Vec<&str> = known.iter().copied().collect();
                    let meant = crate::decode::closest(dependency.as_str(), &names);
                    let hint = meant.map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default();
                    refused.push((name.clone(), index, format!("there is no app `{dependency}`{hint}")));
                } else if let Some(cycle) = self.way_back(dependency, name) {
                    refused.push((name.clone(), index, format!("these apps wait for one another: {cycle}")));
                }
            }
        }
        for (name, index, message) in refused {
            let Some(app) = self.apps.get(&name) else { continue };
            let app_at = Mark { line: app.line, column: app.column };
            let at = marks.get(name.as_str()).and_then(|marks| marks.get(index)).copied().unwrap_or(app_at);
            self.errors.push(SpecError {
                file: app.file.clone(),
                line: at.line,
                column: at.column,
                field: depends_on(index),
                message,
                document: Some((Kind::App.to_string(), name.to_string())),
            });
        }
        let broken: BTreeSet<String> = self.broken(Kind::App).map(|(_, name)| name.clone()).collect();
        self.apps.retain(|name, _| !broken.contains(name.as_str()));
    }

    /// The chain of dependencies from one app to another, shown as `a -> b -> c`.
    fn way_back(&self, from: &AppName, to: &AppName) -> Option<String> {
        let mut reached: BTreeMap<&AppName, Option<&AppName>> = BTreeMap::from([(from, None)]);
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            if name == to {
                let mut chain = vec![to.as_str()];
                let mut step = name;
                while let Some(Some(before)) = reached.get(step) {
                    chain.push(before.as_str());
                    step = before;
                }
                chain.push(to.as_str());
                chain.reverse();
                return Some(chain.join(" -> "));
            }
            for dependency in
                self.apps.get(name).map(|app| app.value.spec.depends_on.as_slice()).unwrap_or_default()
            {
                if !reached.contains_key(dependency) {
                    reached.insert(dependency, Some(name));
                    next.push(dependency);
                }
            }
        }
        None
    }
}

fn is_manifest(file: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| file.ends_with(ending))
}
