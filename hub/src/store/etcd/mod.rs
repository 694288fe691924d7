//! The store that several hubs share, in etcd.
//!
//! ```text
//! PREFIX c<cluster>, a<cluster>/<app>, e<number>, n<cluster>, t<token>   records, as in a journal
//! PREFIX R<slot>       a hub that is there, while its lease lasts
//! PREFIX L             the one that leads, while its lease lasts
//! PREFIX V             schema version
//! ```
//! Each hub has the whole fleet in memory and follows what the others write. A write is a transaction
//! whose conditions say what the hub believed ([`pack`]); when etcd refuses it, another hub was faster.

mod client;
mod follow;
mod pack;
mod presence;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tonic::Status;

pub use self::client::{EtcdEndpoint, EtcdSettings, tls};
use self::{
    client::Client,
    pack::{Known, Pack, at_revision},
    presence::{Presence, replica_key},
    rpc::{DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op},
};
use super::{Store, StoreError, Transaction, encoding};
use crate::record::{Change, Loaded, News, ReplicaId};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code, documented in etcd.proto and by etcd"
)]
mod rpc {
    tonic::include_proto!("etcdserverpb");
}

/// First byte of the key of a hub.
const REPLICA: u8 = b'R';
/// Key of the leader.
const LEADER: &[u8] = b"L";
/// Key of the schema version.
const VERSION: &[u8] = b"V";
/// Version of the layout of keys and values.
const SCHEMA: u32 = 1;
/// Keys read at once.
const PAGE: i64 = 500;
/// What others wrote that waits to be taken in; etcd keeps what does not fit.
const INCOMING_MAX: usize = 64;
/// How long the farewell of a hub that ends may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What other hubs did, on its way to [`Store::accept`].
#[derive(Debug)]
pub struct Incoming {
    /// Of which [`Store::load`] it is the continuation.
    generation: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Events(Vec<rpc::Event>),
    /// The others take this hub for gone, or etcd has forgotten what it missed.
    Lost,
}

/// Records in etcd.
pub struct EtcdStore {
    runtime: Handle,
    client: Arc<Client>,
    known: Known,
    leader: Arc<watch::Sender<bool>>,
    sender: mpsc::Sender<Incoming>,
    receiver: Option<mpsc::Receiver<Incoming>>,
    generation: u64,
    joined: Option<Joined>,
}

/// This hub among the others.
struct Joined {
    presence: Presence,
    /// The others, by key.
    others: BTreeMap<Vec<u8>, ReplicaId>,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl EtcdStore {
    /// A store that is not read yet. `runtime` does its network traffic; the calls of [`Store`] must not be
    /// made from it.
    #[must_use]
    pub fn new(settings: EtcdSettings, runtime: Handle) -> Self {
        let (sender, receiver) = mpsc::channel(INCOMING_MAX);
        Self {
            runtime,
            client: Arc::new(Client::new(settings)),
            known: Known::default(),
            leader: Arc::new(watch::channel(false).0),
            sender,
            receiver: Some(receiver),
            generation: 0,
            joined: None,
        }
    }

    fn failed(&self, status: &Status) -> StoreError {
        let reason = if status.message().is_empty() { status.code().description() } else { status.message() };
        StoreError::Etcd { endpoints: self.client.endpoints(), reason: reason.to_owned() }
    }

    async fn join(&mut self) -> Result<Loaded, StoreError> {
        if let Some(before) = self.joined.take() {
            presence::leave(&self.client, before.presence.lease).await;
        }
        self.leader.send_replace(false);
        self.generation += 1;
        self.check_version().await?;
        let presence = presence::join(&self.client).await.map_err(|error| self.failed(&error))?;
        let (revision, pairs) = range(&self.client, &[]).await.map_err(|error| self.failed(&error))?;
        let Stock { mut loaded, known, others } = Stock::take(pairs, Some(presence.slot));
        self.known = known;
        (loaded.replica, loaded.slot) = (presence.replica(), Some(presence.slot));
        let mut tasks = JoinSet::new();
        let (client, sender) = (Arc::clone(&self.client), self.sender.clone());
        tasks.spawn_on(follow::follow(client, revision + 1, self.generation, sender.clone()), &self.runtime);
        let kept = presence::keep(Arc::clone(&self.client), presence.clone(), Arc::clone(&self.leader));
        let generation = self.generation;
        let until_lost = async move {
            kept.await;
            let _ = sender.send(Incoming { generation, what: What::Lost }).await; // the hub ends
        };
        tasks.spawn_on(until_lost, &self.runtime);
        self.joined = Some(Joined { presence, others, _tasks: tasks });
        Ok(loaded)
    }

    /// Everything kept, without becoming one of the hubs that share it.
    ///
    /// # Errors
    /// When etcd does not answer, or a newer version wrote it.
    pub fn read(&self) -> Result<Loaded, StoreError> {
        self.runtime.block_on(async {
            self.check_version().await?;
            let (_, pairs) = range(&self.client, &[]).await.map_err(|error| self.failed(&error))?;
            Ok(Stock::take(pairs, None).loaded)
        })
    }

    /// Removes everything kept.
    ///
    /// # Errors
    /// When etcd does not answer, or a hub shares the store now.
    pub fn clear(&self) -> Result<(), StoreError> {
        if !self.read()?.others.is_empty() {
            return Err(StoreError::InUse { directory: self.client.prefix().into() });
        }
        let key = self.client.prefix().as_bytes().to_vec();
        let delete = DeleteRangeRequest { range_end: range_end(&key), key };
        let operation = RequestOp { request: Some(request_op::Request::RequestDeleteRange(delete)) };
        let request = TxnRequest { compare: Vec::new(), success: vec![operation] };
        let done = self.runtime.block_on(self.client.transact(request));
        done.map(drop).map_err(|error| self.failed(&error))
    }

    /// Refuses what a newer version wrote; marks what is new.
    async fn check_version(&self) -> Result<(), StoreError> {
        let key = [self.client.prefix().as_bytes(), VERSION].concat();
        let put = PutRequest { key: key.clone(), value: SCHEMA.to_string().into_bytes(), lease: 0 };
        let request = TxnRequest {
            compare: vec![at_revision(key, 0)],
            success: vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }],
        };
        if self.client.transact(request).await.map_err(|error| self.failed(&error))?.is_some() {
            return Ok(());
        }
        let found = range(&self.client, VERSION).await.map_err(|error| self.failed(&error))?.1;
        let version = found.first().and_then(|pair| std::str::from_utf8(&pair.value).ok()?.parse().ok());
        match version {
            Some(found) if found > SCHEMA => {
                Err(StoreError::Newer { place: self.client.prefix().to_owned(), found, known: SCHEMA })
            }
            _ => Ok(()),
        }
    }

    /// Does a pack: its revision, or `None` when etcd refused it.
    fn commit(&self, pack: &Pack, lease: i64) -> Result<Option<i64>, StoreError> {
        let mut revision = 0;
        for request in pack.requests(self.client.prefix(), lease) {
            let done = self.runtime.block_on(self.client.transact(request));
            match done.map_err(|error| self.failed(&error))? {
                Some(done) => revision = done,
                None => return Ok(None),
            }
        }
        Ok(Some(revision))
    }
}

/// What is found under the prefix.
#[derive(Default)]
struct Stock {
    loaded: Loaded,
    known: Known,
    /// Hubs other than this one, by key.
    others: BTreeMap<Vec<u8>, ReplicaId>,
}

impl Stock {
    fn take(pairs: Vec<KeyValue>, own: Option<u8>) -> Self {
        let mut stock = Self::default();
        let own = own.map(replica_key);
        for pair in pairs {
            match pair.key.first() {
                Some(&REPLICA) if Some(&pair.key) == own.as_ref() => {}
                Some(&REPLICA) => {
                    stock.others.extend(replica_id(&pair.value).map(|replica| (pair.key, replica)));
                }
                _ if pair.key == LEADER || pair.key == VERSION => {}
                _ => {
                    stock.known.note(&pair.key, pair.mod_revision, true);
                    match encoding::decode(&pair.key, &pair.value) {
                        Ok(record) => stock.loaded.push(record),
                        Err(damage) => stock.loaded.problems.push(unreadable(&pair.key, &damage)),
                    }
                }
            }
        }
        stock.loaded.others = stock.others.values().copied().collect();
        stock
    }
}

impl Store for EtcdStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.join())
    }

    fn append(&mut self, transactions: &[Transaction]) -> Result<Vec<usize>, StoreError> {
        let Some(lease) = self.joined.as_ref().filter(|joined| !joined.presence.alive.is_over()) else {
            return Err(StoreError::Left);
        };
        let lease = lease.presence.lease;
        let mut refused = Vec::new();
        let mut first = 0;
        // Acts of a refused pack are tried one by one, so that only those that deserve it are refused.
        let mut alone_until = 0;
        while first < transactions.len() {
            let most = if first < alone_until { 1 } else { usize::MAX };
            let pack = Pack::of(&transactions[first..], most, &self.known);
            match self.commit(&pack, lease)? {
                Some(revision) => pack.note(&mut self.known, revision),
                None if pack.acts == 1 => refused.push(first),
                None => {
                    alone_until = first + pack.acts;
                    continue;
                }
            }
            first += pack.acts;
        }
        Ok(refused)
    }

    fn look_again(&mut self, refused: &[&Transaction]) -> Result<Vec<News>, StoreError> {
        let mut keys = BTreeSet::new();
        for transaction in refused {
            keys.extend(Pack::of(std::slice::from_ref(*transaction), 1, &self.known).keys());
        }
        let mut news = Vec::new();
        for key in keys {
            let found =
                self.runtime.block_on(get(&self.client, &key)).map_err(|error| self.failed(&error))?;
            match found {
                Some(pair) => {
                    self.known.note(&key, pair.mod_revision, true);
                    news.extend(encoding::decode(&key, &pair.value).map(Change::Put).map(News::Changed));
                }
                None => {
                    let revision = self.known.revision(&key);
                    self.known.note(&key, revision, false);
                    news.extend(encoding::key_at(&key).map(Change::Delete).map(News::Changed));
                }
            }
        }
        Ok(news)
    }

    fn incoming(&mut self) -> Option<mpsc::Receiver<Incoming>> {
        self.receiver.take()
    }

    fn accept(&mut self, incoming: Incoming) -> Result<Vec<News>, StoreError> {
        let Some(joined) = self.joined.as_mut().filter(|_| incoming.generation == self.generation) else {
            return Ok(Vec::new()); // of before this hub started anew
        };
        let What::Events(events) = incoming.what else { return Err(StoreError::Left) };
        let mut news = Vec::new();
        for event in events {
            let Some(pair) = &event.kv else { continue };
            let Some(key) = pair.key.strip_prefix(self.client.prefix().as_bytes()) else { continue };
            let exists = event.r#type() == rpc::event::EventType::Put;
            if key.first() == Some(&REPLICA) {
                let own = key == replica_key(joined.presence.slot);
                match replica_id(&pair.value).filter(|_| exists) {
                    Some(replica) if !own => {
                        joined.others.insert(key.to_vec(), replica);
                        news.push(News::Joined(replica));
                    }
                    None if own => return Err(StoreError::Left),
                    None => news.extend(joined.others.remove(key).map(News::Left)),
                    Some(_) => {}
                }
                continue;
            }
            if key == LEADER || key == VERSION || !self.known.note(key, pair.mod_revision, exists) {
                continue;
            }
            if !exists {
                news.extend(encoding::key_at(key).map(Change::Delete).map(News::Changed));
                continue;
            }
            match encoding::decode(key, &pair.value) {
                Ok(record) => news.push(News::Changed(Change::Put(record))),
                Err(damage) => tracing::warn!(problem = unreadable(key, &damage), "another hub wrote this"),
            }
        }
        Ok(news)
    }

    fn leader(&self) -> watch::Receiver<bool> {
        self.leader.subscribe()
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        let Some(joined) = self.joined.take() else { return };
        let client = Arc::clone(&self.client);
        let farewell = async move {
            let _ = tokio::time::timeout(FAREWELL, presence::leave(&client, joined.presence.lease)).await;
        };
        // Nothing may be waited for on a thread of a runtime.
        match Handle::try_current() {
            Ok(_) => drop(self.runtime.spawn(farewell)),
            Err(_) => self.runtime.block_on(farewell),
        }
    }
}

fn unreadable(key: &[u8], damage: &encoding::Damage) -> String {
    format!("record {:?} in etcd is damaged ({damage}); it is passed over", String::from_utf8_lossy(key))
}

fn replica_id(value: &[u8]) -> Option<ReplicaId> {
    u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok().map(ReplicaId)
}

/// The key behind all that begin with these bytes.
fn range_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0] // all keys
}

/// Everything whose key begins so, behind the prefix, as of one revision, and that revision.
async fn range(client: &Client, begin: &[u8]) -> Result<(i64, Vec<KeyValue>), Status> {
    let prefix = client.prefix().as_bytes();
    let mut key = [prefix, begin].concat();
    let range_end = range_end(&key);
    let (mut revision, mut found) = (0, Vec::new());
    loop {
        let request = RangeRequest { key: key.clone(), range_end: range_end.clone(), limit: PAGE, revision };
        let page = client.range(request).await?;
        if revision == 0 {
            revision = page.header.map_or(0, |header| header.revision);
        }
        if let Some(last) = page.kvs.last() {
            key.clone_from(&last.key);
            key.push(0);
        }
        found.extend(page.kvs.into_iter().map(|mut pair| {
            pair.key.drain(..prefix.len());
            pair
        }));
        if !page.more {
            return Ok((revision, found));
        }
    }
}

async fn get(client: &Client, key: &[u8]) -> Result<Option<KeyValue>, Status> {
    let key = [client.prefix().as_bytes(), key].concat();
    let request = RangeRequest { key, ..RangeRequest::default() };
    Ok(client.range(request).await?.kvs.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_behind_all_that_begin_so() {
        assert_eq!(range_end(b"/muster/"), b"/muster0");
        assert_eq!(range_end(&[1, 255, 255]), [2]);
        assert_eq!(range_end(&[255]), [0]);
    }
}
