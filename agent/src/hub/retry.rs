//! When to try again, so that ten thousand agents do not do it at once?

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::problem::Pace;

/// A connection that held this long was a good one: the next failure is a first one.
pub(super) const STABLE: Duration = Duration::from_secs(60);

/// First and longest wait at each pace.
const SOON: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const SLOW: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Longest spread a hub may ask for.
const SPREAD_MAX: Duration = Duration::from_secs(600);

/// How often it failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// Within which time the hub wants those it lost to come back.
    spread: Duration,
}

impl Backoff {
    /// From now on waits are spread over at least this time.
    pub(super) fn spread_over(&mut self, spread: Duration) {
        self.spread = spread.min(SPREAD_MAX);
    }

    /// How long to wait after one more failure of something that had held for `held`. `chance` is from
    /// 0 to 1 and spreads the tries over the whole of the time ("full jitter").
    pub(super) fn next(&mut self, pace: Pace, held: Duration, chance: f64) -> Duration {
        if held >= STABLE {
            self.failures = 0;
        }
        let (first, longest) = match pace {
            Pace::Soon => (SOON.0.max(self.spread), SOON.1.max(self.spread)),
            Pace::Slow => SLOW,
        };
        let doubled = first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        doubled.min(longest).mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// A number from 0 to 1, each as likely.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness from the system there is no TLS either; any value will do until there is.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_stable_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> =
            (0..9).map(|_| backoff.next(Pace::Soon, Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(Pace::Soon, STABLE, 1.0).as_secs(), 1);
        assert_eq!(backoff.next(Pace::Slow, Duration::ZERO, 1.0).as_secs(), 20);
        let mut long = Backoff { failures: u32::MAX, ..Backoff::default() };
        assert_eq!(long.next(Pace::Slow, Duration::ZERO, 1.0).as_secs(), 300);
    }

    #[test]
    fn a_large_hub_has_its_agents_come_back_over_a_longer_time() {
        let mut backoff = Backoff::default();
        backoff.spread_over(Duration::from_secs(10));
        let mut wait = |chance| backoff.next(Pace::Soon, Duration::ZERO, chance).as_secs();
        assert_eq!((wait(0.5), wait(1.0)), (5, 20));
        let mut backoff = Backoff::default();
        backoff.spread_over(Duration::MAX);
        assert_eq!(backoff.next(Pace::Soon, Duration::ZERO, 1.0), SPREAD_MAX);
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(Backoff::default().next(Pace::Soon, Duration::ZERO, 0.0), Duration::ZERO);
        assert!((0..100).all(|_| (0.0..=1.0).contains(&chance())));
    }
}
