use std::time::Duration;

use v1::watch_fleet_response::Change;

use super::*;
use crate::{
    access::{
        policy::{Binding, Policy, Role, Scope, Subject},
        user::{Proof, User},
    },
    audit::Log,
    clock::Now,
    fleet::{Input, Report, Rules, StreamId},
    record::Loaded,
    tokens::Table,
};

fn now() -> Now {
    Now { wall: jiff::Timestamp::UNIX_EPOCH, uptime: Duration::ZERO }
}

struct Fixture {
    fleet: Arc<RwLock<Fleet>>,
    watchers: Arc<Watchers>,
    sequence: u64,
}

impl Fixture {
    /// Clusters `a` and `b`, each with app `web`.
    async fn new() -> Self {
        let rules = Rules { heartbeat: Duration::from_secs(10) };
        let state = State::restore(Loaded::default(), rules, now());
        let fleet = Arc::new(RwLock::new(Fleet {
            state,
            tokens: Table::default(),
            audit: Log::default(),
            alerts: crate::alerts::Table::default(),
        }));
        let mut fixture = Self { fleet, watchers: Arc::default(), sequence: 0 };
        for cluster in ["a", "b"] {
            fixture
                .apply(Input::Connected {
                    cluster: cluster.parse().unwrap(),
                    stream: StreamId(1),
                    certificate_expires_at: now().wall,
                    generation: 0,
                    apps: std::collections::BTreeMap::new(),
                })
                .await;
            fixture.report(cluster, "r0").await;
        }
        fixture
    }

    async fn apply(&mut self, input: Input) {
        let changes = self.fleet.write().await.state.apply(input, now());
        self.watchers.touch(&changes.touched);
    }

    async fn say(&mut self, cluster: &str, report: Report) {
        let (cluster, report) = (cluster.parse().unwrap(), Box::new(report));
        self.apply(Input::Reported { cluster, stream: StreamId(1), report }).await;
    }

    async fn report(&mut self, cluster: &str, revision: &str) {
        self.sequence += 1;
        let status = v1::AppStatus { app: "web".into(), revision: revision.into(), ..Default::default() };
        let digest = crate::fleet::digest_of(&status);
        let (app, sequence) = ("web".parse().unwrap(), self.sequence);
        self.say(cluster, Report::App { app, sequence, digest, status }).await;
    }

    async fn watch(
        &self,
        cluster: Option<&str>,
    ) -> BoxStream<'static, Result<v1::WatchFleetResponse, Status>> {
        self.resume(cluster, None).await.unwrap()
    }

    async fn resume(
        &self,
        cluster: Option<&str>,
        resume: Option<String>,
    ) -> Result<BoxStream<'static, Result<v1::WatchFleetResponse, Status>>, Status> {
        let asked = Asked { cluster: cluster.map(str::to_owned), grant: viewer(), resume };
        self.watchers.watch(Arc::clone(&self.fleet), asked, std::future::pending()).await
    }
}

/// Somebody who may see everything.
fn viewer() -> Arc<Grant> {
    let user = User {
        name: "ada".to_owned(),
        groups: Vec::new(),
        proof: Proof::Certificate { issued_at: jiff::Timestamp::UNIX_EPOCH },
        expires_at: None,
    };
    let subject = Subject::User(user.name.clone());
    let all = Binding { subject, role: Role::Viewer, scope: Scope::default() };
    Arc::new(Policy { bindings: vec![all] }.grant(&user))
}

fn words(change: Change) -> String {
    match change {
        Change::Cluster(cluster) => format!("cluster {}", cluster.name),
        Change::App(app) => format!("app {}/web {}", app.cluster, app.status.unwrap().revision),
        Change::RemovedApp(removed) => format!("removed {}/{}", removed.cluster, removed.app),
        Change::InitialStateEnd(_) => "end".into(),
        Change::Event(event) => format!("event {}", event.id),
    }
}

/// All that can be had without waiting.
async fn ready(stream: &mut BoxStream<'static, Result<v1::WatchFleetResponse, Status>>) -> Vec<String> {
    use futures::FutureExt as _;
    tokio::task::yield_now().await; // a task may take only so many locks at a time
    let mut seen = Vec::new();
    while let Some(Some(response)) = stream.next().now_or_never() {
        seen.push(words(response.unwrap().change.unwrap()));
    }
    seen
}

#[tokio::test]
async fn a_watch_begins_with_the_fleet_as_it_is() {
    let fixture = Fixture::new().await;
    let all = ["cluster a", "cluster b", "app a/web r0", "app b/web r0", "end"];
    assert_eq!(ready(&mut fixture.watch(None).await).await, all);
    assert_eq!(ready(&mut fixture.watch(Some("b")).await).await, ["cluster b", "app b/web r0", "end"]);
    assert_eq!(ready(&mut fixture.watch(Some("c")).await).await, ["end"]);
}

#[tokio::test]
async fn a_slow_watcher_gets_the_last_state_of_each_thing() {
    let mut fixture = Fixture::new().await;
    let (mut all, mut only_b) = (fixture.watch(None).await, fixture.watch(Some("b")).await);
    let _ = (ready(&mut all).await, ready(&mut only_b).await);
    for revision in 1..=500 {
        fixture.report("a", &format!("r{revision}")).await;
    }
    assert_eq!(ready(&mut all).await, ["app a/web r500"]);
    assert_eq!(ready(&mut only_b).await, Vec::<String>::new());
}

#[tokio::test]
async fn removals_and_events_are_told() {
    let mut fixture = Fixture::new().await;
    let mut watch = fixture.watch(None).await;
    let _ = ready(&mut watch).await;
    fixture.say("a", Report::Removed { app: "web".parse().unwrap(), sequence: 100 }).await;
    fixture.say("a", Report::Event(v1::Event { id: "e1".into(), ..Default::default() })).await;
    assert_eq!(ready(&mut watch).await, ["cluster a", "removed a/web", "event e1"]);
}

#[tokio::test]
async fn events_for_a_slow_watcher_are_bounded() {
    let mut fixture = Fixture::new().await;
    let mut watch = fixture.watch(None).await;
    let _ = ready(&mut watch).await;
    for number in 0..EVENTS_MAX + 5 {
        fixture.say("a", Report::Event(v1::Event { id: number.to_string(), ..Default::default() })).await;
    }
    let seen = ready(&mut watch).await;
    assert_eq!((seen.len(), seen[0].as_str()), (EVENTS_MAX, "event 5"));
}

#[tokio::test]
async fn a_change_wakes_a_watcher_that_waits() {
    let mut fixture = Fixture::new().await;
    let mut watch = fixture.watch(None).await;
    let _ = ready(&mut watch).await;
    let waiting = tokio::spawn(async move { words(watch.next().await.unwrap().unwrap().change.unwrap()) });
    tokio::task::yield_now().await;
    fixture.report("b", "r1").await;
    let seen = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert_eq!(seen, "app b/web r1");
}

#[tokio::test]
async fn a_watch_ends_with_the_reason_and_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let end = std::future::ready(Status::unavailable("the hub stops"));
    let asked = Asked { cluster: None, grant: viewer(), resume: None };
    let mut watch = fixture.watchers.watch(Arc::clone(&fixture.fleet), asked, end).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
    assert!(watch.next().await.is_none());
    drop(watch);
    fixture.watchers.touch(&[Touched::Cluster("a".parse().unwrap())]);
    assert!(lock(&fixture.watchers.all).is_empty());
}

#[tokio::test]
async fn watchers_are_bounded() {
    let fixture = Fixture::new().await;
    let mut open = Vec::new();
    for _ in 0..WATCHERS_MAX {
        open.push(fixture.watch(None).await);
    }
    let one_more = || fixture.resume(None, None);
    assert_eq!(one_more().await.err().unwrap().code(), tonic::Code::ResourceExhausted);
    open.pop();
    assert!(one_more().await.is_ok());
}

/// What is told up to the end of the initial state, and the token that stands for it.
async fn caught_up(
    watch: &mut BoxStream<'static, Result<v1::WatchFleetResponse, Status>>,
) -> (Vec<String>, String) {
    let mut told = Vec::new();
    loop {
        let response = watch.next().await.unwrap().unwrap();
        let change = response.change.unwrap();
        if matches!(change, Change::InitialStateEnd(_)) {
            return (told, response.resume_token);
        }
        told.push(words(change));
    }
}

#[tokio::test]
async fn who_comes_back_is_told_what_has_changed_since_and_nothing_else() {
    let mut fixture = Fixture::new().await;
    let mut watch = fixture.watch(None).await;
    let (told, token) = caught_up(&mut watch).await;
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(!token.is_empty());
    drop(watch);
    fixture.report("a", "r1").await;
    let mut watch = fixture.resume(None, Some(token.clone())).await.unwrap();
    let (told, later) = caught_up(&mut watch).await;
    assert_eq!(told, ["app a/web r1"]);
    fixture.report("b", "r2").await;
    let (mut last, mut seen) = (String::new(), false);
    while last.is_empty() {
        let response = watch.next().await.unwrap().unwrap();
        seen |= words(response.change.unwrap()).contains("r2");
        last = response.resume_token;
    }
    assert!(seen && last != later);
    let refused = fixture.resume(Some("a"), Some(token)).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::OutOfRange);
}
