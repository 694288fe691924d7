//! Does the test kit itself keep its promises?

mod figures;
mod git;
mod kubernetes;
mod missing;
mod process;
