//! How are findings told: to people, to programs, to a code host?

use std::collections::BTreeSet;

mod human;
mod json;
mod sarif;

pub(crate) use human::human;
pub(crate) use json::json;
pub(crate) use sarif::sarif;

/// `cluster dev`, `clusters dev, prod and 40 more`; nothing where there is no name.
fn listed(names: &BTreeSet<String>, noun: &str, shown_max: usize) -> Option<String> {
    let plural = if names.len() == 1 { "" } else { "s" };
    let all: Vec<String> = names.iter().cloned().collect();
    (!all.is_empty()).then(|| format!("{noun}{plural} {}", crate::show::names(&all, shown_max)))
}
