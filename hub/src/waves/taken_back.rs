//! Did somebody take a revision back by a commit of their own on the branch of pins, such as a `git revert`?
//!
//! Everything the hub does to a pin it says in its commit's trailers. A pin that is behind the hub's last word was put
//! there by hand; without a mind of its own the hub would move it on again at once. So it turns the revert into a
//! rejection, which is in the pin and holds until somebody says otherwise.

use muster_spec::{Judgement, Revision, Verdict, WavePinSpec};

use super::decide::{At, moment};
use super::facts::Facts;
use super::moves::{Action, Move};
use super::outlook::{Stage, State};
use super::tally::short;

/// What the hub last said of a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMove {
    /// The revision it then had.
    pub revision: Revision,
    /// Clusters that then had it.
    pub reached: usize,
}

/// A revision that was taken back by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The revision.
    pub revision: Revision,
    /// Who did it, as their commit says.
    pub by: String,
}

/// Whether the pin as it is takes back what the hub said last, and which revision.
#[must_use]
pub fn taken_back(pin: &WavePinSpec, last: &LastMove, facts: &dyn Facts) -> Option<Revision> {
    let position = facts.position(&last.revision)?;
    let is_behind = match &pin.revision {
        None => true,
        Some(now) if *now == last.revision => {
            pin.clusters.as_ref().is_some_and(|clusters| clusters.len() < last.reached)
        }
        Some(now) => facts.position(now).is_some_and(|now| now < position),
    };
    let is_known =
        |verdict: &Verdict| verdict.verdict == Judgement::Rejected && verdict.revision == last.revision;
    (is_behind && !pin.verdicts.iter().any(is_known)).then(|| last.revision.clone())
}

impl At<'_> {
    /// The rejection that a revert stands for.
    pub(super) fn turn_away(&self, stage: &mut Stage) -> Option<Move> {
        let taken = self.place.taken_back.as_ref()?;
        let mut pin = self.place.pin.clone();
        pin.verdicts.retain(|verdict| verdict.revision != taken.revision);
        pin.verdicts.push(Verdict {
            revision: taken.revision.clone(),
            verdict: Judgement::Rejected,
            author: taken.by.clone(),
            groups: Vec::new(),
            at: moment(self.now),
            reason: Some("taken back on the branch of pins".to_owned()),
        });
        stage.state = State::Rejected;
        stage.detail =
            format!("{} was taken back by {} on the branch of pins.", short(&taken.revision), taken.by);
        let (from, reached, clusters) = (pin.revision.clone(), stage.reached, stage.clusters);
        Some(Move { action: Action::Reject, from, reached, clusters, pin, author: None })
    }
}
