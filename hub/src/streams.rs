//! How does a decision to end a stream reach it?

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::fleet::{Ended, StreamId};

/// The streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<StreamId, oneshot::Sender<Ended>>>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, oneshot::Sender<Ended>>> {
        // No code that holds the lock can panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a stream known; what it is given turns ready when the hub ends it.
    pub(crate) fn open(&self, stream: StreamId) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(stream, sender);
        receiver
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// A stream is over.
    pub(crate) fn close(&self, stream: StreamId) {
        self.lock().remove(&stream);
    }

    /// Ends all that are open.
    pub(crate) fn end_all(&self, why: Ended) {
        for (_, sender) in self.lock().drain() {
            let _ = sender.send(why); // it has just ended by itself
        }
    }

    /// Ends these.
    pub(crate) fn end(&self, ended: &[(StreamId, Ended)]) {
        if ended.is_empty() {
            return;
        }
        let mut open = self.lock();
        for (stream, why) in ended {
            if let Some(sender) = open.remove(stream) {
                let _ = sender.send(*why); // it has just ended by itself
            }
        }
    }
}
