//! Does a backup taken from a running hub bring back what it had?

use muster_tests::process::Output;

use super::*;

async fn muster_hub(command: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    Launch::binary("muster-hub").unwrap().arg(command).args(arguments).run(DEADLINE).await.unwrap()
}

#[tokio::test]
async fn a_backup_of_a_running_hub_is_restored_elsewhere_and_its_tokens_are_refused() {
    let mut hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let unused = hub.token("prod", 1).await.token;
    let mut agent = hub.agent("prod", &identity, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    let scratch = Scratch::new("backup").unwrap();
    let (file, dir) = (scratch.path().join("hub.backup"), std::ffi::OsStr::new("--dir"));
    let arguments = [dir, hub.directory.as_os_str(), file.as_os_str()];
    let said = muster_hub("backup", &arguments).await.success();
    assert!(said.contains("1 enrolments, 1 clusters, 1 apps"), "{said}");
    agent.report_kept(2, status("web", "r2")).await;

    // Not into a hub that runs, nor over what is there without being told so.
    let running = muster_hub("restore", &arguments).await;
    assert!(running.stderr.contains("in use by another muster-hub"), "{}", running.stderr);
    hub.program.terminate(DEADLINE).await.unwrap();
    let full = muster_hub("restore", &arguments).await;
    assert!(full.stderr.contains("the store is not empty"), "{}", full.stderr);
    let replace = [dir, hub.directory.as_os_str(), "--replace".as_ref(), file.as_os_str()];
    let said = muster_hub("restore", &replace).await.success();
    assert!(said.contains("1 enrolments, 1 clusters, 1 apps"), "{said}");
    hub.restart().await;
    assert_eq!(hub.revisions("prod").await, [("web".to_owned(), "r1".to_owned())]);
    assert!(hub.enrol(&unused, "prod").await.is_err(), "it may have been used after the backup");
    let agent = hub.agent("prod", &identity, &[status("web", "r2")]).await.unwrap();
    assert_eq!(agent.send_apps, ["web"], "what came after the backup is sent again");
}

#[tokio::test]
async fn a_cut_backup_is_refused() {
    let hub = Hub::start().await;
    let scratch = Scratch::new("backup").unwrap();
    let file = scratch.path().join("hub.backup");
    let arguments = ["--dir".as_ref(), hub.directory.as_os_str(), file.as_os_str()];
    hub.token("prod", 1).await;
    muster_hub("backup", &arguments).await.success();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let refused = muster_hub("restore", &arguments).await;
    assert_eq!(refused.code(), Some(2));
    assert!(refused.stderr.contains("is not a whole backup"), "{}", refused.stderr);
}
