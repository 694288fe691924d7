//! Requests answered without a network.

use super::*;
use crate::schema::Builtins;
use crate::settings::Settings;
use jiff::SignedDuration;
use serde_json::json;

fn cluster(history_max: usize) -> State {
    let settings = Settings { history_max, ..Settings::default() };
    State::new(&Builtins::load(), settings, 7, Timestamp::UNIX_EPOCH)
}

fn request(method: &str, path: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        content_type: "application/json".to_owned(),
        body: if body.is_null() { Bytes::new() } else { body.to_string().into() },
        ..Request::default()
    }
}

fn ask(state: &mut State, method: &str, path: &str, body: &Value) -> (u16, Value) {
    match handle(state, &request(method, path, body), Timestamp::UNIX_EPOCH) {
        Answer::Reply(reply) => (reply.code, serde_json::from_slice(&reply.body).unwrap_or_default()),
        Answer::Watch(_) => panic!("{path} is a watch"),
    }
}

fn watch(state: &mut State, path: &str) -> Box<Watch> {
    match handle(state, &request("GET", path, &Value::Null), Timestamp::UNIX_EPOCH) {
        Answer::Watch(watch) => watch,
        Answer::Reply(reply) => panic!("{path} answered {}", reply.code),
    }
}

fn lines(watch: &mut Watch, state: &State, now: Timestamp) -> (Vec<String>, bool) {
    let poll = watch.poll(state, now);
    let shown = poll.lines.iter().map(|line| {
        let event: Value = serde_json::from_slice(line).unwrap();
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-").to_owned();
        format!("{} {name}", event["type"].as_str().unwrap())
    });
    (shown.collect(), poll.ended)
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[test]
fn a_slow_watch_is_told_that_it_missed_something() {
    let mut state = cluster(3);
    let mut slow = watch(&mut state, &format!("{MAPS}?watch=1"));
    assert_eq!(lines(&mut slow, &state, Timestamp::UNIX_EPOCH), (vec![], false));
    for name in ["a", "b", "c"] {
        ask(&mut state, "POST", MAPS, &map(name));
    }
    let all = vec!["ADDED a".to_owned(), "ADDED b".to_owned(), "ADDED c".to_owned()];
    assert_eq!(lines(&mut slow, &state, Timestamp::UNIX_EPOCH), (all, false));
    for name in ["d", "e", "f", "g"] {
        ask(&mut state, "POST", MAPS, &map(name));
    }
    assert_eq!(lines(&mut slow, &state, Timestamp::UNIX_EPOCH), (vec!["ERROR -".to_owned()], true));
}

#[test]
fn an_idle_watch_gets_bookmarks_until_its_time_is_up() {
    let mut state = cluster(100);
    let mut idle = watch(&mut state, &format!("{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=90"));
    let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
    assert_eq!(lines(&mut idle, &state, at(59)), (vec![], false));
    assert_eq!(lines(&mut idle, &state, at(61)), (vec!["BOOKMARK -".to_owned()], false));
    assert_eq!(idle.poll(&state, at(62)).again_at, Some(at(90)));
    assert!(lines(&mut idle, &state, at(90)).1);
}

#[test]
fn paths_lead_to_what_is_served_and_nowhere_else() {
    let mut state = cluster(100);
    for (method, path, code) in [
        ("GET", "/healthz", 200),
        ("GET", "/livez", 200),
        ("GET", "/api", 200),
        ("GET", "/apis/apps", 200),
        ("GET", "/apis/none", 404),
        ("GET", "/openapi/v3", 200),
        ("GET", "/openapi/v3/apis/apps/v1", 200),
        ("GET", "/openapi/v2", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/namespaces/default", 200),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/configmaps/x", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("DELETE", "/api/v1/namespaces/default", 403),
        ("GET", "/apis/apps/v1/namespaces/default/deployments/x/scale", 404),
        ("GET", "/apis/apps/v1/namespaces/default/daemonsets/x/scale", 404),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
    ] {
        assert_eq!(ask(&mut state, method, path, &Value::Null).0, code, "{method} {path}");
    }
    let review =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}});
    let (code, answer) =
        ask(&mut state, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review);
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
}

#[test]
fn malformed_requests_are_refused_without_harm() {
    let mut state = cluster(100);
    for (path, body) in [
        (MAPS.to_owned(), json!([])),
        (MAPS.to_owned(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": "x"})),
        (MAPS.to_owned(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 1}})),
        (format!("{MAPS}?fieldValidation=Maybe"), map("x")),
        (format!("{MAPS}?dryRun=Perhaps"), map("x")),
    ] {
        let (code, status) = ask(&mut state, "POST", &path, &body);
        assert!((400..500).contains(&code), "{body}: {code}");
        assert_eq!(status["kind"], "Status", "{body}");
    }
    for query in ["labelSelector=a in b", "fieldSelector=spec.x=1", "continue=zzz", "resourceVersion=x"] {
        assert_eq!(ask(&mut state, "GET", &format!("{MAPS}?{query}"), &Value::Null).0, 400, "{query}");
    }
    assert_eq!(state.store.count("configmaps"), 0);
}
