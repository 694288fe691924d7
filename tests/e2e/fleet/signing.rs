//! With signatures asked for, who can push to the Git server still moves no cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use muster_tests::fleet::{DEADLINE, Fleet, Target};
use muster_tests::scratch::Scratch;
use muster_tests::{git, skip, wait};

use super::story::{Story, deployment};

/// A new key, and a file of signers with it alone.
fn key(directory: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let key = directory.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    match made {
        Ok(made) => assert!(made.success()),
        Err(error) => {
            skip::skip("ssh-keygen", &error.to_string());
            return None;
        }
    }
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = directory.join(format!("{name}.signers"));
    std::fs::write(&signers, format!("{name} {public}")).unwrap();
    Some((key, signers))
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_pins_and_commits_move_nothing() {
    let scratch = Scratch::new("keys").unwrap();
    let Some((hub_key, hub_signers)) = key(scratch.path(), "hub") else { return };
    let Some((sre_key, sre_signers)) = key(scratch.path(), "sre") else { return };
    let both = scratch.path().join("both.signers");
    let text = [&hub_signers, &sre_signers].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    std::fs::write(&both, text).unwrap();
    let targets = Target::simulated(&["dev", "staging", "prod"]).await;
    let config = format!(
        "repository: {{signing-key-file: {}, pins-signed-by: {}}}\n",
        hub_key.display(),
        sre_signers.display()
    );
    let files = Story::files(&targets);
    let fleet = Fleet::start_prepared(&files, |directory| {
        let file = directory.join("config.yaml");
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, text + &config)
    });
    let fleet = fleet.await.unwrap();
    let signed = git::Change::new("first that is signed").file("README", "signed");
    let first = fleet.repository.make_signed(&signed, &sre_key).unwrap();
    let flags = [("pins-signed-by", &both), ("commits-signed-by", &sre_signers)];
    let flags = flags.map(|(flag, file)| format!("--{flag}={}", file.display()));
    let story = Story::join_with(fleet, targets, |options| {
        // Polling, so that the hub's hints are not what keeps an agent from looking.
        flags.iter().fold(options.interval("1s"), |options, flag| options.arg(flag))
    });
    let mut story = story.await;
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &first).await;
    story.until_image("prod", "nginx:1.24").await;

    // A commit of somebody else reaches not even dev.
    let evil = story.commit("apps/web/web.yaml", deployment("nginx:evil"), "a stranger's");
    let told = format!("Commit {evil} is not signed by anybody who is allowed to");
    story.fleet.agent("dev").program.wait_for_log(&told, DEADLINE).await.unwrap();
    assert_eq!(story.image("dev").await.as_deref(), Some("nginx:1.24"));
    let mended = git::Change::new("mended").file("apps/web/web.yaml", deployment("nginx:1.25"));
    let second = story.fleet.repository.make_signed(&mended, &sre_key).unwrap();
    story.until_image("dev", "nginx:1.25").await;
    story.until("web", "prod", "AwaitingApproval").await;

    // Nor does a pin that somebody else wrote: agents stay, and the hub builds nothing on it.
    let path = "waves/prod/web.yaml";
    let pin = story.pins(&["show", &format!("muster:{path}")]);
    let forged = git::Change::new("forged").on("muster").file(path, pin.replace(&first, &second));
    story.fleet.repository.make(&forged).unwrap();
    story.fleet.agent("prod").program.wait_for_log("is not signed by anybody", DEADLINE).await.unwrap();
    wait::until("the hub to say so", DEADLINE, async || {
        let problems = story.waves().await?["problems"].to_string();
        if problems.contains("on the branch of pins, commit") { Ok(()) } else { Err(problems) }
    })
    .await;
    let refused = story.fleet.hub.muster(["approve", "web"]).unwrap().run(DEADLINE).await.unwrap();
    assert!(refused.stderr.contains("on the branch of pins"), "{}", refused.stderr);
    assert_eq!(story.image("prod").await.as_deref(), Some("nginx:1.24"));

    // A person who may takes it back, as a commit of theirs.
    let undone = git::Change::new("revert").on("muster").file(path, pin);
    story.fleet.repository.make_signed(&undone, &sre_key).unwrap();
    story.until("web", "prod", "AwaitingApproval").await;
    story.decide(&["approve", "web"]).await;
    story.until_at("web", "prod", &second).await;
    story.until_image("prod", "nginx:1.25").await;
}
