//! In which wave of its app's sync is an object applied? Read in `muster-render`, since `muster render` prints in
//! this order too.
pub(crate) use muster_render::order::{Wave, wave as read};
