//! What is an object after a patch?
//!
//! ```text
//! strategic merge: object + patch -> tree.rs (both in one arena) -> merge.rs (mappings)
//!                                      -> lists.rs (lists with keys, after schema.rs) -> object
//! JSON patch:      text -> json6902.rs (operations) -> object
//! which objects:   select.rs (patterns of group, version, kind, name; labels)
//! ```
//!
//! The measure is `kubectl kustomize` of kubectl 1.32, also where it departs from what
//! `kubectl patch` does with the same text: it knows `$patch` and nothing of `$retainKeys`,
//! `$setElementOrder` and `$deleteFromPrimitiveList`, and elements a patch adds to a keyed list
//! come before those that were there.

mod json6902;
mod lists;
mod merge;
mod schema;
mod select;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use json6902::{Operations, as_json_numbers};
pub(crate) use merge::{Merged, merge};
pub(crate) use schema::{Schema, Scope};
pub(crate) use select::{Candidate, Selector, SelectorFields};
pub(crate) use tree::Spelling;

/// Why a patch cannot be read or applied. Holds no value of the object, only keys and paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PatchError(String);

impl PatchError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        PatchError(message.into())
    }
}
