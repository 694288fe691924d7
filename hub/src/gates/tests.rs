use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{Router, extract::RawQuery, http::HeaderMap, routing::get};
use muster_spec::{Catalog, Revision};
use serde_json::{Value, json};

use super::*;

const REVISION: &str = "0123456789012345678901234567890123456789";

/// A gate from the text of its fields.
fn gate(fields: &str) -> WaveGate {
    let text = format!(
        "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  waves:\n  - name: prod\n    \
         clusters: {{}}\n    gates:\n    - {{name: smoke, retries: 0, timeout: 2s, {fields}}}\n"
    );
    let catalog = Catalog::load([("muster.yaml", text.as_bytes())]);
    assert_eq!(catalog.errors, []);
    catalog.fleet.unwrap().value.spec.waves.remove(0).gates.remove(0)
}

fn check() -> GateCheck {
    GateCheck {
        wave: "prod".parse().unwrap(),
        gate: "smoke".parse().unwrap(),
        track: "web".parse().unwrap(),
        revision: Revision::try_from(REVISION.to_owned()).unwrap(),
    }
}

/// A server that answers paths with these codes and bodies, and says what it was asked.
async fn server(answers: Vec<(&'static str, u16, Value)>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers: HashMap<_, _> = answers.into_iter().map(|(path, code, body)| (path, (code, body))).collect();
    let seen = Arc::clone(&asked);
    let answer = move |uri: axum::http::Uri, RawQuery(query): RawQuery, headers: HeaderMap| {
        let token = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(format!(
            "{} {} {}",
            uri.path(),
            query.unwrap_or_default(),
            token.unwrap_or_default()
        ));
        let (code, body) = answers.get(uri.path()).cloned().unwrap_or((404, json!({})));
        async move { (axum::http::StatusCode::from_u16(code).unwrap(), body.to_string()) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, asked)
}

fn settings(address: SocketAddr, token_file: Option<std::path::PathBuf>) -> GateSettings {
    GateSettings(vec![GateAccess { below: format!("http://{address}/").parse().unwrap(), token_file }])
}

async fn asked(address: SocketAddr, fields: &str) -> GateAnswer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fields = fields.replace("HOST", &format!("http://{address}"));
    ask::ask(&reqwest::Client::new(), &settings(address, None), &gate(&fields), &check()).await
}

fn word(answer: &GateAnswer) -> &'static str {
    match answer {
        GateAnswer::Passed(_) => "passed",
        GateAnswer::Failed(_) => "failed",
        GateAnswer::Unanswered(_) => "unanswered",
    }
}

#[tokio::test]
async fn an_http_server_lets_pass_what_is_expected() {
    let (address, seen) = server(vec![
        ("/ok", 200, json!({"smoke": "passed", "count": 3})),
        ("/bad", 500, json!({"smoke": "failed"})),
        (const { "/prod/web/0123456789012345678901234567890123456789" }, 204, json!(null)),
    ])
    .await;
    for (fields, expected) in [
        (r#"http: {url: "HOST/ok"}"#, "passed"),
        (r#"http: {url: "HOST/bad"}"#, "failed"),
        (r#"http: {url: "HOST/ok", expect: 'self.status == 200 && self.body.smoke == "passed"'}"#, "passed"),
        (r#"http: {url: "HOST/ok", expect: 'self.body.count > 3'}"#, "failed"),
        (r#"http: {url: "HOST/ok", expect: 'self.body.missing == 1'}"#, "failed"),
        (r#"http: {url: "HOST/bad", expect: 'self.status == 500'}"#, "passed"),
        (r#"http: {url: "HOST/{{ wave }}/{{ track }}/{{ revision }}"}"#, "passed"),
        (r#"http: {url: "http://127.0.0.1:1/"}"#, "unanswered"),
    ] {
        let answer = asked(address, fields).await;
        assert_eq!(word(&answer), expected, "{fields}: {answer:?}");
    }
    let refused = asked(address, r#"http: {url: "http://169.254.169.254/latest/meta-data"}"#).await;
    assert!(matches!(&refused, GateAnswer::Unanswered(why) if why.contains("allows nothing")), "{refused:?}");
    assert_eq!(seen.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn prometheus_lets_pass_when_every_sample_is_what_is_expected() {
    let vector = |values: &[&str]| {
        let list: Vec<_> =
            values.iter().map(|value| json!({"metric": {"app": "web"}, "value": [0, value]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": list}})
    };
    let cases = [
        (vector(&["0.001", "0.009"]), "passed"),
        (vector(&["0.001", "0.02"]), "failed"),
        (vector(&["NaN"]), "failed"),
        (vector(&[]), "failed"),
        (json!({"status": "success", "data": {"resultType": "scalar", "result": [0, "0.001"]}}), "passed"),
        (json!({"status": "success", "data": {"resultType": "matrix", "result": []}}), "unanswered"),
        (json!({"status": "error", "errorType": "bad_data"}), "unanswered"),
        (json!("nonsense"), "unanswered"),
    ];
    for (body, expected) in cases {
        let (address, seen) = server(vec![("/prom/api/v1/query", 200, body.clone())]).await;
        let fields = r#"prometheus: {url: "HOST/prom/", query: 'errors{app="{{ track }}"}', expect: 'self.value < 0.01'}"#;
        let answer = asked(address, fields).await;
        assert_eq!(word(&answer), expected, "{body}: {answer:?}");
        let seen = seen.lock().unwrap().join("");
        assert!(seen.contains("query=errors%7Bapp%3D%22web%22%7D"), "{seen}");
    }
}

#[tokio::test]
async fn a_commit_status_has_to_be_a_success() {
    const GITHUB: &str = "/repos/acme/fleet/commits/0123456789012345678901234567890123456789/status";
    const RUNS: &str = "/repos/acme/fleet/commits/0123456789012345678901234567890123456789/check-runs";
    const GITLAB: &str =
        "/api/v4/projects/acme%2Ffleet/repository/commits/0123456789012345678901234567890123456789/statuses";
    let (address, seen) = server(vec![
        (GITHUB, 200, json!({"statuses": [{"context": "old", "state": "success"}, {"context": "lint", "state": "failure"}]})),
        (RUNS, 200, json!({"check_runs": [
            {"name": "build", "status": "completed", "conclusion": "success"},
            {"name": "test", "status": "in_progress", "conclusion": null},
        ]})),
        (GITLAB, 200, json!([{"name": "build", "status": "success"}, {"name": "test", "status": "running"}])),
    ])
    .await;
    for (provider, base, context, expected) in [
        ("github", "", "old", "passed"),
        ("github", "", "lint", "failed"),
        ("github", "", "build", "passed"),
        ("github", "", "test", "failed"),
        ("github", "", "unknown", "failed"),
        ("gitea", "", "old", "passed"),
        ("gitlab", "/api/v4", "build", "passed"),
        ("gitlab", "/api/v4", "test", "failed"),
        ("gitlab", "/elsewhere", "test", "unanswered"),
    ] {
        let fields = format!(
            "commitStatus: {{provider: {provider}, url: \"HOST{base}\", repository: acme/fleet, context: {context}}}"
        );
        let answer = asked(address, &fields).await;
        assert_eq!(word(&answer), expected, "{provider} {context}: {answer:?} {:?}", seen.lock().unwrap());
    }
}

#[tokio::test]
async fn the_token_of_the_place_is_sent_and_read_anew() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, seen) = server(vec![("/ok", 200, json!({}))]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let settings = settings(address, Some(file.clone()));
    let gate = gate(&format!("http: {{url: \"http://{address}/ok\"}}"));
    let ask = async || ask::ask(&reqwest::Client::new(), &settings, &gate, &check()).await;
    assert_eq!(word(&ask().await), "unanswered");
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert_eq!(word(&ask().await), "passed");
    }
    let seen = seen.lock().unwrap();
    assert!(seen[0].ends_with("Bearer one") && seen[1].ends_with("Bearer two"), "{seen:?}");
}
