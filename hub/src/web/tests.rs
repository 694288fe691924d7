use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use muster_wire::v1::{Cluster, Connection, ListClustersResponse, ListEventsRequest};
use prost::Message as _;

use super::{openapi, session, transcode::*};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

#[test]
fn json_becomes_the_message_the_services_read() {
    let methods = Methods::new();
    let method = methods.unary("muster.v1.FleetService", "ListEvents").unwrap();
    let frame = frame(method.input(), br#"{"cluster": "dev", "limit": 7}"#).unwrap();
    let mut frames = Frames::default();
    for byte in &frame[..] {
        assert_eq!(frames.next().unwrap(), None);
        frames.add(&[*byte]);
    }
    let message = ListEventsRequest::decode(frames.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        message,
        ListEventsRequest { cluster: "dev".into(), limit: 7, ..ListEventsRequest::default() }
    );
    assert_eq!(frames.next().unwrap(), None);
}

#[test]
fn a_message_becomes_json_by_the_mapping_of_protocol_buffers() {
    let methods = Methods::new();
    let method = methods.unary("muster.v1.FleetService", "ListClusters").unwrap();
    let mut cluster = Cluster { name: "dev".into(), ..Cluster::default() };
    cluster.set_connection(Connection::Unreachable);
    cluster.last_seen = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
    let answer = ListClustersResponse { clusters: vec![cluster], ..ListClustersResponse::default() };
    let json = json(method.output(), Bytes::from(answer.encode_to_vec())).unwrap();
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!({ "clusters": [{
        "name": "dev", "connection": "CONNECTION_UNREACHABLE", "lastSeen": "2027-01-15T08:00:00Z",
    }] });
    assert_eq!(told, expected);
}

#[test]
fn what_is_no_request_is_told_apart() {
    let methods = Methods::new();
    let method = methods.unary("muster.v1.FleetService", "ListEvents").unwrap();
    for wrong in [&b"{"[..], br#"{"limits": 1}"#, br#"{"limit": "x"}"#, b"[]", b"{} {}"] {
        assert!(frame(method.input(), wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
    }
    assert!(frame(method.input(), b" ").is_ok());
    assert!(methods.unary("muster.v1.FleetService", "WatchFleet").is_err());
    assert!(methods.stream("muster.v1.FleetService", "ListEvents").is_err());
    for agents in [
        "muster.v1.AgentService/Connect",
        "muster.v1.EnrollmentService/Enroll",
        "grpc.health.v1.Health/Check",
    ] {
        let (service, method) = agents.split_once('/').unwrap();
        assert!(methods.unary(service, method).is_err(), "{agents}");
    }
    assert_eq!(request_in_query("request=%7B%22a%22%3A1%7D").unwrap(), r#"{"a":1}"#);
    assert_eq!(request_in_query("").unwrap(), "{}");
    assert!(request_in_query("token=x").is_err());
}

#[test]
fn every_method_is_described_and_every_reference_leads_somewhere() {
    let methods = Methods::new();
    let document = openapi::document(&methods);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), methods.iter().count());
    assert!(paths.contains_key("/api/muster.v1.PromotionService/Decide"));
    assert!(paths["/api/muster.v1.FleetService/WatchFleet"].get("get").is_some());
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas[name].is_object(), "{name}");
    }
}

#[test]
fn only_pages_of_the_hub_use_the_cookie() {
    let ours = [
        headers(&[("sec-fetch-site", "same-origin")]),
        headers(&[("sec-fetch-site", "none")]),
        headers(&[("origin", "https://hub.test:8080"), ("host", "hub.test:8080")]),
        headers(&[("host", "hub.test:8080")]),
    ];
    for ours in ours {
        assert!(session::check_origin(&ours).is_ok(), "{ours:?}");
    }
    let others = [
        headers(&[("sec-fetch-site", "cross-site")]),
        headers(&[("sec-fetch-site", "same-site")]),
        headers(&[("origin", "https://evil.test"), ("host", "hub.test:8080")]),
        headers(&[("origin", "null"), ("host", "hub.test:8080")]),
        headers(&[("origin", "https://hub.test:8080")]),
    ];
    for other in others {
        assert!(session::check_origin(&other).is_err(), "{other:?}");
    }
}

#[test]
fn the_cookie_is_read_back_and_never_a_form() {
    let cookie = session::cookie(true, "muster-user.ci.abc");
    for part in ["__Host-muster=muster-user.ci.abc", "HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let sent = headers(&[("cookie", "other=1; __Host-muster=muster-user.ci.abc; muster=x")]);
    assert_eq!(session::token(true, &sent).as_deref(), Some("muster-user.ci.abc"));
    assert_eq!(session::token(false, &sent).as_deref(), Some("x"));
    assert!(
        session::token_in(&Bytes::from_static(br#"{"token": " a.b-c "}"#))
            .is_ok_and(|token| token == "a.b-c")
    );
    for wrong in [&b"{}"[..], br#"{"token": ""}"#, br#"{"token": "a b"}"#, br#"{"token": "a;b"}"#, b"token=a"]
    {
        assert!(session::token_in(&Bytes::copy_from_slice(wrong)).is_err());
    }
    assert!(session::check_json(&headers(&[("content-type", "application/json; charset=utf-8")])).is_ok());
    for form in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert!(session::check_json(&headers(&[("content-type", form)])).is_err());
    }
}
