//! What does `muster top` know, and what becomes of a key or of news?
//!
//! Pure: a message and the time give the next state and what is to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use muster_wire::v1::{self, watch_fleet_response::Change as Told};
use ratatui::crossterm::event::KeyCode;

use crate::alerts::Alert;
use crate::fleet::{Overview, State as Wrong, overview};
use crate::model::{App, Cluster, short};
use crate::waves::{State as StageState, Track, Waves};

/// Something happened.
pub(super) enum Message {
    Key(KeyCode),
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
    Approve { track: String, wave: String },
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
    /// `y` approves.
    Approve {
        track: String,
        wave: String,
        revision: String,
    },
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
                self.selected = 0;
                if !matches!(key, KeyCode::Enter | KeyCode::Esc) {
                    self.mode = Mode::Filter;
                }
                Effect::Nothing
            }
            Mode::Approve { track, wave, .. } if key == KeyCode::Char('y') => {
                self.note = Some((true, format!("approving {track} for {wave}")));
                Effect::Approve { track, wave }
            }
            Mode::Approve { .. } => {
                self.note = Some((true, "nothing was decided".to_owned()));
                Effect::Nothing
            }
        }
    }

    fn browse(&mut self, key: KeyCode, now: Timestamp) -> Effect {
        self.note = None;
        let rows = self.rows(now);
        let last = rows.len().saturating_sub(1);
        let selected = self.selected.min(last);
        self.selected = match key {
            KeyCode::Down | KeyCode::Char('j') => (selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => selected.saturating_sub(1),
            KeyCode::PageDown => (selected + 10).min(last),
            KeyCode::PageUp => selected.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => selected,
        };
        match key {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('a') => self.ask(),
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
            KeyCode::Esc => match &self.view {
                _ if !self.filter.is_empty() => self.filter.clear(),
                View::Apps(_) => self.go(View::Clusters),
                View::App(cluster, _) => self.go(View::Apps(cluster.clone())),
                View::Track(_) => self.go(View::Waves),
                View::Clusters | View::Waves | View::Alerts => {}
            },
            _ => {}
        }
        Effect::Nothing
    }

    fn go(&mut self, view: View) {
        (self.view, self.selected) = (view, 0);
        self.filter.clear();
    }

    /// Asks whether what waits on the track that is looked at is to be approved.
    fn ask(&mut self) {
        let track = match &self.view {
            View::Waves => self.tracks().get(self.selected).map(|track| track.track.clone()),
            View::Track(track) => Some(track.clone()),
            _ => None,
        };
        let found = track.as_ref().and_then(|track| self.track(track));
        let waits = found.and_then(|track| {
            let stage = track.stages.iter().find(|stage| stage.state == StageState::AwaitingApproval)?;
            let revision = short(&stage.candidate_revision);
            Some(Mode::Approve { track: track.track.clone(), wave: stage.wave.clone(), revision })
        });
        match waits {
            Some(mode) => self.mode = mode,
            None => self.note = Some((false, "nothing here waits for an approval".to_owned())),
        }
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
