//! Who owns which field of an object, after an apply and after any other write? (`metadata.managedFields`)

mod entries;
#[cfg(test)]
mod tests;
mod writes;

pub(crate) use entries::{Managed, Operation, Writer};
pub(crate) use writes::{ApplyError, Write, apply, same_but_times, track_update};
