use super::*;
use crate::{
    model::{Connection, FieldDrift, Health, ObjectRef, StatusError, Sync},
    sample,
};

fn object(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn troubled() -> Vec<App> {
    let (_, apps) = sample::troubled();
    let mut apps: Vec<App> = apps.into_iter().filter(|app| app.app == "web").collect();
    for app in &mut apps {
        let healthy = Object {
            object: object("Service", "web"),
            sync: Sync::Synced,
            health: Health::Healthy,
            message: String::new(),
        };
        let degraded = Object {
            object: object("Deployment", "web"),
            health: Health::Degraded,
            message: "1 of 2 replicas available, ProgressDeadlineExceeded".to_owned(),
            ..healthy.clone()
        };
        app.objects = Some(if app.cluster == "staging" { vec![degraded, healthy] } else { vec![healthy] });
        app.drifts = Some(Vec::new());
        app.object_count = 2;
    }
    let drift = Drift {
        object: object("Deployment", "web"),
        deleted: false,
        fields: vec![FieldDrift { path: ".spec.replicas".into(), wanted: "2".into(), found: "5".into() }],
        field_manager: "kubectl-scale".to_owned(),
        detected_at: sample::before(200),
        corrected_at: sample::before(199),
    };
    let deleted = Drift {
        object: object("Service", "web"),
        deleted: true,
        fields: Vec::new(),
        field_manager: String::new(),
        detected_at: sample::before(20),
        corrected_at: None,
    };
    apps[0].drifts = Some(vec![drift, deleted]);
    apps[2].errors = vec![StatusError {
        kind: "Apply",
        place: "ConfigMap/default/web".to_owned(),
        message: "The API server rejected it: data.port must be a string.".to_owned(),
        since: sample::before(100),
    }];
    apps
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_cause() {
    assert_eq!(
        app("web", &troubled(), sample::now(), Screen::test(Some(100))).finish(false),
        "\
web in 3 clusters: 3 not well

CLUSTER  SYNC     HEALTH       REVISION  WANTED   SINCE  SEEN
dev      Synced   Progressing  1a2b3c4   9f8e7d6  8s     2s ago
  syncing
prod     Unknown  Unknown      1a2b3c4   1a2b3c4  3m     12m ago
  last known Synced and Healthy
staging  Synced   Degraded     1a2b3c4   1a2b3c4  3m     2s ago
  Deployment default/web: 1 of 2 replicas available, ProgressDeadlineExceeded

1 error
staging  Apply ConfigMap/default/web for 1m
  The API server rejected it: data.port must be a string.

1 of 6 objects not well
CLUSTER  OBJECT                  SYNC    HEALTH
staging  Deployment default/web  Synced  Degraded
  1 of 2 replicas available, ProgressDeadlineExceeded

2 drifts, 1 not put back
dev  Service default/web  deleted 20s ago, still so
dev  Deployment default/web  changed 3m ago by kubectl-scale, put back 3m ago
  .spec.replicas: Git 2, cluster 5
"
    );
}

#[test]
fn wide_shows_every_object_and_those_out_of_reach_as_they_were() {
    let screen = Screen { wide: true, ..Screen::test(Some(80)) };
    let shown = app("web", &troubled(), sample::now(), screen).finish(false);
    let objects = shown.split("6 objects\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(
        objects,
        "\
CLUSTER  OBJECT                  SYNC        HEALTH       MESSAGE
dev      Service default/web     Synced      Healthy
prod     Service default/web     was Synced  was Healthy
staging  Deployment default/web  Synced      Degraded     1 of 2 replicas available, ProgressDeadlineExceeded
staging  Service default/web     Synced      Healthy
and 2 more objects, which the agent left out of its report"
    );
}

#[test]
fn all_well_is_short() {
    let apps = [sample::app("web", "dev"), sample::app("web", "prod")];
    assert_eq!(
        app("web", &apps, sample::now(), Screen::test(Some(80))).finish(false),
        "\
web in 2 clusters: all is well

CLUSTER  SYNC    HEALTH   REVISION  WANTED   SINCE  SEEN    MESSAGE
dev      Synced  Healthy  1a2b3c4   1a2b3c4  3m     2s ago
prod     Synced  Healthy  1a2b3c4   1a2b3c4  3m     2s ago
"
    );
}

#[test]
fn three_thousand_clusters_stay_on_the_screen() {
    let mut apps: Vec<App> =
        (0..3_000).map(|index| sample::app("web", &format!("prod-{index:04}"))).collect();
    for app in &mut apps[1_000..1_003] {
        app.connection = Connection::Unreachable;
        (app.sync, app.health) = (Sync::Unknown, Health::Unknown);
    }
    let shown = app("web", &apps, sample::now(), Screen::test(Some(80))).finish(false);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 22, "{shown}");
    assert_eq!(lines[0], "web in 3,000 clusters: 3 not well, 2,997 well");
    assert!(lines[3].starts_with("prod-1000  Unknown  Unknown"), "{shown}");
    assert_eq!(lines[21], "and 2,985 more clusters: -o wide, or --cluster NAME for one cluster");
}
