//! What is in the other repositories that apps have their manifests from?
//!
//! ```text
//! spec.source.repo, ref --> a mirror for each repository, fetched in each round --> the commit a ref means
//! ```
//! One that cannot be reached or read holds up its own apps and nothing else; what was fetched of it before stays in use.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use muster_git::{Credentials, GitError, Mirror, Remote, Revision};
use muster_spec::App;

use super::{Kind, Problem};
use crate::backoff::Backoff;
use crate::object::digest;

/// So many other repositories a cluster may have apps from.
const REPOSITORIES_MAX: usize = 50;
/// Waits between tries of one that cannot be fetched.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// What stands for a repository's default branch.
const DEFAULT_BRANCH: &str = "HEAD";

/// Where an app's manifests are, if not in the fleet's repository: the repository, and a reference in it.
type Place = (String, String);

/// The other repositories in use.
pub(super) struct Elsewhere {
    /// Below it each has a directory.
    directory: PathBuf,
    /// How the fleet's own repository is reached.
    fleet: Remote,
    /// A credential store with a line for each server that wants one.
    credentials: Option<PathBuf>,
    known: BTreeMap<String, Repository>,
}

struct Repository {
    mirror: Mirror,
    references: BTreeSet<String>,
    /// Why it could not be fetched last.
    problem: Option<String>,
    /// While it cannot be, it is asked less and less often: its server may take all the time it is given, and the
    /// fleet's own repository waits meanwhile.
    backoff: Backoff,
    again_at: Option<Instant>,
}

/// The repository and reference of an app that has them.
pub(super) fn place(app: &App) -> Option<Place> {
    let source = &app.spec.source;
    let reference = source.reference.as_ref().map_or(DEFAULT_BRANCH, |reference| reference.as_str());
    Some((source.repo.as_ref()?.as_str().to_owned(), reference.to_owned()))
}

/// Whether what the app is made of can change without a commit in the fleet's repository.
pub(super) fn is_moving(app: &App) -> bool {
    place(app).is_some_and(|(_, reference)| reference.parse::<Revision>().is_err())
}

impl Elsewhere {
    pub(super) fn new(directory: PathBuf, fleet: Remote, credentials: Option<PathBuf>) -> Elsewhere {
        Elsewhere { directory, fleet, credentials, known: BTreeMap::new() }
    }

    /// Asks all servers for news. True when there are some, or a server answers again, or no longer.
    pub(super) fn refresh(&mut self) -> bool {
        let asked = self.known.iter_mut().map(|(url, repository)| repository.fetch(url));
        asked.fold(false, |any, one| any | one)
    }

    /// Makes these the repositories in use; `fetch` says whether servers may be asked for what is new.
    pub(super) fn follow(&mut self, places: &BTreeSet<Place>, fetch: bool) -> BTreeMap<Place, String> {
        let mut refused = BTreeMap::new();
        let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for place in places {
            if wanted.len() >= REPOSITORIES_MAX && !wanted.contains_key(place.0.as_str()) {
                let why =
                    format!("the apps of this cluster come from more than {REPOSITORIES_MAX} repositories");
                refused.insert(place.clone(), why);
                continue;
            }
            wanted.entry(&place.0).or_default().insert(place.1.clone());
        }
        self.known.retain(|url, _| wanted.contains_key(url.as_str()));
        for (url, references) in wanted {
            let is_known = self.known.get(url).is_some_and(|known| known.references.is_superset(&references));
            let repository = match self.known.get_mut(url) {
                Some(known) => known,
                None => match self.open(url) {
                    Ok(mirror) => {
                        let new = Repository {
                            mirror,
                            references: BTreeSet::new(),
                            problem: None,
                            backoff: Backoff::new(RETRY_MIN, RETRY_MAX),
                            again_at: None,
                        };
                        self.known.entry(url.to_owned()).or_insert(new)
                    }
                    Err(error) => {
                        let why = error.to_string();
                        refused
                            .extend(references.into_iter().map(|name| ((url.to_owned(), name), why.clone())));
                        continue;
                    }
                },
            };
            repository.references = references;
            if fetch && !is_known {
                repository.fetch(url);
            }
        }
        refused
    }

    /// The commit that a reference means, and the mirror that has it; or why there is none.
    pub(super) fn at(&self, place: &Place) -> Result<(&Mirror, Revision), String> {
        let (url, reference) = place;
        let repository = self.known.get(url).ok_or("it is not followed")?;
        let found = match reference.parse::<Revision>() {
            Ok(revision) if repository.mirror.has(&revision) => Ok(revision),
            Ok(_) => Err(format!("the commit {reference} is not there")),
            Err(_) => repository.mirror.resolve(reference).map_err(|error| error.to_string()),
        };
        // Why it could not be fetched says more than that it is not there.
        found
            .map(|revision| (&repository.mirror, revision))
            .map_err(|why| repository.problem.clone().unwrap_or(why))
    }

    /// What is wrong with repositories whose apps go on with what was fetched before.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.known.iter().filter_map(|(url, repository)| {
            let why = repository.problem.as_ref()?;
            let message = format!(
                "The repository {url} cannot be fetched: {why}. Its apps stay at what was fetched before; tried again by \
                 itself."
            );
            Some(Problem { kind: Kind::Git, place: url.clone(), message })
        })
    }

    fn open(&self, url: &str) -> Result<Mirror, GitError> {
        let mut remote = Remote::new(url)?;
        // Who can write documents must not read this machine's files.
        if remote.url.is_local() && !self.fleet.url.is_local() {
            let reason = "directories of the agent's machine are no repositories of apps".to_owned();
            return Err(GitError::Url { url: url.to_owned(), reason });
        }
        remote.credentials = self.credentials.clone().map(Credentials::Store);
        remote.ssh = self.fleet.ssh.clone();
        remote.limits = self.fleet.limits;
        remote.timeouts = self.fleet.timeouts;
        if remote.url.same_origin(&self.fleet.url) {
            remote.ca_file.clone_from(&self.fleet.ca_file);
        }
        let name: String = digest([url.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
        Mirror::open(&self.directory.join(name), remote)
    }
}

impl Repository {
    /// Whether anything is new.
    fn fetch(&mut self, url: &str) -> bool {
        if self.again_at.is_some_and(|again_at| Instant::now() < again_at) {
            return false;
        }
        let was_broken = self.problem.take().is_some();
        let (ids, names): (Vec<&str>, Vec<&str>) =
            self.references.iter().map(String::as_str).partition(|name| name.parse::<Revision>().is_ok());
        // A commit never changes, so one that is here is not asked for again.
        let missing = ids.into_iter().filter(|id| id.parse().is_ok_and(|id| !self.mirror.has(&id)));
        let asked: Vec<&str> = names.into_iter().chain(missing).collect();
        let kept: Vec<Revision> = self.references.iter().filter_map(|name| name.parse().ok()).collect();
        let fetched = match asked[..] {
            [] => Ok(false),
            _ => self.mirror.fetch(&asked).map(|fetched| fetched.changed),
        };
        match fetched.and_then(|changed| self.mirror.keep(&kept).map(|()| changed)) {
            Ok(changed) => {
                self.backoff.reset();
                self.again_at = None;
                changed || was_broken
            }
            Err(error) => {
                self.again_at = Some(Instant::now() + self.backoff.next_wait());
                tracing::warn!(repository = url, "A repository of apps cannot be fetched: {error}.");
                self.problem = Some(error.to_string());
                !was_broken
            }
        }
    }
}
