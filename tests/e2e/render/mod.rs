//! Does muster-render give what `kubectl kustomize` gives?
//!
//! ```text
//! tests/render/GROUP/CASE/      a small repository; its entry is the folder itself, or overlay/
//!   expected.yaml               what kubectl makes of it, recorded
//!   expected-error.txt          or why it refuses, recorded
//!   cause.txt                   words, one to a line, that every refusal has to contain
//! tests/render/KNOWN-DIFFERENCES  cases in which we still differ, with the reason
//! ```
//!
//! A new case is a new folder; `MUSTER_RECORD=1 cargo test -p muster-tests render::corpus` writes what
//! kubectl says of it. `random` does the same with repositories nobody wrote.

mod corpus;
mod fuzz;
mod generate;
mod kubectl;
mod mutate;
mod outcome;
mod random;
