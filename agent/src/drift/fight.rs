//! Does somebody keep rewriting what we put back?
//!
//! ```text
//! Calm --3rd correction within 60 s--> Fighting --quiet for twice the wait--> Calm
//! ```
use std::time::{Duration, Instant};

/// Corrections within [`WINDOW`] after which it is a fight.
const CORRECTIONS_MAX: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);

/// Wait after the first correction too many; doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The recent corrections of one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fight {
    /// Times of the last corrections, oldest first, at most [`CORRECTIONS_MAX`].
    recent: Vec<Instant>,
    /// The last wait; `None` while there is no fight.
    wait: Option<Duration>,
}

/// When to put an object back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Now,
    /// Somebody keeps changing it: not before that time.
    NotBefore(Instant),
}

impl Fight {
    /// Decides on a drift found at `now`.
    pub(crate) fn judge(&self, now: Instant) -> Verdict {
        match (self.wait, self.recent.last()) {
            (Some(wait), Some(last)) if !self.is_over(now) && *last + wait > now => {
                Verdict::NotBefore(*last + wait)
            }
            _ => Verdict::Now,
        }
    }

    /// Remembers that the object was put back at `now`.
    pub(crate) fn corrected(&mut self, now: Instant) {
        if self.is_over(now) {
            *self = Fight::default();
        }
        self.recent.retain(|then| now.duration_since(*then) <= WINDOW);
        if self.recent.len() == CORRECTIONS_MAX {
            self.recent.remove(0);
        }
        self.recent.push(now);
        self.wait = match self.wait {
            Some(wait) => Some((2 * wait).min(WAIT_MAX)),
            None => (self.recent.len() == CORRECTIONS_MAX).then_some(WAIT_MIN),
        };
    }

    /// Whether there was a fight that has been quiet for long enough.
    fn is_over(&self, now: Instant) -> bool {
        match (self.wait, self.recent.last()) {
            (Some(wait), Some(last)) => now.duration_since(*last) > 2 * wait.max(WINDOW),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn three_corrections_are_at_once_and_the_next_waits_longer_each_time() {
        let start = Instant::now();
        let mut fight = Fight::default();
        for second in 0..3 {
            assert_eq!(fight.judge(start + seconds(second)), Verdict::Now);
            fight.corrected(start + seconds(second));
        }
        let mut last = start + seconds(2);
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(fight.judge(last + seconds(1)), Verdict::NotBefore(last + seconds(wait)));
            last += seconds(wait);
            fight.corrected(last);
        }
    }

    #[test]
    fn slow_drift_is_no_fight() {
        let start = Instant::now();
        let mut fight = Fight::default();
        for minute in 0..10 {
            let now = start + seconds(minute * 61);
            assert_eq!(fight.judge(now), Verdict::Now);
            fight.corrected(now);
        }
    }

    #[test]
    fn a_fight_is_over_after_a_long_quiet() {
        let start = Instant::now();
        let mut fight = Fight::default();
        for _ in 0..3 {
            fight.corrected(start);
        }
        assert_ne!(fight.judge(start + seconds(1)), Verdict::Now);
        fight.corrected(start + seconds(5));
        assert_eq!(fight.judge(start + seconds(5 + 121)), Verdict::Now);
    }
}
