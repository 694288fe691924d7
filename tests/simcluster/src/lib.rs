//! Sim.
#![forbid(unsafe_code)]
