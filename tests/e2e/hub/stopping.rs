//! Does the hub start with a clear word or not at all, stop in time, and tell monitors how it is?

use muster_tests::process::Signal;
use tonic::Code;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::*;

#[tokio::test]
async fn it_stops_in_time_with_agents_watchers_and_half_open_connections() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    let _watch = hub.fleet().await.watch_fleet(v1::WatchFleetRequest::default()).await.unwrap();
    let _half_open = TcpStream::connect(hub.address).await.unwrap();
    let _idle = hub.anonymous().await;
    let started = std::time::Instant::now();
    hub.program.signal(Signal::SIGINT);
    let end = agent.end().await;
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    let ended = hub.program.wait_for_end(DEADLINE).await.unwrap();
    assert!(ended.success(), "{ended}: {}", hub.program.tail());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(hub.program.log().contains("stopped"));
}

#[tokio::test]
async fn health_is_for_anyone_and_reflection_for_operators() {
    let hub = Hub::start().await;
    let mut health = HealthClient::new(hub.anonymous().await);
    for service in ["", "muster.v1.AgentService", "muster.v1.FleetService"] {
        let request = HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    assert_eq!(reflect(hub.anonymous().await).await.unwrap_err().code(), Code::Unauthenticated);
    let services = reflect(hub.as_operator().await).await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = services.message_response else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["muster.v1.AgentService", "muster.v1.FleetService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == service), "{service} is not in {names:?}");
    }
}

async fn reflect(channel: Channel) -> Result<ServerReflectionResponse, Status> {
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let requests = futures::stream::iter([request]);
    let mut responses =
        ServerReflectionClient::new(channel).server_reflection_info(requests).await?.into_inner();
    Ok(responses.message().await?.expect("an answer"))
}

#[tokio::test]
async fn what_it_cannot_run_with_is_told_and_nothing_is_left_behind() {
    let scratch = Scratch::new("hub").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let fails = async |directory: &Path, arguments: &[&str]| {
        let output = launch(directory, address, arguments).run(DEADLINE).await.unwrap();
        assert_eq!(output.code(), Some(2), "{}", output.stderr);
        output.stderr
    };
    let nowhere = scratch.path().join("nowhere");
    assert!(fails(&nowhere, &[]).await.contains("run `muster-hub init"));
    assert!(!nowhere.exists());

    let directory = scratch.path().join("hub");
    init(&directory, address).await;
    let again = Launch::binary("muster-hub").unwrap().args(["init", "--address", "127.0.0.1:1", "--dir"]);
    let again = again.arg(&directory).run(DEADLINE).await.unwrap();
    assert_eq!(again.code(), Some(2));
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);

    let wrong = fails(&directory, &["--heartbeat", "1h", "--certificate-lifetime", "x"]).await;
    assert!(
        wrong.contains("--heartbeat: 1h is not from") && wrong.contains("--certificate-lifetime"),
        "{wrong}"
    );
    let foreign = fails(&directory, &["--address", "hub.example.org:8443"]).await;
    assert!(foreign.contains("agents would not accept this hub under the name hub.example.org"), "{foreign}");

    let taken = std::net::TcpListener::bind(address).unwrap();
    assert!(fails(&directory, &[]).await.contains("cannot listen on"));
    drop(taken);
    std::fs::write(directory.join("issuer.key"), "garbage").unwrap();
    assert!(fails(&directory, &[]).await.contains("issuer.key cannot be used"));
}

#[tokio::test]
async fn settings_come_from_flags_then_environment_then_file() {
    let scratch = Scratch::new("hub").unwrap();
    let directory = scratch.path().join("hub");
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    init(&directory, address).await;
    let file = std::fs::read_to_string(directory.join("config.yaml")).unwrap();
    std::fs::write(
        directory.join("config.yaml"),
        format!("{file}\nheartbeat: none of these\nlog-format: json\n"),
    )
    .unwrap();
    let run = launch(&directory, address, &["--heartbeat", "2s"]).env("MUSTER_HUB_HEARTBEAT", "nor this");
    let mut program = run.env("MUSTER_HUB_LOG", "debug").start().unwrap();
    program.wait_for_log("listening", DEADLINE).await.unwrap();
    let log = program.log();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(first["timestamp"].is_string(), "{first}");
}
