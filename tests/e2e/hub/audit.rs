//! Does the audit log tell everything, and does it show when somebody has been at it?

use muster_hub::record::{Change, Key, Record};
use muster_hub::store::{LocalStore, Store as _, Transaction};

use super::*;

async fn verify(hub: &Hub, arguments: &[&str]) -> (Option<i32>, String) {
    let all: Vec<&str> = ["audit", "verify"].iter().chain(arguments).copied().collect();
    let output = hub.muster(&all).run(DEADLINE).await.unwrap();
    (output.code(), format!("{}{}", output.stdout, output.stderr))
}

fn append(store: &mut LocalStore, change: Change) {
    let transaction = Transaction { changes: vec![change], as_leader: false };
    assert_eq!(store.append(&[transaction]).unwrap(), [0_usize; 0]);
}

/// What follows `--checkpoint` in the answer.
fn checkpoint(said: &str) -> String {
    said.split("--checkpoint ").nth(1).unwrap().trim().to_owned()
}

#[tokio::test]
async fn what_is_done_is_in_the_log_across_a_kill_and_verifies() {
    let mut hub = Hub::start().await;
    hub.enrolled("prod").await;
    let (code, said) = verify(&hub, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let early = checkpoint(&said);
    let revoked = hub.token("dev", 1).await.info.unwrap().id;
    hub.tokens().await.revoke_token(v1::RevokeTokenRequest { id: revoked.clone() }).await.unwrap();
    hub.program.kill();
    hub.restart().await;

    let rows = hub.audit().await;
    let told: Vec<(&str, &str, &str)> =
        rows.iter().map(|row| (row.actor.as_str(), row.action.as_str(), row.result.as_str())).collect();
    let token = rows[1].actor.clone();
    assert!(token.starts_with("token/"), "{token}");
    assert_eq!(
        told,
        [
            ("operator/admin", "muster.v1.TokenService/CreateToken", "ok"),
            (token.as_str(), "muster.v1.EnrollmentService/Enroll", "ok"),
            ("operator/admin", "muster.v1.TokenService/CreateToken", "ok"),
            ("operator/admin", "muster.v1.TokenService/RevokeToken", "ok"),
        ]
    );
    assert_eq!(rows[3].target, format!("token/{revoked}"));
    assert!(rows.iter().all(|row| row.source == "127.0.0.1" && row.time.is_some()));

    let (code, said) = verify(&hub, &["--checkpoint", &early]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Entries 1 to 4"), "{said}");
    let output = hub.muster(&["audit", "--actor", "operator/*", "-o", "json"]).run(DEADLINE).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&output.success()).unwrap();
    assert_eq!(shown["rows"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_log_somebody_has_been_at_does_not_verify() {
    let mut hub = Hub::start().await;
    for cluster in ["a", "b", "c", "d"] {
        hub.token(cluster, 1).await;
    }
    let whole = checkpoint(&verify(&hub, &[]).await.1);
    let export = hub.muster(&["audit", "export"]).run(DEADLINE).await.unwrap().success();
    let file = hub.directory.join("audit.jsonl");
    let of_file = async |lines: Vec<String>| {
        std::fs::write(&file, lines.join("\n")).unwrap();
        verify(&hub, &["--file", file.to_str().unwrap(), "--checkpoint", &whole]).await
    };
    let lines: Vec<String> = export.lines().map(str::to_owned).collect();
    assert_eq!(of_file(lines.clone()).await.0, Some(0));
    for (what, number) in [("changed", 1), ("removed", 1), ("removed", 3), ("swapped", 1)] {
        let mut bad = lines.clone();
        match what {
            "changed" => bad[number] = bad[number].replace("for b", "for x"),
            "removed" => drop(bad.remove(number)),
            _ => bad.swap(number, number + 1),
        }
        let (code, said) = of_file(bad).await;
        assert_eq!(code, Some(1), "{what} {number}: {said}");
        assert!(said.contains("not what was written"), "{said}");
    }

    // The same in the hub's own store, by somebody who can write it and leaves its checksums in order.
    hub.program.terminate(DEADLINE).await.unwrap();
    let mut store = LocalStore::open(&hub.store()).unwrap();
    let rows = store.load().unwrap().audit;
    let mut second = v1::AuditRow::clone(rows.iter().find(|row| row.number == 2).unwrap());
    second.actor = "operator/somebody-else".into();
    append(&mut store, Change::Put(Record::Audit(Arc::new(second))));
    drop(store);
    hub.restart().await;
    hub.program.wait_for_log("the audit log is not what was written", DEADLINE).await.unwrap();
    let (code, said) = verify(&hub, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("entry 2 was changed"), "{said}");

    hub.program.terminate(DEADLINE).await.unwrap();
    append(&mut LocalStore::open(&hub.store()).unwrap(), Change::Delete(Key::Audit(2)));
    hub.restart().await;
    let (code, said) = verify(&hub, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("after entry 1 comes entry 3"), "{said}");
}

#[tokio::test]
async fn refusals_without_end_are_counted_and_do_not_flood_the_log() {
    let hub = Hub::start().await;
    let parts = hub.token("prod", 1).await.token;
    let parts: Vec<&str> = parts.split('.').collect();
    let mut client = v1::enrollment_service_client::EnrollmentServiceClient::new(hub.anonymous().await);
    let unknown = format!("{}.{}.{}.{}", parts[0], "00".repeat(8), parts[2], parts[3]);
    for _ in 0..200 {
        let request = v1::EnrollRequest { token: unknown.clone(), cluster: "prod".into(), csr: Vec::new() };
        client.enroll(request).await.unwrap_err();
    }
    hub.audited("token-unknown").await;
    let refused = hub.audit().await.into_iter().filter(|row| row.result == "token-unknown").count();
    assert_eq!(refused, 1, "the others are counted");
}
