//! Which lines has the list that is looked at, the worst first?

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{Row, Top, View};
use crate::fleet::{Problem, State as Wrong};
use crate::model::{App, Connection, Health, Sync, short};
use crate::text::{age, ago, clean};
use crate::waves::{Stage, State as StageState};

impl Top {
    /// The lines of the list that is looked at.
    pub(super) fn rows(&self, now: Timestamp) -> Vec<Row> {
        let rows = match &self.view {
            View::Clusters => self.cluster_rows(now),
            View::Apps(cluster) => self.app_rows(cluster, now),
            View::App(..) => Vec::new(),
            View::Waves => self.wave_rows(),
            View::Track(track) => self.stage_rows(track),
            View::Alerts => self.alert_rows(now),
        };
        let cleaned = |row: Row| Row { cells: row.cells.iter().map(|cell| clean(cell)).collect(), ..row };
        rows.into_iter().map(cleaned).collect()
    }

    /// The headings of the same list.
    pub(super) fn headings(&self) -> Vec<String> {
        let fixed: &[&str] = match &self.view {
            View::Clusters => &["STATE", "CLUSTER", "APPS", "SEEN", "WHY"],
            View::Apps(_) => &["STATE", "APP", "REVISION", "SINCE", "WHY"],
            View::App(..) => &[],
            View::Waves => {
                let waves = self.waves.as_ref().map(|waves| waves.waves.clone()).unwrap_or_default();
                return ["TRACK".to_owned()]
                    .into_iter()
                    .chain(waves.iter().map(|wave| wave.to_uppercase()))
                    .collect();
            }
            View::Track(_) => &["WAVE", "STATE", "REVISION", "CLUSTERS", "WHY"],
            View::Alerts => &["SEVERITY", "KIND", "WHERE", "SINCE", "CAUSE"],
        };
        fixed.iter().map(|heading| (*heading).to_owned()).collect()
    }

    fn cluster_rows(&self, now: Timestamp) -> Vec<Row> {
        let overview = self.overview(now);
        // Problems come worst first.
        let mut worst: BTreeMap<&str, &Problem> = BTreeMap::new();
        for problem in &overview.problems {
            worst.entry(&problem.cluster).or_insert(problem);
        }
        let chosen = self.clusters().filter(|cluster| {
            let labels =
                cluster.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
            self.passes([cluster.name.as_str()].into_iter().chain(labels.iter().map(String::as_str)))
        });
        let mut rows: Vec<Row> = chosen
            .map(|cluster| {
                let problem = worst.get(cluster.name.as_str());
                let why = problem.map(|problem| match problem.app.as_str() {
                    "" => problem.message.clone(),
                    app => format!("{app}: {}", problem.message),
                });
                let state = problem.map_or("Well", |problem| problem.state.word());
                let apps = format!("{}/{}", cluster.apps.healthy, cluster.apps.total);
                let seen = match cluster.connection {
                    Connection::NeverConnected => "never".to_owned(),
                    _ => ago(cluster.last_seen, now),
                };
                Row {
                    wrong: problem.map(|problem| problem.state),
                    cells: vec![state.to_owned(), cluster.name.clone(), apps, seen, why.unwrap_or_default()],
                    leads_to: Some(View::Apps(cluster.name.clone())),
                }
            })
            .collect();
        worst_first(&mut rows);
        rows
    }

    fn app_rows(&self, cluster: &str, now: Timestamp) -> Vec<Row> {
        let chosen = self.apps_of(cluster).filter(|app| self.passes([app.app.as_str()]));
        let mut rows: Vec<Row> = chosen
            .map(|app| {
                let wrong = wrong(app);
                let state = wrong.map_or("Well", Wrong::word).to_owned();
                let since = age(app.since, now);
                Row {
                    wrong,
                    cells: vec![state, app.app.clone(), short(&app.revision), since, app.cause()],
                    leads_to: Some(View::App(app.cluster.clone(), app.app.clone())),
                }
            })
            .collect();
        worst_first(&mut rows);
        rows
    }

    fn wave_rows(&self) -> Vec<Row> {
        let row = |track: &&crate::waves::Track| {
            let stages =
                track.stages.iter().map(|stage| format!("{} {}", short(&stage.revision), stage.state.word()));
            Row {
                wrong: track.stages.iter().filter_map(stage_wrong).min(),
                cells: [track.track.clone()].into_iter().chain(stages).collect(),
                leads_to: Some(View::Track(track.track.clone())),
            }
        };
        self.tracks().iter().map(row).collect()
    }

    fn stage_rows(&self, track: &str) -> Vec<Row> {
        let stages = self.track(track).map(|track| track.stages.as_slice()).unwrap_or_default();
        let row = |stage: &Stage| Row {
            wrong: stage_wrong(stage),
            cells: vec![
                stage.wave.clone(),
                stage.state.word().to_owned(),
                short(&stage.revision),
                format!("{}/{} of {}", stage.well, stage.reached, stage.clusters),
                stage.detail.clone(),
            ],
            leads_to: None,
        };
        stages.iter().map(row).collect()
    }

    fn alert_rows(&self, now: Timestamp) -> Vec<Row> {
        let chosen = self
            .alerts
            .iter()
            .filter(|alert| self.passes([alert.kind.as_str(), &alert.place(), &alert.cause]));
        let row = |alert: &crate::alerts::Alert| Row {
            wrong: alert.is_firing().then_some(match alert.severity.as_str() {
                "critical" => Wrong::Degraded,
                _ => Wrong::Progressing,
            }),
            cells: vec![
                alert.severity.clone(),
                alert.kind.clone(),
                alert.place(),
                age(alert.started_at, now),
                alert.cause.clone(),
            ],
            leads_to: (!alert.app.is_empty()).then(|| View::App(alert.cluster.clone(), alert.app.clone())),
        };
        chosen.map(row).collect()
    }
}

fn worst_first(rows: &mut [Row]) {
    rows.sort_by(|one, other| {
        let badness = |row: &Row| (row.wrong.is_none(), row.wrong);
        badness(one).cmp(&badness(other))
    });
}

/// What is wrong with an app in one word.
fn wrong(app: &App) -> Option<Wrong> {
    match (app.sync, app.health) {
        _ if app.well() => None,
        _ if app.connection == Connection::Unreachable => Some(Wrong::Unreachable),
        (_, Health::Degraded) => Some(Wrong::Degraded),
        (_, Health::Missing) => Some(Wrong::Missing),
        (Sync::OutOfSync, _) => Some(Wrong::OutOfSync),
        (Sync::Unknown, _) | (_, Health::Unknown) => Some(Wrong::Unknown),
        _ => Some(Wrong::Progressing),
    }
}

fn stage_wrong(stage: &Stage) -> Option<Wrong> {
    match stage.state {
        StageState::Halted | StageState::Rejected | StageState::Refused => Some(Wrong::Degraded),
        StageState::Current | StageState::Empty | StageState::Soaking => None,
        _ => Some(Wrong::Progressing),
    }
}
