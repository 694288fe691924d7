//! Reading gives what a work tree would show, and nothing from outside of the repository.

use super::origin::{Origin, files};
use crate::{Change, GitError, Mirror, ReadLimits, Revision, SkipReason};

const LINK: &str = "120000";
const FILE: &str = "100644";

/// A mirror of one commit with these files.
fn mirror_of(files: &[(&str, &str, &str)]) -> (Origin, Mirror, Revision) {
    let origin = Origin::new();
    let head = origin.commit_modes("main", files);
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    (origin, mirror, head)
}

fn lenient() -> ReadLimits {
    ReadLimits { skip_refused: true, ..ReadLimits::default() }
}

#[test]
fn links_are_followed_inside_of_the_repository() {
    let (_origin, mirror, head) = mirror_of(&[
        (FILE, "base/a.yaml", "a"),
        (FILE, "base/deep/b.yaml", "b"),
        (LINK, "web/all", "../base"),
        (LINK, "web/one.yaml", "../base/./deep//b.yaml"),
        (LINK, "web/chain", "second"),
        (LINK, "web/second", "../web/all/deep"),
        (LINK, "through", "web/all/../base/a.yaml"),
    ]);
    let pair = |path: &str, content: &str| (path.to_owned(), content.to_owned());
    assert_eq!(
        files(&mirror, &head, "web"),
        [
            pair("web/all/a.yaml", "a"),
            pair("web/all/deep/b.yaml", "b"),
            pair("web/chain/b.yaml", "b"),
            pair("web/one.yaml", "b"),
            pair("web/second/b.yaml", "b"),
        ]
    );
    assert_eq!(files(&mirror, &head, "through"), [pair("through", "a")]);
    assert_eq!(files(&mirror, &head, "web/all/deep"), [pair("web/all/deep/b.yaml", "b")]);
    assert_eq!(files(&mirror, &head, "web/chain/b.yaml"), [pair("web/chain/b.yaml", "b")]);
}

#[test]
fn an_id_stands_for_all_below_a_path() {
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    let mut ids = |files: &[(&str, &str, &str)]| {
        let head = origin.commit_modes("main", files);
        mirror.fetch(&["main"]).unwrap();
        ["", "base", "base/a.yaml", "web", "web/all", "none", "base/a.yaml/x"]
            .map(|path| mirror.identify(&head, path).unwrap())
    };
    let first = ids(&[(FILE, "base/a.yaml", "a"), (LINK, "web/all", "../base"), (FILE, "x", "1")]);
    assert_eq!(first[4], first[1], "a link to a directory is that directory");
    assert!(first[5].is_none() && first[6].is_none() && first[..5].iter().all(Option::is_some));
    let second = ids(&[(FILE, "base/a.yaml", "a"), (LINK, "web/all", "../base"), (FILE, "x", "2")]);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1..], first[1..]);
    let third = ids(&[(FILE, "base/a.yaml", "b"), (LINK, "web/all", "../base"), (FILE, "x", "2")]);
    assert_ne!(third[1], first[1]);
    assert_ne!(third[2], first[2]);
    assert_eq!(third[3], first[3], "what a link inside leads to is not in it");

    let head = mirror.resolve("main").unwrap();
    let has_links = |path: &str| mirror.read(&head, path, &ReadLimits::default()).unwrap().has_links();
    assert_eq!(
        [has_links("web"), has_links("web/all"), has_links("base"), has_links("x")],
        [true, false, false, false]
    );
    assert!(matches!(mirror.identify(&head, "../x"), Err(GitError::PathRefused { .. })));
}

#[test]
fn links_that_lead_outside_nowhere_or_in_circles_are_refused_by_name() {
    for (target, reason) in [
        ("/etc/passwd", "absolute"),
        ("../../etc/passwd", "outside"),
        ("../x/../../../y", "outside"),
        ("missing", "nothing"),
        ("../ok/missing/../a", "nothing"),
        ("../ok/a/b", "nothing"),
        ("bad", "without end"),
        (".", "around it"),
        ("..", "around it"),
        ("../up", "around it"),
        ("../sub/x", "submodule"),
    ] {
        let sub = "1111111111111111111111111111111111111111";
        let (_origin, mirror, head) = mirror_of(&[
            (FILE, "ok/a", "fine"),
            (LINK, "up", "x/.."),
            (LINK, "x/bad", target),
            (FILE, "x/good", "good"),
            ("160000", "sub", sub),
        ]);
        let error = mirror.read(&head, "x", &ReadLimits::default()).unwrap_err();
        assert!(matches!(&error, GitError::PathRefused { path, .. } if path == "x/bad"), "{target}: {error}");
        assert!(error.to_string().contains(reason), "{target}: {error}");

        let tree = mirror.read(&head, "x", &lenient()).unwrap();
        assert_eq!(tree.files().keys().collect::<Vec<_>>(), ["x/good"], "{target}");
        assert_eq!(tree.skipped().len(), 1);
        assert_eq!(tree.skipped()[0].path, "x/bad");
    }
}

#[test]
fn a_circle_of_two_directories_ends() {
    let (_origin, mirror, head) =
        mirror_of(&[(LINK, "a/b", "../b"), (LINK, "b/a", "../a"), (FILE, "a/f", "1")]);
    let error = mirror.read(&head, "", &ReadLimits::default()).unwrap_err().to_string();
    assert!(error.contains("a/b/a") && error.contains("around it"), "{error}");
}

#[test]
fn many_links_to_many_links_are_stopped_by_a_limit() {
    let names: Vec<(String, String)> = (0..12)
        .flat_map(|level| (0..4).map(move |n| (format!("l{level}/n{n}"), format!("../l{}", level + 1))))
        .collect();
    let mut entries: Vec<(&str, &str, &str)> =
        names.iter().map(|(a, b)| (LINK, a.as_str(), b.as_str())).collect();
    entries.push((FILE, "l12/f", "x"));
    let (_origin, mirror, head) = mirror_of(&entries);
    let error = mirror.read(&head, "l0", &ReadLimits::default()).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "links", limit: 1000, .. }), "{error}");
}

#[test]
fn submodules_are_skipped_and_reported() {
    let sub = "1111111111111111111111111111111111111111";
    let (_origin, mirror, head) = mirror_of(&[("160000", "vendor/lib", sub), (FILE, "vendor/a", "a")]);
    let tree = mirror.read(&head, "", &ReadLimits::default()).unwrap();
    assert_eq!(tree.files().len(), 1);
    assert_eq!(tree.skipped()[0].path, "vendor/lib");
    assert_eq!(tree.skipped()[0].reason, SkipReason::Submodule);
    let error = mirror.read(&head, "vendor/lib/x", &ReadLimits::default()).unwrap_err();
    assert!(error.to_string().contains("submodule"), "{error}");
}

#[test]
fn impossible_names_are_refused_by_name() {
    for name in [&b".."[..], b".", b".git", b".GIT", b"a/b", b"../../etc/x", b"\xff\xfe.yaml"] {
        let origin = Origin::new();
        let blob = origin.blob("content");
        let entry = |name: &[u8]| [b"100644 ", name, b"\0", &blob[..]].concat();
        let tree = [entry(name), entry(b"good.yaml")].concat();
        let head = origin.commit_raw_tree("main", &tree);
        let mut mirror = origin.mirror();
        mirror.fetch(&["main"]).unwrap();
        let error = mirror.read(&head, "", &ReadLimits::default()).unwrap_err();
        assert!(matches!(error, GitError::PathRefused { .. }), "{name:?}: {error}");
        let tree = mirror.read(&head, "", &lenient()).unwrap();
        assert_eq!(tree.files().keys().collect::<Vec<_>>(), ["good.yaml"], "{name:?}");
        assert_eq!(tree.skipped().len(), 1, "{name:?}");
    }
}

#[test]
fn paths_from_callers_stay_inside_too() {
    let (_origin, mirror, head) = mirror_of(&[(FILE, "a/b", "1")]);
    for path in ["/a", "../a", "a/../../b", "a\0b"] {
        let error = mirror.read(&head, path, &ReadLimits::default()).unwrap_err();
        assert!(matches!(error, GitError::PathRefused { .. }), "{path:?}: {error}");
    }
    for path in ["c", "a/c", "a/b/c", "A"] {
        let error = mirror.read(&head, path, &ReadLimits::default()).unwrap_err();
        assert!(
            matches!(&error, GitError::PathMissing { path: named, .. } if named == path),
            "{path:?}: {error}"
        );
    }
}

#[test]
fn every_limit_is_met() {
    let big = "x".repeat(1000);
    let (_origin, mirror, head) =
        mirror_of(&[(FILE, "a/b/c/d", "1"), (FILE, "big", &big), (FILE, "one", "1"), (LINK, "two", "one")]);
    let normal = ReadLimits::default();
    for (limits, what) in [
        (ReadLimits { files_max: 3, ..normal }, "files"),
        (ReadLimits { bytes_max: 1001, ..normal }, "bytes in all files"),
        (ReadLimits { file_bytes_max: 999, ..normal }, "bytes in one file"),
        (ReadLimits { depth_max: 3, ..normal }, "directories"),
        (ReadLimits { entries_max: 6, ..normal }, "entries"),
        (ReadLimits { links_max: 0, ..normal }, "links"),
    ] {
        let error = mirror.read(&head, "", &limits).unwrap_err();
        assert!(
            matches!(&error, GitError::Limit { what: named, .. } if named.starts_with(what)),
            "{what}: {error}"
        );
    }
    let exact = ReadLimits {
        files_max: 4,
        bytes_max: 1003,
        file_bytes_max: 1000,
        depth_max: 4,
        entries_max: 7,
        links_max: 1,
        ..normal
    };
    assert_eq!(mirror.read(&head, "", &exact).unwrap().files().len(), 4);

    // What is not wanted is not loaded, so it may be large.
    let small = ReadLimits { files_max: 1, file_bytes_max: 10, ..normal };
    let tree = mirror.read_matching(&head, "", &small, &|path| path.ends_with("/d")).unwrap();
    assert_eq!(tree.files().keys().collect::<Vec<_>>(), ["a/b/c/d"]);
    let skipping = ReadLimits { file_bytes_max: 10, skip_refused: true, ..normal };
    let tree = mirror.read(&head, "", &skipping).unwrap();
    assert_eq!((tree.files().len(), tree.skipped()[0].path.as_str()), (3, "big"));
}

#[test]
fn objects_above_the_limit_are_not_accepted() {
    let origin = Origin::new();
    origin.commit("main", &[("big", &"x".repeat(3 << 20))]);
    let mut remote = origin.remote();
    remote.limits.object_bytes_max = 1 << 20;
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    assert!(mirror.fetch(&["main"]).is_err());
    origin.commit("main", &[("small", "x")]);
    mirror.fetch(&["main"]).unwrap();
}

#[test]
fn packs_references_and_trees_above_the_limit_are_not_accepted() {
    let origin = Origin::new();
    let noise: String = (0..20_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    origin.commit("main", &[("noise", &noise), ("b", "b"), ("c", "c")]);
    for n in 0..9 {
        origin.git(&["branch", &format!("b{n}"), "main"], "");
    }
    let mut remote = origin.remote();
    remote.limits.pack_bytes_max = 10_000;
    let mut mirror = Mirror::open(&origin.mirror_path(), remote.clone()).unwrap();
    let error = mirror.fetch(&["main"]).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "bytes of a pack", limit: 10_000, .. }), "{error}");
    drop(mirror);
    remote.limits = crate::Limits { refs_max: 3, ..Default::default() };
    let mut mirror = Mirror::open(&origin.mirror_path(), remote.clone()).unwrap();
    let error = mirror.fetch(&["main", "b0", "b1", "b2"]).unwrap_err();
    assert!(matches!(error, GitError::Limit { what: "references", limit: 3, .. }), "{error}");
    drop(mirror);
    remote.limits = crate::Limits { tree_entries_max: 2, ..Default::default() };
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    let fetched = mirror.fetch(&["main"]).unwrap();
    assert_eq!(fetched.changes["main"], Change::Refused);
    assert!(fetched.refused["main"].contains("more than 2 entries"), "{fetched:?}");
    assert!(!fetched.changed && mirror.damage().is_none() && mirror.resolve("main").is_err());
    drop(mirror);
    assert_eq!(origin.mirror().fetch(&["main"]).unwrap().heads["main"], origin.head("main"));
}

#[test]
fn a_malformed_repository_spoils_only_what_is_malformed() {
    let origin = Origin::new();
    let good = origin.commit("main", &[("a", "1")]);
    let blob = origin.blob("content");
    let id: Revision = origin.git(&["rev-parse", "main^{tree}"], "").parse().unwrap();
    let tree = id.id().as_slice().to_vec();
    // A directory that is a file, a file that is a directory, a tree that is no tree, and tags of no commit.
    origin.commit_raw_tree("directory", &[&b"40000 d\0"[..], &blob].concat());
    let file = origin.commit_raw_tree("file", &[&b"100644 f\0"[..], &tree, b"100644 good\0", &blob].concat());
    origin.commit_raw_tree("torn", &[&b"100644 f\0"[..], &blob[..10]].concat());
    origin.git(&["tag", "-a", "-m", "a tree", "tree", &id.to_string()], "");
    origin.git(&["tag", "a-blob", "main:a"], "");
    let mut mirror = origin.mirror();
    for _ in 0..2 {
        let fetched = mirror.fetch(&["main", "directory", "file", "torn", "tree", "a-blob"]).unwrap();
        assert_eq!(fetched.heads.keys().collect::<Vec<_>>(), ["file", "main"], "{fetched:?}");
        for name in ["directory", "torn", "tree", "a-blob"] {
            assert_eq!(fetched.changes[name], Change::Refused, "{name}: {fetched:?}");
            assert!(!fetched.refused[name].is_empty(), "{name}: {fetched:?}");
        }
        assert!(fetched.rebuilt.is_none() && mirror.damage().is_none());
    }
    assert_eq!(files(&mirror, &good, ""), [("a".into(), "1".into())]);
    let error = mirror.read(&file, "", &ReadLimits::default()).unwrap_err();
    assert!(matches!(&error, GitError::PathRefused { path, .. } if path == "f"), "{error}");
    let tree = mirror.read(&file, "", &lenient()).unwrap();
    assert_eq!((tree.files().len(), tree.skipped().len()), (1, 1));
    assert_eq!(mirror.damage(), None);
}
