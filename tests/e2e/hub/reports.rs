//! Does what agents say reach people, in order, once, and with its age?

use muster_tests::wait;
use tonic::Code;
use v1::watch_fleet_response::Change;

use super::*;

#[tokio::test]
async fn reports_are_acknowledged_shown_and_survive_a_restart() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    assert_eq!(agent.send_apps, ["web"]);
    agent.report_kept(1, status("web", "r1")).await;
    let labels = [("env".to_owned(), "prod".to_owned())].into();
    agent.say(Said::Cluster(v1::ClusterStatus { labels, ..Default::default() })).await;
    assert!(agent.ack().await.unwrap().cluster);
    let event = v1::Event { id: "e1".into(), app: "web".into(), ..Default::default() };
    agent.say(Said::Event(event.clone())).await;
    assert_eq!(agent.ack().await.unwrap().event_ids, ["e1"]);

    let ended = hub.program.terminate(DEADLINE).await.unwrap();
    assert!(ended.success(), "{ended}");
    assert_eq!(agent.end().await.code(), Code::Unavailable);
    hub.restart().await;

    assert_eq!(hub.revisions("prod").await, [("web".to_owned(), "r1".to_owned())]);
    let cluster = hub.cluster("prod").await;
    assert_eq!(cluster.connection(), v1::Connection::Unreachable);
    assert_eq!(cluster.status.unwrap().labels["env"], "prod");
    assert_eq!(cluster.apps.unwrap().healthy, 0, "nobody has been heard since the restart");

    let agent = hub.agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    assert!(agent.send_apps.is_empty(), "an unchanged agent sends nothing again");
    assert_eq!(hub.cluster("prod").await.apps.unwrap().healthy, 1);
    let request = v1::ListEventsRequest { cluster: "prod".into(), ..Default::default() };
    let events = hub.fleet().await.list_events(request).await.unwrap().into_inner().events;
    let kinds: Vec<_> = events.iter().map(v1::Event::kind).collect();
    use v1::EventKind::{Connected, Enrolled, Unspecified};
    assert_eq!(
        kinds,
        [Unspecified, Connected, Enrolled],
        "newest first; the restart is no event: {events:?}"
    );
}

#[tokio::test]
async fn one_app_is_shown_with_its_objects_and_lists_leave_them_out() {
    let hub = Hub::start().await;
    let (prod, dev) = (hub.enrolled("prod").await, hub.enrolled("dev").await);
    let mut agents =
        [hub.agent("prod", &prod, &[]).await.unwrap(), hub.agent("dev", &dev, &[]).await.unwrap()];
    for agent in &mut agents {
        let mut web = status("web", "r1");
        web.objects = vec![v1::ObjectStatus { message: "an object".into(), ..Default::default() }];
        agent.report_kept(1, web).await;
        let mut db = status("db", "r1");
        db.set_health(v1::HealthStatus::Degraded);
        agent.report_kept(1, db).await;
    }
    let mut fleet = hub.fleet().await;
    let mut get = async |name: &str, cluster: &str| {
        let request = v1::GetAppRequest { name: name.into(), cluster: cluster.into() };
        fleet.get_app(request).await.map(tonic::Response::into_inner)
    };
    let web = get("web", "").await.unwrap().apps;
    assert_eq!(web.iter().map(|app| app.cluster.as_str()).collect::<Vec<_>>(), ["dev", "prod"]);
    assert_eq!(web[0].status.as_ref().unwrap().objects.len(), 1);
    assert_eq!(get("web", "prod").await.unwrap().apps.len(), 1);
    for (name, cluster) in [("none", ""), ("web", "none")] {
        assert_eq!(get(name, cluster).await.unwrap_err().code(), Code::NotFound);
    }
    let mut fleet = hub.fleet().await;
    let request = |only_unhealthy| v1::ListAppsRequest { cluster: String::new(), only_unhealthy };
    let all = fleet.list_apps(request(false)).await.unwrap().into_inner().apps;
    let names: Vec<_> =
        all.iter().map(|app| format!("{}/{}", app.status.as_ref().unwrap().app, app.cluster)).collect();
    assert_eq!(names, ["db/dev", "db/prod", "web/dev", "web/prod"]);
    assert!(all.iter().all(|app| app.status.as_ref().unwrap().objects.is_empty()));
    assert_eq!(fleet.list_apps(request(true)).await.unwrap().into_inner().apps.len(), 2);
    let missing = fleet.get_cluster(v1::GetClusterRequest { name: "none".into() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_one() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut old = hub.agent("prod", &identity, &[]).await.unwrap();
    let mut new = hub.agent("prod", &identity, &[]).await.unwrap();
    let end = old.end().await;
    assert_eq!(end.code(), Code::Aborted, "{end:?}");
    new.report_kept(1, status("web", "new")).await;
    assert_eq!(hub.cluster("prod").await.connection(), v1::Connection::Connected);
}

#[tokio::test]
async fn a_silent_agent_is_unreachable_after_three_heartbeats_and_one_that_hangs_up_at_once() {
    let hub = Hub::start_with(&["--heartbeat", "1s"]).await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    assert_eq!(agent.heartbeat_seconds, 1);
    let started = std::time::Instant::now();
    let end = agent.end().await;
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(hub.cluster("prod").await.connection(), v1::Connection::Unreachable);

    let agent = hub.agent("prod", &identity, &[]).await.unwrap();
    assert_eq!(hub.cluster("prod").await.connection(), v1::Connection::Connected);
    drop(agent);
    wait::until("the cluster is unreachable", DEADLINE, async || {
        hub.cluster("prod").await.connection() == v1::Connection::Unreachable
    })
    .await;
}

async fn change(watch: &mut Streaming<v1::WatchFleetResponse>) -> Change {
    let message = tokio::time::timeout(DEADLINE, watch.message()).await.expect("something changes");
    message.unwrap().unwrap().change.unwrap()
}

#[tokio::test]
async fn a_watch_sees_the_fleet_and_then_each_change() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;

    let mut watch =
        hub.fleet().await.watch_fleet(v1::WatchFleetRequest::default()).await.unwrap().into_inner();
    assert!(matches!(change(&mut watch).await, Change::Cluster(cluster) if cluster.name == "prod"));
    assert!(
        matches!(change(&mut watch).await, Change::App(app) if app.status.as_ref().unwrap().revision == "r1")
    );
    assert!(matches!(change(&mut watch).await, Change::InitialStateEnd(_)));

    agent.report_kept(2, status("web", "r2")).await;
    assert!(
        matches!(change(&mut watch).await, Change::App(app) if app.status.as_ref().unwrap().revision == "r2")
    );
    agent.say(Said::Removed(v1::AppRemoved { sequence: 3, app: "web".into() })).await;
    let mut removed = false;
    while !removed {
        match change(&mut watch).await {
            Change::RemovedApp(app) => removed = app.app == "web" && app.cluster == "prod",
            Change::Cluster(cluster) => assert_eq!(cluster.apps.unwrap().total, 0),
            other => panic!("{other:?}"),
        }
    }
    drop(agent);
    loop {
        match change(&mut watch).await {
            Change::Cluster(cluster) if cluster.connection() == v1::Connection::Unreachable => break,
            Change::Cluster(_) | Change::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
    hub.program.signal(muster_tests::process::Signal::SIGTERM);
    let end = loop {
        match tokio::time::timeout(DEADLINE, watch.message()).await.expect("the hub stops") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
}

/// A watcher that does not read costs the hub little, and when it reads it gets the last state.
#[tokio::test]
async fn a_slow_watcher_gets_the_last_state() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    let mut watch =
        hub.fleet().await.watch_fleet(v1::WatchFleetRequest::default()).await.unwrap().into_inner();
    let padding = "x".repeat(1_900);
    for sequence in 1..=2_000_u64 {
        let mut big = status("web", &sequence.to_string());
        big.message.clone_from(&padding);
        agent.report(sequence, big).await;
        if sequence % 200 == 0 {
            agent.acknowledged("web", sequence).await;
        }
    }
    let mut seen = 0;
    loop {
        match change(&mut watch).await {
            Change::App(app) if app.status.as_ref().unwrap().revision == "2000" => break,
            _ => seen += 1,
        }
    }
    assert!(seen < 1_500, "{seen} states before the last one");
}
