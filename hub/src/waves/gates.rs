//! Has every gate of a wave let a revision pass?
//!
//! Asking is for others: here is decided what has to be asked, and what an answer means. No answer, an old one, and
//! one that is no all keep a revision out.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use muster_spec::{Evidence, GateName, Revision, TrackName, WaveGate, WaveName};

use super::tally::short;
use crate::clock::passed;

/// An answer counts for so many intervals, and at least for [`FRESH_MIN`].
const FRESH_INTERVALS: u32 = 3;
const FRESH_MIN: Duration = Duration::from_secs(60);

/// Something to be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GateCheck {
    /// The wave of the gate.
    pub wave: WaveName,
    /// Its name.
    pub gate: GateName,
    /// What wants to pass.
    pub track: TrackName,
    /// At which revision.
    pub revision: Revision,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateAnswer {
    /// It may pass; what was seen.
    Passed(String),
    /// It may not; what was seen.
    Failed(String),
    /// There was no answer that says so or so; why.
    Unanswered(String),
}

/// An answer, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateAnswered {
    /// What it is.
    pub answer: GateAnswer,
    /// When.
    pub at: Timestamp,
}

/// The answers there are.
pub type GateAnswers = BTreeMap<GateCheck, GateAnswered>;

/// Whether an answer still counts.
fn is_fresh(gate: &WaveGate, answered: &GateAnswered, now: Timestamp) -> bool {
    let fresh = std::time::Duration::from(gate.interval).saturating_mul(FRESH_INTERVALS).max(FRESH_MIN);
    passed(answered.at, now) <= fresh
}

/// The evidence that all gates let a revision pass, or a sentence that says which did not.
pub(super) fn pass(
    gates: &[WaveGate],
    check: impl Fn(&WaveGate) -> GateCheck,
    answers: &GateAnswers,
    now: Timestamp,
) -> Result<Vec<Evidence>, String> {
    let (mut evidence, mut closed) = (Vec::new(), Vec::new());
    for gate in gates {
        let check = check(gate);
        let name = &gate.name;
        match answers.get(&check).filter(|answered| is_fresh(gate, answered, now)) {
            Some(GateAnswered { answer: GateAnswer::Passed(detail), at }) => {
                let at = super::decide::moment(*at);
                evidence
                    .push(Evidence { gate: format!("gate {name}"), detail: format!("{detail}, at {at}") });
            }
            Some(GateAnswered { answer: GateAnswer::Failed(why), .. }) => {
                closed.push(format!("the gate {name} does not let {} pass: {why}", short(&check.revision)));
            }
            Some(GateAnswered { answer: GateAnswer::Unanswered(why), .. }) => {
                closed.push(format!("the gate {name} does not answer: {why}"));
            }
            None => closed.push(format!("the gate {name} is asked about {}", short(&check.revision))),
        }
    }
    if closed.is_empty() { Ok(evidence) } else { Err(closed.join("; ")) }
}
