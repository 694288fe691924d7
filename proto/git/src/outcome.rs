//! What did a fetch change?

use std::collections::BTreeMap;

use crate::Revision;

/// What a fetch found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Fetched {
    /// By the name they were asked for: the revisions of all references that exist.
    pub heads: BTreeMap<String, Revision>,
    /// By the name they were asked for: what became of each since the last fetch.
    pub changes: BTreeMap<String, Change>,
    /// By the name they were asked for: why what the server has is not taken, such as no
    /// commit, a malformed tree, or more entries than allowed. What was there before stays.
    pub refused: BTreeMap<String, String>,
    /// True when any reference is new, moved or gone.
    pub changed: bool,
    /// Why the mirror was built anew, if it was.
    pub rebuilt: Option<String>,
    /// Bytes received from the server.
    pub bytes: u64,
}

/// What became of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It points to the same revision as before.
    Unchanged,
    /// It is here for the first time.
    New,
    /// It moved to a direct child of the revision before.
    FastForward {
        /// The revision before.
        from: Revision,
    },
    /// It moved to another revision: several commits at once, back, or to another
    /// history (a forced push). Which of these a shallow mirror cannot know.
    Moved {
        /// The revision before.
        from: Revision,
    },
    /// It was here, but the server does not list it any more.
    Gone {
        /// The revision it last had, which stays readable.
        last: Revision,
    },
    /// The server does not list it, and never did.
    Missing,
    /// It points to something that is not taken; see [`Fetched::refused`].
    Refused,
}
