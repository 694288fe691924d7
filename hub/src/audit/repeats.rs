//! Was the same refused a moment ago?
//!
//! Whoever knocks a thousand times a second must not be able to push everything else out of the log: the
//! first of each kind gets an entry, the others of the next minute are counted and get one together.

use std::{collections::BTreeMap, time::Duration};

use super::Entry;

/// For how long refusals like one that has an entry are only counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds that get entries of their own within a window: so at most 33 entries a minute come from refusals,
/// and the log holds two days of them.
const KINDS_MAX: usize = 32;

/// What was refused lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    kinds: BTreeMap<Entry, Repeat>,
}

#[derive(Debug)]
struct Repeat {
    since: Duration,
    /// The last one that was only counted.
    last: Option<Entry>,
    count: u32,
}

impl Repeats {
    /// The entry to write now; nothing when it is counted instead.
    pub(super) fn note(&mut self, entry: Entry, uptime: Duration) -> Option<Entry> {
        // Details differ from one to the next, such as a time.
        let mut kind = Entry { detail: String::new(), ..entry.clone() };
        if !self.kinds.contains_key(&kind) {
            if self.kinds.len() < KINDS_MAX {
                self.kinds.insert(kind, Repeat { since: uptime, last: None, count: 0 });
                return Some(entry);
            }
            // What does not fit is one kind together.
            kind = Entry { result: "refused".to_owned(), ..Entry::default() };
        }
        let repeat = self.kinds.entry(kind).or_insert(Repeat { since: uptime, last: None, count: 0 });
        repeat.count = repeat.count.saturating_add(1);
        repeat.last = Some(entry);
        None
    }

    /// Kinds whose time is over, with how many were only counted.
    pub(super) fn settle(&mut self, uptime: Duration) -> Vec<(Entry, u32)> {
        let over: Vec<Entry> = self
            .kinds
            .iter()
            .filter(|(_, repeat)| uptime.saturating_sub(repeat.since) >= WINDOW)
            .map(|(kind, _)| kind.clone())
            .collect();
        let mut counted = Vec::new();
        for kind in over {
            let Some(repeat) = self.kinds.remove(&kind) else { continue };
            if let Some(last) = repeat.last {
                let mixed = kind.action.is_empty();
                let entry = if mixed {
                    Entry {
                        detail: "refusals of many kinds, counted together".to_owned(),
                        actor: "anonymous".to_owned(),
                        ..kind
                    }
                } else {
                    last
                };
                counted.push((entry, repeat.count));
            }
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: usize) -> Entry {
        Entry {
            action: "enrol".into(),
            target: target.to_string(),
            result: "token-unknown".into(),
            ..Entry::default()
        }
    }

    #[test]
    fn many_kinds_at_once_are_bounded_and_none_is_lost() {
        let mut repeats = Repeats::default();
        let written = (0..1_000).filter_map(|target| repeats.note(entry(target), Duration::ZERO)).count();
        assert_eq!(written, KINDS_MAX);
        assert!(repeats.settle(WINDOW - Duration::from_secs(1)).is_empty());
        let counted = repeats.settle(WINDOW);
        assert_eq!(counted.len(), 1, "{counted:?}");
        assert_eq!(counted[0].1, 1_000 - 32);
        assert!(repeats.note(entry(1), WINDOW).is_some(), "a new window");
    }

    #[test]
    fn what_was_refused_once_leaves_nothing_behind() {
        let mut repeats = Repeats::default();
        assert!(repeats.note(entry(1), Duration::ZERO).is_some());
        assert!(repeats.settle(WINDOW).is_empty());
        assert!(repeats.kinds.is_empty());
    }
}
