//! When is a change true?
//!
//! ```text
//! streams, services --acts--> [bounded queue] --> one thread: apply a batch, keep it, then tell
//!                                                     |             |            |
//!                                                  Fleet (locked)  Store     watchers, streams, answers
//! ```
//! Visible = acknowledged = kept: the fleet stays locked until the store has the batch, so nobody reads,
//! and no agent is told, what a crash could take back. Many acts share one write.
//!
//! Where hubs share a store, what the others do comes through the same queue, and an act that they were
//! faster than is refused: nobody is told that it was done, the fleet is put right from the store, and the
//! streams it was about are ended, to begin again from what is there. A hub that was not heard of for too
//! long takes all of its state from the store anew.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use muster_spec::ClusterName;
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    alerts::{self, Alert, AlertRules, Silence},
    audit::Log,
    clock::{Clock, Now},
    fleet::{self, Ended, Rules, State, StreamId, Touched},
    metrics::Metrics,
    record::{Change, Key, Loaded, News, Record},
    store::{Incoming, Store, StoreError, Transaction},
    streams::Streams,
    tokens::{Presented, Refusal, Table, Token},
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
    /// Who did what.
    pub(crate) audit: Log,
    /// What is wrong, and who was told.
    pub(crate) alerts: alerts::Table,
}

impl Fleet {
    /// Whether the cluster may enrol with the token now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_enrol(
        &self,
        presented: &Presented,
        cluster: &ClusterName,
        now: Timestamp,
    ) -> Result<&Token, Refusal> {
        let revoked_at = self.state.last_revoked_at(cluster.as_str());
        let token = self.tokens.check(presented, cluster, revoked_at, now)?;
        let fits = |(key, value): (&String, &String)| self.state.label(cluster.as_str(), key) == Some(value);
        // Who administers a part of the fleet may not bring clusters of another part into it.
        if token.scoped && self.state.knows(cluster.as_str()) && !token.labels.iter().all(fits) {
            return Err(Refusal::OtherLabels);
        }
        Ok(token)
    }

    /// Takes one use of the token away; what it gives is to be kept before anything is granted for it.
    ///
    /// # Errors
    /// As [`Fleet::may_enrol`].
    pub(crate) fn take_token(
        &mut self,
        presented: &Presented,
        cluster: &ClusterName,
        now: Timestamp,
    ) -> Result<Token, Refusal> {
        self.may_enrol(presented, cluster, now)?;
        self.tokens.take(presented, cluster, self.state.last_revoked_at(cluster.as_str()), now)
    }
}

impl Fleet {
    /// The fleet as a store gave it back.
    pub(crate) fn restore(mut loaded: Loaded, fingerprints: Vec<String>, rules: Rules, now: Now) -> Self {
        let tokens = Table::restore(std::mem::take(&mut loaded.tokens), fingerprints);
        let (audit, fault) = Log::restore(std::mem::take(&mut loaded.audit), loaded.slot);
        if let Some(fault) = fault {
            tracing::error!(%fault, "the audit log is not what was written");
        }
        let silences = std::mem::take(&mut loaded.silences);
        let rules_of_alerts = loaded.alert_rules.take().unwrap_or_default();
        let alerts = alerts::Table::restore(std::mem::take(&mut loaded.alerts), silences, rules_of_alerts);
        Self { state: State::restore(loaded, rules, now), tokens, audit, alerts }
    }

    /// Takes in what another hub did.
    fn learn(&mut self, news: News, now: Now) -> fleet::Changes {
        match &news {
            News::Changed(Change::Put(Record::Token(token))) => self.tokens.learn(token.clone()),
            News::Changed(Change::Delete(Key::Token(id))) => self.tokens.forget(id),
            News::Changed(Change::Put(Record::Audit(row))) => self.audit.learn(Arc::clone(row)),
            News::Changed(Change::Delete(Key::Audit(number))) => self.audit.forget(*number),
            News::Changed(Change::Put(Record::Alert(alert))) => self.alerts.learn(Alert::clone(alert)),
            News::Changed(Change::Delete(Key::Alert(key))) => self.alerts.forget(key),
            News::Changed(Change::Put(Record::Silence(silence))) => {
                self.alerts.learn_silence(Silence::clone(silence));
            }
            News::Changed(Change::Delete(Key::Silence(id))) => self.alerts.forget_silence(id),
            News::Changed(Change::Put(Record::AlertRules(rules))) => {
                self.alerts.learn_rules(AlertRules::clone(rules));
            }
            _ => {}
        }
        self.state.learn(news, now)
    }
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
    /// Only to be kept while this hub leads.
    pub(crate) as_leader: bool,
}

type Act = Box<dyn FnOnce(&mut Fleet, Now) -> Effects + Send>;

enum Message {
    Act(Act),
    /// From the other hubs.
    Incoming(Incoming),
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

    /// Hands in what other hubs did; false when the thread has ended.
    pub(crate) async fn take_in(&self, incoming: Incoming) -> bool {
        self.queue.send(Message::Incoming(incoming)).await.is_ok()
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
    /// What of the hub's settings matters to the fleet.
    pub(crate) rules: Rules,
    /// What time it is.
    pub(crate) clock: Clock,
    /// Who is told.
    pub(crate) watchers: Arc<Watchers>,
    /// Which streams can be ended.
    pub(crate) streams: Arc<Streams>,
    /// False while the store cannot be written.
    pub(crate) writable: watch::Sender<bool>,
    /// Where writes are counted.
    pub(crate) metrics: Metrics,
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
            let mut acts = Vec::new();
            let mut stop = false;
            for message in batch.drain(..) {
                match message {
                    Message::Act(act) => acts.push(act),
                    Message::Incoming(incoming) => {
                        self.commit(std::mem::take(&mut acts))?;
                        self.take_in(incoming)?;
                    }
                    Message::Stop => stop = true,
                }
            }
            self.commit(acts)?;
            if stop {
                return Ok(());
            }
        }
    }

    /// Does acts that share a write.
    fn commit(&mut self, acts: Vec<Act>) -> Result<(), StoreError> {
        if acts.is_empty() {
            return Ok(());
        }
        let fleet = Arc::clone(&self.fleet);
        let mut locked = fleet.blocking_write();
        let mut transactions = Vec::new();
        // Each with the number of its transaction, where it has one.
        let mut done = Vec::with_capacity(acts.len());
        for act in acts {
            let mut effects = act(&mut locked, self.clock.now());
            let number = (!effects.records.is_empty()).then_some(transactions.len());
            if number.is_some() {
                let (changes, as_leader) = (std::mem::take(&mut effects.records), effects.as_leader);
                transactions.push(Transaction { changes, as_leader });
            }
            done.push((number, effects));
        }
        let written = if transactions.is_empty() { Ok(Vec::new()) } else { self.write(&transactions) };
        drop(locked);
        let refused = match written {
            Ok(refused) => refused,
            Err(error) => match self.insist(&transactions, &error)? {
                Some(refused) => refused,
                None => return Ok(()), // nothing of it counts: who asked gets no answer
            },
        };
        if !refused.is_empty() {
            let about: Vec<&Transaction> =
                refused.iter().filter_map(|number| transactions.get(*number)).collect();
            self.put_right(&about)?;
            self.take_back(&about)?;
        }
        let kept =
            done.into_iter().filter(|(number, _)| number.is_none_or(|number| !refused.contains(&number)));
        let (mut touched, mut ended, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for (_, effects) in kept {
            touched.extend(effects.touched);
            ended.extend(effects.ended);
            answers.extend(effects.then);
        }
        self.tell(&touched, &ended);
        for answer in answers {
            answer();
        }
        Ok(())
    }

    fn write(&mut self, transactions: &[Transaction]) -> Result<Vec<usize>, StoreError> {
        let _span = tracing::debug_span!("store.write", transactions = transactions.len()).entered();
        let (began, changes) = (Instant::now(), transactions.iter().map(|one| one.changes.len()).sum());
        let written = self.store.append(transactions);
        self.metrics.wrote(changes, written.is_ok(), began.elapsed());
        written
    }

    fn tell(&self, touched: &[Touched], ended: &[(StreamId, Ended)]) {
        self.watchers.touch(touched);
        self.streams.end(ended);
    }

    /// Tries a write that failed again until it succeeds. Readers go on; nothing is acknowledged. `None` when
    /// the hub had to start anew instead.
    fn insist(
        &mut self,
        transactions: &[Transaction],
        error: &StoreError,
    ) -> Result<Option<Vec<usize>>, StoreError> {
        tracing::error!(%error, "cannot write the store: nothing is acknowledged until it can be written again");
        self.writable.send_replace(false);
        let mut left = matches!(error, StoreError::Left);
        let refused = loop {
            let last = self.give_up.is_cancelled();
            if left {
                self.start_anew()?;
                break None;
            }
            match self.write(transactions) {
                Ok(refused) => break Some(refused),
                Err(error) if last => return Err(error),
                Err(error) => {
                    left = matches!(error, StoreError::Left);
                    tracing::debug!(%error, "the store still cannot be written");
                }
            }
            if !left {
                thread::sleep(RETRY);
            }
        };
        tracing::info!("the store can be written again");
        self.writable.send_replace(true);
        Ok(refused)
    }

    /// Takes in what other hubs did.
    fn take_in(&mut self, incoming: Incoming) -> Result<(), StoreError> {
        match self.store.accept(incoming) {
            Ok(news) => self.learn(news, &[]),
            Err(error) => {
                tracing::warn!(%error, "taking all state from the store anew");
                self.writable.send_replace(false);
                self.start_anew()?;
                self.writable.send_replace(true);
            }
        }
        Ok(())
    }

    /// Brings the fleet back to what the store has, after acts were refused.
    fn put_right(&mut self, refused: &[&Transaction]) -> Result<(), StoreError> {
        tracing::info!(acts = refused.len(), "another hub was faster: taking over what it wrote");
        match self.store.look_again(refused) {
            Ok(news) => self.learn(news, refused),
            Err(error) => {
                tracing::warn!(%error, "taking all state from the store anew");
                self.start_anew()?;
            }
        }
        Ok(())
    }

    /// Keeps the audit entries of acts that were refused, with a word that they were: later entries follow them.
    fn take_back(&mut self, refused: &[&Transaction]) -> Result<(), StoreError> {
        let rows =
            refused.iter().flat_map(|transaction| &transaction.changes).filter_map(|change| match change {
                Change::Put(Record::Audit(row)) => Some(row),
                _ => None,
            });
        let fleet = Arc::clone(&self.fleet);
        let mut locked = fleet.blocking_write();
        let now = self.clock.now();
        let changes: Vec<Change> = rows.flat_map(|row| locked.audit.take_back(row, now)).collect();
        drop(locked);
        if changes.is_empty() {
            return Ok(());
        }
        let transactions = [Transaction { changes, as_leader: false }];
        match self.store.append(&transactions) {
            Ok(_) => Ok(()),
            Err(error) => self.insist(&transactions, &error).map(drop),
        }
    }

    /// Takes in news, and ends the streams that these transactions were about.
    fn learn(&mut self, news: Vec<News>, refused: &[&Transaction]) {
        let now = self.clock.now();
        let (mut touched, mut ended) = (Vec::new(), Vec::new());
        let fleet = Arc::clone(&self.fleet);
        let mut locked = fleet.blocking_write();
        let clusters =
            refused.iter().flat_map(|transaction| &transaction.changes).filter_map(Change::cluster);
        for cluster in clusters {
            let changes = locked.state.release(cluster, now);
            touched.extend(changes.touched);
            ended.extend(changes.ended);
        }
        for news in news {
            let changes = locked.learn(news, now);
            touched.extend(changes.touched);
            ended.extend(changes.ended);
        }
        drop(locked);
        self.tell(&touched, &ended);
    }

    /// Takes all state from the store, as at a start. All streams are ended: their agents come back and
    /// settle by digests who has what.
    fn start_anew(&mut self) -> Result<(), StoreError> {
        let loaded = loop {
            match self.store.load() {
                Ok(loaded) => break loaded,
                Err(error) if self.give_up.is_cancelled() => return Err(error),
                Err(error) => tracing::warn!(%error, "the store still cannot be read"),
            }
            thread::sleep(RETRY);
        };
        let fleet = Arc::clone(&self.fleet);
        let named = fleet.blocking_read().tokens.fingerprints().to_vec();
        let new = Fleet::restore(loaded, named, self.rules, self.clock.now());
        let old = std::mem::replace(&mut *fleet.blocking_write(), new);
        // Names that are gone now are shown as gone.
        let mut touched = old.state.everything();
        touched.extend(fleet.blocking_read().state.everything());
        self.watchers.touch(&touched);
        self.streams.end_all(Ended::Outrun);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
