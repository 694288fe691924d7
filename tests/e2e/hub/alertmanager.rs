//! Does the real Alertmanager of Prometheus take what the hub tells it?

use muster_tests::skip;
use serde_json::Value;

use super::*;

/// The alerts that it has, by its API.
async fn alerts(address: SocketAddr) -> Result<Vec<Value>, String> {
    let body = get(address, "/api/v2/alerts").await?;
    serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))
}

/// The body of an answer over plain HTTP/1.0, which ends with the connection.
async fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let told = |error: std::io::Error| error.to_string();
    let mut stream = tokio::net::TcpStream::connect(address).await.map_err(told)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.map_err(told)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(told)?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(text)
}

#[tokio::test]
async fn the_real_one_takes_alerts_and_hears_of_their_end() {
    let Some(program) = skip::program("prometheus-alertmanager") else { return };
    let scratch = Scratch::new("alertmanager").unwrap();
    let config = scratch.path().join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let mut running = Launch::command(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", scratch.path().display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .start()
        .unwrap();
    running.wait_for_port(address, DEADLINE).await.unwrap();
    let hub = Hub::start_prepared(&["--heartbeat", "1s"], |directory| {
        let path = directory.join("config.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let receivers = format!("[{{name: am, alertmanager: \"http://{address}\"}}]");
        std::fs::write(&path, format!("{text}alerts: {{after: 1s, receivers: {receivers}}}\n")).unwrap();
    })
    .await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    let degraded = v1::AppStatus {
        health: v1::HealthStatus::Degraded.into(),
        message: "Deployment/web: CrashLoopBackOff".into(),
        ..status("web", "abc")
    };
    agent.report_kept(1, degraded).await;
    let (mend, mut mended) = tokio::sync::mpsc::channel(1);
    let beating = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        loop {
            tokio::select! {
                _ = ticks.tick() => agent.say(Said::Heartbeat(v1::Heartbeat::default())).await,
                Some(()) = mended.recv() => agent.report(2, status("web", "abc")).await,
            }
        }
    });
    let found = wait::until("Alertmanager to have the alert", DEADLINE, async || {
        let all = alerts(address).await?;
        all.first().cloned().ok_or_else(|| "none yet".to_owned())
    })
    .await;
    let labels = &found["labels"];
    assert_eq!((labels["cluster"].as_str(), labels["app"].as_str()), (Some("prod"), Some("web")), "{found}");
    assert_eq!(labels["alertname"], "MusterDegraded", "{found}");
    assert!(found["annotations"].to_string().contains("CrashLoopBackOff"), "{found}");
    assert_eq!(found["status"]["state"], "active");
    mend.send(()).await.unwrap();
    wait::until("Alertmanager to hear of the end", DEADLINE, async || {
        let all = alerts(address).await?;
        if all.is_empty() { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    beating.abort();
}
