//! A mirror stays small however long it is used, and keeps what is needed.

use super::origin::{Origin, files};
use crate::disk::packs;
use crate::{GitError, Mirror, ReadLimits, Revision};

#[test]
fn packs_do_not_pile_up() {
    let origin = Origin::new();
    let mut remote = origin.remote();
    remote.limits.packs_max = 4;
    let mut mirror = Mirror::open(&origin.mirror_path(), remote.clone()).unwrap();
    let mut revisions: Vec<Revision> = Vec::new();
    for n in 0..30 {
        revisions.push(origin.commit("main", &[("n", &n.to_string()), ("same", "same")]));
        mirror.fetch(&["main"]).unwrap();
        if n == 2 {
            mirror.keep(&revisions[..1]).unwrap();
        }
        let count = packs::count(&mirror.generation.packs());
        assert!(count <= 5, "{count} packs after fetch {n}");
        let read = files(&mirror, &revisions[n], "");
        assert_eq!(read, [("n".to_owned(), n.to_string()), ("same".into(), "same".into())]);
    }
    assert_eq!(files(&mirror, &revisions[0], "n"), [("n".to_owned(), "0".to_owned())], "kept");
    assert_eq!(files(&mirror, &revisions[28], "n"), [("n".to_owned(), "28".to_owned())], "the head before");
    let dropped = mirror.read(&revisions[3], "", &ReadLimits::default());
    assert!(matches!(dropped, Err(GitError::RevisionUnavailable { .. })), "{dropped:?}");
    assert!(mirror.damage().is_none());
    let directories =
        std::fs::read_dir(origin.mirror_path()).unwrap().flatten().filter(|e| e.path().is_dir());
    assert_eq!(directories.count(), 1);

    mirror.fetch_revision(&revisions[3], &["main"]).unwrap();
    assert_eq!(files(&mirror, &revisions[3], "n"), [("n".to_owned(), "3".to_owned())]);
    drop(mirror);
    let mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    assert_eq!(mirror.resolve("main").unwrap(), revisions[29]);
    assert!(mirror.has(&revisions[0]) && mirror.has(&revisions[3]) && mirror.damage().is_none());
}

#[test]
fn little_is_sent_when_little_changes() {
    let origin = Origin::new();
    let noise: String = (0..20_000_u32).map(|n| format!("{:x}\n", n.wrapping_mul(2_654_435_761))).collect();
    origin.commit("main", &[("noise", &noise), ("a", "1")]);
    let mut mirror = origin.mirror();
    assert!(mirror.fetch(&["main"]).unwrap().bytes > 50_000);
    assert!(mirror.fetch(&["main"]).unwrap().bytes < 2_000);
    origin.commit("main", &[("noise", &format!("{noise}x")), ("a", "2")]);
    assert!(mirror.fetch(&["main"]).unwrap().bytes < 5_000);
}

#[test]
fn another_url_starts_with_no_references() {
    let origin = Origin::new();
    let one = origin.commit("main", &[("a", "1")]);
    origin.mirror().fetch(&["main"]).unwrap();
    let other = Origin::new();
    let two = other.commit("main", &[("a", "2")]);
    let mut mirror = Mirror::open(&origin.mirror_path(), other.remote()).unwrap();
    assert!(matches!(mirror.resolve("main"), Err(GitError::ReferenceMissing { .. })));
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], two);
    assert_eq!(files(&mirror, &one, ""), [("a".into(), "1".into())], "objects stay while they are there");
}

#[test]
fn a_revision_that_exists_nowhere_is_unavailable() {
    let origin = Origin::new();
    origin.commit("main", &[("a", "1")]);
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    let nowhere: Revision = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = mirror.fetch_revision(&nowhere, &["main"]).unwrap_err();
    assert!(matches!(error, GitError::RevisionUnavailable { .. }), "{error}");
    let tree: Revision = origin.git(&["rev-parse", "main^{tree}"], "").parse().unwrap();
    let error = mirror.fetch_revision(&tree, &["main"]).unwrap_err();
    assert!(matches!(error, GitError::RevisionUnavailable { .. }), "{error}");
    assert_eq!(mirror.damage(), None);
    mirror.fetch(&["main"]).unwrap();
}

#[test]
fn a_forgotten_reference_is_not_kept() {
    let origin = Origin::new();
    let side = origin.commit("side", &[("s", "s")]);
    let main = origin.commit("main", &[("a", "1")]);
    let mut remote = origin.remote();
    remote.limits.packs_max = 0;
    let mut mirror = Mirror::open(&origin.mirror_path(), remote).unwrap();
    mirror.fetch(&["main", "side"]).unwrap();
    assert!(mirror.has(&side) && mirror.has(&main));
    mirror.forget("side").unwrap();
    let main = origin.commit("main", &[("a", "2")]);
    mirror.fetch(&["main"]).unwrap();
    assert!(!mirror.has(&side) && mirror.has(&main));
    assert!(mirror.resolve("side").is_err());
    assert_eq!(files(&mirror, &main, "").len(), 1);
}

#[test]
fn a_mirror_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Mirror>();
}
