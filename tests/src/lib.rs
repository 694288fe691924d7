//! Kit.
#![forbid(unsafe_code)]
