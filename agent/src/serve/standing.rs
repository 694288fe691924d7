//! Is this process alive, and is it of use?
//!
//! ```text
//! /healthz  the loop that owns all state turns      no: the kubelet restarts the container
//! /readyz   standby: it knows who leads             no: a rolling update waits here
//!           leader:  the cluster and Git were read
//! ```
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::lease::Leadership;
use crate::report::Reports;

/// How often the reconciler says that it turns, at least.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(15);

/// Silence after which the reconciler is taken for stuck: four beats in a row.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What this process is doing: shared by what does it and what tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    leadership: watch::Receiver<Leadership>,
    term: Arc<Mutex<Option<Reports>>>,
    start: Instant,
    /// Milliseconds after `start` of the reconciler's last beat.
    beat_ms: Arc<AtomicU64>,
}

impl Standing {
    pub(crate) fn new(leadership: watch::Receiver<Leadership>) -> Self {
        Standing { leadership, term: Arc::default(), start: Instant::now(), beat_ms: Arc::default() }
    }

    /// A term begins, with what it reports.
    pub(crate) fn begin(&self, reports: Reports) {
        self.beat();
        self.set(Some(reports));
    }

    /// The term is over.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    /// The reconciler turns. To be called every [`BEAT_EVERY`] at least.
    pub(crate) fn beat(&self) {
        let passed = self.start.elapsed().as_millis();
        self.beat_ms.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What the present term reports; none while this agent does not act.
    pub(crate) fn reports(&self) -> Option<Reports> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn leads(&self) -> bool {
        *self.leadership.borrow() == Leadership::Leading
    }

    fn set(&self, reports: Option<Reports>) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = reports;
    }

    /// Whether the process works, with the reason when it does not.
    pub(super) fn live(&self) -> Result<&'static str, &'static str> {
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        live(self.reports().is_some(), self.start.elapsed().saturating_sub(beat))
    }

    /// Whether the process is of use, with the reason when it is not.
    pub(super) fn ready(&self) -> Result<&'static str, &'static str> {
        ready(&self.leadership.borrow(), self.reports().is_some_and(|reports| reports.is_settled()))
    }
}

fn live(acts: bool, silence: Duration) -> Result<&'static str, &'static str> {
    if acts && silence > SILENCE_MAX {
        return Err("The reconciler has not turned for a minute.");
    }
    Ok("ok")
}

fn ready(leadership: &Leadership, settled: bool) -> Result<&'static str, &'static str> {
    match leadership {
        Leadership::Unknown => {
            Err("It is not known who leads: the Lease cannot be read or written. See the log.")
        }
        Leadership::Standby { .. } => Ok("standby"),
        Leadership::Leading if settled => Ok("leading"),
        Leadership::Leading => Err("Leading, but Git or the cluster has not been read yet. See the log."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reconciler_that_should_turn_and_does_not_is_dead() {
        let minute = Duration::from_secs(60);
        assert!(live(true, minute).is_ok());
        assert!(live(true, minute + Duration::from_secs(1)).is_err());
        assert!(live(false, minute * 60).is_ok());
    }

    #[test]
    fn a_standby_is_ready_when_it_knows_the_leader_and_a_leader_when_it_knows_what_to_do() {
        let standby = Leadership::Standby { leader: "other".to_owned() };
        for (leadership, settled, is_ready) in [
            (&Leadership::Unknown, false, false),
            (&Leadership::Unknown, true, false),
            (&standby, false, true),
            (&Leadership::Leading, false, false),
            (&Leadership::Leading, true, true),
        ] {
            assert_eq!(ready(leadership, settled).is_ok(), is_ready, "{leadership:?} {settled}");
        }
    }
}
