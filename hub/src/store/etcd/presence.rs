//! Is this hub there, in the eyes of the others, and does it lead?
//!
//! Its lease in etcd hangs on a sign of life every second. A key that names it, and the leader's key while
//! it leads, hang on the lease: when the hub falls silent both go by themselves, and the others notice. The
//! hub counts from when it asked, so that it stops before etcd gives up on it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tonic::Status;

use super::{
    LEADER, REPLICA,
    client::Client,
    pack::at_revision,
    range,
    rpc::{PutRequest, RequestOp, TxnRequest, request_op},
};
use crate::record::ReplicaId;

/// How long etcd waits for a sign of life. A successor leads at most this, and a beat, after the last one.
const TTL: Duration = Duration::from_secs(5);
/// How often one is given.
const BEAT: Duration = Duration::from_secs(1);
/// How much earlier than etcd the hub gives itself up.
const MARGIN: Duration = Duration::from_millis(500);

/// Until when etcd takes the hub for alive.
#[derive(Clone, Debug)]
pub(super) struct Alive(Arc<Mutex<Instant>>);

impl Alive {
    fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until()
    }

    fn extend(&self, asked: Instant, ttl: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = asked + ttl.saturating_sub(MARGIN);
    }
}

/// A hub that is there.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    pub(super) lease: i64,
    pub(super) slot: u8,
    pub(super) alive: Alive,
}

impl Presence {
    pub(super) fn replica(&self) -> ReplicaId {
        ReplicaId(self.lease.cast_unsigned())
    }
}

/// The key of the hub in a slot.
pub(super) fn replica_key(slot: u8) -> Vec<u8> {
    format!("{}{slot:02x}", char::from(REPLICA)).into_bytes()
}

fn put(prefix: &str, key: &[u8], value: String, lease: i64) -> TxnRequest {
    let key = [prefix.as_bytes(), key].concat();
    let put = PutRequest { key: key.clone(), value: value.into_bytes(), lease };
    TxnRequest {
        compare: vec![at_revision(key, 0)],
        success: vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }],
    }
}

/// Makes this hub known, in the first slot that is free.
pub(super) async fn join(client: &Client) -> Result<Presence, Status> {
    let asked = Instant::now();
    let ttl = i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX);
    let granted = client.grant(ttl).await?;
    let alive = Alive(Arc::new(Mutex::new(asked)));
    alive.extend(asked, seconds(granted.ttl));
    let lease = granted.id;
    let name = format!("{:016x}", lease.cast_unsigned());
    let taken = range(client, &[REPLICA]).await?.1;
    for slot in 0..=u8::MAX {
        let key = replica_key(slot);
        if taken.iter().any(|found| found.key == key) {
            continue;
        }
        if client.transact(put(client.prefix(), &key, name.clone(), lease)).await?.is_some() {
            return Ok(Presence { lease, slot, alive });
        }
    }
    Err(Status::resource_exhausted("256 hubs share this prefix already"))
}

/// Gives signs of life and tries to lead, until etcd takes the hub for gone.
pub(super) async fn keep(client: Arc<Client>, presence: Presence, leader: Arc<watch::Sender<bool>>) {
    let alive = &presence.alive;
    loop {
        let asked = Instant::now();
        let renewed = client.keep_alive(presence.lease);
        match tokio::time::timeout_at(alive.until().into(), renewed).await {
            Ok(Ok(ttl)) if ttl > 0 => alive.extend(asked, seconds(ttl)),
            Ok(Ok(_)) => break, // etcd has given it up already
            Ok(Err(error)) => tracing::debug!(%error, "etcd did not take a sign of life"),
            Err(_) => {}
        }
        if alive.is_over() {
            break;
        }
        if !*leader.borrow() {
            let asked =
                tokio::time::timeout_at(alive.until().into(), campaign(&client, presence.lease)).await;
            if let Ok(Ok(true)) = asked {
                tracing::info!("this hub leads");
                leader.send_replace(true);
            }
        }
        tokio::time::sleep_until((asked + BEAT).min(alive.until()).into()).await;
    }
    if leader.send_replace(false) {
        tracing::warn!("this hub does not lead any more");
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or_default())
}

async fn campaign(client: &Client, lease: i64) -> Result<bool, Status> {
    let name = format!("{:016x}", lease.cast_unsigned());
    Ok(client.transact(put(client.prefix(), LEADER, name, lease)).await?.is_some())
}

/// Tells the others at once that this hub is gone.
pub(super) async fn leave(client: &Client, lease: i64) {
    if let Err(error) = client.revoke(lease).await {
        tracing::debug!(%error, "etcd was not told that this hub goes; it will notice");
    }
}
