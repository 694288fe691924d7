//! Whatever is cut, changed or removed: what was acknowledged is there, or its loss is told.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{segment, *};

/// Small, so that few batches fill many segments and clean up.
const LIMITS: Limits = Limits { segment_bytes: 300 };

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn batch(entries: &[(&str, Option<&str>)]) -> Batch {
    let bytes = |text: &str| text.as_bytes().to_vec();
    entries.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect()
}

fn opened(directory: &Path) -> (Journal, Model) {
    let (journal, contents) = Journal::open(directory, LIMITS).unwrap();
    assert!(contents.lost.is_empty(), "{:?}", contents.lost);
    (journal.unwrap(), model(&contents))
}

fn model(contents: &Contents) -> Model {
    contents.found.iter().map(|found| (found.key.clone(), found.value.clone())).collect()
}

fn take(model: &mut Model, batch: &Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => drop(model.insert(key.clone(), value.clone())),
            None => drop(model.remove(key)),
        }
    }
}

#[test]
fn what_was_appended_is_there_and_old_segments_go() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("j");
    let (mut journal, found) = opened(&directory);
    assert!(found.is_empty());
    let mut expected = Model::new();
    for round in 0..500 {
        let (key, value) = (format!("key {}", round % 7), format!("value {round}"));
        let deleted = format!("key {}", (round + 3) % 7);
        let entries = batch(&[(&key, Some(&value)), (&deleted, None)]);
        journal.append(&entries).unwrap();
        take(&mut expected, &entries);
    }
    assert!(journal.bytes() < 3_000, "{} bytes", journal.bytes());
    drop(journal);
    let numbers = segment::list(&directory).unwrap();
    assert!(numbers[0] > 10 && numbers.len() < 10, "{numbers:?}");
    assert_eq!(opened(&directory).1, expected);
    assert_eq!(model(&read(&directory).unwrap()), expected);
    // The threads of sled may hold an index a moment longer than the journal does.
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(parent.path()).unwrap().count() != 2 {
        assert!(Instant::now() < deadline, "an index is left behind");
        thread::yield_now();
    }
}

#[test]
fn an_index_that_fails_is_made_again() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("j");
    let (mut journal, _) = opened(&directory);
    let mut expected = Model::new();
    for round in 0..200 {
        if round % 50 == 7 {
            journal.forget_index();
        }
        let entries = batch(&[(&format!("key {}", round % 3), Some(&format!("value {round}")))]);
        journal.append(&entries).unwrap();
        take(&mut expected, &entries);
    }
    assert!(journal.bytes() < 3_000, "{} bytes", journal.bytes());
    drop(journal);
    assert_eq!(opened(&directory).1, expected);
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("j");
    drop(opened(&directory));
    let header = segment::Header { schema: 9, salt: frame::Salt([1; 8]), number: 2, sequence: 1 };
    fs::write(segment::path(&directory, 2), header.write()).unwrap();
    assert!(matches!(Journal::open(&directory, LIMITS), Err(OpenError::Newer(9))));
}

#[test]
fn damage_met_while_running_keeps_every_file() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("j");
    let (mut journal, _) = opened(&directory);
    let put = |journal: &mut Journal, round: u32| {
        journal.append(&batch(&[("key", Some(&format!("value {round}")))])).unwrap();
    };
    (0..3).for_each(|round| put(&mut journal, round));
    let path = segment::path(&directory, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[segment::HEADER + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    (3..100).for_each(|round| put(&mut journal, round));
    assert!(path.exists());
    drop(journal);
    let (journal, contents) = Journal::open(&directory, LIMITS).unwrap();
    assert!(journal.is_none());
    assert_eq!(contents.lost, [2..=2]);
    assert_eq!((contents.found.len(), contents.found[0].doubtful), (1, false));
    assert_eq!(contents.damage().unwrap(), "entries 2 are missing or unreadable");
}

#[test]
fn an_oldest_segment_that_is_cut_to_nothing_is_noticed() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("j");
    let (mut journal, _) = opened(&directory);
    let mut round = 0;
    while segment::list(&directory).unwrap().len() < 2 {
        round += 1;
        journal.append(&batch(&[("key", Some(&format!("value {round}")))])).unwrap();
    }
    drop(journal);
    File::options().write(true).open(segment::path(&directory, 1)).unwrap().set_len(0).unwrap();
    let (journal, contents) = Journal::open(&directory, LIMITS).unwrap();
    assert!(journal.is_none());
    assert_eq!(contents.lost, [1..=round - 1]);
}

/// What a journal held after each of these batches; it is in the folder `before` as of the last but one,
/// and in `after` as of the last.
fn history(parent: &Path, batches: &[Batch]) -> Vec<Model> {
    let (before, after) = (parent.join("before"), parent.join("after"));
    let (last, earlier) = batches.split_last().unwrap();
    let mut states = vec![Model::new()];
    let mut append = |journal: &mut Journal, batch: &Batch| {
        journal.append(batch).unwrap();
        let mut state = states.last().unwrap().clone();
        take(&mut state, batch);
        states.push(state);
    };
    let (mut journal, _) = opened(&before);
    earlier.iter().for_each(|batch| append(&mut journal, batch));
    drop(journal);
    fs::create_dir(&after).unwrap();
    for entry in fs::read_dir(&before).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), after.join(entry.file_name())).unwrap();
    }
    fs::copy(position_path(&before), position_path(&after)).unwrap();
    append(&mut opened(&after).0, last);
    states
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let key = "[a-e]".prop_map(String::into_bytes);
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..50));
    proptest::collection::vec(proptest::collection::btree_map(key, value, 1..4), 1..25)
}

fn newest(directory: &Path) -> std::path::PathBuf {
    segment::path(directory, *segment::list(directory).unwrap().last().unwrap())
}

/// Every file with something in it, as damage may hit it.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let numbers = segment::list(directory).unwrap();
    numbers
        .into_iter()
        .map(|number| segment::path(directory, number))
        .chain([position_path(directory)])
        .collect()
}

/// Nothing untrue is found, and nothing is missing without being told.
fn assert_sound(directory: &Path, states: &[Model]) -> Result<(), TestCaseError> {
    let last = states.last().unwrap();
    let (journal, contents) = Journal::open(directory, LIMITS).unwrap();
    prop_assert_eq!(journal.is_some(), contents.lost.is_empty());
    if contents.lost.is_empty() {
        prop_assert_eq!(&model(&contents), last);
    }
    for found in contents.found {
        let once = states.iter().any(|state| state.get(&found.key) == Some(&found.value));
        prop_assert!(once, "{:?} was never written", found);
        if !found.doubtful {
            prop_assert_eq!(last.get(&found.key), Some(&found.value));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_byte_of_a_batch_leaves_it_whole_or_not_at_all(
        batches in batches(), at: prop::sample::Index, position_is_old: bool,
    ) {
        let parent = TempDir::new().unwrap();
        let states = history(parent.path(), &batches);
        let (before, after) = (parent.path().join("before"), parent.path().join("after"));
        if segment::list(&before).unwrap() != segment::list(&after).unwrap() {
            return Ok(()); // it began or cleaned a segment: more than one write
        }
        let known = fs::metadata(newest(&before)).unwrap().len();
        let length = fs::metadata(newest(&after)).unwrap().len();
        let cut = known + at.index(usize::try_from(length - known).unwrap() + 1) as u64;
        File::options().write(true).open(newest(&after)).unwrap().set_len(cut).unwrap();
        if cut < length || position_is_old {
            fs::copy(position_path(&before), position_path(&after)).unwrap();
        }
        let (mut journal, found) = opened(&after);
        let expected = if cut < length { &states[batches.len() - 1] } else { &states[batches.len()] };
        prop_assert_eq!(&found, expected);
        let more = batch(&[("after", Some("the crash"))]);
        journal.append(&more).unwrap();
        drop(journal);
        let mut expected = expected.clone();
        take(&mut expected, &more);
        prop_assert_eq!(opened(&after).1, expected);
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed(
        batches in batches(), file: prop::sample::Index, at: prop::sample::Index, bit in 0..8_u32,
    ) {
        let parent = TempDir::new().unwrap();
        let states = history(parent.path(), &batches);
        let directory = parent.path().join("after");
        let path = file.get(&files(&directory)).clone();
        let mut bytes = fs::read(&path).unwrap();
        *at.get_mut(&mut bytes) ^= 1_u8 << bit;
        fs::write(path, bytes).unwrap();
        assert_sound(&directory, &states)?;
    }

    #[test]
    fn a_file_that_is_cut_is_noticed(batches in batches(), file: prop::sample::Index, at: prop::sample::Index) {
        let parent = TempDir::new().unwrap();
        let states = history(parent.path(), &batches);
        let directory = parent.path().join("after");
        let mut all = files(&directory);
        all.pop(); // without the position a cut at the end of a batch cannot be seen
        let path = file.get(&all);
        let length = fs::metadata(path).unwrap().len();
        let cut = at.index(usize::try_from(length).unwrap()) as u64;
        File::options().write(true).open(path).unwrap().set_len(cut).unwrap();
        assert_sound(&directory, &states)?;
    }

    #[test]
    fn a_file_that_is_gone_is_noticed(batches in batches(), file: prop::sample::Index) {
        let parent = TempDir::new().unwrap();
        let states = history(parent.path(), &batches);
        let directory = parent.path().join("after");
        fs::remove_file(file.get(&files(&directory))).unwrap();
        assert_sound(&directory, &states)?;
    }
}
