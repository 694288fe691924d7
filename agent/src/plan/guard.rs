//! Would too much of an app be deleted at once?
//!
//! A wrong path, an empty overlay or a changed prefix makes most of an app leave Git in one commit. Then nothing
//! is deleted until Git says that it is meant, by a higher `spec.sync.pruneLimit`. What was decided is kept on
//! the ApplySet parent: once the new objects are there, the old ones are a smaller share than they were. The apps of a
//! cluster that leave it at once are judged by the same rule.

use std::fmt;

/// So many objects may always go: half of two is no alarm.
pub(crate) const ALWAYS: usize = 3;

/// A deletion that waits for Git to confirm it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Objects that would go.
    pub(crate) count: usize,
    /// Objects the app had when that was first seen.
    pub(crate) of: usize,
}

/// `12/20`, as the parent carries it.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.of)
    }
}

impl Held {
    /// Reads what [`Held`] displays as.
    pub(crate) fn parse(text: &str) -> Option<Held> {
        let (count, of) = text.split_once('/')?;
        Some(Held { count: count.parse().ok()?, of: of.parse().ok()? })
    }
}

/// Decides about `doomed` of the `had` objects that there are now, of which `always` may go whatever their share.
/// `before` is what was decided last.
pub(crate) fn judge(
    before: Option<Held>,
    doomed: usize,
    had: usize,
    limit_percent: u8,
    always: usize,
) -> Option<Held> {
    let of = before.map_or(had, |before| before.of).max(doomed);
    let too_many = doomed > always && 100 * doomed > usize::from(limit_percent) * of;
    too_many.then_some(Held { count: doomed, of })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_than_the_share_waits() {
        let held = |count, of| Some(Held { count, of });
        let cases = [
            ("nothing goes", None, 0, 10, 50, None),
            ("half may go", None, 5, 10, 50, None),
            ("more may not", None, 6, 10, 50, held(6, 10)),
            ("a few always may", None, 3, 3, 50, None),
            ("all of four may not", None, 4, 4, 50, held(4, 4)),
            ("everything may at 100%", None, 10, 10, 100, None),
            ("none at 0%, but a few", None, 4, 1000, 0, held(4, 1000)),
            ("new objects change nothing", held(10, 10), 10, 20, 50, held(10, 10)),
            ("taken back in part", held(10, 10), 4, 20, 50, None),
            ("more than before", held(10, 10), 12, 24, 50, held(12, 12)),
            ("confirmed", held(12, 12), 12, 24, 100, None),
        ];
        for (name, before, doomed, had, limit, expected) in cases {
            assert_eq!(judge(before, doomed, had, limit, ALWAYS), expected, "{name}");
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let held = Held { count: 12, of: 20 };
        assert_eq!(Held::parse(&held.to_string()), Some(held));
        for wrong in ["", "12", "a/b", "1/2/3"] {
            assert_eq!(Held::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// A deletion that is under way, one object after the other, is never stopped half way.
        #[test]
        fn what_may_begin_may_end(
            had in 1usize..60, doomed in 0usize..60, limit in 0u8..=100, always in 0usize..4,
        ) {
            let doomed = doomed.min(had);
            prop_assume!(judge(None, doomed, had, limit, always).is_none());
            for gone in 0..=doomed {
                prop_assert_eq!(judge(None, doomed - gone, had - gone, limit, always), None);
            }
        }
    }
}
