//! Git.
#![forbid(unsafe_code)]
