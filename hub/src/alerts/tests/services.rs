//! Do Slack's bot and the statuses of commits ask as the servers there want to be asked?

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use muster_spec::Catalog;
use serde_json::{Value, json};

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// What a server was asked: the method, the path, who asks, and the body.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    method: String,
    path: String,
    authorization: String,
    body: Value,
}

/// A server on loopback that gives these answers, and then is content with everything.
#[derive(Clone, Default)]
struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl Server {
    async fn start(answers: Vec<(u16, Value)>) -> (Self, SocketAddr) {
        let server = Self { answers: Arc::new(Mutex::new(answers.into())), ..Self::default() };
        let own = server.clone();
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let header =
                |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
            assert!(header("user-agent").starts_with("muster-hub/") || uri.path().starts_with("/slack"));
            let mut asked = own.asked.lock().unwrap();
            asked.push(Asked {
                method: method.to_string(),
                path: uri.path().to_owned(),
                authorization: header("authorization"),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            });
            // Each post has a name of its own.
            let usual = json!({"ok": true, "channel": "C1", "ts": format!("17.{}", asked.len())});
            let (status, body) = own.answers.lock().unwrap().pop_front().unwrap_or((200, usual));
            (StatusCode::from_u16(status).unwrap(), body.to_string())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (server, address)
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A hub's alerts with one receiver, over a time that passes in one step.
struct Scene {
    table: Table,
    tellers: Tellers,
    receiver: Receiver,
    now: i64,
    reading: Arc<Reading>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(kind: ReceiverKind, url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "the-token\n").unwrap();
        let receiver = Receiver { kind, url, token_file: Some(token), ..settings().receivers.remove(0) };
        let settings = AlertSettings { receivers: vec![receiver.clone()], ..settings() };
        let fleet = "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  waves:\n  \
                     - {name: prod, clusters: {matchLabels: {env: prod}}}\n---\napiVersion: muster.dev/v1alpha1\n\
                     kind: Cluster\nmetadata: {name: prod-1, labels: {env: prod}}\n";
        let catalog = Catalog::load([("muster.yaml", fleet.as_bytes())]);
        let reading = Arc::new(Reading::of(&catalog, std::collections::BTreeMap::new()));
        let tellers = Tellers::new(Arc::new(settings)).unwrap();
        Self { table: Table::default(), tellers, receiver, now: 0, reading, _folder: folder }
    }

    /// Lets so many seconds pass while these are wrong, with a revision each, and tells what is to be told.
    async fn pass(&mut self, seconds: i64, wrong: &[(&str, &str)]) -> Vec<Result<String, String>> {
        let seen = wrong
            .iter()
            .map(|(key, revision)| (key.parse().unwrap(), ("it crashes".to_owned(), (*revision).to_owned())));
        let conditions = Conditions {
            seen: seen.collect(),
            reading: Some(Arc::clone(&self.reading)),
            ..Conditions::default()
        };
        let settings = AlertSettings { receivers: vec![self.receiver.clone()], ..settings() };
        for _ in 0..seconds {
            self.table.step(&conditions, &settings, at(self.now));
            self.now += 1;
        }
        let mut results = Vec::new();
        for message in self.table.outstanding(&self.receiver, settings.timing, at(self.now)) {
            let sent = self.tellers.send(&self.receiver, &message, at(self.now)).await;
            if let Ok(reference) = &sent {
                self.table.told(&self.receiver.name, &message, reference, at(self.now));
            }
            results.push(sent.map_err(|failure| failure.problem));
        }
        results
    }
}

fn statuses(provider: muster_spec::CodeHost) -> ReceiverKind {
    ReceiverKind::CommitStatuses(CommitStatuses { provider, repository: "acme/fleet".to_owned() })
}

#[tokio::test]
async fn a_commit_fails_in_a_wave_until_all_that_is_wrong_with_it_there_is_over() {
    for (provider, base, path, name, failed) in [
        (muster_spec::CodeHost::Github, "", "/repos/acme/fleet/statuses/", "context", "failure"),
        (
            muster_spec::CodeHost::Gitea,
            "/api/v1/",
            "/api/v1/repos/acme/fleet/statuses/",
            "context",
            "failure",
        ),
        (
            muster_spec::CodeHost::Gitlab,
            "/api/v4",
            "/api/v4/projects/acme%2Ffleet/statuses/",
            "name",
            "failed",
        ),
    ] {
        let (server, address) = Server::start(Vec::new()).await;
        let mut scene = Scene::new(statuses(provider), format!("http://{address}{base}"));
        let (web, api, edge) = ("Degraded/prod-1/web", "Degraded/prod-1/api", "Degraded/edge/web");
        scene.pass(320, &[(web, A), (api, A), (edge, B)]).await;
        let status = |revision: &str, context: &str, state: &str, description: &str, page: &str| Asked {
            method: "POST".to_owned(),
            path: format!("{path}{revision}"),
            authorization: "Bearer the-token".to_owned(),
            body: json!({
                "state": state, name: context, "description": description,
                "target_url": format!("https://hub.test/#/apps/{page}"),
            }),
        };
        let both = "web is Degraded in 2 clusters";
        let expected = [
            status(A, "muster/prod", failed, "api is Degraded in prod-1", "api"),
            status(A, "muster/prod", failed, both, "web"),
            // A cluster of no wave stands for itself.
            status(B, "muster/edge", failed, both, "web"),
        ];
        assert_eq!(server.asked(), expected);
        scene.pass(80, &[(api, A)]).await;
        let over = "Resolved: web is no longer Degraded in 2 clusters";
        let expected = [
            status(A, "muster/prod", failed, "another alert is still firing", "web"),
            status(B, "muster/edge", "success", over, "web"),
        ];
        assert_eq!(server.asked(), expected);
        scene.pass(80, &[]).await;
        let over = "Resolved: api is no longer Degraded in prod-1";
        assert_eq!(server.asked(), [status(A, "muster/prod", "success", over, "api")]);
    }
}

#[tokio::test]
async fn a_commit_that_fails_as_the_one_before_is_told_at_once() {
    let (server, address) = Server::start(Vec::new()).await;
    let mut scene = Scene::new(statuses(muster_spec::CodeHost::Github), format!("http://{address}"));
    for revision in [A, B, B, A] {
        scene.pass(320, &[("Degraded/prod-1/web", revision)]).await;
    }
    let paths: Vec<String> = server.asked().into_iter().map(|one| one.path).collect();
    let expected = [A, B, A].map(|revision| format!("/repos/acme/fleet/statuses/{revision}"));
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn a_commit_that_waits_is_pending_and_what_is_about_no_commit_sets_nothing() {
    let (server, address) = Server::start(Vec::new()).await;
    let mut scene = Scene::new(statuses(muster_spec::CodeHost::Github), format!("http://{address}"));
    let results = scene.pass(
        320,
        &[("ApprovalWaiting/prod/web", A), ("Unreachable/prod-1/", ""), ("Degraded/edge/api", "../x")],
    );
    assert!(results.await.iter().all(Result::is_ok));
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0].body["state"], &asked[0].body["context"]),
        (&"pending".into(), &"muster/prod".into())
    );
}

#[tokio::test]
async fn refusals_of_a_code_host_are_failures_unless_nothing_can_be_done() {
    let late = json!({"message": "Cannot transition status via :drop from :failed"});
    for (provider, answer, is_taken) in [
        (muster_spec::CodeHost::Github, (422, json!({"message": "No commit found for SHA"})), true),
        (muster_spec::CodeHost::Gitlab, (400, late), true),
        (muster_spec::CodeHost::Gitlab, (404, json!({"message": "404 Commit Not Found"})), true),
        (muster_spec::CodeHost::Gitlab, (404, json!({"message": "404 Project Not Found"})), false),
        (muster_spec::CodeHost::Gitlab, (400, json!({"message": "state is missing"})), false),
        (muster_spec::CodeHost::Github, (401, json!({"message": "Bad credentials"})), false),
    ] {
        let (server, address) = Server::start(vec![answer.clone(), answer.clone()]).await;
        let mut scene = Scene::new(statuses(provider), format!("http://{address}"));
        let results = scene.pass(320, &[("Degraded/prod-1/web", A)]).await;
        assert_eq!(results[0].is_ok(), is_taken, "{answer:?}: {results:?}");
        assert_eq!(server.asked().len(), 1);
        assert!(!format!("{results:?}").contains("the-token"));
    }
    let (server, address) = Server::start(vec![(401, json!({}))]).await;
    let scene = Scene::new(statuses(muster_spec::CodeHost::Github), format!("http://{address}"));
    assert!(scene.tellers.test("ops", at(0)).await.unwrap().unwrap_err().contains("401"));
    assert_eq!(scene.tellers.test("ops", at(0)).await, Some(Ok(())));
    let asked = server.asked();
    assert_eq!((asked[1].method.as_str(), asked[1].path.as_str()), ("GET", "/repos/acme/fleet"));
}

#[tokio::test]
async fn a_bot_in_slack_posts_reminds_in_the_thread_and_changes_the_post_when_it_is_over() {
    let (server, address) = Server::start(Vec::new()).await;
    let mut scene =
        Scene::new(ReceiverKind::SlackBot("alerts".to_owned()), format!("http://{address}/slack"));
    let (one, other) = (("Degraded/prod-1/web", A), ("Degraded/edge/web", A));
    scene.pass(320, &[one, other]).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].path.as_str(), asked[0].authorization.as_str()),
        ("/slack/chat.postMessage", "Bearer the-token")
    );
    assert_eq!((&asked[0].body["channel"], &asked[0].body["thread_ts"]), (&"alerts".into(), &Value::Null));
    let text = asked[0].body["text"].as_str().unwrap();
    assert!(text.contains("*web is Degraded in 2 clusters*") && text.contains("commit aaaa"), "{text}");

    scene.pass(3_700, &[one, other]).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "a reminder is a reply");
    assert_eq!(
        (&asked[0].body["thread_ts"], &asked[0].body["reply_broadcast"]),
        (&"17.1".into(), &true.into())
    );

    // From what was kept, as after a restart.
    let kept = scene.table.alerts().into_iter().cloned().collect();
    scene.table = Table::restore(kept, Vec::new(), AlertRules::default());
    scene.pass(80, &[other]).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "the post goes on for the other: {asked:?}");
    assert_eq!((&asked[0].body["channel"], &asked[0].body["thread_ts"]), (&"C1".into(), &"17.1".into()));
    assert!(
        asked[0].body["text"].as_str().unwrap().contains("Resolved: web is no longer Degraded in prod-1")
    );

    scene.pass(80, &[]).await;
    let asked = server.asked();
    let paths: Vec<&str> = asked.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["/slack/chat.update", "/slack/chat.postMessage"]);
    assert_eq!((&asked[0].body["channel"], &asked[0].body["ts"]), (&"C1".into(), &"17.1".into()));
    assert!(asked[0].body["text"].as_str().unwrap().contains(":white_check_mark:"));
    assert_eq!(asked[1].body["thread_ts"], "17.1");
}

#[tokio::test]
async fn what_slack_refuses_is_told_again_and_a_post_that_is_gone_holds_nothing_up() {
    let refused = json!({"ok": false, "error": "not_in_channel"});
    let gone = json!({"ok": false, "error": "message_not_found"});
    let (server, address) = Server::start(vec![(200, refused), (429, json!({}))]).await;
    let mut scene =
        Scene::new(ReceiverKind::SlackBot("alerts".to_owned()), format!("http://{address}/slack"));
    let web = ("Degraded/prod-1/web", A);
    assert_eq!(scene.pass(320, &[web]).await, [Err("not_in_channel".to_owned())]);
    // The token may be another one by the next time.
    std::fs::write(scene.receiver.token_file.as_ref().unwrap(), "another").unwrap();
    assert!(scene.pass(1, &[web]).await[0].as_ref().unwrap_err().contains("429"));
    assert_eq!(server.asked.lock().unwrap()[1].authorization, "Bearer another");
    assert_eq!(scene.pass(1, &[web]).await, [Ok("C1/17.3".to_owned())]);
    server.asked();
    let lost = json!({"ok": false, "error": "thread_not_found"});
    server.answers.lock().unwrap().extend([(200, gone), (200, lost)]);
    assert_eq!(scene.pass(80, &[]).await, [Ok(String::new())]);
    let asked = server.asked();
    let threads: Vec<&Value> = asked.iter().map(|one| &one.body["thread_ts"]).collect();
    assert_eq!(threads, [&Value::Null, &"17.3".into(), &Value::Null], "changed, answered, told anew");
}
