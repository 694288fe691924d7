//! What does `muster top` know, and what becomes of a key or of news?
//!
//! Pure: a message and the time give the next state and what is to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use muster_wire::v1::{self, DecisionVerb, watch_fleet_response::Change as Told};
use ratatui::crossterm::event::KeyCode;

use crate::alerts::Alert;
use crate::fleet::{Overview, State as Wrong, overview};
use crate::model::{App, Cluster};
use crate::waves::{Stage, State as StageState, Track, Waves};

/// Something happened.
pub(super) enum Message {
    Key(KeyCode),
    /// Ctrl-C, or a signal: it is over, whatever keys mean now.
    Ended,
    /// A stream of the fleet begins: everything is told anew.
    Begun,
    Told(Box<Told>),
    /// The hub is not reached, and why.
    Lost(String),
    Waves(Result<Waves, String>),
    Alerts(Vec<Alert>),
    /// What became of a decision.
    Decided(Result<String, String>),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Quit,
    Decide(Wish),
}

/// What is to be decided: about the very revision that was on the screen, whatever waits by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) verb: DecisionVerb,
    pub(super) track: String,
    pub(super) wave: String,
    pub(super) revision: String,
}

impl Wish {
    /// `approve` or `reject`.
    pub(super) fn word(&self) -> &'static str {
        if self.verb == DecisionVerb::Reject { "reject" } else { "approve" }
    }
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    Clusters,
    /// The apps of a cluster.
    Apps(String),
    /// One app in a cluster.
    App(String, String),
    Waves,
    /// One track in all waves.
    Track(String),
    Alerts,
}

/// What keys mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// They are typed into the filter.
    Filter,
    Help,
    /// `y` decides.
    Decide(Wish),
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// How bad it is: none when all is well.
    pub(super) wrong: Option<Wrong>,
    pub(super) cells: Vec<String>,
    /// What Enter leads to.
    pub(super) leads_to: Option<View>,
}

/// Clusters, and apps in clusters.
type Named = (BTreeSet<String>, BTreeSet<(String, String)>);

/// All of it.
pub(super) struct Top {
    clusters: BTreeMap<String, Cluster>,
    apps: BTreeMap<(String, String), App>,
    /// What this stream has named, until its initial state is complete.
    named: Option<Named>,
    pub(super) waves: Result<Waves, String>,
    pub(super) alerts: Vec<Alert>,
    pub(super) view: View,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) selected: usize,
    /// What the selected line leads to, with which it moves when the list is sorted anew; none at the top, where
    /// the worst is.
    chosen: Option<View>,
    /// Why the hub is not reached; none while it is.
    pub(super) lost: Option<String>,
    /// What was said last: whether it went well, and what.
    pub(super) note: Option<(bool, String)>,
}

impl Default for Top {
    fn default() -> Top {
        Top {
            clusters: BTreeMap::new(),
            apps: BTreeMap::new(),
            named: None,
            waves: Err("not asked yet".to_owned()),
            alerts: Vec::new(),
            view: View::Clusters,
            mode: Mode::Browse,
            filter: String::new(),
            selected: 0,
            chosen: None,
            lost: Some("connecting".to_owned()),
            note: None,
        }
    }
}

impl Top {
    /// The next state, and what is to be done.
    pub(super) fn update(&mut self, message: Message, now: Timestamp) -> Effect {
        match message {
            Message::Key(key) => return self.key(key, now),
            Message::Ended => return Effect::Quit,
            Message::Begun => self.named = Some(Named::default()),
            Message::Told(told) => self.told(*told),
            Message::Lost(why) => self.lost = Some(why),
            Message::Waves(waves) => self.waves = waves,
            Message::Alerts(alerts) => self.alerts = alerts,
            Message::Decided(Ok(said)) => self.note = Some((true, said)),
            Message::Decided(Err(why)) => self.note = Some((false, why)),
        }
        Effect::Nothing
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Cluster(cluster) => {
                let cluster = Cluster::from(cluster);
                if let Some((clusters, _)) = &mut self.named {
                    clusters.insert(cluster.name.clone());
                }
                self.clusters.insert(cluster.name.clone(), cluster);
            }
            Told::App(app) => {
                let app = App::without_objects(app);
                let key = (app.cluster.clone(), app.app.clone());
                if let Some((_, apps)) = &mut self.named {
                    apps.insert(key.clone());
                }
                self.apps.insert(key, app);
            }
            Told::RemovedApp(v1::RemovedApp { cluster, app }) => drop(self.apps.remove(&(cluster, app))),
            Told::InitialStateEnd(_) => {
                self.lost = None;
                if let Some((clusters, apps)) = self.named.take() {
                    self.clusters.retain(|name, _| clusters.contains(name));
                    self.apps.retain(|key, _| apps.contains(key));
                }
            }
            Told::Event(_) => {}
        }
    }

    fn key(&mut self, key: KeyCode, now: Timestamp) -> Effect {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => self.browse(key, now),
            Mode::Help => Effect::Nothing,
            Mode::Filter => {
                match key {
                    KeyCode::Char(letter) => self.filter.push(letter),
                    KeyCode::Backspace => drop(self.filter.pop()),
                    KeyCode::Esc => self.filter.clear(),
                    _ => {}
                }
                (self.selected, self.chosen) = (0, None);
                if !matches!(key, KeyCode::Enter | KeyCode::Esc) {
                    self.mode = Mode::Filter;
                }
                Effect::Nothing
            }
            Mode::Decide(wish) if key == KeyCode::Char('y') => {
                self.note = Some((true, format!("asking the hub to {} {}", wish.word(), wish.track)));
                Effect::Decide(wish)
            }
            Mode::Decide(_) => {
                self.note = Some((true, "nothing was decided".to_owned()));
                Effect::Nothing
            }
        }
    }

    fn browse(&mut self, key: KeyCode, now: Timestamp) -> Effect {
        self.note = None;
        let rows = self.rows(now);
        let last = rows.len().saturating_sub(1);
        let selected = self.place(&rows);
        self.selected = match key {
            KeyCode::Down | KeyCode::Char('j') => (selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => selected.saturating_sub(1),
            KeyCode::PageDown => (selected + 10).min(last),
            KeyCode::PageUp => selected.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => selected,
        };
        self.chosen =
            rows.get(self.selected).filter(|_| self.selected > 0).and_then(|row| row.leads_to.clone());
        match key {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('a') => self.ask(DecisionVerb::Approve),
            KeyCode::Char('r') => self.ask(DecisionVerb::Reject),
            KeyCode::Tab => self.go(match self.view {
                View::Clusters | View::Apps(_) | View::App(..) => View::Waves,
                View::Waves | View::Track(_) => View::Alerts,
                View::Alerts => View::Clusters,
            }),
            KeyCode::Enter => {
                if let Some(view) = rows.get(selected).and_then(|row| row.leads_to.clone()) {
                    self.go(view);
                }
            }
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Esc => self.back(),
            _ => {}
        }
        Effect::Nothing
    }

    fn go(&mut self, view: View) {
        (self.view, self.selected, self.chosen) = (view, 0, None);
        self.filter.clear();
    }

    /// To where what is looked at was selected.
    fn back(&mut self) {
        let from = self.view.clone();
        self.go(match &from {
            View::Apps(_) => View::Clusters,
            View::App(cluster, _) => View::Apps(cluster.clone()),
            View::Track(_) => View::Waves,
            View::Clusters | View::Waves | View::Alerts => return,
        });
        self.chosen = Some(from);
    }

    /// Which of these lines is selected.
    pub(super) fn place(&self, rows: &[Row]) -> usize {
        let here = self.selected.min(rows.len().saturating_sub(1));
        let Some(chosen) = &self.chosen else { return here };
        let is_chosen = |row: &Row| row.leads_to.as_ref() == Some(chosen);
        // Several lines may lead to the same.
        if rows.get(here).is_some_and(is_chosen) {
            here
        } else {
            rows.iter().position(is_chosen).unwrap_or(here)
        }
    }

    /// Asks whether what waits on the track that is looked at is to be approved, or rejected.
    fn ask(&mut self, verb: DecisionVerb) {
        match self.waits(verb) {
            Some(wish) => self.mode = Mode::Decide(wish),
            None => self.note = Some((false, "nothing here waits for an approval".to_owned())),
        }
    }

    /// What waits for an approval: in the selected wave, or the first that does.
    fn waits(&self, verb: DecisionVerb) -> Option<Wish> {
        let awaits = |stage: &&Stage| stage.state == StageState::AwaitingApproval;
        let (track, selected) = match &self.view {
            View::Waves => (*self.tracks().get(self.selected)?, None),
            View::Track(track) => {
                let track = self.track(track)?;
                (track, track.stages.get(self.selected).filter(awaits))
            }
            _ => return None,
        };
        let stage = selected.or_else(|| track.stages.iter().find(awaits))?;
        let (track, wave) = (track.track.clone(), stage.wave.clone());
        Some(Wish { verb, track, wave, revision: stage.candidate_revision.clone() })
    }

    /// Counts, and what is wrong.
    pub(super) fn overview(&self, now: Timestamp) -> Overview {
        let clusters: Vec<Cluster> = self.clusters.values().cloned().collect();
        let wrong: Vec<App> = self.apps.values().filter(|app| !app.well()).cloned().collect();
        overview(&clusters, &wrong, now)
    }

    /// The app that is looked at.
    pub(super) fn app(&self, cluster: &str, app: &str) -> Option<&App> {
        self.apps.get(&(cluster.to_owned(), app.to_owned()))
    }

    pub(super) fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values()
    }

    pub(super) fn apps_of<'s>(&'s self, cluster: &'s str) -> impl Iterator<Item = &'s App> {
        let from = (cluster.to_owned(), String::new());
        self.apps.range(from..).map(|(_, app)| app).take_while(move |app| app.cluster == cluster)
    }

    /// The track of that name.
    pub(super) fn track(&self, name: &str) -> Option<&Track> {
        self.waves.as_ref().ok()?.tracks.iter().find(|track| track.track == name)
    }

    /// The tracks that the filter leaves, in the order of the list.
    pub(super) fn tracks(&self) -> Vec<&Track> {
        let all = self.waves.as_ref().map(|waves| waves.tracks.as_slice()).unwrap_or_default();
        all.iter().filter(|track| self.passes([track.track.as_str()])).collect()
    }

    /// Whether the filter lets something of these words through.
    pub(super) fn passes<'t>(&self, words: impl IntoIterator<Item = &'t str>) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.is_empty() || words.into_iter().any(|word| word.to_lowercase().contains(&wanted))
    }
}
