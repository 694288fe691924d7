//! The Git server: clones, pushes, credentials and faults, as the git program meets them.

use std::path::PathBuf;
use std::time::Duration;

use muster_tests::git::{Credentials, Fault, Options, Server, command};
use muster_tests::process::Launch;
use muster_tests::wait;

/// Runs git with these arguments in the server's scratch directory; what it printed, or its complaint.
fn git(server: &Server, arguments: &[&str]) -> Result<String, String> {
    let mut command = command(server.scratch());
    command.envs(server.ca_file().map(|path| ("GIT_SSL_CAINFO", path)));
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn ls_remote(server: &Server) -> Result<String, String> {
    git(server, &["ls-remote", &server.url("team/fleet"), "refs/heads/main"])
}

/// A server with one repository of one commit, and its revision.
fn serve(options: Options) -> (Server, String) {
    let server = Server::start(options).unwrap();
    let repository = server.create("team/fleet").unwrap();
    let noise: String = (0..2000_u32).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
    let revision =
        repository.commit(&[("muster.yaml", "kind: Fleet\n"), ("noise", &noise)], "Begin").unwrap();
    (server, revision)
}

#[test]
fn clones_fetches_and_pushes() {
    let (server, first) = serve(Options::default());
    git(&server, &["clone", "--quiet", &server.url("team/fleet"), "work"]).unwrap();
    let work: PathBuf = server.scratch().join("work");
    assert_eq!(std::fs::read_to_string(work.join("muster.yaml")).unwrap(), "kind: Fleet\n");
    let counts = server.counts();
    assert_eq!((counts.advertisements, counts.ls_refs, counts.fetches, counts.pushes), (1, 1, 1, 0));

    // The git program also compresses long requests; many refs make one.
    let repository = server.create("team/fleet").unwrap();
    for number in 0..40 {
        repository
            .make(
                &muster_tests::git::Change::new("b").on(&format!("b{number}")).file("n", number.to_string()),
            )
            .unwrap();
    }
    git(&server, &["-C", "work", "fetch", "--quiet"]).unwrap();
    assert_eq!(git(&server, &["-C", "work", "branch", "-r"]).unwrap().lines().count(), 42);

    std::fs::write(work.join("muster.yaml"), "kind: Fleet # changed\n").unwrap();
    git(&server, &["-C", "work", "commit", "--quiet", "--all", "--message", "Change"]).unwrap();
    git(&server, &["-C", "work", "push", "--quiet"]).unwrap();
    assert_ne!(repository.resolve("main").unwrap(), first);
    assert_eq!(repository.resolve("main^").unwrap(), first);
    // One request asks whether a push may be, one carries it.
    assert!((1..=2).contains(&server.counts().pushes), "{:?}", server.counts());
}

#[test]
fn https_is_trusted_by_its_own_authority_alone() {
    let (server, revision) = serve(Options { tls: true, ..Options::default() });
    assert!(ls_remote(&server).unwrap().starts_with(&revision));
    let untrusting =
        command(server.scratch()).args(["ls-remote", &server.url("team/fleet")]).output().unwrap();
    assert!(String::from_utf8(untrusting.stderr).unwrap().contains("certificate"));
}

#[test]
fn credentials_are_asked_for() {
    let basic = Credentials::Basic { user: "bot".into(), password: "s3cret".into() };
    let (server, revision) = serve(Options { credentials: Some(basic), ..Options::default() });
    assert!(ls_remote(&server).unwrap_err().contains("could not read Username"));
    let with = |user: &str| server.url("team/fleet").replace("//", &format!("//{user}@"));
    assert!(git(&server, &["ls-remote", &with("bot:wrong")]).unwrap_err().contains("Authentication failed"));
    assert!(git(&server, &["ls-remote", &with("bot:s3cret")]).unwrap().contains(&revision));

    server.set_credentials(Some(Credentials::Bearer("t0ken".into())));
    ls_remote(&server).unwrap_err();
    let bearer = "http.extraHeader=Authorization: Bearer t0ken";
    let listed = git(&server, &["-c", bearer, "ls-remote", &server.url("team/fleet")]).unwrap();
    assert!(listed.contains(&revision));
    assert!(server.counts().unauthorized >= 3);
}

#[test]
fn faults_come_and_go() {
    let (server, revision) = serve(Options::default());
    let cases = [
        (Fault::Refuse, "503"),
        (Fault::TooManyRequests, "429"),
        (Fault::Unauthorized, "could not read Username"),
        (Fault::WrongContent, "not valid: is this a git repository"),
    ];
    for (fault, complaint) in cases {
        server.set_fault(fault.clone());
        let error = ls_remote(&server).unwrap_err();
        assert!(error.contains(complaint), "{fault:?}: {error}");
    }
    for fault in [Fault::CutPack, Fault::CorruptPack] {
        server.set_fault(fault.clone());
        assert!(ls_remote(&server).unwrap().starts_with(&revision), "{fault:?} hurts packs alone");
        git(&server, &["clone", "--quiet", &server.url("team/fleet"), "broken"]).unwrap_err();
    }
    let impatient = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=1"];
    let url = server.url("team/fleet");
    for (fault, subcommand) in [(Fault::Hang, &["ls-remote"][..]), (Fault::StallPack, &["clone", "--quiet"])]
    {
        server.set_fault(fault);
        let error = git(&server, &[&impatient[..], subcommand, &[url.as_str()]].concat()).unwrap_err();
        assert!(error.contains("too slow"), "{subcommand:?}: {error}");
    }
    server.set_fault(Fault::Healthy);
    git(&server, &["clone", "--quiet", &server.url("team/fleet"), "whole"]).unwrap();
}

#[test]
fn a_stopped_server_refuses_connections_and_comes_back_at_its_address() {
    let (mut server, revision) = serve(Options::default());
    server.stop();
    ls_remote(&server).unwrap_err();
    server.start_again().unwrap();
    assert!(ls_remote(&server).unwrap().starts_with(&revision));
}

#[tokio::test]
async fn progress_without_end_is_sent_until_the_client_goes() {
    let (server, _) = serve(Options::default());
    server.set_fault(Fault::EndlessProgress);
    let clone = Launch::command("git").args(["clone", &server.url("team/fleet"), "endless"]);
    let mut clone = clone.directory(server.scratch()).quiet().start().unwrap();
    let progress = async || clone.log().matches("remote: .....").count() > 100;
    wait::until("a hundred progress messages", Duration::from_secs(30), progress).await;
    assert_eq!(clone.ended(), None);
}

#[test]
fn redirects_are_followed_to_another_server() {
    let (first, _) = serve(Options::default());
    let (second, _) = serve(Options::default());
    let base = second.url("").trim_end_matches("/.git").to_owned();
    first.set_fault(Fault::Redirect(base));
    ls_remote(&first).unwrap();
    assert_eq!((first.counts().requests, second.counts().ls_refs), (1, 1));
}
