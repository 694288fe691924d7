//! Who are we, whom do we trust, and what is never told to anybody?

use std::path::{Path, PathBuf};

use muster_git::{Credentials, GitError, Mirror};
use muster_tests::git::{self, Options};

use super::Site;
use super::proxy::Redirector;

const SECRET: &str = "s3cret-canary";

fn basic(password: &str) -> Option<git::Credentials> {
    Some(git::Credentials::Basic { user: "bot".into(), password: password.into() })
}

fn write(site: &Site, content: &str) -> PathBuf {
    let path = site.server.scratch().join("credentials");
    std::fs::write(&path, content).unwrap();
    path
}

/// Fails when any file below `directory` holds the secret, as it is or in base64.
fn assert_no_secret_in(directory: &Path) {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("bot:{SECRET}"));
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_secret_in(&path);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(SECRET) && !text.contains(&encoded), "{} holds a secret", path.display());
        }
    }
}

#[test]
fn credentials_come_from_files_and_follow_their_rotation() {
    let (site, head) = Site::start(Options { credentials: basic(SECRET), ..Options::default() });
    let mut remote = site.remote();
    remote.credentials = Some(Credentials::File(write(&site, &format!("bot:{SECRET}\n"))));
    let mut mirror = site.mirror_of(remote);
    let before = site.server.counts();
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], head);
    assert_eq!(
        site.server.counts().unauthorized,
        before.unauthorized,
        "they are sent without being asked for"
    );

    site.server.set_credentials(basic("rotated"));
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Authentication { .. }) && !error.is_temporary(), "{error}");
    assert!(error.to_string().contains("401") && error.to_string().contains("Basic"), "{error}");
    write(&site, "bot:rotated\n");
    mirror.fetch(&["main"]).unwrap();

    // The form of a credential store, then a bearer token in the same file.
    let origin = site.server.url("x").replace("/x.git", "").replace("//", "//bot:rotated@");
    write(&site, &format!("https://other:x@git.example\n{origin}\n"));
    mirror.fetch(&["main"]).unwrap();
    site.server.set_credentials(Some(git::Credentials::Bearer("t0ken".into())));
    assert!(matches!(mirror.fetch(&["main"]).unwrap_err(), GitError::Authentication { .. }));
    write(&site, "t0ken\n");
    mirror.fetch(&["main"]).unwrap();
    assert_no_secret_in(&site.directory());
}

#[test]
fn secrets_are_in_no_error_and_in_no_file() {
    let (mut site, _) = Site::start(Options { credentials: basic("another"), ..Options::default() });
    let url = site.server.url("team/fleet").replace("//", &format!("//bot:{SECRET}@"));
    let remote = muster_git::Remote::new(&url).unwrap();
    let shown = format!("{} {:?} {remote:?}", remote.url, remote.url);
    assert!(!shown.contains(SECRET) && !shown.contains("bot"), "{shown}");
    let mut mirror = site.mirror_of(remote);
    let mut errors = vec![mirror.fetch(&["main"]).unwrap_err()];
    assert!(matches!(errors[0], GitError::Authentication { .. }));
    site.server.set_credentials(basic(SECRET));
    mirror.fetch(&["main"]).unwrap();
    for fault in
        [git::Fault::Refuse, git::Fault::WrongContent, git::Fault::Unauthorized, git::Fault::TooManyRequests]
    {
        site.server.set_fault(fault);
        errors.push(mirror.fetch(&["main"]).unwrap_err());
    }
    site.server.stop();
    errors.push(mirror.fetch(&["main"]).unwrap_err());
    for error in errors {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(SECRET) && text.contains("team/fleet.git"), "{text}");
    }
    assert!(!format!("{mirror:?}").contains(SECRET));
    assert_no_secret_in(&site.directory());
}

#[test]
fn missing_and_useless_credential_files_are_named() {
    let (site, _) = Site::start(Options { credentials: basic(SECRET), ..Options::default() });
    let mut mirror = site.mirror();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(error.to_string().contains("without credentials"), "{error}");
    drop(mirror);
    for content in ["", "\n\n", "a:b\nc:d\n", "bot:\u{1}\n"] {
        let mut remote = site.remote();
        remote.credentials = Some(Credentials::File(write(&site, content)));
        let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
        assert!(matches!(error, GitError::Credentials { .. }), "{content:?}: {error}");
        assert!(error.to_string().contains("/credentials"), "{error}");
    }
    let mut remote = site.remote();
    remote.credentials = Some(Credentials::BearerFile("/nonexistent/token".into()));
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/token"), "{error}");
}

#[test]
fn https_needs_the_authority_of_the_server() {
    let (site, head) = Site::start(Options { tls: true, credentials: basic(SECRET) });
    let mut remote = site.remote();
    remote.credentials = Some(Credentials::BasicFile(write(&site, &format!("bot:{SECRET}"))));
    let trusting = remote.clone();
    remote.ca_file = None;
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("CA file"), "{error}");
    assert_eq!(site.server.counts().requests, 0, "nothing is sent to a server that is not trusted");

    let mut mirror = site.mirror_of(trusting.clone());
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], head);
    // The file is read again, so a wrong one is noticed, and a right one helps.
    let ca = site.server.ca_file().unwrap();
    let good = std::fs::read(ca).unwrap();
    std::fs::write(ca, "not a certificate").unwrap();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Credentials { .. }), "{error}");
    std::fs::write(ca, good).unwrap();
    mirror.fetch(&["main"]).unwrap();

    // The certificate is for 127.0.0.1 and localhost, and for no other name.
    drop(mirror);
    let mut other = trusting;
    other.url = muster_git::RemoteUrl::parse(
        &site.server.url("team/fleet").replace("127.0.0.1", "[::ffff:127.0.0.1]"),
    )
    .unwrap();
    let error = site.mirror_of(other).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Untrusted { .. } | GitError::Unreachable { .. }), "{error}");
}

#[test]
fn credentials_do_not_go_where_a_redirect_leads() {
    let (site, head) = Site::start(Options { credentials: basic(SECRET), ..Options::default() });
    let elsewhere = Redirector::start("/nowhere".into());
    let redirector = Redirector::start(elsewhere.url("team/fleet.git"));
    let mut remote = muster_git::Remote::new(&redirector.url("team/fleet.git")).unwrap();
    remote.credentials = Some(Credentials::BasicFile(write(&site, &format!("bot:{SECRET}"))));
    let mut mirror = Mirror::open(&site.server.scratch().join("other"), remote.clone()).unwrap();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(
        matches!(&error, GitError::Redirected { to, .. } if *to == elsewhere.url("team/fleet.git")),
        "{error}"
    );
    assert_eq!((redirector.requests(), elsewhere.requests()), (1, 0));
    drop(mirror);

    // On the same host a redirect is followed: here to the same path, until the limit.
    let circle = Redirector::start("/again".into());
    remote.url = muster_git::RemoteUrl::parse(&circle.url("again")).unwrap();
    let mut mirror = Mirror::open(&site.server.scratch().join("other"), remote).unwrap();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(error.to_string().contains("again and again"), "{error}");
    assert_eq!(circle.requests(), 6);

    // A server that moved a repository on the same host.
    let proxy = super::proxy::Proxy::start(&site.server.url("x"), super::proxy::Mood::Moved);
    let mut remote = site.remote();
    remote.url = muster_git::RemoteUrl::parse(&proxy.url("old/name.git")).unwrap();
    remote.credentials = Some(Credentials::BasicFile(write(&site, &format!("bot:{SECRET}"))));
    assert_eq!(site.mirror_of(remote).fetch(&["main"]).unwrap().heads["main"], head);
}

#[test]
fn credentials_are_not_sent_in_the_clear_to_other_machines() {
    let (site, _) = Site::start(Options::default());
    let mut remote = muster_git::Remote::new("http://git.example/team/fleet.git").unwrap();
    remote.credentials = Some(Credentials::BasicFile(write(&site, &format!("bot:{SECRET}"))));
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(
        matches!(error, GitError::Url { .. }) && error.to_string().contains("without encryption"),
        "{error}"
    );
}
