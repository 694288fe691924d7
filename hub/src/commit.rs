//! When is a change true?
//!
//! ```text
//! streams, services --acts--> [bounded queue] --> one thread: apply a batch, keep it, then tell
//!                                                     |             |            |
//!                                                  Fleet (locked)  Store     watchers, streams, answers
//! ```
//! Visible = acknowledged = kept: the fleet stays locked until the store has the batch, so nobody reads,
//! and no agent is told, what a crash could take back. Many acts share one write.

use std::{sync::Arc, thread, time::Duration};

use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, Now},
    fleet::{Ended, State, StreamId, Touched},
    record::Change,
    store::{Store, StoreError},
    streams::Streams,
    tokens::Table,
    watch::Watchers,
};

/// Acts that may wait: about what one write to a slow disk holds up at 20,000 acts a second. Whoever has
/// one more waits with it.
const QUEUE_MAX: usize = 1_024;
/// Acts that share one write.
const BATCH_MAX: usize = 1_024;
/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// All of the hub's state that is kept.
pub(crate) struct Fleet {
    /// Clusters, apps, history.
    pub(crate) state: State,
    /// Enrolment tokens.
    pub(crate) tokens: Table,
}

/// What an act leads to.
#[derive(Default)]
pub(crate) struct Effects {
    /// To keep.
    pub(crate) records: Vec<Change>,
    /// To tell watchers once it is kept.
    pub(crate) touched: Vec<Touched>,
    /// Streams to end once it is kept.
    pub(crate) ended: Vec<(StreamId, Ended)>,
    /// What else to do once it is kept; it must not block.
    pub(crate) then: Option<Box<dyn FnOnce() + Send>>,
}

type Act = Box<dyn FnOnce(&mut Fleet, Now) -> Effects + Send>;

enum Message {
    Act(Act),
    Stop,
}

/// The hub is stopping, or cannot write its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotKept;

/// The way to change the fleet.
#[derive(Clone)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Message>,
}

impl Committer {
    /// Hands in an act, waiting for room in the queue.
    pub(crate) async fn hand_in(
        &self,
        act: impl FnOnce(&mut Fleet, Now) -> Effects + Send + 'static,
    ) -> Result<(), NotKept> {
        self.queue.send(Message::Act(Box::new(act))).await.map_err(|_| NotKept)
    }

    /// Does an act and waits until it is kept, at most this long; after that it may still be kept later.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        act: impl FnOnce(&mut Fleet, Now) -> (T, Effects) + Send + 'static,
    ) -> Result<T, NotKept> {
        let (sender, receiver) = oneshot::channel();
        let asked = async {
            self.hand_in(move |fleet, now| {
                let (value, mut effects) = act(fleet, now);
                let before = effects.then.take();
                effects.then = Some(Box::new(move || {
                    if let Some(before) = before {
                        before();
                    }
                    let _ = sender.send(value); // nobody waits any more
                }));
                effects
            })
            .await?;
            receiver.await.map_err(|_| NotKept)
        };
        tokio::time::timeout(patience, asked).await.unwrap_or(Err(NotKept))
    }

    /// Does all that was handed in before, then ends the thread.
    pub(crate) async fn stop(&self) {
        let _ = self.queue.send(Message::Stop).await; // it has ended already
    }
}

/// The thread that keeps changes.
pub(crate) struct Writer {
    /// Where to keep them.
    pub(crate) store: Box<dyn Store>,
    /// What they change.
    pub(crate) fleet: Arc<RwLock<Fleet>>,
    /// What time it is.
    pub(crate) clock: Clock,
    /// Who is told.
    pub(crate) watchers: Arc<Watchers>,
    /// Which streams can be ended.
    pub(crate) streams: Arc<Streams>,
    /// False while the store cannot be written.
    pub(crate) writable: watch::Sender<bool>,
    /// Set when waiting for the store to become writable is of no use any more.
    pub(crate) give_up: CancellationToken,
}

impl Writer {
    /// Starts the thread; its result says whether everything it took was kept.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(self) -> std::io::Result<(Committer, thread::JoinHandle<Result<(), StoreError>>)> {
        let (queue, acts) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || self.run(acts))?;
        Ok((Committer { queue }, thread))
    }

    fn run(mut self, mut queue: mpsc::Receiver<Message>) -> Result<(), StoreError> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            if queue.blocking_recv_many(&mut batch, BATCH_MAX) == 0 {
                return Ok(());
            }
            if self.commit(batch.drain(..))? {
                return Ok(());
            }
        }
    }

    /// Does a batch; true when it held a [`Message::Stop`].
    fn commit(&mut self, batch: impl Iterator<Item = Message>) -> Result<bool, StoreError> {
        let fleet = Arc::clone(&self.fleet);
        let mut locked = fleet.blocking_write();
        let mut all = Effects::default();
        let mut answers = Vec::new();
        let mut stop = false;
        for message in batch {
            let Message::Act(act) = message else {
                stop = true;
                continue;
            };
            let effects = act(&mut locked, self.clock.now());
            all.records.extend(effects.records);
            all.touched.extend(effects.touched);
            all.ended.extend(effects.ended);
            answers.extend(effects.then);
        }
        let written = if all.records.is_empty() { Ok(()) } else { self.store.append(&all.records) };
        drop(locked);
        if let Err(error) = written {
            self.insist(&all.records, &error)?;
        }
        self.watchers.touch(&all.touched);
        self.streams.end(&all.ended);
        for answer in answers {
            answer();
        }
        Ok(stop)
    }

    /// Tries a write that failed again until it succeeds. Readers go on; nothing is acknowledged.
    fn insist(&mut self, records: &[Change], error: &StoreError) -> Result<(), StoreError> {
        tracing::error!(%error, "cannot write the store: nothing is acknowledged until it can be written again");
        self.writable.send_replace(false);
        loop {
            let last = self.give_up.is_cancelled();
            match self.store.append(records) {
                Ok(()) => break,
                Err(error) if last => return Err(error),
                Err(error) => tracing::debug!(%error, "the store still cannot be written"),
            }
            thread::sleep(RETRY);
        }
        tracing::info!("the store can be written again");
        self.writable.send_replace(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
