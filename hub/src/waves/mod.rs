//! Which revision may enter which wave now, and why not?
//!
//! ```text
//! Fleet document, pins, verdicts ----.
//! what every cluster reports ---------+--> decide, for each track --> Outlook: where it stands, what it waits for
//! which commit is newer, what differs-'                          '--> Move: a changed pin, for a commit
//! time ------------------------------'
//! a person's wish ------------------------> wish -----------------> Move
//! ```
//!
//! Pure: no I/O, no clock, the same inputs give the same decision. Every decision is in a pin, with its
//! evidence, and every input that must outlast the hub is one as well: so the hub may forget everything and
//! decides the same.
//!
//! Whatever is not known is not well: a cluster that is not heard, a revision that is on no branch, a content
//! that cannot be compared. A wave never moves backwards by itself.

mod approval;
mod decide;
mod facts;
mod gates;
mod moves;
mod outlook;
mod taken_back;
mod tally;
mod wish;

pub use self::{
    decide::{Decision, decide},
    facts::{Author, Content, Facts, Member, Place, Standing, Track},
    gates::{GateAnswer, GateAnswered, GateAnswers, GateCheck},
    moves::{Action, Move, commit_message},
    outlook::{Outlook, Stage, State},
    taken_back::{LastMove, TakenBack, taken_back},
    tally::Tally,
    wish::{Refusal, Verb, Wish, wish},
};

#[cfg(test)]
mod tests;
