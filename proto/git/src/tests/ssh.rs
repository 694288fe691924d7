//! The ssh program is called with the options that keep it safe, and only those.
//!
//! A script stands in for ssh: it notes how it was called and runs the command here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::origin::{Origin, files};
use crate::{GitError, Mirror, Remote};

/// A stand-in for ssh that does `body` after noting its arguments, one a line.
fn fake_ssh(origin: &Origin, body: &str) -> PathBuf {
    let path = origin.scratch().join("fake-ssh");
    let log = origin.scratch().join("arguments");
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n{body}\n", log.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs the last argument, as a server would.
const SERVE: &str = "for last; do :; done; exec sh -c \"$last\"";
/// The same on a server that speaks the oldest protocol.
const SERVE_OLD: &str = "unset GIT_PROTOCOL; for last; do :; done; exec sh -c \"$last\"";

fn remote(origin: &Origin, body: &str) -> Remote {
    let mut remote = Remote::new(&format!("ssh://git@git.example:2222{}", origin.path().display())).unwrap();
    remote.ssh.program = fake_ssh(origin, body);
    remote
}

#[test]
fn a_key_and_known_hosts_are_used_and_nothing_else() {
    let origin = Origin::new();
    let head = origin.commit("main", &[("a", "1")]);
    let mut remote = remote(&origin, SERVE);
    remote.ssh.key_file = Some("/keys/id ed25519".into());
    remote.ssh.known_hosts_file = Some("/keys/known hosts".into());
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], head);
    assert_eq!(files(&mirror, &head, ""), [("a".into(), "1".into())]);

    let log = std::fs::read_to_string(origin.scratch().join("arguments")).unwrap();
    let arguments: Vec<&str> = log.lines().collect();
    let has = |pair: &[&str]| arguments.windows(pair.len()).any(|window| window == pair);
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ForwardAgent=no",
        "SendEnv=GIT_PROTOCOL",
        "UserKnownHostsFile=\"/keys/known hosts\"",
        "ConnectTimeout=15",
    ] {
        assert!(has(&["-o", option]), "{option} is missing in {arguments:?}");
    }
    assert!(has(&["-i", "/keys/id ed25519"]) && has(&["-p", "2222"]) && has(&["-l", "git"]), "{arguments:?}");
    let command = format!("git-upload-pack '{}'", origin.path().display());
    assert!(arguments.ends_with(&["--", "git.example", &command]), "{arguments:?}");
}

#[test]
fn the_real_ssh_accepts_these_options() {
    let origin = Origin::new();
    let mut remote = remote(&origin, SERVE);
    remote.ssh = crate::Ssh {
        known_hosts_file: Some("/nonexistent".into()),
        key_file: Some("/nonexistent".into()),
        ..Default::default()
    };
    remote.url = crate::RemoteUrl::parse("ssh://git@127.0.0.1:1/r.git").unwrap();
    let Ok(version) = std::process::Command::new("ssh").arg("-V").output() else {
        eprintln!("SKIP: no ssh program on this machine");
        return;
    };
    assert!(version.status.success());
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    // Nothing listens on port 1: options that ssh refuses would give another error.
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    assert!(error.is_temporary());
}

#[test]
fn quotes_in_a_path_stay_quotes() {
    let origin = Origin::new();
    let mut mirror = {
        let mut remote = remote(&origin, "exit 1");
        remote.url = crate::RemoteUrl::parse("git@git.example:it's; touch /tmp/x $(id)").unwrap();
        Mirror::open(&origin.mirror_path(), remote).unwrap()
    };
    assert!(mirror.fetch(&["main"]).is_err());
    let log = std::fs::read_to_string(origin.scratch().join("arguments")).unwrap();
    assert!(log.ends_with("git-upload-pack 'it'\\''s; touch /tmp/x $(id)'\n"), "{log}");
}

#[test]
fn what_ssh_says_decides_what_the_caller_can_do() {
    for (words, wanted) in [
        ("git@git.example: Permission denied (publickey).", "refused access"),
        ("Host key verification failed.", "is not trusted"),
        ("ssh: connect to host git.example port 22: Connection refused", "cannot be reached"),
        ("ssh: Could not resolve hostname git.example: Name or service not known", "cannot be reached"),
        ("fatal: '/r.git' does not appear to be a git repository", "no repository"),
        ("ERROR: Repository not found.", "no repository"),
        ("bash: git-upload-pack: command not found", "did not answer as a Git server should"),
    ] {
        let origin = Origin::new();
        let remote = remote(&origin, &format!("echo \"{words}\" >&2; exit 255"));
        let error =
            Mirror::open(&origin.mirror_path(), remote).unwrap().fetch(&["main"]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{words}: {error}");
    }
}

#[test]
fn a_program_that_hangs_is_ended() {
    let origin = Origin::new();
    let mut remote = remote(&origin, "echo $$ > \"$0.pid\"; sleep 1000 & wait");
    remote.timeouts.stall = Duration::from_secs(2);
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    let started = Instant::now();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let id = std::fs::read_to_string(origin.scratch().join("fake-ssh.pid")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", id.trim())).exists(), "the program is still running");
}

#[test]
fn a_server_of_the_oldest_protocol_is_asked_for_history_instead_of_ids() {
    let origin = Origin::new();
    let revisions: Vec<_> = (0..15).map(|n| origin.commit("main", &[("n", &n.to_string())])).collect();
    let mut mirror = Mirror::open(&origin.mirror_path(), remote(&origin, SERVE_OLD)).unwrap();
    mirror.fetch(&["main"]).unwrap();
    assert!(!mirror.has(&revisions[2]));
    mirror.fetch_revision(&revisions[12], &["main"]).unwrap();
    mirror.fetch_revision(&revisions[2], &["main"]).unwrap();
    assert_eq!(files(&mirror, &revisions[2], ""), [("n".to_owned(), "2".to_owned())]);
    assert_eq!(files(&mirror, &revisions[12], ""), [("n".to_owned(), "12".to_owned())]);
    let nowhere = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = mirror.fetch_revision(&nowhere, &["main"]).unwrap_err();
    assert!(matches!(error, GitError::RevisionUnavailable { .. }), "{error}");
    // It goes on as before after that.
    let next = origin.commit("main", &[("n", "next")]);
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], next);
    assert_eq!(files(&mirror, &next, ""), [("n".to_owned(), "next".to_owned())]);
    assert!(!mirror.fetch(&["main"]).unwrap().changed);
}

#[test]
fn commits_are_pushed_through_ssh() {
    let origin = Origin::new();
    let mut mirror = Mirror::open(&origin.mirror_path(), remote(&origin, SERVE)).unwrap();
    let draft = crate::Draft {
        files: [("a".to_owned(), Some(b"1".to_vec()))].into(),
        message: "First".to_owned(),
        ..crate::Draft::default()
    };
    let pushed = mirror.push("muster", None, &draft).unwrap();
    assert_eq!(pushed, crate::Pushed::Done(origin.head("muster")));
    let log = std::fs::read_to_string(origin.scratch().join("arguments")).unwrap();
    assert!(log.ends_with(&format!("git-receive-pack '{}'\n", origin.path().display())), "{log}");
    assert_eq!(
        mirror.push("muster", None, &draft).unwrap(),
        crate::Pushed::Moved { now: Some(origin.head("muster")) }
    );
}
