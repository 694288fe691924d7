//! Whatever happens to its files, a mirror gives the right content or none, and is
//! whole again after the next fetch.

use std::path::{Path, PathBuf};

use super::origin::{Origin, files, git};
use crate::{GitError, Mirror, ReadLimits, Revision};

/// All regular files of a mirror.
fn files_of(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_of(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What a hurt makes of a file; `None` where it does not apply.
type Hurt = fn(&[u8]) -> Option<Vec<u8>>;

/// Ways to hurt a file.
const HURTS: &[(&str, Hurt)] = &[
    ("emptied", |_| Some(Vec::new())),
    ("cut in half", |bytes| Some(bytes[..bytes.len() / 2].to_vec())),
    ("one byte short", |bytes| bytes.len().checked_sub(1).map(|end| bytes[..end].to_vec())),
    ("longer", |bytes| Some([bytes, b"garbage"].concat())),
    ("garbage", |bytes| Some(vec![0xa5; bytes.len()])),
    ("first byte", |bytes| flipped(bytes, 0)),
    ("a third in", |bytes| flipped(bytes, bytes.len() / 3)),
    ("the middle", |bytes| flipped(bytes, bytes.len() / 2)),
    ("the last byte", |bytes| flipped(bytes, bytes.len().wrapping_sub(1))),
];

fn flipped(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    *bytes.get_mut(at)? ^= 0x10;
    Some(bytes)
}

/// An origin with a head and one before, both in the mirror, as several packs with deltas.
fn origin_with_history() -> (Origin, [Revision; 2]) {
    let origin = Origin::new();
    let long: String = (0..300).map(|n| format!("line {n} of a file that changes little\n")).collect();
    let one = origin.commit("main", &[("a/x.yaml", &long), ("a/y.yaml", "y"), ("b.yaml", "b")]);
    let mut mirror = origin.mirror();
    mirror.fetch(&["main"]).unwrap();
    let two =
        origin.commit("main", &[("a/x.yaml", &format!("{long}more\n")), ("a/y.yaml", "y"), ("b.yaml", "b2")]);
    mirror.fetch(&["main"]).unwrap();
    (origin, [one, two])
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in files_of(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

/// Either the right files or an error that promises a fetch will help; never other files.
fn right_or_refused(mirror: &Mirror, revision: &Revision, right: &[(String, String)], what: &str) {
    match mirror.read(revision, "", &ReadLimits::default()) {
        Ok(_) => assert_eq!(files(mirror, revision, ""), right, "{what}"),
        Err(GitError::Corrupt { .. } | GitError::RevisionUnavailable { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn every_file_can_be_damaged_in_every_way() {
    let (origin, [one, two]) = origin_with_history();
    let mirror = origin.mirror();
    let right = [files(&mirror, &one, ""), files(&mirror, &two, "")];
    drop(mirror);
    let good = origin.mirror_path();
    let mut damaged = 0;
    for file in files_of(&good) {
        let name = file.strip_prefix(&good).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let removal: (&str, Option<Vec<u8>>) = ("removed", None);
        let hurts = HURTS.iter().filter_map(|(how, hurt)| Some((*how, Some(hurt(&bytes)?))));
        for (number, (how, content)) in hurts.chain([removal]).enumerate() {
            let what = format!("{} {how}", name.display());
            let place = origin.scratch().join(format!("hurt-{number}"));
            let _ = std::fs::remove_dir_all(&place);
            copy(&good, &place);
            match content {
                Some(content) => std::fs::write(place.join(name), content).unwrap(),
                None => std::fs::remove_file(place.join(name)).unwrap(),
            }
            let mut mirror = Mirror::open(&place, origin.remote()).unwrap_or_else(|e| panic!("{what}: {e}"));
            right_or_refused(&mirror, &one, &right[0], &what);
            right_or_refused(&mirror, &two, &right[1], &what);
            damaged += usize::from(mirror.damage().is_some());
            let fetched = mirror.fetch(&["main"]).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(fetched.heads["main"], two, "{what}");
            assert_eq!(mirror.damage(), None, "{what}");
            assert_eq!(files(&mirror, &two, ""), right[1], "{what}");
            drop(mirror);
            let mirror = Mirror::open(&place, origin.remote()).unwrap();
            assert_eq!(mirror.damage(), None, "{what}, opened again");
            assert_eq!(mirror.resolve("main").unwrap(), two, "{what}");
            assert_eq!(files(&mirror, &two, ""), right[1], "{what}, opened again");
        }
    }
    assert!(damaged > 30, "only {damaged} damages were noticed before the fetch");
}

#[test]
fn every_byte_of_a_pack_can_change_without_wrong_content() {
    let (origin, [one, two]) = origin_with_history();
    let mirror = origin.mirror();
    let right = [files(&mirror, &one, ""), files(&mirror, &two, "")];
    drop(mirror);
    let packs: Vec<PathBuf> = files_of(&origin.mirror_path())
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "pack"))
        .collect();
    assert_eq!(packs.len(), 2);
    for pack in packs {
        let bytes = std::fs::read(&pack).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            // Damage while the mirror is open, so that only reading can notice it.
            let mirror = origin.mirror();
            std::fs::write(&pack, flipped(&bytes, at).unwrap()).unwrap();
            right_or_refused(&mirror, &one, &right[0], &format!("byte {at}"));
            right_or_refused(&mirror, &two, &right[1], &format!("byte {at}"));
            std::fs::write(&pack, &bytes).unwrap();
            drop(mirror);
            let _ = std::fs::remove_file(origin.mirror_path().join("damaged"));
        }
    }
}

#[test]
fn a_fetch_that_builds_on_damaged_objects_rebuilds() {
    let mut rebuilt = 0;
    for part in 1..8 {
        let origin = Origin::new();
        let long: String = (0..3000).map(|n| format!("line {} of a long file\n", n * 7919)).collect();
        let one = origin.commit("main", &[("long", &long), ("b", "b")]);
        let mut mirror = origin.mirror();
        mirror.fetch(&["main"]).unwrap();
        let is_pack = |f: &PathBuf| f.extension().is_some_and(|e| e == "pack");
        let pack = files_of(&origin.mirror_path()).into_iter().find(is_pack).unwrap();
        let bytes = std::fs::read(&pack).unwrap();
        std::fs::write(&pack, flipped(&bytes, bytes.len() * part / 8).unwrap()).unwrap();
        let two = origin.commit("main", &[("long", &format!("{long}more\n")), ("b", "b")]);
        let fetched = mirror.fetch(&["main"]).unwrap();
        rebuilt += usize::from(fetched.rebuilt.is_some());
        assert_eq!(fetched.heads["main"], two);
        assert_eq!(files(&mirror, &two, "").len(), 2);
        mirror.fetch_revision(&one, &["main"]).unwrap();
    }
    assert!(rebuilt > 0);
}

#[test]
fn objects_that_vanish_come_back() {
    let (origin, [_, two]) = origin_with_history();
    let mut mirror = origin.mirror();
    std::fs::remove_dir_all(origin.mirror_path().join("1.git")).unwrap();
    assert!(mirror.fetch(&["main"]).unwrap().rebuilt.is_some());
    assert_eq!(files(&mirror, &two, "").len(), 3);
    std::fs::remove_dir_all(origin.mirror_path()).unwrap();
    assert!(mirror.fetch(&["main"]).unwrap().rebuilt.is_some());
    assert_eq!(files(&mirror, &two, "").len(), 3);
}

#[test]
fn without_the_server_the_last_good_revision_stays_readable() {
    let (origin, [one, two]) = origin_with_history();
    let right = files(&origin.mirror(), &two, "");
    std::fs::rename(origin.path(), origin.scratch().join("away.git")).unwrap();
    for file in ["state", "1.git/packed-refs", "1.git/HEAD", "1.git/shallow", "1.git/config"] {
        let path = origin.mirror_path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"garbage").unwrap();
        let mut mirror = origin.mirror();
        assert_eq!(files(&mirror, &two, ""), right, "{file}");
        assert_eq!(mirror.read(&one, "", &ReadLimits::default()).unwrap().files().len(), 3, "{file}");
        assert_eq!(mirror.resolve("refs/heads/main").unwrap(), two, "{file}");
        assert!(mirror.fetch(&["main"]).is_err());
        assert_eq!(files(&mirror, &two, ""), right, "{file}: a failed rebuild leaves what there was");
        drop(mirror);
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::rename(origin.scratch().join("away.git"), origin.path()).unwrap();
    let mut mirror = origin.mirror();
    assert!(mirror.damage().is_some(), "it is remembered until a fetch succeeds");
    let fetched = mirror.fetch(&["main"]).unwrap();
    assert!(fetched.rebuilt.is_some());
    assert_eq!(files(&mirror, &two, ""), right);
    assert_eq!(
        mirror.read(&one, "", &ReadLimits::default()).unwrap().files().len(),
        3,
        "the head before is kept"
    );
}

#[test]
fn a_rebuild_keeps_what_the_caller_needs_even_when_the_server_lost_it() {
    let (origin, [one, two]) = origin_with_history();
    let mut mirror = origin.mirror();
    mirror.keep(&[one]).unwrap();
    origin.git(&["update-ref", "-d", "refs/heads/main"], "");
    let other = origin.commit("main", &[("z", "z")]);
    origin.git(&["reflog", "expire", "--expire=now", "--all"], "");
    origin.git(&["gc", "-q", "--prune=now"], "");
    drop(mirror);
    std::fs::write(origin.mirror_path().join("1.git/shallow"), "garbage").unwrap();
    let mut mirror = origin.mirror();
    let fetched = mirror.fetch(&["main"]).unwrap();
    assert!(fetched.rebuilt.is_some());
    assert_eq!(fetched.heads["main"], other);
    assert_eq!(mirror.read(&one, "", &ReadLimits::default()).unwrap().files().len(), 3);
    assert_eq!(mirror.read(&two, "", &ReadLimits::default()).unwrap().files().len(), 3, "the head before");
    assert!(mirror.has(&one) && mirror.has(&two) && mirror.has(&other));
    let checked = git(&origin.mirror_path().join("2.git"), &["fsck", "--full", "--strict"], b"");
    assert!(!checked.contains("missing"), "{checked}");
}

#[test]
fn git_itself_finds_nothing_wrong_with_a_mirror() {
    let (origin, [_, two]) = origin_with_history();
    let repository = origin.mirror_path().join("1.git");
    git(&repository, &["fsck", "--full", "--strict"], b"");
    assert_eq!(git(&repository, &["rev-parse", "refs/heads/main"], b""), two.to_string());
    assert_eq!(git(&repository, &["log", "--format=%H", "main"], b""), two.to_string());
}

#[test]
fn what_a_broken_off_fetch_leaves_is_removed() {
    let (origin, [_, two]) = origin_with_history();
    let root = origin.mirror_path();
    let packs = root.join("1.git/objects/pack");
    for leftover in ["tmp_pack_x", ".tmpAbc", "pack-1.keep", "copy.new"] {
        std::fs::write(packs.join(leftover), "half").unwrap();
    }
    std::fs::create_dir_all(root.join("2.git.new/objects")).unwrap();
    std::fs::create_dir_all(root.join("7.git")).unwrap();
    for lock in ["1.git/shallow.lock", "1.git/packed-refs.lock", "state.new", "1.git/shallow.new"] {
        std::fs::write(root.join(lock), "stale").unwrap();
    }
    let mut mirror = origin.mirror();
    assert_eq!(mirror.damage(), None);
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], two);
    let left: Vec<PathBuf> = files_of(&packs);
    assert!(left.iter().all(|f| f.extension().is_some_and(|e| e == "pack" || e == "idx")), "{left:?}");
    assert!(
        !root.join("2.git.new").exists() && !root.join("7.git").exists() && !root.join("state.new").exists()
    );
}

#[test]
fn one_user_at_a_time() {
    let origin = Origin::new();
    let mirror = origin.mirror();
    let error = Mirror::open(&origin.mirror_path(), origin.remote()).unwrap_err();
    assert!(matches!(error, GitError::Locked { .. }) && error.is_temporary(), "{error}");
    assert!(error.to_string().contains("this process"), "{error}");
    drop(mirror);
    origin.mirror();
}
