use std::{
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
};

use tempfile::TempDir;

use super::*;
use crate::{
    record::{Key, Record},
    store::encoding::tests::samples,
};

fn write(directory: &Path, records: &[Record]) {
    let mut store = SledStore::open(directory).unwrap();
    assert!(store.load().unwrap().is_empty());
    let changes: Vec<Change> = records.iter().cloned().map(Change::Put).collect();
    store.append(&changes).unwrap();
}

fn loaded(directory: &Path) -> Loaded {
    SledStore::open(directory).unwrap().load().unwrap()
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    let found = loaded(directory.path());
    assert_eq!(found.records().collect::<Vec<_>>(), samples());
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn deleted_records_are_gone_and_replaced_ones_replaced() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    {
        let mut store = SledStore::open(directory.path()).unwrap();
        let mut tokens = store.load().unwrap().tokens;
        tokens[0].uses_left = 9;
        store
            .append(&[
                Change::Put(Record::Token(tokens[0].clone())),
                Change::Delete(Key::App("prod".parse().unwrap(), "web".parse().unwrap())),
                Change::Delete(Key::Event(77)),
                Change::Delete(Key::Event(78)),
            ])
            .unwrap();
    }
    let found = loaded(directory.path());
    assert_eq!(found.tokens[0].uses_left, 9);
    assert!(found.apps.is_empty() && found.events.is_empty());
    assert_eq!(found.clusters.len(), 1);
}

#[test]
fn a_store_in_use_is_not_opened_twice() {
    let directory = TempDir::new().unwrap();
    let _first = SledStore::open(directory.path()).unwrap();
    assert!(matches!(SledStore::open(directory.path()), Err(StoreError::InUse { .. })));
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    {
        let sled = sled::open(directory.path().join("status")).unwrap();
        let mark = Mark { schema: 7, batch: 1, records: 3 };
        sled.insert(MARK_KEY, mark.write().as_slice()).unwrap();
        sled.flush().unwrap();
    }
    let error = SledStore::open(directory.path()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 7, known: 1, .. }), "{error}");
}

#[test]
fn one_damaged_record_is_dropped_and_the_others_kept() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    {
        let sled = sled::open(directory.path().join("status")).unwrap();
        sled.insert("aprod/web", b"\x01nonsense").unwrap();
        sled.flush().unwrap();
    }
    let found = loaded(directory.path());
    assert_eq!(found.len(), 4);
    assert!(found.apps.is_empty());
    assert!(found.problems[0].contains("\"aprod/web\" in "), "{:?}", found.problems);
    assert!(loaded(directory.path()).problems.is_empty(), "told once");
}

fn damage_all(directory: &Path, damage: impl Fn(&File, u64)) {
    let file = File::options().read(true).write(true).open(directory.join("db")).unwrap();
    damage(&file, file.metadata().unwrap().len());
}

#[test]
fn a_database_of_noise_is_moved_aside_and_the_other_is_kept() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    damage_all(&directory.path().join("status"), |mut file, length| {
        file.seek(SeekFrom::Start(0)).unwrap();
        let noise: Vec<u8> =
            (0..length).map(|index| (index.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
        file.write_all(&noise).unwrap();
    });
    let found = loaded(directory.path());
    assert_eq!((found.tokens.len(), found.enrolments.len()), (1, 1));
    assert!(found.apps.is_empty());
}

/// Whatever happens to the files, the hub starts, can write, and tells no record that was never written.
#[test]
fn any_damage_to_the_files_leaves_a_store_that_works() {
    for (round, name) in ["status", "identity"].into_iter().cycle().take(40).enumerate() {
        let directory = TempDir::new().unwrap();
        write(directory.path(), &samples());
        let seed = round as u64 * 7919;
        damage_all(&directory.path().join(name), |file, length| match round % 4 {
            0 | 1 => file.set_len(length * (seed % 97) / 97).unwrap(),
            2 => file.write_all_at(&[0xff; 64], (seed * 131) % (length / 64)).unwrap(),
            _ => file.write_all_at(&[0; 4096], 0).unwrap(),
        });
        let mut store = SledStore::open(directory.path()).unwrap();
        let found = store.load().unwrap();
        let known = samples();
        let saved: Vec<Record> = found.records().collect();
        for record in &saved {
            assert!(known.contains(record), "round {round}: {record:?}"); // the sample token is revoked already
        }
        let lost = saved.len() < known.len();
        assert!(!lost || !found.problems.is_empty(), "round {round}: records are gone without a word");
        let changes: Vec<Change> = known.iter().cloned().map(Change::Put).collect();
        store.append(&changes).unwrap();
        drop(store);
        let again = loaded(directory.path());
        assert_eq!((again.len(), again.problems), (5, Vec::new()), "round {round}");
    }
}

#[test]
fn a_database_put_back_from_an_older_copy_is_noticed_and_its_tokens_are_refused() {
    let directory = TempDir::new().unwrap();
    let mut token = samples().remove(0);
    let Record::Token(inner) = &mut token else { panic!("the first sample is a token") };
    (inner.revoked, inner.uses_left) = (false, 1);
    write(directory.path(), &[token.clone()]);
    let (now, older) = (directory.path().join("identity"), directory.path().join("older"));
    let copied = std::process::Command::new("cp").arg("-r").args([&now, &older]).status().unwrap();
    assert!(copied.success());
    let Record::Token(inner) = &mut token else { panic!("still a token") };
    inner.uses_left = 0;
    let mut store = SledStore::open(directory.path()).unwrap();
    store.append(&[Change::Put(token)]).unwrap();
    drop(store);
    fs::remove_dir_all(&now).unwrap();
    fs::rename(&older, &now).unwrap();

    let found = loaded(directory.path());
    assert!(found.tokens[0].revoked, "the use that was taken is not given back");
    assert!(
        found.problems[0].contains("its last batch was number 2, and 1 is the last"),
        "{:?}",
        found.problems
    );
}

#[test]
fn a_database_that_is_gone_is_noticed() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    fs::remove_dir_all(directory.path().join("status")).unwrap();
    let found = loaded(directory.path());
    assert_eq!((found.len(), found.problems.len()), (2, 1), "{:?}", found.problems);
}
