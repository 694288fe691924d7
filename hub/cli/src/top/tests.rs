use muster_wire::v1::{self, DecisionVerb, watch_fleet_response::Change as Told};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::draw::draw;
use super::state::{Effect, Message, Mode, Top, View, Wish};
use crate::sample;
use crate::waves::{Stage, State as StageState, Track, Waves};

/// A hub that told of so many clusters, of which every hundredth has an app that fails.
fn top(count: usize) -> Top {
    let mut top = Top::default();
    top.update(Message::Begun, sample::now());
    for number in 0..count {
        let name = format!("c-{number:04}");
        let is_bad = number % 100 == 7;
        let health = if is_bad { v1::HealthStatus::Degraded } else { v1::HealthStatus::Healthy };
        let cluster = v1::Cluster {
            name: name.clone(),
            connection: v1::Connection::Connected.into(),
            apps: Some(v1::AppCounts { total: 1, healthy: u32::from(!is_bad), ..Default::default() }),
            ..Default::default()
        };
        let status = v1::AppStatus {
            app: "web".to_owned(),
            sync: v1::SyncStatus::Synced.into(),
            health: health.into(),
            message: if is_bad { "CrashLoopBackOff\u{1b}[31m".to_owned() } else { String::new() },
            ..Default::default()
        };
        top.update(Message::Told(Box::new(Told::Cluster(cluster))), sample::now());
        let connection = v1::Connection::Connected.into();
        let app = v1::App { cluster: name, connection, reported_at: None, status: Some(status) };
        top.update(Message::Told(Box::new(Told::App(app))), sample::now());
    }
    top.update(Message::Told(Box::new(Told::InitialStateEnd(v1::InitialStateEnd {}))), sample::now());
    top.update(Message::Waves(Ok(waves())), sample::now());
    top
}

fn waves() -> Waves {
    let stage = |wave: &str, state, candidate: &str| Stage {
        wave: wave.to_owned(),
        state,
        revision: "a".repeat(40),
        previous_revision: String::new(),
        candidate_revision: candidate.to_owned(),
        detail: "0 of 1 approvals.".to_owned(),
        clusters: 3,
        reached: 3,
        well: 3,
    };
    let stages = vec![
        stage("dev", StageState::Current, ""),
        stage("prod", StageState::AwaitingApproval, &"b".repeat(40)),
    ];
    Waves {
        waves: vec!["dev".to_owned(), "prod".to_owned()],
        tracks: vec![Track { track: "web".to_owned(), stages }],
        head_revision: "b".repeat(40),
        fetched_at: None,
        problems: Vec::new(),
        mismatches: Vec::new(),
    }
}

fn press(top: &mut Top, keys: &str) -> Effect {
    let mut effect = Effect::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '<' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        effect = top.update(Message::Key(code), sample::now());
    }
    effect
}

/// The screen as text, line by line.
fn screen(top: &Top, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(top, frame, sample::now(), false)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn the_worst_of_three_thousand_clusters_are_on_one_screen() {
    let shown = screen(&top(3_000), 80, 24);
    assert_eq!(shown[0], " Fleet  Waves  Alerts");
    assert_eq!(shown[1], "3,000 clusters, 3,000 apps, 30 not well  live");
    assert_eq!(shown[2], "STATE     CLUSTER  APPS  SEEN   WHY");
    assert!(
        shown[3].starts_with("Degraded  c-0007   0/1") && shown[3].contains("web: CrashLoopBackOff"),
        "{shown:#?}"
    );
    assert!(shown[22].starts_with("Degraded"), "{shown:#?}");
    assert!(shown[23].contains("q quit"), "{shown:#?}");
    assert!(!shown.concat().contains('\u{1b}'));
}

#[test]
fn it_fits_small_screens_and_none_is_too_small() {
    let mut top = top(3);
    assert_eq!(screen(&top, 40, 10)[2], "STATE  CLUSTER");
    for keys in ["", "\n", "\n", "<<\t", "\n", "\t", "?", "x/"] {
        press(&mut top, keys);
        for (width, height) in [(1, 1), (20, 3), (40, 10), (200, 60)] {
            screen(&top, width, height);
        }
    }
}

#[test]
fn keys_lead_into_things_and_back() {
    let mut top = top(200);
    press(&mut top, "\n");
    assert_eq!(top.view, View::Apps("c-0007".to_owned()));
    press(&mut top, "\n");
    assert_eq!(top.view, View::App("c-0007".to_owned(), "web".to_owned()));
    assert!(screen(&top, 80, 24).concat().contains("muster app web --cluster c-0007"));
    press(&mut top, "<<");
    assert_eq!(top.view, View::Clusters);
    press(&mut top, "/c-0150\n");
    let shown = screen(&top, 80, 24);
    assert!(shown[3].contains("c-0150") && shown[4].is_empty(), "{shown:#?}");
    press(&mut top, "<");
    assert_eq!((top.filter.as_str(), &top.view), ("", &View::Clusters));
    press(&mut top, "?");
    assert!(screen(&top, 80, 24).concat().contains("approve or reject what waits"));
    assert_eq!(press(&mut top, "x"), Effect::Nothing);
    assert_eq!(press(&mut top, "q"), Effect::Quit);
}

#[test]
fn an_approval_is_asked_for_twice_and_a_refusal_is_shown() {
    let mut top = top(3);
    press(&mut top, "a");
    assert_eq!(top.note, Some((false, "nothing here waits for an approval".to_owned())));
    press(&mut top, "\t");
    let shown = screen(&top, 80, 24);
    assert!(shown[3].contains("aaaaaaa Current") && shown[3].contains("AwaitingApproval"), "{shown:#?}");
    press(&mut top, "a");
    assert!(matches!(&top.mode, Mode::Decide(wish) if wish.wave == "prod"));
    assert!(screen(&top, 80, 24)[23].contains("approve web bbbbbbb for prod?"));
    assert_eq!(press(&mut top, "n"), Effect::Nothing);
    // What was asked about is decided, not what waits by then.
    press(&mut top, "a");
    let mut later = waves();
    later.tracks[0].stages[1].candidate_revision = "c".repeat(40);
    top.update(Message::Waves(Ok(later)), sample::now());
    let (track, wave, revision) = ("web".to_owned(), "prod".to_owned(), "b".repeat(40));
    let approve = Wish { verb: DecisionVerb::Approve, track, wave, revision };
    assert_eq!(press(&mut top, "y"), Effect::Decide(approve.clone()));
    let reject = Wish { verb: DecisionVerb::Reject, revision: "c".repeat(40), ..approve };
    assert_eq!(press(&mut top, "\nry"), Effect::Decide(reject), "also from the page of the track");
    top.update(Message::Decided(Err("the role promoter is needed".to_owned())), sample::now());
    assert!(screen(&top, 80, 24)[23].contains("the role promoter is needed"));
}

#[test]
fn what_a_new_stream_does_not_name_is_gone() {
    let mut top = top(3);
    top.update(Message::Lost("the hub ended the stream".to_owned()), sample::now());
    assert!(screen(&top, 80, 24)[1].contains("not live: the hub ended the stream"));
    top.update(Message::Begun, sample::now());
    let cluster = v1::Cluster { name: "c-0001".to_owned(), ..Default::default() };
    top.update(Message::Told(Box::new(Told::Cluster(cluster))), sample::now());
    assert_eq!(top.clusters().count(), 3, "until all was told");
    top.update(Message::Told(Box::new(Told::InitialStateEnd(v1::InitialStateEnd {}))), sample::now());
    assert_eq!(top.clusters().count(), 1);
}

#[test]
fn it_ends_whatever_keys_mean() {
    for keys in ["", "/c", "?", "\ta"] {
        let mut top = top(3);
        press(&mut top, keys);
        assert_eq!(top.update(Message::Ended, sample::now()), Effect::Quit, "{keys:?}");
    }
}

#[test]
fn what_is_selected_stays_selected_when_the_list_is_sorted_anew() {
    let mut top = top(200);
    press(&mut top, "jjj");
    let selected = |top: &Top| {
        let rows = top.rows(sample::now());
        rows[top.place(&rows)].cells[1].clone()
    };
    assert_eq!(selected(&top), "c-0001", "behind c-0007, c-0107 and c-0000");
    let status = v1::AppStatus {
        app: "web".to_owned(),
        sync: v1::SyncStatus::Synced.into(),
        health: v1::HealthStatus::Degraded.into(),
        ..Default::default()
    };
    let connection = v1::Connection::Connected.into();
    for cluster in ["c-0150", "c-0160"] {
        let status = Some(status.clone());
        let app = v1::App { cluster: cluster.to_owned(), connection, reported_at: None, status };
        top.update(Message::Told(Box::new(Told::App(app))), sample::now());
    }
    assert_eq!(selected(&top), "c-0001");
    press(&mut top, "\n<");
    assert_eq!(selected(&top), "c-0001", "and on the way back");
    press(&mut top, "g");
    assert_eq!(selected(&top), "c-0007");
}

#[test]
fn alerts_of_one_app_are_lines_of_their_own() {
    let mut top = top(3);
    let alert = |kind: &str| {
        let (kind, cluster, app) = (kind.to_owned(), "c-0001".to_owned(), "web".to_owned());
        crate::alerts::Alert::from(v1::Alert { kind, cluster, app, ..Default::default() })
    };
    let alerts = ["OutOfSync", "Degraded", "SyncFailing"].map(alert);
    top.update(Message::Alerts(alerts.into()), sample::now());
    press(&mut top, "\t\t");
    for expected in [1, 2, 2] {
        press(&mut top, "j");
        assert_eq!(top.place(&top.rows(sample::now())), expected);
    }
}
