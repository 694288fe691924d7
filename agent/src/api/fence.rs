//! May this agent write, right now?
//!
//! A Lease is no mutex: a leader that was stopped for a minute wakes up believing it still leads. So
//! every write first looks at the time until which the last renewal counts, on a clock that goes on
//! while the process is stopped.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ApiError;

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

    /// Fails when this agent may not write.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let limit = Duration::from_millis(self.limit_ms.load(Ordering::Acquire));
        if self.start.elapsed() < limit { Ok(()) } else { Err(ApiError::NotLeading) }
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
        assert_eq!(fence.check(), Ok(()));
        fence.close();
        assert_eq!(fence.check(), Err(ApiError::NotLeading));
        fence.open_until(Instant::now());
        assert_eq!(fence.check(), Err(ApiError::NotLeading));
    }
}
