//! What must be there before what? The table is in `muster-render`, since `muster render` prints in this order too.
pub(crate) use muster_render::order::{DEFINITIONS, JUDGES, Tier};

use crate::object::GroupKind;

/// Tier of a kind.
pub(crate) fn tier(kind: &GroupKind) -> Tier {
    muster_render::order::tier(&kind.group, &kind.kind)
}
