//! What does each rule look at?
//!
//! ```text
//! documents   the documents alone
//! secrets     files, whoever uses them
//! images      each rendered object          schema   each rendered object, by its kind's schema
//! clusters    all objects of a cluster: who claims what, which namespaces there are
//! ```

pub(super) mod clusters;
pub(super) mod documents;
pub(super) mod images;
pub(super) mod secrets;
