//! Do several hubs on one etcd act as one, also while hubs and members of etcd are killed?

use muster_tests::etcd::Etcd;
use muster_tests::process::Signal;
use muster_tests::wait;
use tonic::Code;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::*;

/// Hubs that share an etcd and a CA.
struct Replicas {
    hubs: Vec<Hub>,
    etcd: Etcd,
}

impl Replicas {
    async fn start() -> Option<Self> {
        let etcd = Etcd::start_or_skip(3).await?;
        let mut hubs: Vec<Hub> = Vec::new();
        for _ in 0..3 {
            let started = Hub::start_prepared(&[], |directory| {
                if let Some(first) = hubs.first() {
                    for name in ["ca.crt", "issuer.crt", "issuer.key", "operator.yaml"] {
                        std::fs::copy(first.directory.join(name), directory.join(name)).unwrap();
                    }
                }
                let config = directory.join("config.yaml");
                let text = std::fs::read_to_string(&config).unwrap();
                std::fs::write(config, text + &etcd.store()).unwrap();
            });
            let hub = started.await;
            hubs.push(hub);
        }
        Some(Self { hubs, etcd })
    }

    /// Waits until every hub but those named shows this revision of the app `web` in this cluster.
    async fn all_show(&self, cluster: &str, revision: &str, but: Option<usize>) {
        for (number, hub) in self.hubs.iter().enumerate().filter(|(number, _)| Some(*number) != but) {
            let wanted = [("web".to_owned(), revision.to_owned())];
            wait::until(&format!("hub {number} to show {revision}"), DEADLINE, async || {
                match hub.try_revisions(cluster).await {
                    Ok(found) if found == wanted => Ok(()),
                    found => Err(format!("{found:?}")),
                }
            })
            .await;
        }
    }

    /// The number of the one hub that leads.
    async fn leader(&self, but: Option<usize>) -> usize {
        wait::until("a leader", DEADLINE, async || {
            let mut leading = Vec::new();
            for (number, hub) in self.hubs.iter().enumerate().filter(|(number, _)| Some(*number) != but) {
                if hub.leads().await {
                    leading.push(number);
                }
            }
            match leading[..] {
                [one] => Ok(one),
                _ => Err(format!("{leading:?} lead")),
            }
        })
        .await
    }
}

impl Hub {
    async fn leads(&self) -> bool {
        let mut health = HealthClient::new(self.anonymous().await);
        let request = HealthCheckRequest { service: "leader".into() };
        health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
    }
}

/// Reports a revision on one of these hubs, whichever takes it, as an agent does.
async fn report(replicas: &Replicas, identity: &Identity, cluster: &str, before: &str, revision: &str) {
    let known = [status("web", before)];
    let turn = std::cell::Cell::new(0);
    wait::until(&format!("a hub to take {revision}"), DEADLINE, async || {
        turn.set(turn.get() + 1);
        let hub = &replicas.hubs[turn.get() % replicas.hubs.len()];
        let channel = hub.channel(Some(identity)).await.map_err(|error| error.to_string())?;
        let mut agent = Agent::connect(channel, cluster, &known).await.map_err(|error| error.to_string())?;
        agent.report(1, status("web", revision)).await;
        loop {
            let ack = agent.ack().await.map_err(|error| error.to_string())?;
            if ack.apps.iter().any(|ack| ack.app == "web") {
                return Ok::<(), String>(());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn any_agent_and_any_operator_may_use_any_hub() {
    let Some(replicas) = Replicas::start().await else { return };
    let [a, b, c] = &replicas.hubs[..] else { panic!("three hubs") };
    let token = a.token("prod", 1).await.token;
    let identity = b.enrol(&token, "prod").await.unwrap();
    let used = wait::until("the use to be known everywhere", DEADLINE, async || {
        let tokens =
            c.tokens().await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
        tokens.into_iter().find(|token| token.uses_left == 0)
    });
    assert_eq!(used.await.cluster, "prod");

    let mut watch = a.fleet().await.watch_fleet(v1::WatchFleetRequest::default()).await.unwrap().into_inner();
    let mut on_c = c.agent("prod", &identity, &[]).await.unwrap();
    on_c.report_kept(1, status("web", "r1")).await;
    replicas.all_show("prod", "r1", None).await;
    wait::until("every hub to know that it is connected", DEADLINE, async || {
        let mut connections = Vec::new();
        for hub in &replicas.hubs {
            connections.push(hub.cluster("prod").await.connection());
        }
        connections.iter().all(|connection| *connection == v1::Connection::Connected)
    })
    .await;
    let seen = async {
        while let Some(change) = watch.message().await.unwrap() {
            if let Some(v1::watch_fleet_response::Change::App(app)) = change.change {
                return app.status.unwrap().revision;
            }
        }
        panic!("the watch ended")
    };
    assert_eq!(tokio::time::timeout(DEADLINE, seen).await.unwrap(), "r1", "a watch on another hub");

    // The agent goes to another hub while its old stream still hangs there.
    let mut on_a = a.agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    assert_eq!(on_c.end().await.code(), Code::Aborted);
    on_a.report_kept(1, status("web", "r2")).await;
    replicas.all_show("prod", "r2", None).await;
}

#[tokio::test]
async fn a_token_for_one_use_is_used_once_however_many_hubs_are_asked() {
    let Some(replicas) = Replicas::start().await else { return };
    for _ in 0..5 {
        let token = replicas.hubs[0].token("prod", 1).await.token;
        for hub in &replicas.hubs {
            wait::until("the token to be known", DEADLINE, async || {
                let tokens = hub.tokens().await.list_tokens(v1::ListTokensRequest {}).await.unwrap();
                let id = token.split('.').nth(1).unwrap();
                tokens.into_inner().tokens.iter().any(|token| token.id == id)
            })
            .await;
        }
        let asked = replicas.hubs.iter().map(|hub| hub.enrol(&token, "prod"));
        let granted = futures::future::join_all(asked).await;
        let count = granted.iter().filter(|granted| granted.is_ok()).count();
        assert!(count <= 1, "{count} hubs granted it");
    }
}

#[tokio::test]
async fn hubs_and_members_of_etcd_are_killed_in_turn_and_nothing_acknowledged_is_lost() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let identity = replicas.hubs[0].enrolled("prod").await;
    let mut revision = 0;
    let mut step = async |replicas: &Replicas, but: Option<usize>| {
        let before = format!("r{revision}");
        revision += 1;
        let now = format!("r{revision}");
        report(replicas, &identity, "prod", &before, &now).await;
        replicas.all_show("prod", &now, but).await;
    };
    step(&replicas, None).await;
    for number in 0..3 {
        let led = replicas.leader(None).await;
        replicas.hubs[number].program.kill();
        step(&replicas, Some(number)).await;
        let leads = replicas.leader(Some(number)).await;
        assert!(leads != number && (led == number || leads == led), "{leads} leads after {led} did");
        replicas.hubs[number].restart().await;
        step(&replicas, None).await;
    }
    for number in 0..3 {
        replicas.etcd.members[number].kill();
        step(&replicas, None).await;
        replicas.etcd.members[number].restart().unwrap();
        step(&replicas, None).await;
    }
    for hub in &replicas.hubs {
        let events = hub.fleet().await.list_events(v1::ListEventsRequest::default()).await.unwrap();
        let events = events.into_inner().events;
        let ids: std::collections::BTreeSet<_> = events.iter().map(|event| &event.id).collect();
        assert_eq!(ids.len(), events.len(), "no event is there twice");
    }
}

#[tokio::test]
async fn a_hub_that_slept_wakes_to_what_the_others_did_meanwhile() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let identity = replicas.hubs[0].enrolled("prod").await;
    report(&replicas, &identity, "prod", "r0", "r1").await;
    replicas.all_show("prod", "r1", None).await;
    let led = replicas.leader(None).await;
    let mut old = replicas.hubs[led].agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    replicas.hubs[led].program.pause();
    let next = replicas.leader(Some(led)).await;
    let other = &replicas.hubs[next];
    let mut agent = other.agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    agent.report_kept(1, status("web", "r2")).await;
    // What it is told before it wakes is not to win over what came later.
    old.report(1, status("web", "stale")).await;
    replicas.hubs[led].program.resume();
    old.end().await;
    replicas.all_show("prod", "r2", None).await;
    assert!(replicas.hubs[led].program.log().contains("does not lead any more"));
}

#[tokio::test]
async fn a_hub_that_stops_hands_over_at_once_and_is_not_taken_for_a_cluster_that_is_lost() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let identity = replicas.hubs[0].enrolled("prod").await;
    let led = replicas.leader(None).await;
    let mut agent = replicas.hubs[led].agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    replicas.hubs[led].program.signal(Signal::SIGTERM);
    assert_eq!(agent.end().await.code(), Code::Unavailable);
    let ended = replicas.hubs[led].program.wait_for_end(DEADLINE).await.unwrap();
    assert!(ended.success(), "{}", replicas.hubs[led].program.tail());
    let next = replicas.leader(Some(led)).await;
    let mut agent = replicas.hubs[next].agent("prod", &identity, &[status("web", "r1")]).await.unwrap();
    agent.report_kept(1, status("web", "r2")).await;
    replicas.all_show("prod", "r2", Some(led)).await;
    let events =
        replicas.hubs[next].fleet().await.list_events(v1::ListEventsRequest::default()).await.unwrap();
    let lost = events.into_inner().events;
    let lost = lost.iter().filter(|event| event.kind() == v1::EventKind::Disconnected);
    assert_eq!(lost.count(), 0);
}

#[tokio::test]
async fn without_etcd_hubs_show_what_they_know_take_nothing_and_recover() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let identity = replicas.hubs[0].enrolled("prod").await;
    report(&replicas, &identity, "prod", "r0", "r1").await;
    replicas.all_show("prod", "r1", None).await;
    replicas.etcd.members.iter_mut().for_each(muster_tests::process::Program::kill);
    let tokens = async {
        let request = v1::CreateTokenRequest { cluster: "prod".into(), uses: 1, ..Default::default() };
        replicas.hubs[0].tokens().await.create_token(request).await
    };
    assert_eq!(tokens.await.unwrap_err().code(), Code::Unavailable);
    replicas.all_show("prod", "r1", None).await;
    for member in &mut replicas.etcd.members {
        member.restart().unwrap();
    }
    report(&replicas, &identity, "prod", "r1", "r2").await;
    replicas.all_show("prod", "r2", None).await;
}
