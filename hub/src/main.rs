//! The binary `muster-hub`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use muster_hub::arguments::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
