//! When is Git asked, and what is done when it does not answer?
//!
//! ```text
//! Opening --mirror open--> read what an earlier run fetched --> Polling --fails--> Polling, later
//! ```
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_git::{GitError, Mirror, Remote, Revision};
use muster_spec::ClusterName;
use tokio::sync::{Notify, mpsc};

use super::elsewhere::Elsewhere;
use super::inputs::Delivered;
use super::read::{Pace, Reading};
use super::revisions::Catalogs;
use super::signers::Signers;
use super::{Kind, Problem, Snapshot, Update};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::metrics::Metrics;

/// How often Git is asked when neither a flag nor the Fleet document says.
const INTERVAL: Duration = Duration::from_secs(180);

/// Share of the interval by which waits differ when the Fleet document does not say, in percent.
const JITTER_PERCENT: u8 = 10;

/// First wait after a failure; the longest is the interval.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// What the poller needs to know.
pub(crate) struct PollerConfig {
    pub(crate) remote: Remote,
    /// Directory of the mirror.
    pub(crate) directory: PathBuf,
    pub(crate) branches: Branches,
    pub(crate) cluster: ClusterName,
    /// Overrules the Fleet document.
    pub(crate) interval: Option<Duration>,
    pub(crate) metrics: Metrics,
    /// Told when there are news to be fetched at once.
    pub(crate) hints: Arc<Notify>,
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) struct Branches {
    /// The one that is followed.
    pub(crate) main: String,
    /// The one with the pins of waves; there may be none.
    pub(crate) pins: String,
    /// Who must have signed them.
    pub(crate) signers: Signers,
    /// Credentials for other repositories that apps have their manifests from.
    pub(crate) source_credentials: Option<PathBuf>,
}

/// Asks Git for news, for ever.
pub(crate) struct Poller {
    config: PollerConfig,
    updates: mpsc::Sender<Update>,
    state: State,
    pace: Pace,
}

/// Everything that moves to the blocking thread and back.
#[derive(Default)]
struct State {
    mirror: Option<Mirror>,
    elsewhere: Option<Elsewhere>,
    catalogs: Catalogs,
    delivered: Delivered,
    /// Of the last snapshot: the head, and that of the branch of pins.
    last: Option<(Revision, Option<Revision>)>,
}

impl Poller {
    pub(crate) fn new(config: PollerConfig, updates: mpsc::Sender<Update>) -> Poller {
        let pace = Pace { interval: INTERVAL, jitter_percent: JITTER_PERCENT };
        Poller { config, updates, state: State::default(), pace }
    }

    /// Polls until the receiver is gone. The caller ends it by aborting its task; what runs on the
    /// blocking thread then ends by its own time limits.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MIN);
        let mut fetch = false;
        loop {
            let result = self.round(fetch).await;
            let again_at_once = !fetch;
            fetch = true;
            let update = match result {
                Ok(Some(update)) => {
                    backoff = Backoff::new(RETRY_MIN, self.interval());
                    Some(update)
                }
                Ok(None) => None,
                Err(problem) => Some(Update::Failed(problem)),
            };
            let failed = matches!(update, Some(Update::Failed(_)));
            if let Some(Update::Failed(problem)) = &update {
                tracing::warn!("{}", problem.message);
            }
            if let Some(update) = update
                && self.updates.send(update).await.is_err()
            {
                return;
            }
            if failed {
                tokio::time::sleep(backoff.next_wait().min(self.interval())).await;
            } else if !again_at_once {
                tokio::select! {
                    () = tokio::time::sleep(self.next_wait()) => {}
                    () = self.config.hints.notified() => {}
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        self.config.interval.unwrap_or(self.pace.interval)
    }

    /// The interval, made longer or shorter at random.
    fn next_wait(&self) -> Duration {
        let share = f64::from(self.pace.jitter_percent) / 100.0;
        self.interval().mul_f64(1.0 + share * (2.0 * fastrand::f64() - 1.0))
    }

    /// One look at Git, on a thread that may block. Without `fetch` only at what is there already.
    async fn round(&mut self, fetch: bool) -> Result<Option<Update>, Problem> {
        let mut state = std::mem::take(&mut self.state);
        let (remote, directory) = (self.config.remote.clone(), self.config.directory.clone());
        let (branches, cluster) = (self.config.branches.clone(), self.config.cluster.clone());
        let metrics = self.config.metrics.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = look(&mut state, remote, &directory, &branches, &cluster, fetch, &metrics);
            (state, result)
        });
        match work.await {
            Ok((state, result)) => {
                self.state = state;
                match result {
                    Ok(Some((snapshot, pace))) => {
                        self.pace = pace.unwrap_or(self.pace);
                        Ok(Some(Update::Snapshot(Box::new(snapshot))))
                    }
                    Ok(None) => Ok(fetch.then_some(Update::Current)),
                    Err(error) => Err(git_problem(&self.config.remote, &error)),
                }
            }
            // The state was lost with the thread: it is made again in the next round.
            Err(error) => Err(Problem {
                kind: Kind::Git,
                place: self.config.remote.url.to_string(),
                message: format!("Reading the repository failed in an unexpected way: {error}."),
            }),
        }
    }
}

/// Fetches and reads the head of the branch once, into a mirror of its own in `directory`.
///
/// # Errors
/// A sentence, when Git cannot be reached or read.
pub(crate) async fn read_once(
    config: &Config,
    directory: &Path,
    metrics: &Metrics,
) -> Result<Snapshot, String> {
    let branches = config.branches.clone();
    let (remote, cluster) = (config.remote.clone(), config.cluster.clone());
    let (directory, metrics) = (directory.to_owned(), metrics.clone());
    let work = tokio::task::spawn_blocking(move || {
        look(&mut State::default(), remote, &directory, &branches, &cluster, true, &metrics)
    });
    match work.await {
        Ok(Ok(Some((snapshot, _)))) => Ok(snapshot),
        // A new mirror has read nothing before.
        Ok(Ok(None)) => Err("The branch has no commit.".to_owned()),
        Ok(Err(error)) => Err(format!("The repository cannot be read: {error}.")),
        Err(error) => Err(format!("Reading the repository failed in an unexpected way: {error}.")),
    }
}

fn look(
    state: &mut State,
    remote: Remote,
    directory: &std::path::Path,
    branches: &Branches,
    cluster: &ClusterName,
    fetch: bool,
    metrics: &Metrics,
) -> Result<Option<(Snapshot, Option<Pace>)>, GitError> {
    let elsewhere = state.elsewhere.get_or_insert_with(|| {
        let directory = directory.with_file_name("sources");
        Elsewhere::new(directory, remote.clone(), branches.source_credentials.clone())
    });
    let mirror = match &mut state.mirror {
        Some(mirror) => mirror,
        None => state.mirror.insert(Mirror::open(directory, remote)?),
    };
    if fetch {
        let began = Instant::now();
        let fetched = mirror.fetch(&[&branches.main, &branches.pins]);
        metrics.fetched(fetched.is_ok(), began.elapsed());
        fetched?;
    }
    let head = match mirror.resolve(&branches.main) {
        Ok(head) => head,
        // Nothing fetched by an earlier run: that is no failure.
        Err(_) if !fetch => return Ok(None),
        Err(error) => return Err(error),
    };
    let at = (head, mirror.resolve(&branches.pins).ok());
    let is_new_elsewhere = fetch && elsewhere.refresh();
    if state.last == Some(at) && !is_new_elsewhere {
        return Ok(None);
    }
    branches.signers.check_commit(mirror, &head)?;
    if let Some(pins) = &at.1 {
        branches.signers.check_pins(mirror, pins)?;
    }
    let mut reading = Reading {
        mirror,
        catalogs: &mut state.catalogs,
        delivered: &mut state.delivered,
        metrics,
        branch: &branches.main,
        signers: &branches.signers,
        elsewhere,
        cluster,
        fetch,
    };
    let Some((mut snapshot, pace)) = reading.snapshot(at.0, at.1)? else { return Ok(None) };
    snapshot.fetched = fetch;
    tracing::info!(revision = %head, apps = snapshot.apps.len(), "Read the repository.");
    state.last = Some(at);
    Ok(Some((snapshot, pace)))
}

fn git_problem(remote: &Remote, error: &GitError) -> Problem {
    let text = error.to_string();
    let mut letters = text.chars();
    let sentence: String =
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    let message = format!("{sentence}. What was read before stays in force; tried again by itself.");
    Problem { kind: Kind::Git, place: remote.url.to_string(), message }
}
