//! Documents.
#![forbid(unsafe_code)]
