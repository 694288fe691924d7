use tempfile::TempDir;

use super::*;
use crate::{
    record::Key,
    store::{encoding::tests::samples, version1},
};

fn write(directory: &Path, records: &[Record]) {
    let mut store = LocalStore::open(directory).unwrap();
    assert!(store.load().unwrap().is_empty());
    let changes: Vec<Change> = records.iter().cloned().map(Change::Put).collect();
    append(&mut store, changes);
}

fn append(store: &mut LocalStore, changes: Vec<Change>) {
    let refused = store.append(&[Transaction { changes, as_leader: false }]).unwrap();
    assert!(refused.is_empty());
}

fn loaded(directory: &Path) -> Loaded {
    LocalStore::open(directory).unwrap().load().unwrap()
}

fn kept(loaded: &Loaded) -> Vec<Record> {
    loaded.records().collect()
}

/// The samples with a token that may still be used.
fn usable() -> Vec<Record> {
    let mut records = samples();
    let Record::Token(token) = &mut records[0] else { panic!("the first sample is a token") };
    token.revoked = false;
    records
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    let found = loaded(directory.path());
    assert_eq!(kept(&found), samples());
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn deleted_records_are_gone_and_replaced_ones_replaced() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    {
        let mut store = LocalStore::open(directory.path()).unwrap();
        let mut tokens = store.load().unwrap().tokens;
        tokens[0].uses_left = 9;
        let changes = vec![
            Change::Put(Record::Token(tokens[0].clone())),
            Change::Delete(Key::App("prod".parse().unwrap(), "web".parse().unwrap())),
            Change::Delete(Key::Event(77)),
            Change::Delete(Key::Event(78)),
        ];
        append(&mut store, changes);
    }
    let found = loaded(directory.path());
    assert_eq!(found.tokens[0].uses_left, 9);
    assert!(found.apps.is_empty() && found.events.is_empty());
    assert_eq!(found.clusters.len(), 1);
}

#[test]
fn a_store_in_use_is_not_opened_twice() {
    let directory = TempDir::new().unwrap();
    let _first = LocalStore::open(directory.path()).unwrap();
    assert!(matches!(LocalStore::open(directory.path()), Err(StoreError::InUse { .. })));
}

#[test]
fn a_store_of_0_1_is_taken_over_once() {
    let directory = TempDir::new().unwrap();
    let (identity, status) = (directory.path().join("identity"), directory.path().join("status"));
    version1::tests::write(&identity, &usable()[..2]);
    version1::tests::write(&status, &samples()[2..5]);
    let known = usable()[..5].to_vec(); // it had neither revocations nor an audit log
    let found = loaded(directory.path());
    assert_eq!((kept(&found), &found.problems[..]), (known.clone(), &[][..]));
    assert!(!identity.exists() && !status.exists());
    assert_eq!(kept(&loaded(directory.path())), known);
}

#[test]
fn a_damaged_store_of_0_1_gives_no_token_more_uses() {
    let directory = TempDir::new().unwrap();
    let identity = directory.path().join("identity");
    version1::tests::write(&identity, &usable()[..2]);
    sled::open(&identity).unwrap().remove("nprod").unwrap();
    let found = loaded(directory.path());
    assert!(found.tokens[0].revoked);
    assert!(found.problems[0].contains("1 of its 2 records are left"), "{:?}", found.problems);
    let again = loaded(directory.path());
    assert!(again.tokens[0].revoked && again.problems.is_empty());
}

fn segment(directory: &Path, journal: &str) -> PathBuf {
    directory.join(journal).join("0000000001.journal")
}

/// Changes one byte in the first frame of a journal.
fn flip(directory: &Path, journal: &str) {
    let path = segment(directory, journal);
    let mut bytes = fs::read(&path).unwrap();
    bytes[80] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_copy_of_the_identities_is_made_anew_from_the_other() {
    for copy in IDENTITY.copies {
        let directory = TempDir::new().unwrap();
        write(directory.path(), &usable());
        flip(directory.path(), copy);
        let found = loaded(directory.path());
        assert_eq!(kept(&found), usable(), "{copy}");
        assert!(found.problems[0].contains("the other copy had all of it"), "{:?}", found.problems);
        fs::remove_dir_all(directory.path().join(copy)).unwrap();
        let _ = fs::remove_file(directory.path().join(format!("{copy}.position")));
        let found = loaded(directory.path());
        assert_eq!((kept(&found), &found.problems[..]), (usable(), &[][..]), "{copy} removed");
    }
}

#[test]
fn a_token_is_refused_when_no_copy_can_say_that_nothing_came_after_it() {
    let directory = TempDir::new().unwrap();
    let (mut first, enrolment) = (usable().remove(0), usable().remove(1));
    let mut store = LocalStore::open(directory.path()).unwrap();
    append(&mut store, vec![Change::Put(first.clone())]);
    append(&mut store, vec![Change::Put(enrolment)]);
    let Record::Token(token) = &mut first else { panic!("the first sample is a token") };
    token.id = "fedcba9876543210".parse().unwrap();
    append(&mut store, vec![Change::Put(first)]);
    drop(store);
    for copy in IDENTITY.copies {
        let path = segment(directory.path(), copy);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(5).position(|window| window == b"nprod").unwrap();
        bytes[at + 1] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let found = loaded(directory.path());
    let revoked: Vec<bool> = found.tokens.iter().map(|token| token.revoked).collect();
    assert_eq!(revoked, [true, false], "the enrolment between them is lost");
    assert!(found.problems[0].contains("entries 2 are missing"), "{:?}", found.problems);
    let again = loaded(directory.path());
    assert_eq!((again.tokens.clone(), again.problems), (found.tokens, Vec::new()));
}

#[test]
fn one_unreadable_record_is_dropped_and_the_others_kept() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    let (journal, _) = Journal::open(&directory.path().join("status-journal"), STATUS.limits).unwrap();
    let nonsense = Batch::from([(b"aprod/web".to_vec(), Some(b"\x01nonsense".to_vec()))]);
    journal.unwrap().append(&nonsense).unwrap();
    let found = loaded(directory.path());
    assert_eq!(found.len(), samples().len() - 1);
    assert!(found.apps.is_empty());
    assert!(found.problems[0].contains("\"aprod/web\" is damaged"), "{:?}", found.problems);
    assert!(loaded(directory.path()).problems.is_empty(), "told once");
}

/// Whatever happens to the files, the hub starts, can write, and tells no record that was never written.
#[test]
fn any_damage_to_the_files_leaves_a_store_that_works() {
    let journals = ["status-journal", "identity-journal", "identity-copy"];
    for (round, name) in journals.into_iter().cycle().take(60).enumerate() {
        let directory = TempDir::new().unwrap();
        write(directory.path(), &samples());
        let path = segment(directory.path(), name);
        let mut bytes = fs::read(&path).unwrap();
        let at = round * 7919 % bytes.len();
        match round % 5 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 0xff,
            2 => bytes.fill(0),
            3 => bytes.truncate(0),
            _ => bytes.drain(..at).for_each(drop),
        }
        fs::write(&path, bytes).unwrap();
        let mut store = LocalStore::open(directory.path()).unwrap();
        let found = store.load().unwrap();
        let known = samples();
        for record in found.records() {
            assert!(known.contains(&record), "round {round}: {record:?}"); // the sample token is revoked already
        }
        let lost = found.len() < known.len();
        assert!(!lost || !found.problems.is_empty(), "round {round}: records are gone without a word");
        assert!(name == "status-journal" || !lost, "round {round}: the other copy had it");
        let changes: Vec<Change> = known.iter().cloned().map(Change::Put).collect();
        append(&mut store, changes);
        drop(store);
        let again = loaded(directory.path());
        assert_eq!((again.len(), again.problems), (known.len(), Vec::new()), "round {round}");
    }
}

#[test]
fn a_crash_while_a_damaged_journal_is_replaced_loses_nothing() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &samples());
    let journal = directory.path().join("status-journal");
    let (new, new_position) = (beside(&journal, "new"), position_path(&beside(&journal, "new")));
    // The new one is not whole yet.
    fs::create_dir(&new).unwrap();
    fs::write(new.join("0000000001.journal"), "half").unwrap();
    assert_eq!(kept(&loaded(directory.path())), samples());
    assert!(!new.exists());
    // The old one has been moved aside, the new one not yet into its place.
    fs::rename(&journal, &new).unwrap();
    fs::rename(position_path(&journal), &new_position).unwrap();
    let found = loaded(directory.path());
    assert_eq!((kept(&found), &found.problems[..]), (samples(), &[][..]));
    assert!(!new.exists() && !new_position.exists());
}
