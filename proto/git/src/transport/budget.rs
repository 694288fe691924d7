//! How long may this take, how much may arrive, and what went wrong first?
//!
//! Errors pass through gix on their way up and lose their kind there. So the place
//! that first knows what happened records it here, and the caller takes it from here.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{GitError, Timeouts};

/// Bounds of one network operation, shared by everything that takes part in it.
#[derive(Debug)]
pub(crate) struct Budget {
    url: String,
    timeouts: Timeouts,
    deadline: Instant,
    interrupt: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failure: Option<GitError>,
    what: &'static str,
    limit: u64,
    left: u64,
    received: u64,
}

impl Budget {
    /// `url` is shown in errors and must not hold credentials.
    pub(crate) fn new(url: String, timeouts: Timeouts) -> Arc<Budget> {
        let state = State { failure: None, what: "bytes", limit: u64::MAX, left: u64::MAX, received: 0 };
        let deadline = Instant::now() + timeouts.fetch;
        Arc::new(Budget {
            url,
            timeouts,
            deadline,
            interrupt: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on at most `limit` bytes may arrive; `what` names them in the error.
    pub(crate) fn allow(&self, what: &'static str, limit: u64) {
        let mut state = self.state();
        (state.what, state.limit, state.left) = (what, limit, limit);
    }

    /// Accounts for bytes that arrived.
    pub(crate) fn count(&self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        let over = {
            let mut state = self.state();
            state.received += bytes;
            let over = bytes > state.left;
            state.left = state.left.saturating_sub(bytes);
            over.then_some((state.what, state.limit))
        };
        if let Some((what, limit)) = over {
            return Err(self.fail(GitError::Limit { place: self.url.clone(), what, limit }));
        }
        self.patience().map(drop)
    }

    /// Bytes that have arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.state().received
    }

    /// How long the next wait may last: the stall limit, or less near the deadline.
    pub(crate) fn patience(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timed_out());
        }
        Ok(left.min(self.timeouts.stall))
    }

    /// Records that a wait ended without an answer.
    pub(crate) fn timed_out(&self) -> io::Error {
        let url = self.url.clone();
        self.fail(if Instant::now() >= self.deadline {
            GitError::TimedOut { url, what: "took too long", limit: self.timeouts.fetch }
        } else {
            GitError::TimedOut { url, what: "stopped sending", limit: self.timeouts.stall }
        })
    }

    /// Records what went wrong, unless something did before, and gives an error to pass through gix.
    pub(crate) fn fail(&self, error: GitError) -> io::Error {
        let stand_in = io::Error::other(error.to_string());
        self.state().failure.get_or_insert(error);
        self.interrupt.store(true, Ordering::Relaxed);
        stand_in
    }

    /// What went wrong first, if anything did.
    pub(crate) fn failure(&self) -> Option<GitError> {
        self.state().failure.take()
    }

    /// True once something went wrong or the deadline has passed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// A flag that work without waiting looks at; set on failure, and by an [`Alarm`].
    pub(crate) fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }
}

/// Sets the interrupt flag of a budget at its deadline, for work that only looks at the flag.
#[derive(Debug)]
pub(crate) struct Alarm {
    cancel: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    pub(crate) fn set(budget: &Arc<Budget>) -> Alarm {
        let (cancel, cancelled) = mpsc::channel();
        let budget = Arc::clone(budget);
        let thread = std::thread::spawn(move || {
            let left = budget.deadline.saturating_duration_since(Instant::now());
            if cancelled.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                let _ = budget.timed_out();
            }
        });
        Alarm { cancel: Some(cancel), thread: Some(thread) }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        drop(self.cancel.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
