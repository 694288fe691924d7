//! The crate as its users see it, against repositories made by the git program.

mod damage;
mod following;
mod growth;
pub(crate) mod origin;
mod reading;
mod signing;
mod ssh;
