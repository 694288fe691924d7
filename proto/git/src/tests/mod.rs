//! The crate as its users see it, against repositories made by the git program.

mod following;
pub(crate) mod origin;
