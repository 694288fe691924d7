//! Does the test kit itself keep its promises?

mod git;
mod kubernetes;
mod process;
