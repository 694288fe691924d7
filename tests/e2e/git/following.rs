//! A mirror follows a server, and asks as little of it as can be.

use muster_git::{Change, GitError};
use muster_tests::git::{Counts, Options};

use super::{Site, read};

/// What was asked between two counts.
fn asked(before: Counts, after: Counts) -> (u64, u64, u64) {
    (after.requests - before.requests, after.ls_refs - before.ls_refs, after.fetches - before.fetches)
}

#[test]
fn nothing_new_costs_one_listing() {
    let (site, head) = Site::start(Options::default());
    let mut mirror = site.mirror();
    let before = site.server.counts();
    let fetched = mirror.fetch(&["main"]).unwrap();
    assert_eq!(fetched.heads["main"], head);
    assert_eq!(asked(before, site.server.counts()), (3, 1, 1), "capabilities, listing, pack");
    for _ in 0..3 {
        let before = site.server.counts();
        let fetched = mirror.fetch(&["main", "refs/heads/main", "HEAD"]).unwrap();
        assert_eq!(fetched.heads.len(), 3);
        assert_eq!(asked(before, site.server.counts()), (2, 1, 0), "capabilities and listing");
    }
    let next = site.commit(&[("a", "1")]);
    let before = site.server.counts();
    let fetched = mirror.fetch(&["main"]).unwrap();
    assert_eq!(fetched.changes["main"], Change::FastForward { from: head });
    assert_eq!(asked(before, site.server.counts()), (3, 1, 1));
    assert!(fetched.bytes < 5_000, "{} bytes for a small change", fetched.bytes);
    assert_eq!(read(&mirror, &next).files().len(), 3);
    assert_eq!(read(&mirror, &head).files().len(), 2);
}

#[test]
fn forced_and_deleted_branches_are_reported() {
    let (site, one) = Site::start(Options::default());
    let two = site.commit(&[("a", "2")]);
    let mut mirror = site.mirror();
    mirror.fetch(&["main"]).unwrap();
    site.repository.set_branch("main", &one.to_string()).unwrap();
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::Moved { from: two });
    let forced = muster_tests::git::Change::new("other").after(&one.to_string()).file("b", "3");
    let three = site.repository.make(&forced).unwrap().parse().unwrap();
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], three);
    assert_eq!(read(&mirror, &three).files()["b"], b"3");

    site.commit(&[("x", "x")]);
    site.repository.make(&muster_tests::git::Change::new("side").on("side").file("s", "s")).unwrap();
    mirror.fetch(&["main", "side"]).unwrap();
    let side = mirror.resolve("side").unwrap();
    site.repository.delete_branch("side").unwrap();
    let fetched = mirror.fetch(&["main", "side"]).unwrap();
    assert_eq!(fetched.changes["side"], Change::Gone { last: side });
    assert_eq!(fetched.changes["main"], Change::Unchanged);
    assert_eq!(read(&mirror, &side).files().len(), 1);
    assert!(matches!(mirror.resolve("side"), Err(GitError::ReferenceMissing { .. })));
}

#[test]
fn a_revision_is_fetched_by_its_id() {
    let (site, one) = Site::start(Options::default());
    site.commit(&[("a", "2")]);
    site.commit(&[("a", "3")]);
    let mut mirror = site.mirror();
    mirror.fetch(&["main"]).unwrap();
    mirror.fetch_revision(&one, &["main"]).unwrap();
    assert_eq!(read(&mirror, &one).files().len(), 2);
    let before = site.server.counts();
    mirror.fetch_revision(&one, &["main"]).unwrap();
    let text = one.to_string();
    assert_eq!(mirror.fetch(&[&text]).unwrap().heads[&text], one);
    assert_eq!(asked(before, site.server.counts()), (0, 0, 0), "it is here already");
}

#[test]
fn the_server_may_be_down_at_opening_and_come_back() {
    let (mut site, head) = Site::start(Options::default());
    site.mirror().fetch(&["main"]).unwrap();
    site.server.stop();
    let mut mirror = site.mirror();
    assert_eq!(mirror.resolve("main").unwrap(), head);
    assert_eq!(read(&mirror, &head).files().len(), 2);
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }) && error.is_temporary(), "{error}");
    assert_eq!(mirror.resolve("main").unwrap(), head);
    site.server.start_again().unwrap();
    assert!(!mirror.fetch(&["main"]).unwrap().changed);
}

#[test]
fn a_mirror_can_be_used_from_async_code() {
    let (site, head) = Site::start(Options::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut mirror = site.mirror();
        let (mirror, fetched) = tokio::task::spawn_blocking(move || {
            let fetched = mirror.fetch(&["main"]).unwrap();
            (mirror, fetched)
        })
        .await
        .unwrap();
        assert_eq!(fetched.heads["main"], head);
        // Dropped where futures run, with an open connection.
        drop(mirror);
    });
}
