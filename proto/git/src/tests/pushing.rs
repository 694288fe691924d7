//! Commits of ours get onto a branch, on top of what was seen, or not at all.

use std::os::unix::fs::PermissionsExt as _;

use super::origin::{Origin, files};
use crate::{Draft, GitError, Mirror, Person, Pushed, Revision};

fn draft(files: &[(&str, Option<&str>)]) -> Draft {
    let person = |name: &str| Person { name: name.to_owned(), email: "hub@example.org".to_owned() };
    let content = |content: &Option<&str>| content.map(|text| text.as_bytes().to_vec());
    Draft {
        files: files.iter().map(|(path, text)| ((*path).to_owned(), content(text))).collect(),
        message: "Promote web\n\nBecause it is well.\n\nMuster-Wave: prod".to_owned(),
        author: person("Ann <evil>\nX"),
        committer: person("Muster"),
        time: 1_750_000_123,
    }
}

fn done(pushed: Pushed) -> Revision {
    match pushed {
        Pushed::Done(revision) => revision,
        Pushed::Moved { now } => panic!("the branch is at {now:?}"),
    }
}

/// What is there after a push, by the eyes of git.
fn seen(origin: &Origin, mirror: &mut Mirror) -> Vec<(String, String)> {
    origin.git(&["fsck", "--strict", "--full"], "");
    let head = mirror.fetch(&["muster"]).unwrap().heads["muster"];
    assert_eq!(head, origin.head("muster"));
    files(mirror, &head, "")
}

#[test]
fn a_branch_begins_grows_and_shrinks() {
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    let first = draft(&[("waves/prod/web.yaml", Some("1")), ("waves/prod.yaml", Some("p")), ("a", Some("a"))]);
    let one = done(mirror.push("muster", None, &first).unwrap());
    let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let all = [pair("a", "a"), pair("waves/prod.yaml", "p"), pair("waves/prod/web.yaml", "1")];
    assert_eq!(seen(&origin, &mut mirror), all);

    let second = draft(&[("waves/prod/web.yaml", Some("2")), ("waves/dev/api.yaml", Some("3")), ("a", None)]);
    let two = done(mirror.push("muster", Some(&one), &second).unwrap());
    let all = [pair("waves/dev/api.yaml", "3"), pair("waves/prod.yaml", "p"), pair("waves/prod/web.yaml", "2")];
    assert_eq!(seen(&origin, &mut mirror), all);
    assert_eq!(mirror.commit(&two).unwrap().parents, [one]);
    let log = origin.git(&["log", "-1", "--format=%an|%ae|%cn|%ct|%B", "muster"], "");
    let expected = "Ann evil X|hub@example.org|Muster|1750000123|Promote web\n\nBecause it is well.\n\nMuster-Wave: prod";
    assert_eq!(log, expected);

    let gone = draft(&[("waves/dev/api.yaml", None), ("waves/none/x.yaml", None)]);
    let three = done(mirror.push("muster", Some(&two), &gone).unwrap());
    let all = [pair("waves/prod.yaml", "p"), pair("waves/prod/web.yaml", "2")];
    assert_eq!(seen(&origin, &mut mirror), all, "no empty directory is left behind");
    let nothing = draft(&[("waves/prod.yaml", None), ("waves/prod/web.yaml", None)]);
    done(mirror.push("muster", Some(&three), &nothing).unwrap());
    assert_eq!(seen(&origin, &mut mirror), []);
}

#[test]
fn who_comes_second_looks_again() {
    let origin = Origin::new();
    let head = origin.commit("muster", &[("a", "1")]);
    let mut mirror = origin.mirror();
    mirror.fetch(&["muster"]).unwrap();
    let other = origin.commit("muster", &[("a", "2")]);
    let mine = draft(&[("b", Some("3"))]);
    assert_eq!(mirror.push("muster", Some(&head), &mine).unwrap(), Pushed::Moved { now: Some(other) });
    assert_eq!(mirror.push("muster", None, &mine).unwrap(), Pushed::Moved { now: Some(other) });
    assert_eq!(origin.head("muster"), other);
    mirror.fetch(&["muster"]).unwrap();
    done(mirror.push("muster", Some(&other), &mine).unwrap());
    origin.git(&["update-ref", "-d", "refs/heads/muster"], "");
    assert_eq!(mirror.push("muster", Some(&other), &mine).unwrap(), Pushed::Moved { now: None });
}

#[test]
fn a_rule_of_the_server_is_told_in_its_words() {
    let origin = Origin::new();
    let head = origin.commit("muster", &[("a", "1")]);
    let hook = origin.path().join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'ask the platform team' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut mirror = origin.mirror();
    mirror.fetch(&["muster"]).unwrap();
    let error = mirror.push("muster", Some(&head), &draft(&[("b", Some("2"))])).unwrap_err();
    let GitError::PushRefused { reference, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reference, "refs/heads/muster");
    assert!(reason.contains("hook declined") && reason.contains("ask the platform team"), "{reason}");
    assert!(!error.is_temporary());
    assert_eq!(origin.head("muster"), head);
}

#[test]
fn paths_that_are_none_are_refused_before_anything_is_sent() {
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    for path in ["", "/a", "a/", "a//b", "../a", "a/../b", ".git/config", "a/.GIT/x", "./a"] {
        let error = mirror.push("muster", None, &draft(&[(path, Some("x"))])).unwrap_err();
        assert!(matches!(error, GitError::Unwritable { .. }), "{path}: {error}");
    }
    for both in [[("a", Some("1")), ("a/b", Some("2"))], [("a/b", Some("2")), ("a/b/c", Some("1"))]] {
        let error = mirror.push("muster", None, &draft(&both)).unwrap_err();
        assert!(matches!(error, GitError::Unwritable { .. }), "{error}");
    }
    let unknown: Revision = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let error = mirror.push("muster", Some(&unknown), &draft(&[("a", Some("1"))])).unwrap_err();
    assert!(matches!(error, GitError::RevisionUnavailable { .. }), "{error}");
    assert!(matches!(mirror.push("a..b", None, &draft(&[])), Err(GitError::ReferenceName { .. })));
}

#[test]
fn history_is_fetched_as_far_as_it_is_asked_for() {
    let origin = Origin::new();
    let all: Vec<Revision> =
        (0..30).map(|number| origin.commit("main", &[("a", number.to_string().as_str())])).collect();
    let side = origin.commit("side", &[("s", "1")]);
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    assert_eq!(mirror.history("main", &[]).unwrap(), all[29..]);
    let near = mirror.history("main", &[all[25]]).unwrap();
    assert!(near.contains(&all[25]) && !near.contains(&all[0]), "no more than it takes");
    assert_eq!(near.last(), Some(&all[29]));
    assert_eq!(mirror.history("main", &[all[0]]).unwrap(), all);
    assert_eq!(mirror.history("main", &[side]).unwrap(), all, "another branch is none of it");
    assert_eq!(mirror.log("main", 2).unwrap(), [all[29], all[28]]);
    assert_eq!(mirror.message(&all[29]).unwrap(), "change something\n");

    // What is fetched later joins what was there.
    let next = origin.commit("main", &[("a", "next")]);
    mirror.fetch(&["main"]).unwrap();
    std::fs::rename(origin.path(), origin.scratch().join("away")).unwrap();
    let history = mirror.history("main", &[all[3]]).unwrap();
    assert_eq!(history.last(), Some(&next));
    assert_eq!(history.len(), 31);
}

#[test]
fn history_follows_merges() {
    let origin = Origin::new();
    let base = origin.commit("main", &[("a", "1")]);
    let left = origin.commit("main", &[("a", "2")]);
    let tree = origin.git(&["rev-parse", "main^{tree}"], "");
    let right = origin.git(&["commit-tree", "-m", "right", "-p", &base.to_string(), &tree], "");
    let arguments = ["commit-tree", "-m", "merge", "-p", &left.to_string(), "-p", &right, &tree];
    let merge = origin.git(&arguments, "");
    origin.git(&["update-ref", "refs/heads/main", &merge], "");
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    let right: Revision = right.parse().unwrap();
    let history = mirror.history("main", &[right, base]).unwrap();
    let at = |revision: &Revision| history.iter().position(|other| other == revision).unwrap();
    assert_eq!(history.len(), 4);
    assert!(at(&base) < at(&left) && at(&base) < at(&right));
    assert_eq!(history.last().map(ToString::to_string), Some(merge));
}
