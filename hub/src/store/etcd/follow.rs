//! What do other hubs write?

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{
    Incoming, What,
    client::Client,
    range_end,
    rpc::{WatchCreateRequest, WatchResponse},
};

/// Before a broken watch is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends all that is written from this revision on, in order and nothing twice, until nobody listens, or
/// until etcd has forgotten what is missing.
pub(super) async fn follow(client: Arc<Client>, from: i64, generation: u64, sender: mpsc::Sender<Incoming>) {
    let mut next = from;
    loop {
        let ended = match open(&client, next).await {
            Ok(mut stream) => pass_on(&mut stream, &mut next, generation, &sender).await,
            Err(error) => Ended::Broken(error),
        };
        match ended {
            Ended::NobodyListens => return,
            Ended::Forgotten => {
                let _ = sender.send(Incoming { generation, what: What::Lost }).await; // nobody listens
                return;
            }
            Ended::Broken(error) => tracing::debug!(%error, "the watch of etcd broke and is opened again"),
        }
        client.next_member();
        tokio::time::sleep(PAUSE).await;
    }
}

enum Ended {
    NobodyListens,
    Forgotten,
    Broken(Status),
}

async fn open(client: &Client, start_revision: i64) -> Result<Streaming<WatchResponse>, Status> {
    let prefix = client.prefix().as_bytes();
    client
        .watch(WatchCreateRequest { key: prefix.to_vec(), range_end: range_end(prefix), start_revision })
        .await
}

async fn pass_on(
    stream: &mut Streaming<WatchResponse>,
    next: &mut i64,
    generation: u64,
    sender: &mpsc::Sender<Incoming>,
) -> Ended {
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return Ended::Broken(Status::unavailable("etcd hung up")),
            Err(status) => return Ended::Broken(status),
        };
        if response.compact_revision > 0 {
            return Ended::Forgotten;
        }
        if response.canceled {
            return Ended::Broken(Status::unavailable(response.cancel_reason));
        }
        let last =
            response.events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision).max();
        if let Some(last) = last {
            *next = last + 1;
            let what = What::Events(response.events);
            if sender.send(Incoming { generation, what }).await.is_err() {
                return Ended::NobodyListens;
            }
        }
    }
}
