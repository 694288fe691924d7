//! One look at Git and the fleet, and what is done about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use muster_git::{Draft, GitError, Mirror, Person, Pushed, SigningKey};
use muster_spec::{Revision, TrackName};

use super::config::RepositorySettings;
use super::contents::Contents;
use super::decisions::{self, Decided};
use super::moved::Moved;
use super::reports::{Reports, Sightings};
use super::scene::Scene;
use crate::access::policy::Grant;
use crate::alerts::Reading;
use crate::gates::Wanted;
use crate::waves::{GateAnswers, Move, Outlook, Refusal, Track, Wish, commit_message, decide, wish};

/// How often a decision is made again when somebody else was first.
const TRIES_MAX: usize = 5;

/// What is shown of the waves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    pub(crate) waves: Vec<String>,
    pub(crate) outlooks: Vec<Outlook>,
    pub(crate) head: Option<Revision>,
    pub(crate) fetched_at: Option<Timestamp>,
    pub(crate) problems: Vec<String>,
    /// Clusters in Git that have not enrolled.
    pub(crate) not_enrolled: Vec<String>,
    /// Clusters that have enrolled and are not in Git.
    pub(crate) not_in_git: Vec<String>,
    /// What is said about alerts; none before it was read.
    pub(crate) alerts: Option<Arc<Reading>>,
}

/// What somebody asks of the repository.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// To decide something about one track, or with none about all that the revision changes.
    Wish { track: Option<TrackName>, wish: Wish, revision: Option<String>, grant: Arc<Grant> },
    /// What was decided.
    Decisions { track: Option<String>, wave: Option<String>, count: usize },
}

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is decided, by this commit.
    Committed {
        commit: String,
        subject: String,
    },
    Decisions(Vec<Decided>),
    /// There is no such track.
    NoTrack(String),
    /// It cannot be done now; a sentence says why.
    Refused(String),
    /// Who asks may not do it there; a sentence says where.
    Forbidden(String),
    /// The repository cannot be read or written.
    Git(GitError),
}

/// All that moves to the blocking thread and back.
pub(super) struct State {
    pub(super) settings: RepositorySettings,
    directory: PathBuf,
    pub(super) mirror: Option<Mirror>,
    pub(super) scene: Arc<Scene>,
    pub(super) contents: Contents,
    pub(super) moved: Moved,
    sightings: Sightings,
    /// The heads of both branches that the scene is of.
    read: Option<(muster_git::Revision, Option<muster_git::Revision>)>,
    fetched_at: Option<Timestamp>,
    fetch_problem: Option<String>,
    push_problem: Option<String>,
}

/// What came of a round.
pub(super) struct Outcome {
    pub(super) picture: Picture,
    /// What gates are to be asked.
    pub(super) wanted: Wanted,
    pub(super) answer: Option<Asked>,
    /// Git has news that agents do not know of.
    pub(super) has_news: bool,
    /// A push failed, so the next waits.
    pub(super) failed: bool,
}

/// What is to be done in a round.
pub(super) struct Round {
    pub(super) reports: Reports,
    /// What gates said.
    pub(super) answers: Arc<GateAnswers>,
    pub(super) now: Timestamp,
    /// Ask the server for news.
    pub(super) fetch: bool,
    /// Write what follows.
    pub(super) act: bool,
    pub(super) question: Option<Question>,
}

impl State {
    pub(super) fn new(settings: RepositorySettings, directory: PathBuf) -> State {
        State {
            settings,
            directory,
            mirror: None,
            scene: Arc::default(),
            contents: Contents::default(),
            moved: Moved::default(),
            sightings: Sightings::default(),
            read: None,
            fetched_at: None,
            fetch_problem: None,
            push_problem: None,
        }
    }

    /// Looks, decides, writes.
    pub(super) fn run(&mut self, mut round: Round) -> Outcome {
        let before = self.read;
        let question = round.question.take();
        let looked = self.look(round.fetch || question.is_some(), round.now);
        let mut failed = false;
        let mut answer = None;
        if let Err(error) = looked {
            self.fetch_problem = Some(sentence(&error));
            answer = question.map(|_| Asked::Git(error));
        } else if let Some(question) = question {
            answer = Some(self.answer(question, &round));
        } else if round.act {
            failed = self.act(&round);
        }
        let (picture, wanted) = self.picture(&round);
        let has_news = before != self.read;
        Outcome { picture, wanted, answer, has_news, failed }
    }

    pub(super) fn mirror(&mut self) -> Result<&mut Mirror, GitError> {
        match &mut self.mirror {
            Some(mirror) => Ok(mirror),
            none => {
                let mut mirror = Mirror::open(&self.directory, self.settings.remote.clone())?;
                let key = self.settings.signing_key.as_deref().map(SigningKey::read).transpose()?;
                mirror.sign_with(key.map(Arc::new));
                Ok(none.insert(mirror))
            }
        }
    }

    /// Brings the scene up to date.
    fn look(&mut self, fetch: bool, now: Timestamp) -> Result<(), GitError> {
        let (branch, pins) = (self.settings.branch.clone(), self.settings.pins_branch.clone());
        let mirror = self.mirror()?;
        let fetched = if fetch { mirror.fetch(&[&branch, &pins]).map(drop) } else { Ok(()) };
        // What was fetched before is good enough to look at while the server is away.
        let head = match mirror.resolve(&branch) {
            Err(_) if !fetch || fetched.is_err() => return fetched,
            head => head?,
        };
        let at = (head, mirror.resolve(&pins).ok());
        if fetch && fetched.is_ok() {
            self.fetched_at = Some(now);
            self.fetch_problem = None;
        }
        if self.read != Some(at) {
            self.scene = Arc::new(self.read_scene(at.0, at.1)?);
            self.read = Some(at);
            tracing::info!(head = %at.0, tracks = self.scene.tracks().len(), "read the fleet repository");
        }
        fetched
    }

    /// Does what the waves ask for. True when it could not be written.
    fn act(&mut self, round: &Round) -> bool {
        for _ in 0..TRIES_MAX {
            let moves = self.moves(round);
            if moves.is_empty() {
                return false;
            }
            match self.write(&moves, "muster-hub", round.now) {
                Ok(Some((commit, subject))) => {
                    tracing::info!(%commit, subject, pins = moves.len(), "wrote pins");
                    self.push_problem = None;
                    return false;
                }
                Ok(None) => {}
                Err(error) => {
                    let problem = sentence(&error);
                    tracing::warn!("Pins cannot be written: {problem}");
                    self.push_problem = Some(problem);
                    return true;
                }
            }
        }
        self.push_problem = Some("The branch of pins keeps moving; it is tried again.".to_owned());
        true
    }

    fn moves(&mut self, round: &Round) -> Vec<Move> {
        let scene = Arc::clone(&self.scene);
        if scene.obstacle().is_some() {
            return Vec::new();
        }
        let mut moves = Vec::new();
        for name in scene.tracks() {
            if scene.blocked.contains_key(&name) {
                continue;
            }
            if let Some(track) = self.track(&scene, &name, round) {
                moves.extend(decide(&track, &scene.facts(&name), round.now).moves);
            }
        }
        moves
    }

    fn answer(&mut self, question: Question, round: &Round) -> Asked {
        match question {
            Question::Decisions { track, wave, count } => {
                let pins = self.settings.pins_branch.clone();
                let is_asked = |decided: &Decided| {
                    track.as_ref().is_none_or(|track| *track == decided.track)
                        && wave.as_ref().is_none_or(|wave| *wave == decided.wave)
                };
                let read = self.mirror().and_then(|mirror| decisions::list(mirror, &pins, &is_asked, count));
                read.map_or_else(Asked::Git, Asked::Decisions)
            }
            Question::Wish { track, mut wish, revision, grant } => {
                for _ in 0..TRIES_MAX {
                    match self.try_wish(track.as_ref(), &mut wish, revision.as_deref(), &grant, round) {
                        Ok(Some(done)) => return done,
                        Ok(None) => {}
                        Err(asked) => return asked,
                    }
                }
                Asked::Refused("The branch of pins keeps moving; try again.".to_owned())
            }
        }
    }

    /// `None` when the branch has moved meanwhile, and was read again.
    fn try_wish(
        &mut self,
        only: Option<&TrackName>,
        wanted: &mut Wish,
        revision: Option<&str>,
        grant: &Grant,
        round: &Round,
    ) -> Result<Option<Asked>, Asked> {
        if let Some(text) = revision {
            wanted.revision = Some(self.resolve(text).map_err(Asked::Refused)?);
            // It is compared with what waves have, so its documents are needed.
            self.learn(wanted.revision.as_ref()).map_err(Asked::Git)?;
        }
        let scene = Arc::clone(&self.scene);
        if let Some(why) = scene.obstacle() {
            return Err(Asked::Refused(why));
        }
        let all = scene.tracks();
        let tracks: Vec<TrackName> = match only {
            Some(track) if all.contains(track) => vec![track.clone()],
            Some(track) => return Err(Asked::NoTrack(track.to_string())),
            None => all.into_iter().collect(),
        };
        let mut moves = Vec::new();
        let mut refusals: Vec<Refusal> = Vec::new();
        for name in tracks {
            if let Some(why) = scene.blocked.get(&name) {
                refusals.push(Refusal(why.clone()));
                continue;
            }
            let Some(track) = self.track(&scene, &name, round) else { continue };
            let facts = scene.facts(&name);
            if only.is_none() && !is_changed(&track, &facts, wanted.revision.as_ref()) {
                continue;
            }
            match wish(&track, &facts, wanted, round.now) {
                Ok(found) => {
                    if let Some(place) = scene.forbidden(&track, &found, grant) {
                        return Err(Asked::Forbidden(place));
                    }
                    moves.extend(found);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        if let Some(refusal) = refusals.into_iter().next() {
            return Err(Asked::Refused(refusal.to_string()));
        }
        if moves.is_empty() {
            return Err(Asked::Refused("There is no track that this would change.".to_owned()));
        }
        match self.write(&moves, &wanted.author, round.now) {
            Ok(done) => Ok(done.map(|(commit, subject)| Asked::Committed { commit, subject })),
            Err(error) => Err(Asked::Git(error)),
        }
    }

    /// Commits and pushes; `None` when the branch was elsewhere, and was read again.
    fn write(
        &mut self,
        moves: &[Move],
        author: &str,
        now: Timestamp,
    ) -> Result<Option<(String, String)>, GitError> {
        let mut files = BTreeMap::new();
        for one in moves {
            let path = one.path();
            let document =
                one.document().map_err(|reason| GitError::Unwritable { path: path.clone(), reason })?;
            files.insert(path, Some(document.into_bytes()));
        }
        let message = commit_message(moves);
        let subject = message.lines().next().unwrap_or_default().to_owned();
        let person = |name: &str| Person { name: name.to_owned(), email: format!("{name}@muster.invalid") };
        let draft = Draft {
            files,
            message,
            author: person(author),
            committer: person("muster-hub"),
            time: now.as_second(),
        };
        let pins = self.settings.pins_branch.clone();
        let expected = self.read.and_then(|(_, pins)| pins);
        match self.mirror()?.push(&pins, expected.as_ref(), &draft)? {
            Pushed::Done(commit) => {
                // It is done, whether it can be read again or not.
                if let Err(error) = self.look(true, now) {
                    self.fetch_problem = Some(sentence(&error));
                }
                Ok(Some((commit.to_string(), subject)))
            }
            Pushed::Moved { .. } => {
                self.look(true, now)?;
                Ok(None)
            }
        }
    }

    fn picture(&mut self, round: &Round) -> (Picture, Wanted) {
        let scene = Arc::clone(&self.scene);
        let (mut outlooks, mut wanted) = (Vec::new(), Wanted::new());
        for name in scene.tracks() {
            let Some(track) = self.track(&scene, &name, round) else { continue };
            let decision = decide(&track, &scene.facts(&name), round.now);
            for check in decision.checks {
                let wave = scene.waves().iter().find(|wave| wave.name == check.wave);
                let gate = wave.and_then(|wave| wave.gates.iter().find(|gate| gate.name == check.gate));
                wanted.extend(gate.map(|gate| (check, gate.clone())));
            }
            outlooks.push(decision.outlook);
        }
        let (in_git, enrolled) = (scene.cluster_names(), round.reports.cluster_names());
        let problems = scene.remarks.iter().chain(scene.blocked.values()).cloned().chain(scene.obstacle());
        let (not_enrolled, not_in_git) = match scene.head {
            Some(_) => (
                in_git.difference(&enrolled).map(ToString::to_string).collect(),
                enrolled.difference(&in_git).map(ToString::to_string).collect(),
            ),
            None => (Vec::new(), Vec::new()),
        };
        let picture = Picture {
            waves: scene.waves().iter().map(|wave| wave.name.to_string()).collect(),
            outlooks,
            head: scene.head.clone(),
            fetched_at: self.fetched_at,
            problems: problems.chain(self.fetch_problem.clone()).chain(self.push_problem.clone()).collect(),
            not_enrolled,
            not_in_git,
            alerts: scene.alerts.clone(),
        };
        (picture, wanted)
    }

    fn track<'s>(&mut self, scene: &'s Scene, name: &TrackName, round: &Round) -> Option<Track<'s>> {
        scene.track(name, &round.reports, &round.answers, &mut self.sightings, round.now)
    }
}

/// Whether a revision would give a wave after the first something else than it has.
fn is_changed(track: &Track<'_>, facts: &dyn crate::waves::Facts, revision: Option<&Revision>) -> bool {
    let Some(revision) = revision else { return true };
    track.places.iter().enumerate().skip(1).any(|(number, place)| {
        let content = facts.content(number, revision);
        place.pin.revision.as_ref().is_none_or(|pinned| facts.content(number, pinned) != content)
    })
}

/// An error as a sentence.
pub(super) fn sentence(error: &GitError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
