//! How does the hub follow the fleet repository, and write pins to it?
//!
//! ```text
//! Git --fetch--> mirror --read--> Scene --+                      +--> picture, for people
//!                                         +--> waves::decide ----+
//! agents' reports ------------------------+                      +--> moves --commit, push--> Git
//!                                                                        |      ^ elsewhere meanwhile:
//! a person's wish --> waves::wish ---------------------------------------'      '- fetch, decide again
//! ```
//!
//! One task does all of it, on a thread that may block. Nothing it knows is kept: all is read from Git again.
//! Only the leader of several hubs writes; the server's compare-and-swap keeps it right all the same.

mod config;
mod contents;
mod decisions;
mod follow;
mod moved;
mod read;
mod reports;
mod round;
mod scene;

pub use config::{RepositoryFlags, RepositorySettings};
pub(crate) use decisions::Decided;
pub(crate) use follow::{Follower, Promotion};
pub(crate) use round::{Asked, Picture, Question};
