//! Stories of a cluster and its hub.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use muster_wire::v1::{AppStatus, ClusterStatus, Event};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    HubConfig,
    identity::{Identity, Key},
    testing::{Authority, FakeHub, FakeSecret, HubState, kubernetes},
};
use crate::report::Reports;

/// A cluster's link, its hub, and what lies between.
struct Story {
    folder: tempfile::TempDir,
    authority: Arc<Authority>,
    state: Arc<Mutex<HubState>>,
    hub: Option<FakeHub>,
    port: u16,
    secret: FakeSecret,
    reports: Reports,
    link: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Story {
    /// A hub that runs, a cluster that has a token, and a link that was not started yet.
    async fn new() -> Self {
        let (authority, state) = (Arc::new(Authority::new()), Arc::new(Mutex::new(HubState::default())));
        let hub = FakeHub::start(&authority, &state, 0).await;
        let port = hub.address.port();
        let story = Self {
            folder: tempfile::tempdir().unwrap(),
            authority,
            state,
            hub: Some(hub),
            port,
            secret: FakeSecret::default(),
            reports: Reports::new(),
            link: None,
        };
        story.reports.settle();
        story.write_token("right");
        story
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn write_token(&self, secret: &str) {
        std::fs::write(self.token_file(), self.authority.token(secret) + "\n").unwrap();
    }

    fn start(&mut self) {
        let config = HubConfig {
            address: format!("127.0.0.1:{}", self.port),
            cluster: "dev".to_owned(),
            token_file: Some(self.token_file()),
            namespace: "muster-system".to_owned(),
        };
        let shutdown = CancellationToken::new();
        let link = super::run(
            config,
            self.reports.clone(),
            Arc::default(),
            kubernetes(&self.secret),
            shutdown.clone(),
        );
        self.link = Some((tokio::spawn(link), shutdown));
    }

    async fn stop(&mut self) {
        let (link, shutdown) = self.link.take().unwrap();
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), link).await.expect("the link stops when told").unwrap();
    }

    async fn stop_hub(&mut self) {
        self.hub.take().unwrap().stop().await;
    }

    async fn restart_hub(&mut self) {
        self.hub = Some(FakeHub::start(&self.authority, &self.state, self.port).await);
    }

    /// Waits until the hub's state is as it should be.
    async fn until(&self, what: &str, done: impl Fn(&HubState) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(&self.state.lock().unwrap()) {
            assert!(Instant::now() < deadline, "not within 20 seconds: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn set_app(&self, app: &str, message: &str) {
        self.reports.set_app(AppStatus { app: app.into(), message: message.into(), ..AppStatus::default() });
    }

    fn push_event(&self, id: &str) {
        self.reports.push_event(Event { id: id.into(), ..Event::default() });
    }
}

fn has(state: &HubState, app: &str, message: &str) -> bool {
    state.apps.get(app).is_some_and(|status| status.message == message)
}

#[tokio::test]
async fn a_cluster_enrols_reports_and_needs_no_token_afterwards() {
    let mut story = Story::new().await;
    story.reports.set_cluster(ClusterStatus { leader: "node-1".into(), ..ClusterStatus::default() });
    story.set_app("web", "first");
    story.push_event("event-1");
    story.start();
    story
        .until("the hub has all", |hub| {
            hub.cluster.is_some() && has(hub, "web", "first") && hub.events.len() == 1
        })
        .await;
    story.set_app("web", "second");
    story.set_app("api", "new");
    story.until("changes arrive", |hub| has(hub, "web", "second") && has(hub, "api", "new")).await;
    story.reports.remove_app("api");
    story.until("the removal arrives", |hub| !hub.apps.contains_key("api")).await;
    story.stop().await;

    std::fs::remove_file(story.token_file()).unwrap();
    let reports_before = story.state.lock().unwrap().reports;
    story.start();
    story.until("linked again", |hub| hub.welcomes == 2).await;
    story.set_app("web", "third");
    story.until("and reporting", |hub| has(hub, "web", "third")).await;
    let state = story.state.lock().unwrap();
    assert_eq!(state.enrolments, 1);
    // The hub had the rest: digests showed it, and nothing was sent twice.
    assert_eq!(state.reports, reports_before + 1);
    assert_eq!(state.events.len(), 1);
}

#[tokio::test]
async fn the_hub_hears_nothing_before_the_agent_knows_its_apps() {
    let mut story = Story::new().await;
    story.set_app("web", "first");
    story.start();
    story.until("reported", |hub| has(hub, "web", "first")).await;
    story.stop().await;
    // A new process: it has yet to find out that it has this app.
    story.reports = Reports::new();
    story.start();
    tokio::task::yield_now().await;
    story.set_app("web", "first");
    story.reports.settle();
    story.until("linked", |hub| hub.welcomes == 2).await;
    assert_eq!(story.state.lock().unwrap().reports, 1, "the hub never forgot it");
}

#[tokio::test]
async fn what_happens_while_the_hub_is_away_arrives_when_it_is_back() {
    let mut story = Story::new().await;
    for app in ["api", "db", "web"] {
        story.set_app(app, "first");
    }
    story.start();
    story.until("the hub has all", |hub| hub.apps.len() == 3).await;
    story.stop_hub().await;
    for number in 0..100 {
        story.set_app("web", &format!("change {number}"));
        story.push_event(&format!("event-{number}"));
    }
    story.reports.remove_app("api");
    let reports_before = story.state.lock().unwrap().reports;
    story.restart_hub().await;
    story
        .until("last states and all events", |hub| has(hub, "web", "change 99") && hub.events.len() == 100)
        .await;
    let state = story.state.lock().unwrap();
    assert!(!state.apps.contains_key("api") && has(&state, "db", "first"));
    assert_eq!(state.reports, reports_before + 1, "only the last state of what changed is sent");
}

#[tokio::test]
async fn a_cut_connection_is_made_again() {
    let mut story = Story::new().await;
    story.start();
    for round in 1..=3 {
        story.until("linked", |hub| hub.welcomes == round).await;
        story.set_app("web", &format!("round {round}"));
        story.hub.as_ref().unwrap().cut_connections();
    }
    story.until("the last state is there", |hub| has(hub, "web", "round 3")).await;
}

#[tokio::test]
async fn a_hub_that_comes_later_is_found() {
    let mut story = Story::new().await;
    story.stop_hub().await;
    story.set_app("web", "first");
    story.start();
    tokio::task::yield_now().await;
    story.restart_hub().await;
    story.until("linked", |hub| has(hub, "web", "first")).await;
}

#[tokio::test]
async fn a_wrong_token_is_replaced_without_a_restart() {
    let mut story = Story::new().await;
    story.write_token("wrong");
    story.start();
    story.until("refused", |hub| hub.enrolments == 1).await;
    assert_eq!(story.state.lock().unwrap().welcomes, 0);
    assert!(story.secret.lock().unwrap().is_none());
    story.write_token("right");
    story.until("linked", |hub| hub.welcomes == 1).await;
}

#[tokio::test]
async fn a_token_is_never_shown_to_an_impostor() {
    let mut story = Story::new().await;
    let (authority, state) = (Arc::new(Authority::new()), Arc::new(Mutex::new(HubState::default())));
    story.stop_hub().await;
    let fake = FakeHub::start(&authority, &state, story.port).await;
    story.state = state;
    story.start();
    story.until("it tried", |hub| hub.failed_handshakes >= 1).await;
    assert_eq!(story.state.lock().unwrap().enrolments, 0);
    // A token of that hub is another matter.
    std::fs::write(story.token_file(), authority.token("right")).unwrap();
    story.until("linked", |hub| hub.welcomes == 1).await;
    drop(fake);
}

#[tokio::test]
async fn certificates_are_renewed_over_the_live_connection_and_used_for_the_next() {
    let mut story = Story::new().await;
    // Seconds are what certificates count in.
    story.state.lock().unwrap().lifetime = Duration::from_secs(3);
    story.start();
    story.until("linked", |hub| hub.welcomes == 1).await;
    let first = story.secret.lock().unwrap().clone();
    story.state.lock().unwrap().lifetime = Duration::from_secs(3_600);
    story.until("linked with the new one", |hub| hub.renewals == 1 && hub.welcomes == 2).await;
    let state = story.state.lock().unwrap();
    assert_eq!(state.enrolments, 1);
    assert_ne!(state.certificates[0], state.certificates[1]);
    assert_ne!(*story.secret.lock().unwrap(), first);
}

#[tokio::test]
async fn an_identity_of_another_cluster_is_replaced_once_there_is_a_token() {
    let mut story = Story::new().await;
    std::fs::remove_file(story.token_file()).unwrap();
    let key = Key::generate().unwrap();
    let certificate = story.authority.client(&key.request().unwrap(), "prod", Duration::from_secs(3_600));
    let identity = Identity::new(certificate, vec![story.authority.der().to_vec()], &key).unwrap();
    super::secret::Vault::new(kubernetes(&story.secret), "muster-system").save(&identity).await.unwrap();
    story.start();
    story.write_token("right");
    story.until("linked as itself", |hub| hub.welcomes == 1 && hub.enrolments == 1).await;
    assert_eq!(story.state.lock().unwrap().certificates.len(), 1, "the other one was not even shown");
}

#[tokio::test]
async fn a_certificate_that_tls_refuses_is_replaced_once_there_is_a_token() {
    let mut story = Story::new().await;
    let (other, key) = (Authority::new(), Key::generate().unwrap());
    let certificate = other.client(&key.request().unwrap(), "dev", Duration::from_secs(3_600));
    let identity = Identity::new(certificate, vec![story.authority.der().to_vec()], &key).unwrap();
    super::secret::Vault::new(kubernetes(&story.secret), "muster-system").save(&identity).await.unwrap();
    story.start();
    story.until("linked", |hub| hub.welcomes == 1 && hub.enrolments == 1 && hub.failed_handshakes >= 1).await;
}

#[tokio::test]
async fn a_revoked_cluster_enrols_again_with_a_new_token() {
    let mut story = Story::new().await;
    story.start();
    story.until("linked", |hub| hub.welcomes == 1).await;
    {
        let mut state = story.state.lock().unwrap();
        state.refuse = Some(tonic::Status::permission_denied("this certificate was revoked"));
        state.secret = "second".to_owned();
    }
    story.hub.as_ref().unwrap().cut_connections();
    story.until("refused", |hub| hub.refusals >= 1).await;
    story.write_token("second");
    story.until("linked again", |hub| hub.welcomes == 2 && hub.certificates.len() == 2).await;
}

#[tokio::test]
async fn a_new_ca_needs_a_new_token_and_no_restart() {
    let mut story = Story::new().await;
    story.start();
    story.until("linked", |hub| hub.welcomes == 1).await;
    story.stop_hub().await;
    story.authority = Arc::new(Authority::new());
    story.restart_hub().await;
    story.write_token("right");
    story.until("linked to the new hub", |hub| hub.welcomes == 2 && hub.enrolments == 2).await;
}

#[tokio::test]
async fn a_quiet_cluster_sends_heartbeats() {
    let mut story = Story::new().await;
    story.state.lock().unwrap().heartbeat_seconds = 1;
    story.start();
    story.until("two heartbeats", |hub| hub.heartbeats == 2).await;
}

#[tokio::test]
async fn a_hub_that_does_not_acknowledge_holds_nothing_up() {
    let mut story = Story::new().await;
    story.state.lock().unwrap().acknowledge = false;
    story.start();
    story.until("linked", |hub| hub.welcomes == 1).await;
    for number in 0..500 {
        story.set_app(&format!("app-{number}"), "first");
    }
    story.until("a window full", |hub| hub.reports == super::link::REPORTS_IN_FLIGHT_MAX).await;
    story.state.lock().unwrap().acknowledge = true;
    story.hub.as_ref().unwrap().cut_connections();
    story.until("everything", |hub| hub.apps.len() == 500).await;
}
