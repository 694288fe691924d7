//! End-to-end tests.
#![forbid(unsafe_code)]
// All of this crate is tests, where a broken expectation ends the test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod agent;
mod api;
mod boundaries;
mod dashboard;
mod fleet;
mod git;
mod hub;
mod kit;
mod render;
mod repository;
