//! A mirror follows its references, whatever happens to them.

use super::origin::{Origin, files};
use crate::{Change, GitError};

#[test]
fn a_first_fetch_brings_the_newest_commit_only() {
    let origin = Origin::new();
    let old = origin.commit("main", &[("a.yaml", "one")]);
    let head = origin.commit("main", &[("a.yaml", "two"), ("apps/web/b.yaml", "b")]);
    let mut mirror = origin.mirror();
    assert!(matches!(mirror.resolve("main"), Err(GitError::ReferenceMissing { last: None, .. })));

    let fetched = mirror.fetch(&["main"]).unwrap();
    assert_eq!(fetched.heads["main"], head);
    assert_eq!(fetched.changes["main"], Change::New);
    assert!(fetched.changed && fetched.rebuilt.is_none());
    assert_eq!(mirror.resolve("main").unwrap(), head);
    assert_eq!(mirror.resolve("refs/heads/main").unwrap(), head);
    assert_eq!(
        files(&mirror, &head, ""),
        [("a.yaml".into(), "two".into()), ("apps/web/b.yaml".into(), "b".into())]
    );
    assert_eq!(files(&mirror, &head, "apps/./web/"), [("apps/web/b.yaml".into(), "b".into())]);
    assert!(matches!(mirror.commit(&old), Err(GitError::RevisionUnavailable { .. })));
    assert!(matches!(mirror.read(&old, "", &Default::default()), Err(GitError::RevisionUnavailable { .. })));
}

#[test]
fn changes_are_told_apart() {
    let origin = Origin::new();
    let one = origin.commit("main", &[("a", "1")]);
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    let again = mirror.fetch(&["main"]).unwrap();
    assert_eq!((again.changes["main"], again.changed), (Change::Unchanged, false));

    let two = origin.commit("main", &[("a", "2")]);
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::FastForward { from: one });
    origin.commit("main", &[("a", "3")]);
    let four = origin.commit("main", &[("a", "4")]);
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::Moved { from: two });

    // Rewound to a commit the mirror already has, then to another history.
    origin.git(&["update-ref", "refs/heads/main", &two.to_string()], "");
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::Moved { from: four });
    origin.git(&["update-ref", "-d", "refs/heads/main"], "");
    let other = origin.commit("main", &[("b", "other history")]);
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::Moved { from: two });
    assert_eq!(files(&mirror, &other, ""), [("b".into(), "other history".into())]);
    assert_eq!(files(&mirror, &two, ""), [("a".into(), "2".into())], "the head before stays readable");

    origin.git(&["update-ref", "-d", "refs/heads/main"], "");
    let gone = mirror.fetch(&["main"]).unwrap();
    assert_eq!((gone.changes["main"], gone.changed), (Change::Gone { last: other }, true));
    assert!(gone.heads.is_empty());
    assert!(
        matches!(mirror.resolve("main"), Err(GitError::ReferenceMissing { last: Some(last), .. }) if last == other)
    );
    assert_eq!(files(&mirror, &other, ""), [("b".into(), "other history".into())]);
    let still = mirror.fetch(&["main"]).unwrap();
    assert_eq!((still.changes["main"], still.changed), (Change::Missing, false));

    origin.git(&["update-ref", "refs/heads/main", &other.to_string()], "");
    assert_eq!(mirror.fetch(&["main"]).unwrap().changes["main"], Change::New);
    assert_eq!(mirror.resolve("main").unwrap(), other);
}

#[test]
fn tags_head_and_revisions_can_be_asked_for() {
    let origin = Origin::new();
    let one = origin.commit("main", &[("a", "1")]);
    origin.git(&["tag", "-a", "-m", "first", "v1", "main"], "");
    origin.git(&["tag", "light", "main"], "");
    let two = origin.commit("main", &[("a", "2")]);
    let mut mirror = origin.mirror();
    let text = one.to_string();
    let fetched = mirror.fetch(&["v1", "light", "HEAD", "absent", &text]).unwrap();
    assert_eq!(fetched.heads["v1"], one);
    assert_eq!(fetched.heads["light"], one);
    assert_eq!(fetched.heads["HEAD"], two);
    assert_eq!(fetched.heads[&text], one);
    assert_eq!(fetched.changes["absent"], Change::Missing);
    assert_eq!(files(&mirror, &one, ""), [("a".into(), "1".into())]);
    assert_eq!(mirror.resolve("v1").unwrap(), one);
    let again = mirror.fetch(&["v1", "light", "HEAD", &text]).unwrap();
    assert!(!again.changed, "{again:?}");
    let commit = mirror.commit(&one).unwrap();
    assert_eq!((commit.author_name.as_str(), commit.author_email.as_str()), ("Ann", "ann@example.org"));
    assert_eq!(
        (commit.time, commit.subject.as_str(), commit.parents.len()),
        (1_750_000_000, "change something", 0)
    );
    assert_eq!(mirror.commit(&two).unwrap().parents, [one]);
}

#[test]
fn an_empty_repository_and_no_references_are_no_errors() {
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    let fetched = mirror.fetch(&["main", "HEAD"]).unwrap();
    assert!(fetched.heads.is_empty() && !fetched.changed);
    assert!(!mirror.fetch(&[]).unwrap().changed);
}

#[test]
fn a_mirror_outlives_its_process_and_its_server() {
    let origin = Origin::new();
    let head = origin.commit("main", &[("a", "1")]);
    origin.mirror().fetch(&["main"]).unwrap();
    std::fs::remove_dir_all(origin.path()).unwrap();
    let mut mirror = origin.mirror();
    assert_eq!(mirror.damage(), None);
    assert_eq!(mirror.resolve("main").unwrap(), head);
    assert_eq!(files(&mirror, &head, ""), [("a".into(), "1".into())]);
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error}");
    assert_eq!(files(&mirror, &head, ""), [("a".into(), "1".into())]);
}
