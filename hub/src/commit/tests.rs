use std::sync::Mutex;

use super::*;
use crate::{
    audit::Log,
    fleet::Rules,
    record::{Key, Loaded},
};

/// What the disk does with the next writes.
#[derive(Default)]
struct Disk {
    batches: Vec<Vec<Change>>,
    failures: usize,
}

#[derive(Clone, Default)]
struct FakeStore(Arc<Mutex<Disk>>);

impl Store for FakeStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    fn append(&mut self, transactions: &[Transaction]) -> Result<Vec<usize>, StoreError> {
        let mut disk = self.0.lock().unwrap();
        if disk.failures > 0 {
            disk.failures -= 1;
            return Err(StoreError::Disk { directory: "/store".into(), reason: "full".into() });
        }
        disk.batches.push(transactions.iter().flat_map(|transaction| transaction.changes.clone()).collect());
        Ok(Vec::new())
    }
}

struct Fixture {
    disk: Arc<Mutex<Disk>>,
    committer: Committer,
    thread: thread::JoinHandle<Result<(), StoreError>>,
    writable: watch::Receiver<bool>,
    give_up: CancellationToken,
}

fn fixture(failures: usize) -> Fixture {
    let store = FakeStore::default();
    let disk = Arc::clone(&store.0);
    disk.lock().unwrap().failures = failures;
    let clock = Clock::start();
    let rules = Rules { heartbeat: Duration::from_secs(10) };
    let state = State::restore(Loaded::default(), rules, clock.now());
    let (writable, readable) = watch::channel(true);
    let give_up = CancellationToken::new();
    let writer = Writer {
        store: Box::new(store),
        fleet: Arc::new(RwLock::new(Fleet {
            state,
            tokens: Table::default(),
            audit: Log::default(),
            alerts: crate::alerts::Table::default(),
        })),
        rules,
        clock,
        watchers: Arc::default(),
        streams: Arc::default(),
        writable,
        metrics: crate::metrics::Metrics::default(),
        give_up: give_up.clone(),
    };
    let (committer, thread) = writer.start().unwrap();
    Fixture { disk, committer, thread, writable: readable, give_up }
}

fn change(number: u64) -> Effects {
    Effects { records: vec![Change::Delete(Key::Event(number))], ..Effects::default() }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_answer_comes_after_the_write_and_many_acts_share_one() {
    let fixture = fixture(0);
    let asked: Vec<_> = (0..500_u64)
        .map(|number| {
            let (committer, disk) = (fixture.committer.clone(), Arc::clone(&fixture.disk));
            tokio::spawn(async move {
                committer.ask(PATIENCE, move |_, _| ((), change(number))).await.unwrap();
                let written = Change::Delete(Key::Event(number));
                assert!(disk.lock().unwrap().batches.iter().flatten().any(|change| *change == written));
            })
        })
        .collect();
    for asked in asked {
        asked.await.unwrap();
    }
    let batches = fixture.disk.lock().unwrap().batches.len();
    assert!(batches < 500, "{batches} writes for 500 changes");
    fixture.committer.stop().await;
    fixture.thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn an_act_that_changes_nothing_is_not_written() {
    let fixture = fixture(0);
    let value = fixture.committer.ask(PATIENCE, |_, _| (7, Effects::default())).await;
    assert_eq!(value, Ok(7));
    assert!(fixture.disk.lock().unwrap().batches.is_empty());
}

#[tokio::test]
async fn a_failed_write_is_tried_again_and_nothing_is_answered_before() {
    let mut fixture = fixture(2);
    let committer = fixture.committer.clone();
    let asked = tokio::spawn(async move { committer.ask(PATIENCE, |_, _| ((), change(1))).await });
    fixture.writable.wait_for(|writable| !writable).await.unwrap();
    assert!(!asked.is_finished());
    asked.await.unwrap().unwrap();
    assert_eq!(fixture.disk.lock().unwrap().batches.len(), 1);
    fixture.writable.wait_for(|writable| *writable).await.unwrap();
}

#[tokio::test]
async fn a_store_that_stays_broken_does_not_keep_the_hub_from_stopping() {
    let mut fixture = fixture(usize::MAX);
    let committer = fixture.committer.clone();
    let asked = tokio::spawn(async move { committer.ask(PATIENCE, |_, _| ((), change(1))).await });
    fixture.writable.wait_for(|writable| !writable).await.unwrap();
    fixture.give_up.cancel();
    let thread = fixture.thread;
    let ended = tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    assert!(matches!(ended, Err(StoreError::Disk { .. })));
    assert_eq!(asked.await.unwrap(), Err(NotKept));
    assert_eq!(fixture.committer.ask(PATIENCE, |_, _| ((), Effects::default())).await, Err(NotKept));
}
