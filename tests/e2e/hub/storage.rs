//! Is what was acknowledged there afterwards, whatever happened to the process or the files?

use std::os::unix::fs::FileExt as _;

use muster_tests::wait;

use super::*;

/// How often the hub is killed, unless MUSTER_TESTS_KILLS gives another number.
const KILLS: u64 = 12;

fn kills() -> u64 {
    std::env::var("MUSTER_TESTS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let mut acknowledged = 0;
    for round in 0..kills() {
        let known = [status("web", &acknowledged.to_string())];
        let mut agent = hub.agent("prod", &identity, &known).await.unwrap();
        if round > 0 {
            assert!(agent.send_apps.is_empty(), "the hub has the last acknowledged status or a later one");
        }
        let (mut tokens, told) =
            (hub.tokens().await, std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default());
        let making = tokio::spawn({
            let told = std::sync::Arc::clone(&told);
            async move {
                let request =
                    || v1::CreateTokenRequest { cluster: "dev".into(), uses: 1, ..Default::default() };
                while let Ok(made) = tokens.create_token(request()).await {
                    told.lock().unwrap().extend(made.into_inner().info.map(|info| info.id));
                }
            }
        });
        // Reports run ahead of their acknowledgements, and the kill comes at some point among them.
        for step in 1..=20 + round % 10 {
            agent.report(step, status("web", &(acknowledged + step).to_string())).await;
            agent.report(step, status("other", &(acknowledged + step).to_string())).await;
        }
        let mut last = 0;
        while last < 1 + round % 10 {
            for ack in agent.ack().await.unwrap().apps {
                if ack.app == "web" {
                    last = ack.sequence;
                }
            }
        }
        hub.program.kill();
        making.await.unwrap();
        hub.restart().await;
        let listed =
            hub.tokens().await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
        for id in told.lock().unwrap().iter() {
            assert!(
                listed.iter().any(|token| token.id == *id),
                "round {round}: token {id} was told and is lost"
            );
        }
        let revisions = hub.revisions("prod").await;
        let web = revisions.iter().find(|(app, _)| app == "web").map(|(_, revision)| revision.parse::<u64>());
        let kept = web.unwrap().unwrap();
        assert!(
            kept >= acknowledged + last,
            "round {round}: {kept} is kept, {} was said",
            acknowledged + last
        );
        acknowledged = kept;
        assert!(!hub.program.log().contains("damaged"), "{}", hub.program.tail());
    }
}

#[tokio::test]
async fn a_token_that_was_told_is_there_after_a_kill() {
    let mut hub = Hub::start().await;
    for _ in 0..3 {
        let token = hub.token("prod", 1).await.token;
        hub.program.kill();
        hub.restart().await;
        hub.enrol(&token, "prod").await.unwrap();
    }
}

/// Overwrites or cuts the newest file of a journal while the hub is down.
fn damage(hub: &Hub, journal: &str, how: &str) {
    let directory = hub.store().join(journal);
    let entries = std::fs::read_dir(&directory).unwrap();
    let path = entries.map(|entry| entry.unwrap().path()).max().unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    match how {
        "cut in half" => file.set_len(length / 2).unwrap(),
        "emptied" => file.set_len(0).unwrap(),
        "overwritten at its start" => file.write_all_at(&[0xa5; 2048], 0).unwrap(),
        "overwritten" => {
            let noise: Vec<u8> =
                (0..length).map(|index| (index.wrapping_mul(0x9e37_79b9) >> 11) as u8).collect();
            file.write_all_at(&noise, 0).unwrap();
        }
        "removed" => std::fs::remove_dir_all(directory).unwrap(),
        other => panic!("{other}?"),
    }
}

#[tokio::test]
async fn a_damaged_status_journal_is_told_and_made_again_from_what_agents_send() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    for how in ["cut in half", "emptied", "overwritten at its start", "overwritten", "removed"] {
        let apps: Vec<_> = (0..20).map(|number| status(&format!("app-{number}"), how)).collect();
        let mut agent = hub.agent("prod", &identity, &apps).await.unwrap();
        for app in &apps {
            agent.report_kept(1, app.clone()).await;
        }
        hub.program.kill();
        damage(&hub, "status-journal", how);
        let told = hub.program.log().matches("the store was damaged").count();
        hub.restart().await;
        let log = hub.program.log();
        assert!(log.matches("the store was damaged").count() > told, "{how} is not told:\n{log}");
        assert_eq!(hub.cluster("prod").await.name, "prod", "{how}: its enrolment is elsewhere");

        let mut agent = hub.agent("prod", &identity, &apps).await.unwrap();
        for (index, app) in agent.send_apps.clone().into_iter().enumerate() {
            agent.report_kept(index as u64 + 1, status(&app, how)).await;
        }
        wait::until("all apps are back", DEADLINE, async || hub.revisions("prod").await.len() == 20).await;
        assert!(hub.revisions("prod").await.iter().all(|(_, revision)| revision == how));
        let aside = std::fs::read_dir(hub.store()).unwrap();
        let aside =
            aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
        assert!(how == "removed" || aside.count() > 0, "what was damaged is kept aside");
    }
}

#[tokio::test]
async fn identities_damaged_in_both_copies_never_give_a_token_more_uses() {
    for how in ["cut in half", "emptied", "overwritten at its start", "overwritten", "removed"] {
        let mut hub = Hub::start().await;
        let (used, unused) = (hub.token("prod", 1).await.token, hub.token("prod", 1).await.token);
        let identity = hub.enrol(&used, "prod").await.unwrap();
        hub.program.kill();
        for copy in ["identity-journal", "identity-copy"] {
            damage(&hub, copy, how);
        }
        hub.restart().await;
        let log = hub.program.log();
        assert!(log.contains("the store was damaged") && log.contains("muster token create"), "{how}: {log}");
        assert!(hub.enrol(&used, "prod").await.is_err(), "{how}");
        assert!(hub.enrol(&unused, "prod").await.is_err(), "{how}");
        hub.agent("prod", &identity, &[]).await.unwrap();
        hub.enrolled("dev").await;
    }
}

#[tokio::test]
async fn identities_damaged_in_one_copy_are_taken_from_the_other() {
    let mut hub = Hub::start().await;
    for (copy, how) in [("identity-journal", "overwritten"), ("identity-copy", "cut in half")] {
        let (used, unused) = (hub.token("prod", 1).await.token, hub.token("prod", 1).await.token);
        hub.enrol(&used, "prod").await.unwrap();
        hub.program.kill();
        damage(&hub, copy, how);
        hub.restart().await;
        assert!(hub.program.log().contains("the other copy had all of it"), "{}", hub.program.tail());
        assert!(hub.enrol(&used, "prod").await.is_err(), "{copy}");
        hub.enrol(&unused, "prod").await.unwrap();
    }
}

/// A file system of its own for a store, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// So many MiB, or a skip where this user may not mount.
    async fn start_or_skip(directory: PathBuf, size: u32) -> Option<Self> {
        std::fs::create_dir_all(&directory).unwrap();
        let options = format!("size={size}m");
        let mount = Launch::command("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&directory);
        let done = mount.run(DEADLINE).await;
        match done {
            Ok(output) if output.status.success() => Some(Self(directory)),
            other => {
                muster_tests::skip::skip("a file system that fills up", &format!("{other:?}"));
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status(); // it is in memory only
    }
}

async fn serves(hub: &Hub) -> bool {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    let mut health = tonic_health::pb::health_client::HealthClient::new(hub.anonymous().await);
    let checked = health.check(HealthCheckRequest::default()).await.unwrap();
    checked.into_inner().status() == ServingStatus::Serving
}

#[tokio::test]
async fn a_full_disk_is_told_takes_nothing_and_loses_nothing() {
    let scratch = Scratch::new("full").unwrap();
    let Some(disk) = Mounted::start_or_skip(scratch.path().join("disk"), 16).await else { return };
    let store = format!("store: {{directory: {}/store}}\n", disk.0.display());
    let mut hub = Hub::start_prepared(&[], |directory| {
        let config = directory.join("config.yaml");
        std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &store).unwrap();
    })
    .await;
    let identity = hub.enrolled("prod").await;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "before")).await;
    assert!(serves(&hub).await);

    let ballast = disk.0.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[7; 4096]).is_ok() {}
    while std::io::Write::write_all(&mut file, &[7; 1]).is_ok() {}
    // More than what is left of the last page the store has, also when all of it is written at once.
    for sequence in 2..200 {
        agent.report(sequence, status(&format!("app-{sequence:03}"), &"x".repeat(500))).await;
    }
    wait::until("the hub to say that it is not ready", DEADLINE, async || !serves(&hub).await).await;
    let request = v1::CreateTokenRequest { cluster: "dev".into(), ..Default::default() };
    let refused = hub.tokens().await.create_token(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert_eq!(hub.cluster("prod").await.name, "prod", "reading goes on");

    drop(file); // what is open takes up room
    std::fs::remove_file(&ballast).unwrap();
    agent.acknowledged("app-199", 199).await;
    wait::until("the hub to be ready again", DEADLINE, async || serves(&hub).await).await;
    hub.program.kill();
    hub.restart().await;
    let revisions = hub.revisions("prod").await;
    assert_eq!(revisions.len(), 199, "{revisions:?}");
    assert!(!hub.program.log().contains("damaged"), "{}", hub.program.tail());
}

#[tokio::test]
async fn two_hubs_do_not_share_a_store() {
    let hub = Hub::start().await;
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let second = launch(&hub.directory, address, &[]).run(DEADLINE).await.unwrap();
    assert_eq!(second.code(), Some(2));
    assert!(second.stderr.contains("in use by another muster-hub"), "{}", second.stderr);
}
