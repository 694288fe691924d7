//! Is whoever should be told what is wrong told, once, whatever happens to the hub and to the receiver?

mod rules;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, extract::State, routing::post};
use serde_json::Value;

use super::*;

/// What a receiver was sent.
#[derive(Clone, Debug)]
struct Received {
    path: String,
    id: String,
    signature: String,
    authorization: String,
    bytes: Vec<u8>,
    body: Value,
}

/// A receiver that answers as it is told, and remembers what it took.
#[derive(Clone, Default)]
struct Receiver {
    taken: Arc<Mutex<Vec<Received>>>,
    /// Answers to come, before those that are well.
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    refused: Arc<Mutex<Vec<Received>>>,
    /// It takes what comes, and never answers.
    is_mute: Arc<AtomicBool>,
}

impl Receiver {
    async fn start() -> (Receiver, SocketAddr) {
        let receiver = Receiver::default();
        let app = Router::new().fallback(post(take)).with_state(receiver.clone());
        let (listener, port) = ports::listen();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn taken(&self, path: &str) -> Vec<Received> {
        self.taken.lock().unwrap().iter().filter(|one| one.path == path).cloned().collect()
    }

    async fn waits_for(&self, path: &str, count: usize) -> Vec<Received> {
        wait::until(&format!("{count} messages at {path}"), DEADLINE, async || {
            let taken = self.taken(path);
            if taken.len() >= count { Ok(taken) } else { Err(format!("{taken:?}")) }
        })
        .await
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let text =
        |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let received = Received {
        path: uri.path().to_owned(),
        id: text("x-muster-id"),
        signature: text("x-muster-signature"),
        authorization: text("authorization"),
        body: serde_json::from_slice(&body).unwrap(),
        bytes: body.to_vec(),
    };
    if let Some(answer) = receiver.answers.lock().unwrap().pop_front() {
        receiver.refused.lock().unwrap().push(received);
        return (answer, "");
    }
    receiver.taken.lock().unwrap().push(received);
    if receiver.is_mute.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    // As Slack answers a bot; others do not read it.
    (StatusCode::OK, r#"{"ok": true, "channel": "C1", "ts": "17.5"}"#)
}

async fn hub_with(receiver: SocketAddr, after: &str) -> Hub {
    hub_with_flags(&["--heartbeat", "1s"], receiver, after).await
}

async fn hub_with_flags(flags: &[&str], receiver: SocketAddr, after: &str) -> Hub {
    Hub::start_prepared(flags, |directory| {
        let secret = directory.join("secret");
        std::fs::write(&secret, "shared\n").unwrap();
        let alerts = format!(
            "alerts:\n  after: {after}\n  receivers:\n  - {{name: ops, webhook: \"http://{receiver}/ops\", secret-file: {}}}\n  \
             - {{name: chat, slack: \"http://{receiver}/chat\"}}\n",
            secret.display()
        );
        let path = directory.join("config.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + &alerts).unwrap();
    })
    .await
}

fn broken(app: &str) -> v1::AppStatus {
    v1::AppStatus {
        health: v1::HealthStatus::Degraded.into(),
        message: "Deployment/web: CrashLoopBackOff".into(),
        ..status(app, "abc")
    }
}

#[tokio::test]
async fn clusters_that_fail_alike_are_one_message_to_each_receiver_and_the_end_is_told() {
    let (receiver, address) = Receiver::start().await;
    // Refused at first, in all ways: nothing may be lost.
    receiver
        .answers
        .lock()
        .unwrap()
        .extend([StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS]);
    let hub = hub_with(address, "2s").await;
    let mut agents = Vec::new();
    for cluster in ["a", "b", "c"] {
        let identity = hub.enrolled(cluster).await;
        let mut agent = hub.agent(cluster, &identity, &[]).await.unwrap();
        agent.report_kept(1, broken("web")).await;
        agents.push(agent);
    }
    // The agents live on, and their apps get well when they are told to.
    let (mend, mended) = tokio::sync::oneshot::channel();
    let alive = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        let mut mended = std::pin::pin!(mended);
        let mut is_well = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => for agent in &agents {
                    agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
                },
                _ = &mut mended, if !is_well => {
                    is_well = true;
                    for agent in &agents {
                        agent.report(2, status("web", "abc")).await;
                    }
                }
            }
        }
    });

    let ops = receiver.waits_for("/ops", 1).await.remove(0);
    assert_eq!(
        (&ops.body["status"], &ops.body["kind"], &ops.body["app"]),
        (&"firing".into(), &"Degraded".into(), &"web".into())
    );
    let clusters: Vec<_> =
        ops.body["clusters"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(clusters, ["a", "b", "c"]);
    assert_eq!(ops.body["cause"], "Deployment/web: CrashLoopBackOff");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"shared");
    let signed: String =
        ring::hmac::sign(&key, &ops.bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ops.signature, format!("sha256={signed}"));
    let chat = receiver.waits_for("/chat", 1).await.remove(0);
    assert!(chat.body["text"].as_str().unwrap().contains("web is Degraded in 3 clusters"), "{chat:?}");
    for refused in receiver.refused.lock().unwrap().iter() {
        let same = receiver.taken(&refused.path).into_iter().find(|taken| taken.id == refused.id);
        assert!(same.is_some(), "what was refused came again with its id: {refused:?}");
    }

    mend.send(()).unwrap();
    let over = receiver.waits_for("/ops", 2).await.remove(1);
    assert_eq!(
        (&over.body["status"], over.body["count"].as_u64()),
        (&"resolved".into(), Some(3)),
        "{over:?}"
    );
    receiver.waits_for("/chat", 2).await;
    assert_eq!(receiver.taken("/ops").len(), 2);
    alive.abort();
}

#[tokio::test]
async fn a_kill_neither_loses_nor_repeats_a_message_and_an_agent_that_is_gone_is_told() {
    let (receiver, address) = Receiver::start().await;
    let mut hub = hub_with(address, "1s").await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "abc")).await;
    drop(agent);
    let told = receiver.waits_for("/ops", 1).await;
    assert_eq!(told[0].body["title"], "prod is Unreachable", "{told:?}");
    receiver.waits_for("/chat", 1).await;
    // What was taken is kept a moment later.
    wait::until("the note that it was taken", DEADLINE, async || {
        hub.program.log().matches("told").count() >= 2
    })
    .await;
    hub.program.kill();
    hub.restart().await;
    let agent = hub.agent("prod", &identity, &[status("web", "abc")]).await.unwrap();
    let alive = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        loop {
            ticks.tick().await;
            agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
        }
    });
    let told = receiver.waits_for("/ops", 2).await;
    assert_eq!(told[1].body["status"], "resolved", "{told:?}");
    assert_eq!(told[1].body["kind"], "Unreachable");
    assert_eq!(told.len(), 2, "{told:?}");
    alive.abort();
}

#[tokio::test]
async fn people_see_what_is_wrong_silence_it_and_try_receivers_out() {
    let (receiver, address) = Receiver::start().await;
    let hub = hub_with(address, "1s").await;
    let identity = hub.enrolled("prod-1").await;
    let mut agent = hub.agent("prod-1", &identity, &[]).await.unwrap();
    let json = async |arguments: &[&str]| -> Value {
        let output = hub.muster(arguments).run(DEADLINE).await.unwrap();
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}{}", output.stdout, output.stderr))
    };
    let reason = ["--reason", "maintenance"];
    let add = [&["silence", "add", "--cluster", "prod-*", "--for", "1h", "-o", "json"][..], &reason].concat();
    let added = json(&add).await;
    let id = added["silences"][0]["id"].as_str().unwrap().to_owned();
    agent.report_kept(1, broken("web")).await;
    let mut beats = tokio::time::interval(Duration::from_millis(300));
    let alert = loop {
        beats.tick().await;
        agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
        let seen = json(&["alerts", "-o", "json"]).await;
        if seen["alerts"][0]["state"] == "Firing" {
            break seen["alerts"][0].clone();
        }
    };
    assert_eq!(
        (&alert["kind"], &alert["app"], &alert["cluster"]),
        (&"Degraded".into(), &"web".into(), &"prod-1".into())
    );
    assert_eq!(
        (alert["severity"].as_str(), alert["silence"].as_str()),
        (Some("critical"), Some(id.as_str()))
    );
    assert_eq!(json(&["alerts", "--firing", "-o", "json"]).await["alerts"], serde_json::json!([]));
    assert!(receiver.taken("/ops").is_empty(), "it is silenced");

    let ended = hub.muster(&["silence", "end", &id]).run(DEADLINE).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let told = loop {
        beats.tick().await;
        agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
        if let Some(told) = receiver.taken("/ops").into_iter().next() {
            break told;
        }
    };
    assert_eq!(told.body["title"], "web is Degraded in prod-1");
    let shown = hub.muster(&["alerts"]).run(DEADLINE).await.unwrap();
    assert_eq!(shown.code(), Some(1), "something is wrong: {}", shown.stdout);
    assert!(
        shown.stdout.contains("prod-1/web") && shown.stdout.contains("CrashLoopBackOff"),
        "{}",
        shown.stdout
    );

    let tested = hub.muster(&["alerts", "test", "chat"]).run(DEADLINE).await.unwrap();
    assert_eq!(tested.code(), Some(0), "{}", tested.stderr);
    receiver.waits_for("/chat", 2).await;
    let texts: Vec<_> = receiver.taken("/chat").into_iter().map(|one| one.body["text"].to_string()).collect();
    assert!(texts.iter().any(|text| text.contains("a test message of the Muster hub")), "{texts:?}");
    receiver.answers.lock().unwrap().push_back(StatusCode::FORBIDDEN);
    let refused = hub.muster(&["alerts", "test", "ops"]).run(DEADLINE).await.unwrap();
    assert!(refused.code() == Some(2) && refused.stderr.contains("403"), "{}", refused.stderr);
    let nobody = hub.muster(&["alerts", "test", "nobody"]).run(DEADLINE).await.unwrap();
    assert!(nobody.stderr.contains("there are: ops, chat"), "{}", nobody.stderr);
    for (arguments, words) in [
        (vec!["silence", "add", "--for", "1h"], "say which alerts are meant"),
        (vec!["silence", "add", "--kind", "Odd", "--for", "1h"], "no alerts of kind"),
        (vec!["silence", "add", "--app", "web", "--for", "91d"], "within 90 days"),
        (vec!["silence", "end", &id], "there is no silence"),
    ] {
        let more: &[&str] = if arguments[1] == "add" { &reason } else { &[] };
        let output = hub.muster(&[&arguments, more].concat()).run(DEADLINE).await.unwrap();
        assert!(
            output.code() == Some(2) && output.stderr.contains(words),
            "{arguments:?}: {}",
            output.stderr
        );
    }
    let rows: Vec<_> = hub.audit().await.into_iter().map(|row| row.action).collect();
    for action in ["CreateSilence", "EndSilence", "TestReceiver"] {
        assert!(rows.iter().any(|row| row.ends_with(action)), "{action} in {rows:?}");
    }
}

/// What is silenced stays so over a restart.
#[tokio::test]
async fn a_silence_outlives_the_hub() {
    let (_, address) = Receiver::start().await;
    let mut hub = hub_with(address, "1s").await;
    let add = ["silence", "add", "--kind", "Degraded", "--for", "1h", "--reason", "maintenance"];
    assert_eq!(hub.muster(&add).run(DEADLINE).await.unwrap().code(), Some(0));
    hub.program.kill();
    hub.restart().await;
    let listed = hub.muster(&["silence", "list"]).run(DEADLINE).await.unwrap();
    assert!(
        listed.stdout.contains("kind=Degraded") && listed.stdout.contains("maintenance"),
        "{}",
        listed.stdout
    );
}

/// A mail server that takes one letter after the other, and gives what it took.
async fn mail_server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let letters = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let letters = Arc::clone(&letters);
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                write.write_all(b"220 mail.test\r\n").await.unwrap();
                let (mut letter, mut in_data) = (String::new(), false);
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match (in_data, line.as_str()) {
                        (true, ".") => {
                            in_data = false;
                            letters.lock().unwrap().push(std::mem::take(&mut letter));
                            "250 taken"
                        }
                        (true, line) => {
                            letter.push_str(line);
                            letter.push('\n');
                            continue;
                        }
                        (false, "DATA") => {
                            in_data = true;
                            "354 go on"
                        }
                        (false, line) => {
                            letter.push_str(line);
                            letter.push('\n');
                            if line.starts_with("QUIT") { "221 bye" } else { "250 ok" }
                        }
                    };
                    if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, taken)
}

#[tokio::test]
async fn mail_pagerduty_alertmanager_and_teams_are_told_in_their_own_words() {
    let (receiver, address) = Receiver::start().await;
    let (mail, letters) = mail_server().await;
    let hub = Hub::start_prepared(&["--heartbeat", "1s"], |directory| {
        let key = directory.join("pagerduty-key");
        std::fs::write(&key, "the-key\n").unwrap();
        let alerts = format!(
            "alerts:\n  after: 1s\n  link: https://hub.example.org\n  receivers:\n  \
             - {{name: mail, mail: {{server: 127.0.0.1, port: {}, tls: none, from: muster@hub.test, to: [ops@hub.test, dev@hub.test]}}}}\n  \
             - {{name: pager, pagerduty: \"http://{address}/pager\", pagerduty-key-file: {}, severity: critical}}\n  \
             - {{name: am, alertmanager: \"http://{address}/am\"}}\n  - {{name: teams, teams: \"http://{address}/teams\"}}\n",
            mail.port(),
            key.display()
        );
        let path = directory.join("config.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + &alerts).unwrap();
    })
    .await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, broken("web")).await;
    // Not critical, so that the pager is not told.
    let late = v1::AppStatus { sync: v1::SyncStatus::OutOfSync.into(), ..status("api", "abc") };
    agent.report_kept(2, late).await;
    let mut beats = tokio::time::interval(Duration::from_millis(300));
    let counts = || {
        let letters = letters.lock().unwrap().len();
        (
            letters,
            receiver.taken("/pager").len(),
            receiver.taken("/am/api/v2/alerts").len(),
            receiver.taken("/teams").len(),
        )
    };
    while counts() != (2, 1, 2, 2) {
        beats.tick().await;
        agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
        let (letters, pager, am, teams) = counts();
        assert!(letters <= 2 && pager <= 1 && am <= 2 && teams <= 2, "nobody is told twice");
    }
    let letters = letters.lock().unwrap().clone();
    let letter = letters.iter().find(|letter| letter.contains("web is Degraded in prod")).unwrap();
    for words in [
        "RCPT TO:<ops@hub.test>",
        "RCPT TO:<dev@hub.test>",
        "Subject: [critical] web is Degraded in prod",
        "Message-ID: <",
        "multipart/alternative",
        "CrashLoopBackOff",
        "muster app web",
        "https://hub.example.org/#/apps/web",
    ] {
        assert!(letter.contains(words), "{words} in\n{letter}");
    }
    let event = receiver.taken("/pager").remove(0).body;
    assert_eq!((&event["routing_key"], &event["event_action"]), (&"the-key".into(), &"trigger".into()));
    assert_eq!(event["dedup_key"], "muster/Degraded/web");
    let alerts = receiver.taken("/am/api/v2/alerts");
    assert!(alerts.iter().any(|one| one.body[0]["labels"]["alertname"] == "MusterDegraded"), "{alerts:?}");
    assert!(receiver.taken("/teams")[0].body["attachments"][0]["content"]["body"].is_array());

    agent.report(3, status("web", "abc")).await;
    while receiver.taken("/pager").len() < 2 {
        beats.tick().await;
        agent.say(Said::Heartbeat(v1::Heartbeat::default())).await;
    }
    let over = receiver.taken("/pager").remove(1).body;
    assert_eq!((&over["event_action"], &over["dedup_key"]), (&"resolve".into(), &event["dedup_key"]));
}
