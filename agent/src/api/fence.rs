//! May this agent write, right now?
//!
//! A Lease is no mutex: a leader that was stopped for a minute wakes up believing it still leads. So
//! every write first looks at the time until which the last renewal counts, on a clock that goes on
//! while the process is stopped. And it tells the server how long it may take, so that one held up in a
//! queue or a webhook is given up before a successor acts. docs/operations.md says what remains.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ApiError;

/// Time between the end of a leader's own trust in its Lease and the moment when a successor may act.
pub(crate) const HANDOVER: Duration = Duration::from_secs(3);

/// Shared by the election, which moves the limit, and every writer, which obeys it.
#[derive(Clone)]
pub(crate) struct Fence {
    start: Instant,
    /// Milliseconds after `start` until which writing is allowed; 0 is never.
    limit_ms: Arc<AtomicU64>,
}

impl Fence {
    /// A fence that lets nothing through yet.
    pub(crate) fn closed() -> Self {
        Fence { start: Instant::now(), limit_ms: Arc::new(AtomicU64::new(0)) }
    }

    /// Lets writes through until the given time.
    pub(crate) fn open_until(&self, limit: Instant) {
        let limit = limit.saturating_duration_since(self.start).as_millis();
        self.limit_ms.store(u64::try_from(limit).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Lets nothing through from now on.
    pub(crate) fn close(&self) {
        self.limit_ms.store(0, Ordering::Release);
    }

    /// How many seconds the server may take for a write that is sent now: until the Lease counts no more.
    ///
    /// # Errors
    /// This agent may not write.
    pub(crate) fn check(&self) -> Result<u64, ApiError> {
        let limit = Duration::from_millis(self.limit_ms.load(Ordering::Acquire));
        let left = limit.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero());
        left.map(|left| (left + HANDOVER).as_secs()).ok_or(ApiError::NotLeading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_open_only_until_its_limit() {
        let fence = Fence::closed();
        assert_eq!(fence.check(), Err(ApiError::NotLeading));
        fence.open_until(Instant::now() + Duration::from_secs(60));
        let seconds = fence.check().unwrap();
        assert!((62..=63).contains(&seconds), "{seconds}");
        fence.close();
        assert_eq!(fence.check(), Err(ApiError::NotLeading));
        fence.open_until(Instant::now());
        assert_eq!(fence.check(), Err(ApiError::NotLeading));
    }
}
