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
    let request = |only_unhealthy| v1::ListAppsRequest { only_unhealthy, ..Default::default() };
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

#[tokio::test]
async fn long_lists_come_in_pages_and_in_the_view_that_is_asked_for() {
    let hub = Hub::start().await;
    let mut agents = Vec::new();
    for cluster in ["a", "b", "c"] {
        let identity = hub.enrolled(cluster).await;
        let mut agent = hub.agent(cluster, &identity, &[]).await.unwrap();
        for (sequence, app) in ["api", "web"].into_iter().enumerate() {
            let mut report = status(app, "r1");
            report.objects = vec![v1::ObjectStatus { message: "an object".into(), ..Default::default() }];
            agent.report_kept(sequence as u64 + 1, report).await;
        }
        agents.push(agent);
    }
    let mut fleet = hub.fleet().await;
    let (mut names, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = v1::ListClustersRequest { page_size: 2, page_token, ..Default::default() };
        let answer = fleet.list_clusters(request).await.unwrap().into_inner();
        names.extend(answer.clusters.into_iter().map(|cluster| cluster.name));
        pages += 1;
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((names, pages), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 2));
    let (mut apps, mut page_token) = (Vec::new(), String::new());
    loop {
        let view = v1::AppView::Full.into();
        let request = v1::ListAppsRequest { page_size: 4, page_token, view, ..Default::default() };
        let answer = fleet.list_apps(request).await.unwrap().into_inner();
        assert!(answer.apps.len() <= 4);
        apps.extend(answer.apps.into_iter().map(|app| {
            let status = app.status.unwrap();
            assert_eq!(status.objects.len(), 1, "the full view has objects");
            format!("{}/{}", status.app, app.cluster)
        }));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(apps, ["api/a", "api/b", "api/c", "web/a", "web/b", "web/c"]);
    let (mut events, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListEventsRequest { limit: 4, page_token, ..Default::default() };
        let answer = fleet.list_events(request).await.unwrap().into_inner();
        events.extend(answer.events.into_iter().map(|event| event.id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let all = v1::ListEventsRequest::default();
    let all = fleet.list_events(all).await.unwrap().into_inner().events;
    assert_eq!(events, all.into_iter().map(|event| event.id).collect::<Vec<_>>());
    let request = v1::ListClustersRequest { page_token: "!".into(), ..Default::default() };
    assert_eq!(fleet.list_clusters(request).await.unwrap_err().code(), Code::InvalidArgument);
    let request = v1::ListEventsRequest { page_token: "bm9uZQ".into(), ..Default::default() };
    assert_eq!(fleet.list_events(request).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_watch_goes_on_where_another_ended() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("a").await;
    let mut agent = hub.agent("a", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    agent.report_kept(2, status("api", "r1")).await;
    let mut fleet = hub.fleet().await;
    // What is told up to the end of the initial state, and the token for it.
    let mut follow = async |resume_token: String| {
        let request = v1::WatchFleetRequest { resume_token, ..Default::default() };
        let mut watch = fleet.watch_fleet(request).await?.into_inner();
        let mut apps = Vec::new();
        loop {
            let told = watch.message().await?.expect("a watch does not end by itself");
            match told.change.unwrap() {
                Change::App(app) => apps.push(app.status.unwrap().app),
                Change::InitialStateEnd(_) => return Ok::<_, Status>((apps, told.resume_token)),
                _ => {}
            }
        }
    };
    let (apps, token) = follow(String::new()).await.unwrap();
    assert_eq!(apps, ["api", "web"]);
    agent.report_kept(3, status("web", "r2")).await;
    let (apps, _) = follow(token.clone()).await.unwrap();
    assert_eq!(apps, ["web"]);
    let refused = follow(format!("{token}0")).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_wrong_clock_is_seen() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("late").await;
    let agent = hub.agent("late", &identity, &[]).await.unwrap();
    let behind = std::time::SystemTime::now() - Duration::from_secs(3_600);
    agent.say(Said::Heartbeat(v1::Heartbeat { sent_at: Some(behind.into()) })).await;
    let skew = wait::until("the clock seen", DEADLINE, async || {
        hub.cluster("late").await.clock_skew.ok_or("it is not there")
    })
    .await;
    assert!((-3_700..-3_500).contains(&skew.seconds), "{skew:?}");
    let shown = hub.muster(&["clusters"]).run(DEADLINE).await.unwrap();
    assert!(
        shown.stdout.contains("its clock is 59m") || shown.stdout.contains("its clock is 1h"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("behind"), "{}", shown.stdout);
}
