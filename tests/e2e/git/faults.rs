//! Whatever the server does wrong, the call returns in time, says what it was, and leaves the mirror as good
//! as before.

use std::time::{Duration, Instant};

use muster_git::{GitError, Mirror, Remote, Revision};
use muster_tests::git::{Fault, Options};

use super::proxy::{Mood, Proxy};
use super::{Site, noise, read};

#[test]
fn every_fault_is_told_apart_and_passes() {
    let (site, one) = Site::start(Options::default());
    let mut remote = site.remote();
    remote.timeouts.stall = Duration::from_secs(2);
    let mut mirror = site.mirror_of(remote);
    mirror.fetch(&["main"]).unwrap();
    let two = site.commit(&[("noise2", &noise(20_000))]);
    let before = mirror.resolve("main").unwrap();
    for (fault, expected, temporary) in [
        (Fault::Refuse, "503", true),
        (Fault::TooManyRequests, "429", true),
        (Fault::Unauthorized, "401", false),
        (Fault::Hang, "stopped sending", true),
        (Fault::StallPack, "stopped sending", true),
        (Fault::CutPack, "cannot be reached", true),
        (Fault::Redirect("http://127.0.0.2:1".into()), "another host", false),
        (Fault::CorruptPack, "did not answer as a Git server should", false),
        (Fault::WrongContent, "did not answer as a Git server should", false),
    ] {
        site.server.set_fault(fault.clone());
        let started = Instant::now();
        let error = mirror.fetch(&["main"]).unwrap_err();
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert_eq!(error.is_temporary(), temporary, "{fault:?}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{fault:?} took {:?}", started.elapsed());
        assert_eq!(mirror.resolve("main").unwrap(), before, "{fault:?}");
        assert_eq!(read(&mirror, &one).files().len(), 2, "{fault:?}");
        assert_eq!(mirror.damage(), None, "{fault:?}");
    }
    site.server.set_fault(Fault::Healthy);
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], two);
    assert_eq!(read(&mirror, &two).files().len(), 3);
    drop(mirror);
    let mirror = site.mirror();
    assert_eq!(mirror.damage(), None);
    assert_eq!(read(&mirror, &two).files().len(), 3);
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let (site, _) = Site::start(Options::default());
    let mut mirror = site.mirror_of(Remote::new(&site.server.url("team/nothing")).unwrap());
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error}");
}

#[test]
fn a_server_that_hangs_in_the_middle_of_the_pack_does_not_hang_us() {
    let (site, head) = Site::start(Options::default());
    let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::StallAfter(30_000));
    let mut remote = Remote::new(&proxy.url("team/fleet.git")).unwrap();
    remote.timeouts.stall = Duration::from_secs(2);
    let mut mirror = site.mirror_of(remote);
    let started = Instant::now();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { what: "stopped sending", .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(matches!(mirror.resolve("main"), Err(GitError::ReferenceMissing { .. })));
    drop(mirror);
    let mut mirror = site.mirror();
    assert_eq!(mirror.damage(), None);
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], head);
    assert_eq!(read(&mirror, &head).files().len(), 2);
}

#[test]
fn a_server_that_drips_is_ended_at_the_deadline() {
    let (site, _) = Site::start(Options::default());
    let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::DripAfter(10_000));
    let mut remote = Remote::new(&proxy.url("team/fleet.git")).unwrap();
    remote.timeouts.fetch = Duration::from_secs(1);
    let mut mirror = site.mirror_of(remote);
    let started = Instant::now();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { what: "took too long", .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(mirror.damage(), None);
}

#[test]
fn progress_without_end_is_ended_at_the_deadline() {
    let (site, _) = Site::start(Options::default());
    site.server.set_fault(Fault::EndlessProgress);
    let mut remote = site.remote();
    remote.timeouts.fetch = Duration::from_secs(1);
    let started = Instant::now();
    let error = site.mirror_of(remote.clone()).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { what: "took too long", .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    remote.timeouts.fetch = Duration::from_secs(60);
    remote.limits.pack_bytes_max = 1 << 20;
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "bytes of a pack", .. }), "{error}");
}

#[test]
fn a_listing_without_end_is_cut_off() {
    let (site, _) = Site::start(Options::default());
    for number in 0..60 {
        site.repository.git(&["branch", &format!("branch-{number}"), "main"]).unwrap();
    }
    // Protocol 0 lists every reference there is, whatever was asked for.
    let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::OldProtocol);
    let mut remote = Remote::new(&proxy.url("team/fleet.git")).unwrap();
    remote.limits.refs_max = 50;
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "references", limit: 50, .. }), "{error}");

    let endless = Proxy::start(&site.server.url("team/fleet"), Mood::EndlessListing);
    let mut remote = Remote::new(&endless.url("team/fleet.git")).unwrap();
    remote.limits.refs_max = 1_000;
    let error = site.mirror_of(remote).fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "bytes of references", .. }), "{error}");
}

/// What became of a fetch in which byte `at` from the server was wrong: `None` when it ended before that byte,
/// else whether it was accepted. `small` is the head, with the word small in its file.
fn fetch_with_wrong_byte(site: &Site, at: usize, small: Revision) -> Option<bool> {
    let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::FlipAt(at));
    let mut remote = Remote::new(&proxy.url("team/fleet.git")).unwrap();
    // A wrong byte in a length leaves both sides waiting for each other.
    remote.timeouts.stall = Duration::from_secs(1);
    let directory = site.server.scratch().join(format!("wrong-byte-{at}"));
    let mut mirror = Mirror::open(&directory, remote).unwrap();
    let started = Instant::now();
    let fetched = mirror.fetch(&["main"]);
    assert!(started.elapsed() < Duration::from_secs(20), "byte {at}");
    // Without a head the name of the reference was hit.
    let head = fetched.ok().and_then(|fetched| fetched.heads.get("main").copied());
    if let Some(head) = head {
        assert_eq!(head, small, "byte {at}");
        assert_eq!(read(&mirror, &small).files()["noise"], b"small", "byte {at}");
    }
    proxy.has_flipped().then_some(head.is_some())
}

#[test]
fn a_wrong_byte_anywhere_is_an_error_or_harmless() {
    let (site, _) = Site::start(Options::default());
    let small = site.commit(&[("noise", "small")]);
    let offsets: Vec<usize> = (0..2_000).step_by(29).collect();
    let outcomes: Vec<Option<bool>> = std::thread::scope(|scope| {
        let site = &site;
        let part = |part: usize| offsets.iter().skip(part).step_by(6).copied().collect::<Vec<_>>();
        let work = |offsets: Vec<usize>| {
            scope.spawn(move || {
                offsets.into_iter().map(|at| fetch_with_wrong_byte(site, at, small)).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..6).map(part).map(work).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: Option<bool>| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let (refused, accepted) = (count(Some(false)), count(Some(true)));
    assert!(refused >= 10 && accepted >= 1, "{refused} refused, {accepted} accepted of {}", outcomes.len());
    assert_eq!(site.mirror().fetch(&["main"]).unwrap().heads["main"], small);
}

#[test]
fn the_oldest_protocol_works_over_http_too() {
    let (site, one) = Site::start(Options::default());
    for key in ["allowAnySHA1InWant", "allowReachableSHA1InWant", "allowTipSHA1InWant"] {
        site.repository.git(&["config", &format!("uploadpack.{key}"), "false"]).unwrap();
    }
    let two = site.commit(&[("a", "2")]);
    let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::OldProtocol);
    let mut mirror = site.mirror_of(Remote::new(&proxy.url("team/fleet.git")).unwrap());
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], two);
    assert_eq!(read(&mirror, &two).files().len(), 3);
    mirror.fetch_revision(&one, &["main"]).unwrap();
    assert_eq!(read(&mirror, &one).files().len(), 2);
    let three = site.commit(&[("a", "3")]);
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], three);
    assert_eq!(read(&mirror, &three).files()["a"], b"3");
}
