use super::*;
use crate::sample;

#[test]
fn worst_comes_first_and_each_names_the_next_command() {
    let (clusters, apps) = sample::troubled();
    let overview = overview(&clusters, &apps, sample::now());
    let told: Vec<(State, &str, &str, &str)> = overview
        .problems
        .iter()
        .map(|problem| (problem.state, &*problem.cluster, &*problem.app, &*problem.next))
        .collect();
    assert_eq!(
        told,
        [
            (State::Unreachable, "prod", "", "muster events --cluster prod"),
            (State::Degraded, "staging", "web", "muster app web --cluster staging"),
            (State::Error, "staging", "", "muster events --cluster staging"),
            (State::OutOfSync, "dev", "api", "muster app api --cluster dev"),
            (State::Progressing, "dev", "web", "muster app web --cluster dev"),
        ]
    );
    assert!(!overview.healthy);
}

#[test]
fn suspended_on_purpose_is_no_problem() {
    let mut app = sample::app("web", "dev");
    app.health = Health::Suspended;
    assert_eq!(app_problem(&app), None);
    app.sync = Sync::OutOfSync;
    assert_eq!(app_problem(&app).map(|problem| problem.state), Some(State::OutOfSync));
}

#[test]
fn a_fleet_is_not_healthy_when_counts_say_so_even_without_a_named_problem() {
    let mut cluster = sample::cluster("dev");
    cluster.apps.degraded = 1;
    cluster.apps.healthy -= 1;
    assert!(!overview(&[cluster], &[], sample::now()).healthy);
}

#[test]
fn clusters_that_fail_alike_are_one_group() {
    let (clusters, apps) = sample::large();
    let problems = overview(&clusters, &apps, sample::now()).problems;
    let groups = group(&problems, 20);
    let told: Vec<(State, &str, usize)> =
        groups.iter().map(|group| (group.state, &*group.app, group.clusters.len())).collect();
    assert_eq!(
        told,
        [
            (State::Unreachable, "", 12),
            (State::Degraded, "web", 300),
            (State::OutOfSync, "api", 2),
            (State::OutOfSync, "web", 1),
            (State::Progressing, "api", 40),
        ]
    );
}

#[test]
fn many_different_messages_of_one_app_become_one_group() {
    let apps: Vec<App> = (0..50)
        .map(|index| {
            let mut app = sample::app("web", &format!("c{index:02}"));
            app.health = Health::Degraded;
            app.message = if index < 10 { "the usual".to_owned() } else { format!("message {index}") };
            app
        })
        .collect();
    let problems = overview(&[], &apps, sample::now()).problems;
    let groups = group(&problems, 20);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].message, "the usual (and 40 other messages)");
    assert_eq!(groups[0].next, "muster app web");
    assert_eq!(group(&problems, 100).len(), 41);
}
