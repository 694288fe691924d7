//! How are the gates of waves asked?
//!
//! ```text
//! waves::decide --GateCheck--> Asker --when due, one request each--> HTTP server, Prometheus, code host
//!       ^                        |
//!       '------ GateAnswers -----'   kept in memory; what let a revision pass is evidence in its pin
//! ```
//! Gates are written in Git, so the hub asks only where its own configuration allows it ([`GateAccess`]).

mod ask;
pub(crate) mod code_host;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use self::settings::GateText;
pub use self::settings::{GateAccess, GateSettings};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use muster_spec::WaveGate;
use tracing::Instrument as _;

use crate::{
    clock::{Clock, passed},
    tls::http_client,
    waves::{GateAnswer, GateAnswered, GateAnswers, GateCheck},
};

/// What is to be asked, with the gate that says how.
pub(crate) type Wanted = BTreeMap<GateCheck, WaveGate>;

/// Asks gates, and has what they said last.
#[derive(Clone)]
pub(crate) struct Asker {
    client: reqwest::Client,
    settings: Arc<GateSettings>,
    clock: Clock,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    answers: Arc<GateAnswers>,
    under_way: BTreeSet<GateCheck>,
}

impl Asker {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// When there can be no client, such as for want of certificates to trust.
    pub(crate) fn new(settings: Arc<GateSettings>, clock: Clock) -> reqwest::Result<Self> {
        let client = http_client().build()?;
        Ok(Self { client, settings, clock, known: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code that holds the lock can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said last.
    pub(crate) fn answers(&self) -> Arc<GateAnswers> {
        Arc::clone(&self.lock().answers)
    }

    /// Asks what is due, and forgets what nobody wants to know any more.
    pub(crate) fn want(&self, wanted: Wanted) {
        let now = self.clock.now().wall;
        let mut known = self.lock();
        if known.answers.keys().any(|check| !wanted.contains_key(check)) {
            let kept = known.answers.iter().filter(|(check, _)| wanted.contains_key(check));
            known.answers = Arc::new(kept.map(|(check, said)| (check.clone(), said.clone())).collect());
        }
        for (check, gate) in wanted {
            let is_due = known.answers.get(&check).is_none_or(|said| is_due(&gate, said.at, now));
            if is_due && known.under_way.insert(check.clone()) {
                let GateCheck { wave, gate: name, track, .. } = &check;
                let span = tracing::debug_span!("gate", %wave, gate = %name, %track);
                tokio::spawn(self.clone().ask(check, gate).instrument(span));
            }
        }
    }

    async fn ask(self, check: GateCheck, gate: WaveGate) {
        let mut answer = ask::ask(&self.client, &self.settings, &gate, &check).await;
        for _ in 0..gate.retries {
            if !matches!(answer, GateAnswer::Unanswered(_)) {
                break;
            }
            tokio::time::sleep(ask::RETRY).await;
            answer = ask::ask(&self.client, &self.settings, &gate, &check).await;
        }
        let GateCheck { wave, gate, track, revision } = &check;
        tracing::info!(%wave, %gate, %track, %revision, ?answer, "asked a gate");
        let at = self.clock.now().wall;
        let mut known = self.lock();
        known.under_way.remove(&check);
        Arc::make_mut(&mut known.answers).insert(check, GateAnswered { answer, at });
    }
}

/// Whether it is time to ask again.
fn is_due(gate: &WaveGate, asked_at: Timestamp, now: Timestamp) -> bool {
    passed(asked_at, now) >= std::time::Duration::from(gate.interval)
}
