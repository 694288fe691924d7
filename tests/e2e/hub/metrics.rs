//! What do Prometheus and a kubelet see of a hub?

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Status and body of what a path answers.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn the_fleet_and_the_hub_itself_are_measured() {
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let hub = Hub::start_with(&["--metrics", &metrics.to_string()]).await;
    let identity = hub.enrolled("a").await;
    let mut agent = hub.agent("a", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "abc")).await;
    hub.fleet().await.list_apps(v1::ListAppsRequest::default()).await.unwrap();
    let stranger = v1::fleet_service_client::FleetServiceClient::new(hub.anonymous().await);
    let refused = { stranger }.list_apps(v1::ListAppsRequest::default()).await;
    assert!(refused.is_err());

    assert_eq!(get(metrics, "/healthz").await.0, 200);
    assert_eq!(get(metrics, "/readyz").await, (200, "leading\n".to_owned()));
    assert_eq!(get(metrics, "/").await.0, 404);
    let (status, text) = get(metrics, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "muster_hub_leader 1\n",
        "muster_hub_store_writable 1\n",
        "muster_hub_agent_streams 1\n",
        "muster_hub_cluster_up{cluster=\"a\"} 1\n",
        "muster_hub_apps{sync=\"Synced\",health=\"Healthy\"} 1\n",
        "muster_hub_requests_total{method=\"muster.v1.FleetService/ListApps\"} 1\n",
        "muster_hub_requests_refused_total{reason=",
        "muster_hub_store_writes_total{result=\"success\"} ",
        "process_resident_memory_bytes ",
        "# EOF\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    drop(agent);
    wait::until("the cluster is seen to be gone", DEADLINE, async || {
        let (_, text) = get(metrics, "/metrics").await;
        let is_gone = text.contains("muster_hub_agent_streams 0\n");
        if is_gone { Ok(()) } else { Err(text) }
    })
    .await;
}
