//! The JSON API, as curl and other sites' pages meet it.

use std::collections::BTreeMap;

use muster_tests::fleet::{self, DEADLINE, Fleet, Hub, Target};
use muster_tests::process::Launch;
use muster_tests::{certificates, skip, wait};
use serde_json::json;

use super::http::{self, Events};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn fleet() -> (Fleet, Vec<Target>) {
    let files = fleet::example().unwrap();
    let targets = Target::simulated(&["dev", "prod"]).await;
    let mut fleet = Fleet::start_promoting(&files).await.unwrap();
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    (fleet, targets)
}

#[tokio::test]
async fn who_may_ask_over_grpc_may_ask_in_json_and_nobody_else() {
    let (fleet, _targets) = fleet().await;
    let hub = fleet.hub.dashboard();
    let viewer = format!("Bearer {}", fleet.hub.user("viewer", "viewer").await.unwrap());
    let as_viewer = [JSON, ("authorization", viewer.as_str())];
    let list = ("POST", "/api/muster.v1.FleetService/ListClusters");

    let answer = http::send(hub, list, &[JSON], "{}").await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("UNAUTHENTICATED")), "{answer:?}");
    let answer =
        http::send(hub, list, &[JSON, ("authorization", "Bearer muster-user.viewer.wrong")], "{}").await;
    assert_eq!(answer.status, 401, "{answer:?}");
    wait::until("both clusters in JSON", DEADLINE, async || {
        let answer = http::send(hub, list, &as_viewer, "{}").await.json();
        let connected = answer["clusters"].as_array().cloned().unwrap_or_default();
        let count = connected.iter().filter(|one| one["connection"] == "CONNECTION_CONNECTED").count();
        if count == 2 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;

    let decide = ("POST", "/api/muster.v1.PromotionService/Decide");
    let pause = json!({ "verb": "DECISION_VERB_PAUSE", "track": "gitops-demo", "wave": "dev" }).to_string();
    let answer = http::send(hub, decide, &as_viewer, &pause).await;
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("PERMISSION_DENIED")), "{answer:?}");

    for (path, status) in [
        ("/api/muster.v1.FleetService/GetCluster", 404),
        ("/api/muster.v1.FleetService/NoSuch", 404),
        ("/api/muster.v1.AgentService/Connect", 404),
        ("/api/muster.v1.FleetService/WatchFleet", 400),
    ] {
        let answer = http::send(hub, ("POST", path), &as_viewer, r#"{"name": "nowhere"}"#).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    for wrong in [r#"{"clutser": 1}"#, "{", "[]"] {
        let answer = http::send(hub, list, &as_viewer, wrong).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{wrong}: {answer:?}"
        );
    }
    let long = format!("{{\"labels\": {{\"a\": \"{}\"}}}}", "x".repeat(20_000));
    assert_eq!(http::send(hub, list, &as_viewer, &long).await.status, 413);
}

#[tokio::test]
async fn a_watch_is_a_stream_of_events() {
    let (fleet, _targets) = fleet().await;
    let hub = fleet.hub.dashboard();
    let viewer = format!("Bearer {}", fleet.hub.user("viewer", "viewer").await.unwrap());
    let path = "/api/muster.v1.FleetService/WatchFleet?request=%7B%22cluster%22%3A%22dev%22%7D";
    let (answer, mut events) = Events::of(hub, path, &[("authorization", &viewer)]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"), "{answer:?}");
    let (mut is_complete, mut is_app_there) = (false, false);
    let read = async {
        while !(is_complete && is_app_there) {
            let (name, data) = events.next().await.expect("the stream goes on");
            assert_eq!(name, "", "{data}");
            assert!(data["cluster"].get("name").is_none_or(|name| name == "dev"), "{data}");
            is_app_there |= data["app"]["status"]["sync"] == "SYNC_STATUS_SYNCED";
            is_complete |= data.get("initialStateEnd").is_some();
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("all there is, and the app once it is synced");
    let (answer, _) = Events::of(hub, path, &[]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn other_sites_cannot_use_the_cookie_and_forms_cannot_be_sent() {
    let fleet = Fleet::start(&BTreeMap::new()).await.unwrap();
    let hub = fleet.hub.dashboard();
    let token = fleet.hub.user("viewer", "viewer").await.unwrap();
    let login = json!({ "token": token }).to_string();
    let answer = http::send(hub, ("POST", "/api/session"), &[JSON], &login).await;
    assert_eq!((answer.status, &answer.json()["actor"]), (200, &json!("user/viewer")), "{answer:?}");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let list = ("POST", "/api/muster.v1.FleetService/ListClusters");
    let with = async |headers: &[(&str, &str)]| {
        let headers: Vec<_> = [JSON, ("cookie", cookie)].into_iter().chain(headers.iter().copied()).collect();
        http::send(hub, list, &headers, "{}").await.status
    };
    assert_eq!(with(&[("sec-fetch-site", "same-origin")]).await, 200);
    assert_eq!(with(&[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(with(&[("origin", "http://evil.test")]).await, 403);
    let form = [("content-type", "text/plain"), ("cookie", cookie), ("sec-fetch-site", "same-origin")];
    assert_eq!(http::send(hub, list, &form, "{}").await.status, 400);
    let wrong = json!({ "token": "muster-user.viewer.wrong" }).to_string();
    let answer = http::send(hub, ("POST", "/api/session"), &[JSON], &wrong).await;
    assert!(answer.status == 401 && answer.header("set-cookie").is_empty(), "{answer:?}");
    let answer = http::send(hub, ("DELETE", "/api/session"), &[("cookie", cookie)], "").await;
    assert!(answer.header("set-cookie").contains("Max-Age=0"), "{answer:?}");
}

#[tokio::test]
async fn every_answer_is_locked_down_and_the_api_describes_itself() {
    let fleet = Fleet::start(&BTreeMap::new()).await.unwrap();
    let hub = fleet.hub.dashboard();
    for path in ["/", "/main.js", "/nothing", "/api/openapi.json", "/../etc/passwd"] {
        let answer = http::send(hub, ("GET", path), &[], "").await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let expected = if path == "/nothing" || path.contains("etc") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}");
    }
    let page = http::send(hub, ("GET", "/"), &[], "").await;
    let again = http::send(hub, ("GET", "/"), &[("if-none-match", page.header("etag"))], "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let described = http::send(hub, ("GET", "/api/openapi.json"), &[], "").await.json();
    assert!(described["paths"].get("/api/muster.v1.FleetService/ListClusters").is_some(), "{described}");
}

#[tokio::test]
async fn with_a_certificate_it_is_tls_and_a_new_certificate_is_taken_over() {
    let Some(curl) = skip::program("curl") else { return };
    let directory = muster_tests::scratch::Scratch::new("certificate").unwrap();
    let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let write = |authority: &certificates::Authority| {
        let made = authority.server(&["127.0.0.1"]).unwrap();
        std::fs::write(&key, made.key).unwrap();
        std::fs::write(&certificate, made.certificate).unwrap();
    };
    let (first, second) =
        (certificates::Authority::new("first").unwrap(), certificates::Authority::new("second").unwrap());
    write(&first);
    let arguments =
        ["--dashboard-certificate", certificate.to_str().unwrap(), "--dashboard-key", key.to_str().unwrap()];
    let hub = muster_tests::fleet::Hub::start_with(directory.path(), &arguments).await.unwrap();
    let url = format!("https://{}/api/openapi.json", hub.dashboard());
    let get = async |authority: &certificates::Authority| {
        let trusted = directory.path().join("ca.crt");
        std::fs::write(&trusted, authority.certificate()).unwrap();
        let curl = Launch::command(&curl).args(["--silent", "--fail", "--cacert"]).arg(&trusted).arg(&url);
        curl.quiet().run(DEADLINE).await.unwrap()
    };
    assert!(get(&first).await.stdout.contains("openapi"));
    assert!(!get(&second).await.status.success());
    write(&second);
    wait::until("the new certificate to be shown", DEADLINE, async || get(&second).await.status.success())
        .await;
    assert!(!get(&first).await.status.success());
}

#[tokio::test]
async fn a_webhook_of_the_git_server_is_heard_and_nobody_elses() {
    let fleet = Fleet::start(&fleet::example().unwrap()).await.unwrap();
    let secret = fleet.directory().join("webhook");
    std::fs::write(&secret, "a secret of the webhook\n").unwrap();
    let (url, file) = (fleet.git.url("fleet"), secret.display().to_string());
    // It would look again in a day.
    let arguments = ["--repo", &url, "--repo-interval", "24h", "--webhook-secret-file", &file];
    let hub = Hub::start_prepared(&fleet.directory().join("hooked"), &arguments, |_| Ok(())).await.unwrap();
    let shows = async |revision: &str| {
        let (_, waves) = hub.json(&["waves"]).await.map_err(|error| error.to_string())?;
        if waves["headRevision"] == revision { Ok(()) } else { Err(waves["headRevision"].to_string()) }
    };
    let first = fleet.repository.resolve("main").unwrap();
    wait::until("the first look", DEADLINE, async || shows(&first).await).await;
    let second = fleet.repository.commit(&[("news.txt", "new")], "news").unwrap();
    let send = async |token: &str| {
        let headers = [JSON, ("x-gitlab-token", token)];
        http::send(hub.dashboard(), ("POST", "/hooks/git"), &headers, "{}").await.status
    };
    assert_eq!(send("another secret").await, 401);
    shows(&first).await.unwrap();
    assert_eq!(send("a secret of the webhook").await, 202);
    wait::until("the news", DEADLINE, async || shows(&second).await).await;
}
