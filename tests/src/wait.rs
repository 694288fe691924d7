//! How does a test wait? On a condition, with a deadline; never for a fixed time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The pause after the first probe; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What a probe may return: `bool`, `Option<T>`, or `Result<T, E>` whose error says what was seen instead.
pub trait Observed {
    /// What the wait yields once the condition holds.
    type Value;
    /// The awaited value, or what was seen instead.
    ///
    /// # Errors
    /// The condition does not hold yet; the text describes what was observed.
    fn observed(self) -> Result<Self::Value, String>;
}

impl Observed for bool {
    type Value = ();
    fn observed(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T> Observed for Option<T> {
    type Value = T;
    fn observed(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Display> Observed for Result<T, E> {
    type Value = T;
    fn observed(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// The deadline passed before the condition held.
#[derive(Debug, thiserror::Error)]
#[error("waited {} ms for {what}; last seen: {last}", .waited.as_millis())]
pub struct Timeout {
    /// What was awaited, in the caller's words.
    pub what: String,
    /// How long the wait took.
    pub waited: Duration,
    /// What the last complete probe saw.
    pub last: String,
}

/// Probes until the condition holds or `deadline` has passed; the first probe is immediate.
///
/// # Errors
/// [`Timeout`] with the last observation. A probe still running at the deadline is dropped.
pub async fn try_until<R: Observed>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> R,
) -> Result<R::Value, Timeout> {
    let started = Instant::now();
    let mut last = "no probe has returned".to_owned();
    let probing = async {
        let mut pause = PAUSE_MIN;
        loop {
            match probe().await.observed() {
                Ok(value) => return value,
                Err(seen) => last = seen,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    };
    let outcome = tokio::time::timeout(deadline, probing).await;
    outcome.map_err(|_| Timeout { what: what.to_owned(), waited: started.elapsed(), last })
}

/// As [`try_until`], but fails the test at the deadline.
///
/// # Panics
/// When the deadline passes, with what was awaited and what was seen last.
pub async fn until<R: Observed>(what: &str, deadline: Duration, probe: impl AsyncFnMut() -> R) -> R::Value {
    match try_until(what, deadline, probe).await {
        Ok(value) => value,
        Err(timeout) => panic!("{timeout}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn yields_the_value_of_the_first_probe_that_holds() {
        let mut probes = 0;
        let value = until("the third probe", Duration::from_secs(5), async || {
            probes += 1;
            (probes == 3).then_some(probes)
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    async fn a_timeout_says_what_was_awaited_and_seen() {
        let probe = async || Err::<(), _>("2 of 3 replicas");
        let timeout = try_until("three replicas", Duration::from_millis(20), probe).await.unwrap_err();
        assert!(timeout.to_string().ends_with("for three replicas; last seen: 2 of 3 replicas"), "{timeout}");
    }

    #[tokio::test]
    async fn a_probe_that_never_returns_does_not_outlive_the_deadline() {
        let probe = async || std::future::pending::<bool>().await;
        let timeout = try_until("anything", Duration::from_millis(20), probe).await.unwrap_err();
        assert_eq!(timeout.last, "no probe has returned");
    }
}
