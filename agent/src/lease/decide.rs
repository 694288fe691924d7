//! Who leads?
//!
//! ```text
//! none, or expired, or ours --> Take    ours and due --> Take (renew)    another's, alive --> Wait
//! ```
//!
//! Another holder is dead when its Lease has not changed for its duration on *our* clock; what the
//! Lease says about time is the other's clock, and is never compared with ours.
use std::time::{Duration, Instant};

/// What a Lease says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Who holds it; empty when it was let go.
    pub(crate) holder: String,
    /// How long it counts after each renewal.
    pub(crate) duration: Duration,
    /// Changes with every renewal.
    pub(crate) version: String,
}

/// What has been seen of the Lease, and since when it has been like that.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    held: Option<Held>,
    since: Instant,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Write the Lease: take it over, or renew it.
    Take,
    /// Another holds it for that long still, unless it is renewed or let go before.
    Wait(Duration),
}

impl Observed {
    /// Nothing seen yet.
    pub(crate) fn nothing(now: Instant) -> Self {
        Observed { held: None, since: now }
    }

    /// Who held it when it was last read; empty when nobody did.
    pub(crate) fn holder(&self) -> &str {
        self.held.as_ref().map_or("", |held| &held.holder)
    }

    /// The version in which it was last read; empty when it was not there.
    pub(crate) fn version(&self) -> &str {
        self.held.as_ref().map_or("", |held| &held.version)
    }

    /// Takes in what was just read.
    pub(crate) fn see(&mut self, held: Option<Held>, now: Instant) {
        if self.held != held {
            self.held = held;
            self.since = now;
        }
    }

    /// Decides for the agent called `me`. A Lease under that name is from an earlier run of this same
    /// agent, which is over: names are unique to a data directory that only one process can hold.
    pub(crate) fn decide(&self, me: &str, now: Instant) -> Decision {
        match &self.held {
            None => Decision::Take,
            Some(held) if held.holder.is_empty() || held.holder == me => Decision::Take,
            Some(held) => match held.duration.checked_sub(now.duration_since(self.since)) {
                None | Some(Duration::ZERO) => Decision::Take,
                Some(left) => Decision::Wait(left),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, version: &str) -> Option<Held> {
        Some(Held {
            holder: holder.to_owned(),
            duration: Duration::from_secs(15),
            version: version.to_owned(),
        })
    }

    #[test]
    fn a_free_or_own_lease_is_taken_at_once() {
        let now = Instant::now();
        let mut seen = Observed::nothing(now);
        assert_eq!(seen.decide("a", now), Decision::Take);
        seen.see(held("", "1"), now);
        assert_eq!(seen.decide("a", now), Decision::Take);
        seen.see(held("a", "2"), now);
        assert_eq!(seen.decide("a", now), Decision::Take);
    }

    #[test]
    fn anothers_lease_is_taken_only_after_a_whole_duration_without_change() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = Observed::nothing(start);
        seen.see(held("b", "1"), at(0));
        assert_eq!(seen.decide("a", at(1)), Decision::Wait(Duration::from_secs(14)));
        seen.see(held("b", "2"), at(10));
        seen.see(held("b", "2"), at(20));
        assert_eq!(seen.decide("a", at(24)), Decision::Wait(Duration::from_secs(1)));
        assert_eq!(seen.decide("a", at(25)), Decision::Take);
    }
}
