//! Which revision does each app of this cluster have?
//!
//! ```text
//! head of the branch: clusters, waves, who is whose track --.
//! pins of this cluster's wave: track --> revision           +--> each app: a revision, or stay as it is
//! documents at each of those revisions ---------------------'
//! ```
//!
//! Pure. The head says which clusters and waves there are and which track an app is on; the document and
//! the manifests of an app are those of the revision its track has here. When in doubt an app stays.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_git::Revision;
use muster_spec::{
    App, AppName, Catalog, Cluster, ClusterName, Kind as Document, Located, TrackName, WaveName,
};

use super::{Kind, Problem};

/// How a cluster follows Git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// There are no waves: the head of the branch.
    Head,
    /// The pins of its wave; where there is none, the head in the first wave, and nothing in others.
    Wave { name: WaveName, is_first: bool },
    /// It cannot be known, so everything stays as it is.
    Nothing(Problem),
}

/// How this cluster follows Git, as the head of the branch says.
pub(super) fn following(head: &Catalog, cluster: &Cluster) -> Following {
    if head.has_broken(Document::Fleet) {
        let message = "The Fleet document cannot be read, so it is not known whether this cluster waits for a wave. \
                       Its apps stay as they are until it can.";
        return Following::Nothing(problem(String::new(), message.to_owned()));
    }
    let Some(fleet) = &head.fleet else { return Following::Head };
    let Some(first) = fleet.value.spec.waves.first() else { return Following::Head };
    match fleet.value.wave_of(cluster) {
        Some(wave) => Following::Wave { name: wave.name.clone(), is_first: wave.name == first.name },
        None => Following::Nothing(problem(
            fleet.place(),
            "The fleet has waves and no wave selects this cluster. Its apps stay as they are; add its labels to a \
             wave."
                .to_owned(),
        )),
    }
}

fn problem(place: String, message: String) -> Problem {
    Problem { kind: Kind::Document, place, message }
}

/// What the branch of pins says for one wave and cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// The revision of each track that has one.
    pub(super) revisions: BTreeMap<TrackName, Revision>,
    /// Tracks whose pin cannot be used.
    pub(super) refused: BTreeMap<TrackName, Problem>,
    /// Pins that cannot even be told by their track: any may be one of them.
    pub(super) unclear: Vec<Problem>,
}

/// Reads the pins of a wave from the files below `waves/WAVE`.
pub(super) fn asked(files: &BTreeMap<String, Vec<u8>>, wave: &WaveName, cluster: &ClusterName) -> Asked {
    let catalog = Catalog::load(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let mut asked = Asked::default();
    for error in &catalog.errors {
        let problem = super::read::of_document(error);
        let track = error.document.as_ref().and_then(|(kind, name)| {
            let track = name.strip_prefix(wave.as_str())?.strip_prefix('.')?;
            (kind == Document::WavePin.as_str()).then_some(track)?.parse().ok()
        });
        match track {
            Some(track) => drop(asked.refused.insert(track, problem)),
            None => asked.unclear.push(problem),
        }
    }
    for ((of, track), pin) in &catalog.pins {
        if of != wave {
            let message =
                format!("This pin is of the wave {of} and lies in the directory of {wave}; move it.");
            asked.unclear.push(problem(pin.place(), message));
            continue;
        }
        let Some(revision) = pin.value.spec.revision_of(cluster) else { continue };
        match revision.as_str().parse() {
            Ok(revision) => drop(asked.revisions.insert(track.clone(), revision)),
            Err(error) => drop(asked.refused.insert(track.clone(), problem(pin.place(), error.to_string()))),
        }
    }
    asked
}

/// The documents of a pinned track, or why its pin cannot be followed.
#[derive(Clone, Debug)]
pub(super) enum Pinned {
    At(Revision, Arc<Catalog>),
    Refused(Problem),
}

/// What is done about one app.
#[derive(Clone, Debug)]
pub(super) enum Choice<'a> {
    /// It is kept as the revision says.
    At(Revision, &'a Located<App>),
    /// What is there of it stays, and this is wrong.
    Held(Vec<Problem>),
    /// What is there of it stays, and nothing is wrong: its time has not come.
    Waits(Problem),
}

/// Everything the choice is made from.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) head_revision: Revision,
    pub(super) head: &'a Catalog,
    pub(super) cluster: &'a Cluster,
    /// None without waves.
    pub(super) wave: Option<&'a WaveName>,
    pub(super) is_first: bool,
    pub(super) pinned: &'a BTreeMap<TrackName, Pinned>,
}

impl<'a> Known<'a> {
    /// What is done about every app this cluster may have; those that are not named are not to be here.
    pub(super) fn choose(&self) -> BTreeMap<AppName, Choice<'a>> {
        let names: BTreeSet<AppName> =
            self.catalogs().flat_map(|catalog| catalog.apps.keys().cloned().chain(broken(catalog))).collect();
        names.into_iter().filter_map(|name| self.choice(&name).map(|choice| (name, choice))).collect()
    }

    /// True unless an app may be missing only because a document could not be read.
    pub(super) fn is_complete(&self) -> bool {
        !self.catalogs().any(Catalog::has_unnamed_errors)
    }

    fn catalogs(&self) -> impl Iterator<Item = &'a Catalog> {
        let pinned = self.pinned.values().filter_map(|pinned| match pinned {
            Pinned::At(_, catalog) => Some(&**catalog),
            Pinned::Refused(_) => None,
        });
        std::iter::once(self.head).chain(pinned)
    }

    fn choice(&self, name: &AppName) -> Option<Choice<'a>> {
        let track = match self.track(name) {
            Ok(track) => track?,
            Err(problems) => return Some(Choice::Held(problems)),
        };
        match self.pinned.get(&track) {
            Some(Pinned::Refused(problem)) => {
                let app = self.head.apps.get(name);
                app.is_none_or(|app| self.selects(app)).then(|| Choice::Held(vec![problem.clone()]))
            }
            Some(Pinned::At(revision, catalog)) => self.at(name, &track, *revision, catalog),
            None if self.is_first => self.at(name, &track, self.head_revision, self.head),
            None => {
                let app = self.head.apps.get(name);
                app.is_none_or(|app| self.selects(app)).then(|| {
                    let wave = self.wave.map(WaveName::as_str).unwrap_or_default();
                    let message = format!(
                        "This cluster is in wave {wave}, and no revision of track {track} is pinned for it yet."
                    );
                    Choice::Waits(problem(app.map(Located::place).unwrap_or_default(), message))
                })
            }
        }
    }

    /// The track an app is on; none when it is on none that is known here.
    fn track(&self, name: &AppName) -> Result<Option<TrackName>, Vec<Problem>> {
        if let Some(app) = self.head.apps.get(name) {
            return Ok(Some(app.value.track()));
        }
        let own = self.pinned.iter().filter(|(track, pinned)| match pinned {
            Pinned::At(_, catalog) => catalog.apps.get(name).is_some_and(|app| app.value.track() == **track),
            Pinned::Refused(_) => false,
        });
        let tracks: Vec<&TrackName> = own.map(|(track, _)| track).collect();
        match tracks[..] {
            [] => {
                let problems: Vec<Problem> =
                    self.catalogs().flat_map(|catalog| problems_of(catalog, name)).collect();
                if problems.is_empty() { Ok(None) } else { Err(problems) }
            }
            [track] => Ok(Some(track.clone())),
            [one, other, ..] => {
                let message = format!(
                    "The app is on track {one} at the revision pinned for that, and on {other} at the one pinned for \
                     this. It stays as it is until both are at revisions that agree."
                );
                Err(vec![problem(String::new(), message)])
            }
        }
    }

    fn at(
        &self,
        name: &AppName,
        track: &TrackName,
        revision: Revision,
        catalog: &'a Catalog,
    ) -> Option<Choice<'a>> {
        let problems = problems_of(catalog, name);
        if !problems.is_empty() {
            return Some(Choice::Held(problems));
        }
        if let Some(app) = catalog.apps.get(name) {
            return self.selects(app).then_some(Choice::At(revision, app));
        }
        // On its way from one track to another it is not gone.
        let elsewhere = self.pinned.iter().any(|(other, pinned)| match pinned {
            Pinned::At(_, catalog) => other != track && catalog.apps.contains_key(name),
            Pinned::Refused(_) => other != track,
        });
        elsewhere.then(|| {
            let message =
                format!("The app moves to track {track}, whose revision here does not have it yet.");
            Choice::Waits(problem(String::new(), message))
        })
    }

    fn selects(&self, app: &Located<App>) -> bool {
        app.value.spec.clusters.selects(self.cluster)
    }
}

/// Names of apps whose documents cannot be used.
fn broken(catalog: &Catalog) -> impl Iterator<Item = AppName> {
    let named = catalog.errors.iter().filter_map(|error| error.document.as_ref());
    named.filter(|(kind, _)| kind == Document::App.as_str()).filter_map(|(_, name)| name.parse().ok())
}

fn problems_of(catalog: &Catalog, name: &AppName) -> Vec<Problem> {
    let is_its = |kind: &str, of: &str| kind == Document::App.as_str() && of == name.as_str();
    let errors = catalog
        .errors
        .iter()
        .filter(|error| error.document.as_ref().is_some_and(|(kind, of)| is_its(kind, of)));
    errors.map(super::read::of_document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str =
        "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: p1, labels: {env: prod}}\n";

    fn app(name: &str, track: &str) -> String {
        format!(
            "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  clusters: \
             {{matchLabels: {{env: prod}}}}\n  source: {{path: apps/{name}}}\n  track: {track}\n"
        )
    }

    fn catalog(apps: &[(&str, &str)]) -> Arc<Catalog> {
        let texts: Vec<(String, String)> =
            apps.iter().map(|(name, track)| (format!("{name}.yaml"), app(name, track))).collect();
        let files = texts.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));
        Arc::new(Catalog::load(files.chain([("c.yaml", CLUSTER.as_bytes())])))
    }

    fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn track(name: &str) -> TrackName {
        name.parse().unwrap()
    }

    /// What is chosen for each app, in a word.
    fn chosen(
        head: &Catalog,
        pinned: &[(&str, char, &Arc<Catalog>)],
        is_first: bool,
    ) -> BTreeMap<String, String> {
        let pinned = pinned
            .iter()
            .map(|(name, digit, catalog)| (track(name), Pinned::At(revision(*digit), Arc::clone(catalog))))
            .collect();
        let known = Known {
            head_revision: revision('f'),
            head,
            cluster: &head.clusters.values().next().unwrap().value,
            wave: Some(&"prod".parse().unwrap()),
            is_first,
            pinned: &pinned,
        };
        let word = |choice: &Choice<'_>| match choice {
            Choice::At(revision, _) => revision.to_string()[..1].to_owned(),
            Choice::Held(_) => "held".to_owned(),
            Choice::Waits(_) => "waits".to_owned(),
        };
        known.choose().iter().map(|(name, choice)| (name.to_string(), word(choice))).collect()
    }

    fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
    }

    #[test]
    fn each_track_has_its_own_revision() {
        let head = catalog(&[("web", "shop"), ("api", "shop"), ("dns", "dns"), ("new", "new")]);
        let old = catalog(&[("web", "shop"), ("dns", "dns")]);
        let found = chosen(&head, &[("shop", '1', &head), ("dns", '2', &old)], false);
        assert_eq!(found, words(&[("web", "1"), ("api", "1"), ("dns", "2"), ("new", "waits")]));
        // A pin from before the app was there takes it away again, as a rollback should.
        let found = chosen(&head, &[("shop", '2', &old), ("dns", '2', &old)], false);
        assert_eq!(found, words(&[("web", "2"), ("dns", "2"), ("new", "waits")]));
    }

    #[test]
    fn the_first_wave_follows_the_head_where_it_is_not_pinned() {
        let mut head = catalog(&[("web", "shop"), ("dns", "dns")]);
        assert_eq!(chosen(&head, &[], true), words(&[("web", "f"), ("dns", "f")]));
        let old = catalog(&[("web", "shop")]);
        assert_eq!(chosen(&head, &[("shop", '1', &old)], true), words(&[("web", "1"), ("dns", "f")]));
        // A document that is broken holds its own app, and nothing else.
        let bad = app("dns", "dns").replace("source", "sauce");
        let files = [("c.yaml", CLUSTER), ("w.yaml", &app("web", "shop")), ("d.yaml", &bad)];
        head = Arc::new(Catalog::load(files.map(|(path, text)| (path, text.as_bytes()))));
        assert_eq!(chosen(&head, &[], true), words(&[("web", "f"), ("dns", "held")]));
        assert_eq!(chosen(&head, &[("dns", '1', &old)], false), words(&[("web", "waits"), ("dns", "held")]));
    }

    #[test]
    fn what_left_the_head_stays_until_its_pin_says_so() {
        let (head, old) = (catalog(&[]), catalog(&[("web", "shop")]));
        assert_eq!(chosen(&head, &[("shop", '1', &old)], false), words(&[("web", "1")]));
        assert_eq!(chosen(&head, &[("shop", 'f', &head)], false), words(&[]));
    }

    #[test]
    fn an_app_that_changes_its_track_is_never_lost_on_the_way() {
        let (old, new) = (catalog(&[("web", "shop")]), catalog(&[("web", "front")]));
        // The new track is not pinned, or at a revision without the app, or has it: in no case is it gone.
        assert_eq!(chosen(&new, &[("shop", '1', &old)], false), words(&[("web", "waits")]));
        assert_eq!(chosen(&new, &[("shop", '2', &new)], false), words(&[("web", "waits")]));
        let without = catalog(&[]);
        let both = [("shop", '2', &new), ("front", '1', &without)];
        assert_eq!(chosen(&new, &both, false), words(&[("web", "waits")]));
        let both = [("shop", '1', &old), ("front", '1', &old)];
        assert_eq!(chosen(&new, &both, false), words(&[("web", "1")]));
    }

    #[test]
    fn pins_are_read_for_the_wave_and_the_cluster() {
        let pin = |track: &str, more: &str| {
            format!(
                "apiVersion: muster.dev/v1alpha1\nkind: WavePin\nmetadata: {{name: prod.{track}}}\nspec: \
                 {{wave: prod, track: {track}, {more}}}\n"
            )
        };
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let files: BTreeMap<String, Vec<u8>> = [
            ("whole", pin("whole", &format!("revision: '{one}'"))),
            ("mine", pin("mine", &format!("revision: '{two}', previousRevision: '{one}', clusters: [p1]"))),
            ("other", pin("other", &format!("revision: '{two}', previousRevision: '{one}', clusters: [p2]"))),
            ("first", pin("first", &format!("revision: '{two}', clusters: [p2]"))),
            ("empty", pin("empty", "verdicts: []")),
            ("broken", pin("broken", "revision: main")),
        ]
        .into_iter()
        .map(|(name, text)| (format!("waves/prod/{name}.yaml"), text.into_bytes()))
        .collect();
        let asked = asked(&files, &"prod".parse().unwrap(), &"p1".parse().unwrap());
        let expected = [("whole", '1'), ("mine", '2'), ("other", '1')];
        assert_eq!(asked.revisions, expected.map(|(name, digit)| (track(name), revision(digit))).into());
        assert_eq!(asked.refused.keys().map(TrackName::as_str).collect::<Vec<_>>(), ["broken"]);
        assert!(asked.unclear.is_empty(), "{:?}", asked.unclear);
    }
}
