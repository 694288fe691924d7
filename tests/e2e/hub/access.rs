//! Who may ask the hub what?

use futures::StreamExt as _;
use muster_hub::access::user::new_token;
use muster_hub::authority::hex;
use serde_json::json;
use tonic::{Code, Request};
use v1::fleet_service_client::FleetServiceClient;
use v1::watch_fleet_response::Change;

use super::issuer::Issuer;
use super::*;

/// Writes who may do what into the hub's configuration, in place of what was there.
fn configure(hub: &Hub, access: &str) {
    let path = hub.directory.join("config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept = text.split("access:").next().unwrap();
    std::fs::write(path, format!("{kept}{access}")).unwrap();
}

/// As [`configure`], and waits until the hub has noticed.
async fn reconfigure(hub: &Hub, access: &str) {
    let noticed = |hub: &Hub| hub.program.log().matches("count from now on").count();
    let before = noticed(hub);
    configure(hub, access);
    wait::until("the hub to notice its configuration", DEADLINE, async || noticed(hub) > before).await;
}

fn with_bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// Names of the clusters a caller with this token sees.
async fn sees(hub: &Hub, token: &str) -> Result<Vec<String>, Status> {
    let mut fleet = FleetServiceClient::new(hub.anonymous().await);
    let listed = fleet.list_clusters(with_bearer(v1::ListClustersRequest::default(), token)).await?;
    Ok(listed.into_inner().clusters.into_iter().map(|cluster| cluster.name).collect())
}

async fn who_am_i(hub: &Hub, token: &str) -> Result<v1::WhoAmIResponse, Status> {
    let mut client = v1::access_service_client::AccessServiceClient::new(hub.anonymous().await);
    Ok(client.who_am_i(with_bearer(v1::WhoAmIRequest {}, token)).await?.into_inner())
}

/// Enrols a cluster with labels and apps that its agent reports.
async fn report(hub: &Hub, cluster: &str, env: &str, apps: &[&str]) -> Agent {
    let identity = hub.enrolled(cluster).await;
    let mut agent = hub.agent(cluster, &identity, &[]).await.unwrap();
    let labels = [("env".to_owned(), env.to_owned())].into();
    agent.say(Said::Cluster(v1::ClusterStatus { labels, ..Default::default() })).await;
    for app in apps {
        agent.report_kept(1, status(app, "r1")).await;
    }
    agent
}

#[tokio::test]
async fn users_with_a_token_see_and_do_what_their_roles_say_and_nothing_else() {
    let hub = Hub::start().await;
    let _agents = (
        report(&hub, "dev", "dev", &["web", "shop-cart"]).await,
        report(&hub, "prod", "prod", &["web"]).await,
    );
    let (ci, ci_hash) = new_token("ci", [1; 32]);
    let (edge, edge_hash) = new_token("edge", [2; 32]);
    let (nobody, nobody_hash) = new_token("nobody", [3; 32]);
    let (old, old_hash) = new_token("old", [4; 32]);
    let [ci_hash, edge_hash, nobody_hash, old_hash] =
        [ci_hash, edge_hash, nobody_hash, old_hash].map(|hash| hex(&hash));
    reconfigure(
        &hub,
        &format!(
            "access:\n- {{user: admin, role: admin}}\n- {{user: old, role: admin}}\n\
             - {{user: ci, role: viewer, labels: {{env: dev}}, apps: [shop-*]}}\n\
             - {{user: edge, role: admin, labels: {{env: edge}}}}\n\
             users:\n- {{name: ci, token-sha256: {ci_hash}}}\n- {{name: edge, token-sha256: {edge_hash}}}\n\
             - {{name: nobody, token-sha256: {nobody_hash}}}\n\
             - {{name: old, token-sha256: {old_hash}, expires: 2026-01-01T00:00:00Z}}\n"
        ),
    )
    .await;

    assert_eq!(sees(&hub, &ci).await.unwrap(), ["dev"]);
    let channel = hub.anonymous().await;
    let mut fleet = FleetServiceClient::new(channel.clone());
    let apps =
        fleet.list_apps(with_bearer(v1::ListAppsRequest::default(), &ci)).await.unwrap().into_inner().apps;
    let apps: Vec<String> = apps.into_iter().map(|app| app.status.unwrap().app).collect();
    assert_eq!(apps, ["shop-cart"]);
    let hidden = v1::GetClusterRequest { name: "prod".into() };
    assert_eq!(fleet.get_cluster(with_bearer(hidden, &ci)).await.unwrap_err().code(), Code::NotFound);
    let hidden = v1::GetAppRequest { name: "web".into(), ..Default::default() };
    assert_eq!(fleet.get_app(with_bearer(hidden, &ci)).await.unwrap_err().code(), Code::NotFound);
    let events =
        fleet.list_events(with_bearer(v1::ListEventsRequest::default(), &ci)).await.unwrap().into_inner();
    assert!(
        !events.events.is_empty() && events.events.iter().all(|event| event.cluster == "dev"),
        "{events:?}"
    );
    let mut watch =
        fleet.watch_fleet(with_bearer(v1::WatchFleetRequest::default(), &ci)).await.unwrap().into_inner();
    let mut seen = Vec::new();
    loop {
        match watch.message().await.unwrap().unwrap().change.unwrap() {
            Change::Cluster(cluster) => seen.push(cluster.name),
            Change::App(app) => seen.push(app.status.unwrap().app),
            Change::InitialStateEnd(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["dev", "shop-cart"]);

    let mut tokens = v1::token_service_client::TokenServiceClient::new(channel.clone());
    let mut create = async |token: &str, cluster: &str, env: &str| {
        let labels = if env.is_empty() { None } else { Some(("env".to_owned(), env.to_owned())) };
        let labels = labels.into_iter().collect();
        let request = v1::CreateTokenRequest { cluster: cluster.into(), labels, ..Default::default() };
        tokens.create_token(with_bearer(request, token)).await.map(|made| made.into_inner().token)
    };
    assert_eq!(create(&ci, "new", "dev").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(create(&edge, "new", "").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(create(&edge, "new", "prod").await.unwrap_err().code(), Code::PermissionDenied);
    let enrolment = create(&edge, "*", "edge").await.unwrap();
    let refused = hub.enrol(&enrolment, "prod").await.unwrap_err();
    assert_eq!(
        refused.code(),
        Code::PermissionDenied,
        "a cluster of others cannot be taken over: {refused:?}"
    );
    hub.audited("token-for-other-labels").await;
    hub.enrol(&enrolment, "edge-1").await.unwrap();
    let mut clusters = v1::cluster_service_client::ClusterServiceClient::new(channel.clone());
    let mut revoke = async |cluster: &str| {
        let request = v1::RevokeClusterRequest { cluster: cluster.into(), ..Default::default() };
        clusters.revoke_cluster(with_bearer(request, &edge)).await.map(drop)
    };
    assert_eq!(revoke("prod").await.unwrap_err().code(), Code::NotFound);
    revoke("edge-1").await.unwrap();
    let mut audit = v1::audit_service_client::AuditServiceClient::new(channel);
    let whole = audit.list_audit(with_bearer(v1::ListAuditRequest::default(), &edge)).await.unwrap_err();
    assert_eq!(whole.code(), Code::PermissionDenied, "the audit log is of the whole fleet");

    assert_eq!(sees(&hub, &nobody).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(who_am_i(&hub, &nobody).await.unwrap().roles.is_empty(), "yet it may ask who it is");
    assert_eq!(sees(&hub, &old).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(sees(&hub, &format!("{ci}x")).await.unwrap_err().code(), Code::Unauthenticated);
    for (result, actor) in
        [("role-missing", None), ("bearer-expired", Some("user/old")), ("bearer-unknown", None)]
    {
        let row = hub.audited(result).await;
        assert!(actor.is_none_or(|actor| actor == row.actor), "{row:?}");
    }

    // Taken out of the configuration, it is out at once, on what it has open too.
    reconfigure(&hub, "access:\n- {user: admin, role: admin}\n").await;
    let end = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert!(end.message().contains("what you may see has changed"), "{end:?}");
    assert_eq!(sees(&hub, &ci).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(!hub.program.log().contains(&ci), "a user token is in the log");
}

#[tokio::test]
async fn users_of_an_issuer_are_known_by_their_id_token() {
    let hub = Hub::start().await;
    let issuer = Issuer::start().await;
    let _agent = report(&hub, "dev", "dev", &["web"]).await;
    let ca = hub.directory.join("issuer.crt");
    std::fs::write(&ca, &issuer.ca).unwrap();
    reconfigure(
        &hub,
        &format!(
            "access:\n- {{user: admin, role: admin}}\n- {{group: 'corp:platform', role: viewer}}\n\
             - {{user: 'corp:eve@example.org', role: admin}}\n\
             oidc:\n- {{name: corp, issuer: '{}', client-id: muster, username-claim: email, ca: {}}}\n",
            issuer.url,
            ca.display()
        ),
    )
    .await;
    let ada = json!({"email": "ada@example.org", "email_verified": true, "groups": ["platform"]});
    let token = issuer.token(&ada);
    assert_eq!(sees(&hub, &token).await.unwrap(), ["dev"]);
    let me = who_am_i(&hub, &token).await.unwrap();
    assert_eq!((me.actor.as_str(), me.proof()), ("user/corp:ada@example.org", v1::Proof::Oidc));
    assert_eq!(me.groups, ["corp:platform"]);
    assert!(me.expires_at.is_some());

    let with = |claims: serde_json::Value| {
        let mut all = ada.clone();
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        issuer.token(&all)
    };
    let now = jiff::Timestamp::now().as_second();
    let (head, tail) = token.split_at(token.len() - 20);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    let changed = format!("{head}{other}{}", &tail[1..]);
    for (token, reason) in [
        (with(json!({"exp": now - 120})), "oidc-expired"),
        (with(json!({"nbf": now + 600})), "oidc-not-yet-valid"),
        (with(json!({"aud": "other"})), "oidc-audience"),
        (with(json!({"iss": "https://elsewhere.test"})), "oidc-unknown-issuer"),
        (with(json!({"email": "eve@example.org", "email_verified": false})), "oidc-claim"),
        (changed, "oidc-signature"),
        ("a.b.c".to_owned(), "bearer-unknown"),
    ] {
        let refused = sees(&hub, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{reason}: {refused:?}");
        hub.audited(reason).await;
    }
    let forged = Issuer::start()
        .await
        .token(&json!({"iss": issuer.url, "email": "eve@example.org", "email_verified": true}));
    assert_eq!(
        sees(&hub, &forged).await.unwrap_err().code(),
        Code::Unauthenticated,
        "signed by somebody else"
    );
    let stranger = with(json!({"groups": ["others"]}));
    assert_eq!(sees(&hub, &stranger).await.unwrap_err().code(), Code::PermissionDenied);

    let asked = issuer.key_requests();
    assert_eq!(sees(&hub, &token).await.unwrap(), ["dev"]);
    assert_eq!(issuer.key_requests(), asked, "keys are kept");
    issuer.rotate();
    let renewed = with(json!({}));
    wait::until("the issuer's new key to be taken", DEADLINE, async || sees(&hub, &renewed).await).await;
    assert!(sees(&hub, &token).await.is_err(), "the key it was signed with is gone");
    assert!(issuer.key_requests() <= asked + 2, "{} requests", issuer.key_requests());
    let log = hub.program.log();
    assert!(!log.contains(&token) && !log.contains(&renewed), "an ID token is in the log");
}

#[tokio::test]
async fn the_command_line_shows_a_token() {
    let hub = Hub::start().await;
    let made = Launch::binary("muster-hub").unwrap().args(["user-token", "--name", "ci", "--ttl", "90d"]);
    let made = made.run(DEADLINE).await.unwrap();
    let (token, snippet) = (made.stdout.trim().to_owned(), made.stderr.clone());
    assert_eq!(made.code(), Some(0), "{snippet}");
    let users = snippet.split("users:").nth(1).unwrap().split("access:").next().unwrap().to_owned();
    reconfigure(
        &hub,
        &format!("access:\n- {{user: admin, role: admin}}\n- {{user: ci, role: viewer}}\nusers:{users}"),
    )
    .await;
    let operator: serde_yaml::Value =
        serde_yaml::from_slice(&std::fs::read(hub.directory.join("operator.yaml")).unwrap()).unwrap();
    let config = hub.directory.join("ci.yaml");
    let text = json!({"hub": operator["hub"].as_str(), "ca": operator["ca"].as_str()}).to_string();
    std::fs::write(&config, text).unwrap();
    let muster = |arguments: &[&str], token: &str| {
        let launch =
            Launch::binary("muster").unwrap().env("MUSTER_CONFIG", &config).env("MUSTER_TOKEN", token);
        launch.args(arguments).run(DEADLINE)
    };
    let said = muster(&["whoami"], &token).await.unwrap().success();
    assert!(said.contains("user/ci by Token") && said.contains("viewer"), "{said}");
    assert_eq!(muster(&["clusters"], &token).await.unwrap().code(), Some(0));
    let refused = muster(&["token", "create", "dev"], &token).await.unwrap();
    assert_eq!(refused.code(), Some(2));
    assert!(refused.stderr.contains("needs the role admin"), "{}", refused.stderr);
    let said = hub.muster(&["whoami"]).run(DEADLINE).await.unwrap().success();
    assert!(said.contains("operator/admin by Certificate"), "{said}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_changes_nothing_and_is_told() {
    let mut hub = Hub::start().await;
    configure(&hub, "access:\n- {user: admin, role: emperor}\n");
    hub.program.wait_for_log("the roles stay as they were", DEADLINE).await.unwrap();
    hub.token("dev", 1).await;
    reconfigure(&hub, "access:\n- {user: somebody, role: admin}\n").await;
    let request = v1::ListClustersRequest::default();
    let refused = hub.fleet().await.list_clusters(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "what is not given is refused");
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_slowed_down_and_others_are_not() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let fleet = hub.fleet().await;
    // No more at once than a connection has streams.
    let calls = futures::stream::iter(0..1_000).map(|_| {
        let mut fleet = fleet.clone();
        async move { fleet.list_clusters(v1::ListClustersRequest::default()).await.map(drop) }
    });
    let answers: Vec<_> = calls.buffer_unordered(16).collect().await;
    let limited = answers
        .iter()
        .filter(|answer| answer.as_ref().is_err_and(|status| status.code() == Code::ResourceExhausted))
        .count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        limited > 0 && served >= 100 && limited + served == 1_000,
        "{served} served, {limited} slowed down: {:?}",
        answers
            .iter()
            .find(|answer| answer.as_ref().is_err_and(|status| status.code() != Code::ResourceExhausted))
    );
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    hub.audited("rate-limited").await;
}

#[tokio::test]
async fn an_operators_stolen_certificate_is_taken_no_more_and_a_new_one_is() {
    let hub = Hub::start().await;
    let mut watch =
        hub.fleet().await.watch_fleet(v1::WatchFleetRequest::default()).await.unwrap().into_inner();
    // To the second, as certificates are.
    let stolen_at = jiff::Timestamp::now() + Duration::from_secs(2);
    let before = jiff::Timestamp::from_second(stolen_at.as_second()).unwrap();
    let rules = "access:\n- {user: admin, role: admin}\n";
    reconfigure(&hub, &format!("{rules}revoked:\n- {{operator: admin, before: \"{before}\"}}\n")).await;
    let end = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it has to say why"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "open watches end: {end}");
    let refused = hub.fleet().await.list_clusters(v1::ListClustersRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("was revoked"), "{refused}");
    let info = tonic_types::StatusExt::get_details_error_info(&refused).unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CERTIFICATE_REVOKED", "muster.dev"));
    wait::until("the time to pass", DEADLINE, async || jiff::Timestamp::now() >= before).await;
    let made = Launch::binary("muster-hub").unwrap().args(["operator", "--name", "admin", "--dir"]);
    let made = made.arg(&hub.directory).run(DEADLINE).await.unwrap();
    assert_eq!(made.code(), Some(0), "{}", made.stderr);
    let config = hub.directory.join("new.yaml");
    std::fs::write(&config, made.stdout).unwrap();
    let muster =
        |arguments: &[&str]| Launch::binary("muster").unwrap().env("MUSTER_CONFIG", &config).args(arguments);
    let known = muster(&["whoami"]).run(DEADLINE).await.unwrap();
    assert!(known.code() == Some(0) && known.stdout.contains("admin"), "{}{}", known.stdout, known.stderr);
    let audited = muster(&["audit", "--refused", "-o", "json"]).run(DEADLINE).await.unwrap();
    assert!(audited.stdout.contains("certificate-revoked"), "{}", audited.stdout);
}

#[tokio::test]
async fn a_person_logs_in_by_a_code_and_the_token_is_renewed() {
    let hub = Hub::start().await;
    let issuer = Issuer::start().await;
    let ca = hub.directory.join("issuer-of-tokens.crt");
    std::fs::write(&ca, &issuer.ca).unwrap();
    let access = format!(
        "access:\n- {{user: admin, role: admin}}\n- {{group: 'corp:platform', role: viewer}}\n\
         oidc:\n- {{name: corp, issuer: '{}', client-id: muster, username-claim: email, ca: {}}}\n",
        issuer.url,
        ca.display()
    );
    reconfigure(&hub, &access).await;
    let config = hub.directory.join("person/config.yaml");
    let muster = async |arguments: &[&str]| {
        let launch = Launch::binary("muster").unwrap().env("MUSTER_CONFIG", &config).args(arguments);
        launch.run(DEADLINE).await.unwrap()
    };
    let file = |name: &str| hub.directory.join(name).display().to_string();
    let address = format!("https://{}", hub.address);
    muster(&["context", "add", "ops", "--file", &file("operator.yaml")]).await.success();
    muster(&["context", "add", "me", "--hub", &address, "--ca", &file("ca.crt")]).await.success();
    let listed = muster(&["context", "list"]).await.success();
    assert!(listed.contains("*  ops") && listed.contains("certificate"), "{listed}");
    assert!(muster(&["whoami"]).await.success().starts_with("operator/admin"));

    let issuer_ca = ca.display().to_string();
    let log_in = [
        "login",
        "--context",
        "me",
        "--issuer",
        &issuer.url,
        "--client-id",
        "muster",
        "--issuer-ca",
        &issuer_ca,
    ];
    let output = muster(&log_in).await;
    assert_eq!(output.code(), Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("/activate and confirm the code WDJB-MJHT"), "{}", output.stderr);
    assert!(output.stderr.contains("Logged in as user/corp:ada@example.org"), "{}", output.stderr);
    assert!(std::fs::read_to_string(&config).unwrap().contains("again-1"));
    // It ends within seconds, so it is renewed before it is shown.
    muster(&["context", "use", "me"]).await.success();
    let me = muster(&["whoami"]).await.success();
    assert!(me.starts_with("user/corp:ada@example.org by OIDC"), "{me}");
    let kept = std::fs::read_to_string(&config).unwrap();
    assert!(kept.contains("again-2") && !kept.contains("again-1"), "the next one is had for the new one");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&config).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    muster(&["logout"]).await.success();
    let refused = muster(&["whoami"]).await;
    assert_eq!(refused.code(), Some(2));
    assert!(!std::fs::read_to_string(&config).unwrap().contains("again"));
    let token = hub.directory.join("token");
    std::fs::write(&token, issuer.token(&json!({"email": "ada@example.org", "email_verified": true})))
        .unwrap();
    let token = token.display().to_string();
    muster(&["login", "--token-file", &token]).await.success();
    assert!(muster(&["whoami"]).await.success().starts_with("user/corp:ada@example.org"));
}
