//! Does one caller ask too often?
//!
//! A generic cell rate: each caller has the time at which what it used up is paid back (GCRA, ITU-T I.371). It is
//! one number a caller, and whoever has paid back is forgotten.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// Callers remembered at once; beyond that those not known yet are refused until others have paid back.
const CALLERS_MAX: usize = 50_000;

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In the long run.
    pub(crate) per_second: u32,
    /// At once, after a pause.
    pub(crate) burst: u32,
}

impl Rate {
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// What callers used up.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    paid_back_at: HashMap<K, Duration>,
    /// When those who had paid back were last forgotten.
    swept_at: Duration,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self { paid_back_at: HashMap::new(), swept_at: Duration::ZERO }
    }
}

impl<K: Hash + Eq> Limiter<K> {
    /// Whether the caller may ask now; otherwise after how long.
    ///
    /// # Errors
    /// That time.
    pub(crate) fn ask(&mut self, caller: K, rate: Rate, uptime: Duration) -> Result<(), Duration> {
        if uptime.saturating_sub(self.swept_at) > Duration::from_secs(1) {
            self.paid_back_at.retain(|_, at| *at > uptime);
            self.swept_at = uptime;
        }
        let known = self.paid_back_at.get(&caller).copied();
        if known.is_none() && self.paid_back_at.len() >= CALLERS_MAX {
            return Err(Duration::from_secs(1));
        }
        let at = known.unwrap_or_default().max(uptime) + rate.interval();
        let credit = rate.interval() * rate.burst.max(1);
        match at.checked_sub(uptime + credit) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.paid_back_at.insert(caller, at);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    fn allowed(limiter: &mut Limiter<&'static str>, who: &'static str, uptime: Duration) -> usize {
        (0..100).take_while(|_| limiter.ask(who, RATE, uptime).is_ok()).count()
    }

    #[test]
    fn a_burst_is_allowed_then_the_rate_and_each_caller_for_itself() {
        let mut limiter = Limiter::default();
        let second = Duration::from_secs(1);
        assert_eq!(allowed(&mut limiter, "a", second), 5);
        assert_eq!(allowed(&mut limiter, "b", second), 5);
        assert_eq!(allowed(&mut limiter, "a", second + Duration::from_millis(200)), 2);
        assert_eq!(
            limiter.ask("a", RATE, second + Duration::from_millis(250)),
            Err(Duration::from_millis(50))
        );
        assert_eq!(allowed(&mut limiter, "a", second * 60), 5, "a pause gives no more than a burst");
    }

    #[test]
    fn those_who_paid_back_are_forgotten_and_the_number_of_others_is_bounded() {
        let mut limiter = Limiter::default();
        let uptime = Duration::from_secs(1);
        for caller in 0..CALLERS_MAX {
            assert!(limiter.ask(caller, RATE, uptime).is_ok());
        }
        assert!(limiter.ask(CALLERS_MAX, RATE, uptime).is_err());
        assert!(limiter.ask(0, RATE, uptime).is_ok(), "who is known is not affected");
        assert!(limiter.ask(CALLERS_MAX, RATE, Duration::from_secs(10)).is_ok());
        assert_eq!(limiter.paid_back_at.len(), 1);
    }
}
