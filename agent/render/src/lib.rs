//! Render.
#![forbid(unsafe_code)]
