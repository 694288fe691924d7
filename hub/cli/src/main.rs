//! `muster`: what does the hub know of the fleet, and is all well?
//!
//! ```text
//! args -> config -> connect -> hub (questions) -> model -> fleet (what is wrong) -> show -> text -> output
//! ```
//! Everything from `model` to `text` is pure; `command` joins the two ends.
#![forbid(unsafe_code)]

mod args;
mod command;
mod config;
mod connect;
mod failure;
mod fleet;
mod hub;
mod model;
mod output;
#[cfg(test)]
mod sample;
mod show;
mod text;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

/// Exit codes, as the help and docs/cli.md promise them; clap ends with 2 by itself.
const NOT_WELL: u8 = 1;
const FAILED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match command::run(args::Arguments::parse()).await {
        Ok(command::Verdict::Well) | Err(failure::Failure::ReaderGone) => ExitCode::SUCCESS,
        Ok(command::Verdict::NotWell) => ExitCode::from(NOT_WELL),
        Err(failure) => {
            output::remark(&failure.told());
            ExitCode::from(FAILED)
        }
    }
}
