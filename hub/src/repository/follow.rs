//! When is Git looked at, and who is told?

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, RwLock, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::config::RepositorySettings;
use super::reports::Reports;
use super::round::{Asked, Outcome, Picture, Question, Round, State};
use crate::clock::Clock;
use crate::commit::Fleet;
use crate::fleet::{AppFilter, Detail};
use crate::gates::Asker;
use crate::web::Hook;

/// How often what agents report is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// So much longer than a look the wait for the next one is, so that a large fleet costs a bounded share of a
/// processor.
const REST: u32 = 4;
/// How long to wait after a push that was refused, or failed.
const PUSH_RETRY: Duration = Duration::from_secs(15);
/// Questions that wait; whoever has one more waits with it.
const QUESTIONS_MAX: usize = 16;

type Answer = oneshot::Sender<Asked>;

/// What others have of the repository.
pub(crate) struct Promotion {
    questions: mpsc::Sender<(Question, Answer)>,
    picture: watch::Receiver<Arc<Picture>>,
    hook: Option<Hook>,
}

impl Promotion {
    /// How the Git server may say that it has news.
    pub(crate) fn hook(&self) -> Option<Hook> {
        self.hook.clone()
    }

    /// How the waves were at the last look.
    pub(crate) fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.borrow())
    }

    /// Asks, and waits for the answer; `None` when the hub stops.
    pub(crate) async fn ask(&self, question: Question) -> Option<Asked> {
        let (answer, answered) = oneshot::channel();
        self.questions.send((question, answer)).await.ok()?;
        answered.await.ok()
    }
}

/// The task that follows the repository.
pub(crate) struct Follower {
    settings: RepositorySettings,
    directory: PathBuf,
    /// None while it is on the blocking thread.
    state: Option<State>,
    fleet: Arc<RwLock<Fleet>>,
    clock: Clock,
    /// Counts the news that agents should fetch.
    hints: watch::Sender<u64>,
    /// Whether this hub is the one that promotes.
    leads: watch::Receiver<bool>,
    gates: Asker,
    questions: mpsc::Receiver<(Question, Answer)>,
    picture: watch::Sender<Arc<Picture>>,
    /// The Git server says that it has news.
    news: Arc<Notify>,
}

impl Follower {
    /// A task to be run, and what others have of it. `directory` is for the mirror.
    pub(crate) fn new(
        settings: RepositorySettings,
        directory: PathBuf,
        fleet: Arc<RwLock<Fleet>>,
        gates: Asker,
        clock: Clock,
        hints: watch::Sender<u64>,
        leads: watch::Receiver<bool>,
    ) -> (Follower, Promotion) {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (sender, picture) = watch::channel(Arc::default());
        let news = Arc::new(Notify::new());
        let hook = settings.webhook_secret.clone().map(|secret| Hook { secret, news: Arc::clone(&news) });
        let follower = Follower {
            settings,
            directory,
            state: None,
            fleet,
            clock,
            hints,
            leads,
            gates,
            questions: asked,
            picture: sender,
            news,
        };
        (follower, Promotion { questions, picture, hook })
    }

    /// Follows until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut fetch_at = Instant::now();
        let mut act_at = Instant::now();
        let mut waiting: Option<(Question, Answer)> = None;
        loop {
            let now = Instant::now();
            let began = now;
            let fetch = now >= fetch_at;
            let act = *self.leads.borrow() && now >= act_at;
            let (question, answer) = waiting.take().map_or((None, None), |(q, a)| (Some(q), Some(a)));
            let asked = question.is_some();
            let span = tracing::debug_span!("repository.round", fetch, act);
            if let Some(outcome) = self.round(fetch, act, question).instrument(span).await {
                if fetch || asked {
                    fetch_at = Instant::now() + self.settings.interval;
                }
                if outcome.failed {
                    act_at = Instant::now() + PUSH_RETRY;
                }
                if outcome.has_news {
                    self.hints.send_modify(|count| *count += 1);
                }
                self.gates.want(outcome.wanted);
                self.picture.send_replace(Arc::new(outcome.picture));
                if let (Some(answer), Some(asked)) = (answer, outcome.answer) {
                    let _ = answer.send(asked); // nobody waits any more
                }
            }
            waiting = tokio::select! {
                () = stop.cancelled() => return,
                question = self.questions.recv() => match question {
                    Some(question) => Some(question),
                    None => return,
                },
                () = tokio::time::sleep(LOOK.max(began.elapsed() * REST)) => None,
                () = self.news.notified() => {
                    // However often it says so, it is asked no more often than a look is taken.
                    tokio::time::sleep_until(began + LOOK).await;
                    fetch_at = Instant::now();
                    None
                }
            };
        }
    }

    /// One round on a thread that may block; `None` when it ended unexpectedly, and then the next begins anew.
    async fn round(&mut self, fetch: bool, act: bool, question: Option<Question>) -> Option<Outcome> {
        let reports = {
            let fleet = self.fleet.read().await;
            let apps = fleet.state.list_apps(AppFilter::default(), Detail::Summary);
            Reports::of(fleet.state.list_clusters(&std::collections::BTreeMap::new()), apps)
        };
        let fresh = || State::new(self.settings.clone(), self.directory.clone());
        let mut state = self.state.take().unwrap_or_else(fresh);
        let (now, answers) = (self.clock.now().wall, self.gates.answers());
        let round = Round { reports, answers, now, fetch, act, question };
        let work = tokio::task::spawn_blocking(move || {
            let outcome = state.run(round);
            (state, outcome)
        });
        match work.await {
            Ok((state, outcome)) => {
                self.state = Some(state);
                Some(outcome)
            }
            Err(error) => {
                tracing::error!(%error, "following the fleet repository ended in an unexpected way");
                None
            }
        }
    }
}
