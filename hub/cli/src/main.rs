//! `muster`: what does the hub know of the fleet, and is all well? What will a commit do to it?
//!
//! ```text
//! args -> config -> connect -> hub (questions) -> model -> fleet (what is wrong) -> show -> text -> output
//! args -> source -> repository -> render, lint, diff -> text -> output
//! ```
//! The first line asks the hub; the second needs none, it reads a repository. Everything from `model` to
//! `text`, and `render`, `lint` and `diff`, is pure but for reading; `command` joins the two ends.
#![forbid(unsafe_code)]

mod alerts;
mod args;
mod command;
mod config;
mod connect;
mod definitions;
mod diff;
mod failure;
mod fleet;
mod hub;
mod lint;
mod login;
mod model;
mod output;
mod overlay;
mod render;
mod repository;
#[cfg(test)]
mod sample;
mod show;
mod source;
mod text;
mod top;
mod watch;
mod waves;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

/// Exit codes, as the help and docs/cli.md promise them; clap ends with 2 by itself.
const NOT_WELL: u8 = 1;
const FAILED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match command::run(arguments()).await {
        Ok(command::Verdict::Well) | Err(failure::Failure::ReaderGone) => ExitCode::SUCCESS,
        Ok(command::Verdict::NotWell) => ExitCode::from(NOT_WELL),
        Err(failure) => {
            output::remark(&failure.told());
            ExitCode::from(FAILED)
        }
    }
}

/// What was asked for; clap ends the program where that is not clear.
fn arguments() -> args::Arguments {
    let mut command = args::Arguments::command();
    // kubectl runs a program of this name as `kubectl muster`.
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    if program.as_deref().and_then(std::path::Path::file_stem).is_some_and(|name| name == "kubectl-muster") {
        command = command.bin_name("kubectl muster");
    }
    args::Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}
