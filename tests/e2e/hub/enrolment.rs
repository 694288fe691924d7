//! Who gets a certificate?

use std::time::Duration;

use muster_hub::authority::hex;
use muster_hub::record::{Change, Record};
use muster_hub::store::{LocalStore, Store as _, Transaction};
use muster_hub::tokens::{Presented, Table, Terms};
use muster_tests::wait;
use tonic::Code;

use super::*;

#[tokio::test]
async fn a_good_token_makes_a_cluster_known_and_lets_its_agent_in() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let cluster = hub.cluster("prod").await;
    assert_eq!(cluster.connection(), v1::Connection::Never);
    assert!(cluster.enrolled_at.is_some() && cluster.certificate_expires_at.is_some());
    let agent = hub.agent("prod", &identity, &[]).await.unwrap();
    assert_eq!(agent.heartbeat_seconds, 10);
    assert_eq!(hub.cluster("prod").await.connection(), v1::Connection::Connected);
}

#[tokio::test]
async fn bad_tokens_are_refused_with_a_named_reason_and_cost_nothing() {
    let hub = Hub::start().await;
    let code = async |token: &str, cluster: &str| {
        hub.enrol(token, cluster).await.map_err(|status| status.code()).err()
    };
    let good = hub.token("prod", 1).await;

    for garbage in ["", "muster1", "x", "muster1.a.b.c", &"x".repeat(10_000), &format!("{}x", good.token)] {
        assert_eq!(code(garbage, "prod").await, Some(Code::Unauthenticated), "{garbage}");
    }
    let parts: Vec<&str> = good.token.split('.').collect();
    let first = if parts[2].starts_with('A') { "B" } else { "A" };
    let flipped = format!("{first}{}", &parts[2][1..]);
    let wrong_secret = format!("{}.{}.{flipped}.{}", parts[0], parts[1], parts[3]);
    assert_eq!(code(&wrong_secret, "prod").await, Some(Code::Unauthenticated));
    let other_hub = format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], "0".repeat(64));
    assert_eq!(code(&other_hub, "prod").await, Some(Code::Unauthenticated));
    assert_eq!(code(&good.token, "dev").await, Some(Code::PermissionDenied));
    for name in ["", "Prod", "a_b", "../prod", &"a".repeat(300)] {
        assert_eq!(code(&good.token, name).await, Some(Code::InvalidArgument), "{name}");
    }

    let revoked = hub.token("prod", 1).await;
    let id = revoked.info.unwrap().id;
    hub.tokens().await.revoke_token(v1::RevokeTokenRequest { id }).await.unwrap();
    assert_eq!(code(&revoked.token, "prod").await, Some(Code::Unauthenticated));

    assert_eq!(code(&good.token, "prod").await, None, "none of all this used it up");
    assert_eq!(code(&good.token, "prod").await, Some(Code::Unauthenticated), "it was for one use");
    for reason in [
        "token-malformed",
        "token-wrong-secret",
        "token-unknown",
        "token-for-another-cluster",
        "token-revoked",
        "token-used-up",
    ] {
        let row = hub.audited(reason).await;
        assert_eq!(
            (row.action.as_str(), row.source.as_str()),
            ("muster.v1.EnrollmentService/Enroll", "127.0.0.1")
        );
    }
    assert!(!hub.program.log().contains(parts[2]), "the secret of a token is in the log");
    assert!(
        !format!("{:?}", hub.audit().await).contains(parts[2]),
        "the secret of a token is in the audit log"
    );
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let mut hub = Hub::start().await;
    // The shortest life is a minute: a token that was made earlier is put into the store of the stopped hub.
    hub.program.terminate(DEADLINE).await.unwrap();
    let fingerprint = ring::digest::digest(&ring::digest::SHA256, &hub.ca);
    let fingerprint = hex(fingerprint.as_ref());
    let hour = Duration::from_secs(3_600);
    let mut table = Table::restore(Vec::new(), vec![fingerprint.clone()]);
    let mut changes = Vec::new();
    let mut made = |id: u8, ago: u32| {
        let presented = Presented::new([id; 8], [7; 32], &fingerprint);
        let made_at = jiff::Timestamp::now() - hour * ago;
        let terms = Terms {
            cluster: "prod".parse().unwrap(),
            labels: std::collections::BTreeMap::new(),
            ttl: hour,
            uses: 1,
            created_by: "operator/admin".into(),
            scoped: false,
        };
        let token = table.create(&presented, terms, made_at).unwrap();
        changes.push(Change::Put(Record::Token(token)));
        presented.reveal()
    };
    let (expired, current) = (made(1, 2), made(2, 0));
    let made = Transaction { changes, as_leader: false };
    LocalStore::open(&hub.store()).unwrap().append(&[made]).unwrap();
    hub.restart().await;
    let refused = hub.enrol(&expired, "prod").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    assert_eq!(hub.audited("token-expired").await.target, "cluster/prod");
    hub.enrol(&current, "prod").await.unwrap();
}

#[tokio::test]
async fn tokens_live_from_a_minute_to_thirty_days() {
    let hub = Hub::start().await;
    let request = |seconds| v1::CreateTokenRequest {
        cluster: "prod".into(),
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
        uses: 1,
        ..Default::default()
    };
    let mut tokens = hub.tokens().await;
    for seconds in [0, -5, 59, 30 * 24 * 3600 + 1] {
        let refused = tokens.create_token(request(seconds)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{seconds}");
    }
    for seconds in [60, 30 * 24 * 3600] {
        let made = tokens.create_token(request(seconds)).await.unwrap().into_inner().info.unwrap();
        assert_eq!(made.expires_at.unwrap().seconds - made.created_at.unwrap().seconds, seconds);
    }
}

#[tokio::test]
async fn a_token_for_a_pattern_lets_its_clusters_in_and_binds_their_labels() {
    let hub = Hub::start().await;
    let request = v1::CreateTokenRequest {
        cluster: "edge-*".into(),
        uses: 2,
        labels: [("env".to_owned(), "edge".to_owned())].into(),
        ..Default::default()
    };
    let made = hub.tokens().await.create_token(request).await.unwrap().into_inner();
    assert_eq!(made.info.as_ref().unwrap().created_by, "operator/admin");
    assert_eq!(hub.enrol(&made.token, "core").await.unwrap_err().code(), Code::PermissionDenied);
    let identity = hub.enrol(&made.token, "edge-1").await.unwrap();
    assert_eq!(
        hub.cluster("edge-1").await.bound_labels["env"],
        "edge",
        "known before its agent says anything"
    );
    let mut agent = hub.agent("edge-1", &identity, &[]).await.unwrap();
    let said = [("env".to_owned(), "prod".to_owned()), ("zone".to_owned(), "a".to_owned())].into();
    agent.say(Said::Cluster(v1::ClusterStatus { labels: said, ..Default::default() })).await;
    assert!(agent.ack().await.unwrap().cluster);
    let labels = hub.cluster("edge-1").await.status.unwrap().labels;
    assert_eq!((labels["env"].as_str(), labels["zone"].as_str()), ("edge", "a"));
    hub.enrol(&made.token, "edge-2").await.unwrap();
    assert_eq!(hub.enrol(&made.token, "edge-3").await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn of_two_enrolments_at_once_with_a_single_use_token_one_wins() {
    let hub = Hub::start().await;
    for _ in 0..10 {
        let token = hub.token("prod", 1).await.token;
        let (one, two, three) =
            tokio::join!(hub.enrol(&token, "prod"), hub.enrol(&token, "prod"), hub.enrol(&token, "prod"));
        let won = [one, two, three].iter().filter(|enrolled| enrolled.is_ok()).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn uses_are_counted_across_restarts_and_kills() {
    let mut hub = Hub::start().await;
    let token = hub.token("prod", 3).await;
    for left in [2, 1, 0] {
        hub.enrol(&token.token, "prod").await.unwrap();
        hub.program.kill();
        hub.restart().await;
        let listed = hub.tokens().await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
        assert_eq!(listed.tokens[0].uses_left, left);
    }
    assert!(hub.enrol(&token.token, "prod").await.is_err());
}

#[tokio::test]
async fn a_bad_request_for_a_certificate_costs_no_use() {
    let hub = Hub::start().await;
    let token = hub.token("prod", 1).await.token;
    let good = csr(&KeyPair::generate().unwrap());
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for csr in [Vec::new(), b"garbage".to_vec(), good[..good.len() - 1].to_vec(), forged, vec![0x30; 8_000]] {
        let mut client = v1::enrollment_service_client::EnrollmentServiceClient::new(hub.anonymous().await);
        let request = v1::EnrollRequest { token: token.clone(), cluster: "prod".into(), csr };
        assert_eq!(client.enroll(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    hub.enrol(&token, "prod").await.unwrap();
}

#[tokio::test]
async fn the_hub_writes_the_names_in_a_certificate_whatever_the_request_says() {
    let hub = Hub::start().await;
    let token = hub.token("prod", 1).await.token;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let admin = "spiffe://muster/operator/admin".to_owned();
    params.subject_alt_names = vec![rcgen::SanType::URI(admin.try_into().unwrap())];
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = params.serialize_request(&key).unwrap().der().to_vec();
    let mut client = v1::enrollment_service_client::EnrollmentServiceClient::new(hub.anonymous().await);
    let request = v1::EnrollRequest { token, cluster: "prod".into(), csr };
    let identity = Identity::new(client.enroll(request).await.unwrap().into_inner().certificate, &key);
    let channel = hub.channel(Some(&identity)).await.unwrap();
    let mut fleet = v1::fleet_service_client::FleetServiceClient::new(channel);
    let refused = fleet.list_clusters(v1::ListClustersRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.agent("prod", &identity, &[]).await.unwrap();
}

#[tokio::test]
async fn certificates_end_and_are_renewed_over_the_connection() {
    let hub = Hub::start_with(&["--certificate-lifetime", "10s"]).await;
    let first = hub.enrolled("prod").await;
    let channel = hub.channel(Some(&first)).await.unwrap();
    let mut agent = Agent::connect(channel.clone(), "prod", &[]).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let mut client = v1::agent_service_client::AgentServiceClient::new(channel);
    let refused = client.renew(v1::RenewRequest { csr: b"garbage".to_vec() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    wait::until("a renewed certificate that lives longer", DEADLINE, async || {
        let before = hub.cluster("prod").await.certificate_expires_at.unwrap().seconds;
        let renewed = client.renew(v1::RenewRequest { csr: csr(&key) }).await.unwrap().into_inner();
        renewed.expires_at.unwrap().seconds > before
    })
    .await;
    let renewed = client.renew(v1::RenewRequest { csr: csr(&key) }).await.unwrap().into_inner();
    let second = Identity::new(renewed.certificate, &key);

    let end = agent.end().await;
    assert_eq!(end.code(), Code::Unauthenticated, "{end:?}");
    assert!(end.message().contains("expired"), "{end:?}");
    let late = client.renew(v1::RenewRequest { csr: csr(&key) }).await.unwrap_err();
    assert_eq!(late.code(), Code::Unauthenticated, "over the connection of an expired certificate");
    hub.agent("prod", &second, &[]).await.unwrap();
    let refused = wait::try_until("the old certificate refused", Duration::from_secs(20), async || {
        hub.agent_or_none("prod", &first).await.is_none()
    });
    refused.await.unwrap();
}

impl Hub {
    /// An agent, or nothing when TLS or the hub refuses.
    async fn agent_or_none(&self, cluster: &str, identity: &Identity) -> Option<Agent> {
        let channel = self.channel(Some(identity)).await.ok()?;
        Agent::connect(channel, cluster, &[]).await.ok()
    }
}
