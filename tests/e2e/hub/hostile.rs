//! Does one bad client stay its own problem?

use tokio::io::AsyncWriteExt as _;
use tonic::Code;

use super::*;

#[tokio::test]
async fn slow_handshakes_and_half_open_connections_hold_up_nobody() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut held = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(hub.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap(); // the beginning of a ClientHello
        }
        held.push(stream);
    }
    let started = std::time::Instant::now();
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    assert_eq!(hub.revisions("prod").await.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(held);
}

#[tokio::test]
async fn idle_connections_without_a_certificate_are_bounded_and_do_not_shut_agents_out() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(hub.channel(None).await);
    }
    assert!(hub.program.log().contains("too many connections without a certificate"));
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    drop(idle);
    wait::until("a newcomer can enrol again", DEADLINE, async || {
        let token = hub.token("new", 1).await.token;
        let key = KeyPair::generate().unwrap();
        let Ok(channel) = hub.channel(None).await else { return false };
        let request = v1::EnrollRequest { token, cluster: "new".into(), csr: csr(&key) };
        v1::enrollment_service_client::EnrollmentServiceClient::new(channel).enroll(request).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused_without_harm() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "good")).await;
    let mut huge = status("web", "huge");
    huge.message = "x".repeat(muster_wire::MESSAGE_BYTES_MAX + 1);
    agent.report(2, huge).await;
    let end = agent.end().await;
    assert_eq!(end.code(), Code::OutOfRange, "{end:?}");

    let token = "x".repeat(100_000);
    let request = v1::EnrollRequest { token, cluster: "prod".into(), csr: Vec::new() };
    let mut client = v1::enrollment_service_client::EnrollmentServiceClient::new(hub.anonymous().await);
    assert_eq!(client.enroll(request).await.unwrap_err().code(), Code::OutOfRange);

    assert_eq!(hub.revisions("prod").await, [("web".to_owned(), "good".to_owned())]);
    let mut agent = hub.agent("prod", &identity, &[status("web", "good")]).await.unwrap();
    agent.report_kept(1, status("web", "better")).await;
}

#[tokio::test]
async fn an_agent_that_breaks_the_protocol_is_told_and_loses_only_its_stream() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let first = |said: Said| async {
        let channel = hub.channel(Some(&identity)).await.unwrap();
        let messages = futures::stream::iter([v1::AgentMessage { body: Some(said) }]);
        let mut client = v1::agent_service_client::AgentServiceClient::new(channel);
        let mut inbound = client.connect(messages).await.unwrap().into_inner();
        next(&mut inbound).await.unwrap_err()
    };
    assert_eq!(first(Said::Heartbeat(v1::Heartbeat::default())).await.code(), Code::InvalidArgument);
    let bad_digest = v1::AppDigest { app: "web".into(), digest: vec![1] };
    let hello = v1::Hello { cluster: "prod".into(), apps: vec![bad_digest], ..Default::default() };
    assert_eq!(first(Said::Hello(hello)).await.code(), Code::InvalidArgument);
    let many = vec![v1::AppDigest { app: "web".into(), digest: vec![1; 16] }; 5_001];
    let hello = v1::Hello { cluster: "prod".into(), apps: many, ..Default::default() };
    assert_eq!(first(Said::Hello(hello)).await.code(), Code::ResourceExhausted);

    for said in [
        Said::App(v1::AppReport { sequence: 1, status: Some(status("Not A Name", "r")) }),
        Said::App(v1::AppReport { sequence: 1, status: None }),
        Said::Event(v1::Event::default()),
        Said::Hello(v1::Hello::default()),
    ] {
        let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
        agent.say(said).await;
        assert_eq!(agent.end().await.code(), Code::InvalidArgument);
    }
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
}

/// It gets no more room than its own stream's, and others are served meanwhile.
#[tokio::test]
async fn an_agent_that_does_not_read_its_acknowledgements_is_not_read_from() {
    let hub = Hub::start().await;
    let (deaf, good) = (hub.enrolled("deaf").await, hub.enrolled("good").await);
    let agent = hub.agent("deaf", &deaf, &[]).await.unwrap();
    let flood = async {
        for sequence in 1..=200_000_u64 {
            agent.report(sequence, status(&format!("app-{}", sequence % 1_000), &sequence.to_string())).await;
        }
    };
    let serve = async {
        let mut good = hub.agent("good", &good, &[]).await.unwrap();
        for sequence in 1..=50 {
            good.report_kept(sequence, status("web", &sequence.to_string())).await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = serve => {}
    }
    let resident = hub.program.resident_bytes().unwrap();
    assert!(resident < 300 * 1024 * 1024, "{resident} bytes");
}
