//! How long to wait before trying again?
use std::time::Duration;

/// Waits that double from one bound to the other, each drawn at random from its upper half, so that
/// many agents that failed together do not come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max, failures: 0 }
    }

    /// The wait after one more failure.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let full = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// The last try succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A duration made up to a fifth longer, at random.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(1.0 + fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_again() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(8));
        for full in [1, 2, 4, 8, 8, 8] {
            let wait = backoff.next_wait();
            assert!(wait >= seconds(full) / 2 && wait <= seconds(full), "{wait:?} of {full}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= seconds(1));
    }
}
