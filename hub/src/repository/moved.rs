//! What did the hub's own commits say of each pin last, and who has committed by hand since?

use std::collections::BTreeMap;

use muster_git::{GitError, Mirror, Revision};
use muster_spec::{TrackName, WaveName};

use super::decisions::{self, Decided};
use crate::waves::LastMove;

/// Commits looked at, at most, when the hub begins; what is older than those is taken for meant.
const COMMITS_MAX: usize = 10_000;

/// What the branch of pins says of its history, brought up to date commit by commit.
#[derive(Debug, Default)]
pub(super) struct Moved {
    newest: Option<Revision>,
    last: BTreeMap<(WaveName, TrackName), LastMove>,
    by_hand: Option<String>,
}

impl Moved {
    /// Reads the commits that are new with the branch at `newest`.
    pub(super) fn follow(
        &mut self,
        mirror: &mut Mirror,
        branch: &str,
        newest: Revision,
    ) -> Result<(), GitError> {
        if self.newest == Some(newest) {
            return Ok(());
        }
        let commits = mirror.log(branch, COMMITS_MAX)?;
        let known = self.newest.and_then(|known| commits.iter().position(|commit| *commit == known));
        if known.is_none() {
            *self = Moved::default();
        }
        for commit in commits[..known.unwrap_or(commits.len())].iter().rev() {
            let decided = decisions::read(&mirror.message(commit)?);
            if decided.is_empty() {
                self.by_hand = Some(mirror.commit(commit)?.author_name).filter(|name| !name.is_empty());
            }
            decided.iter().for_each(|one| self.note(one));
        }
        self.newest = Some(newest);
        Ok(())
    }

    fn note(&mut self, one: &Decided) {
        let (Ok(wave), Ok(track)) = (one.wave.parse(), one.track.parse()) else { return };
        // What the pin has after it: a verdict is about another revision than the one that is there.
        let revision = match one.action.as_str() {
            "approve" | "reject" | "hotfix" => &one.from,
            "follow" => "none",
            _ => one.to.as_str(),
        };
        let reached = one.reached.split('/').next().and_then(|count| count.parse().ok());
        match (revision.parse(), reached) {
            (Ok(revision), Some(reached)) => {
                self.last.insert((wave, track), LastMove { revision, reached });
            }
            _ => drop(self.last.remove(&(wave, track))),
        }
    }

    /// For each pin the last word.
    pub(super) fn last(&self) -> &BTreeMap<(WaveName, TrackName), LastMove> {
        &self.last
    }

    /// Who committed by hand last.
    pub(super) fn by_hand(&self) -> &str {
        self.by_hand.as_deref().unwrap_or("somebody")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_of_what_the_pin_then_had() {
        let revision = |digit: &str| digit.repeat(40);
        let (a, b) = (revision("a"), revision("b"));
        let mut moved = Moved::default();
        let mut after = |line: String| {
            decisions::read(&line).iter().for_each(|one| moved.note(one));
            let last = moved.last.values().next()?;
            Some((last.revision.to_string()[..1].to_owned(), last.reached))
        };
        let had = |digit: &str, reached| Some((digit.to_owned(), reached));
        assert_eq!(after(format!("Muster-Move: prod/web approve none..{a} 0/4")), None);
        assert_eq!(after(format!("Muster-Move: prod/web promote none..{a} 2/4")), had("a", 2));
        assert_eq!(after(format!("Muster-Move: prod/web extend {a}..{a} 4/4")), had("a", 4));
        assert_eq!(after(format!("Muster-Move: prod/web approve {a}..{b} 4/4")), had("a", 4));
        assert_eq!(after(format!("Muster-Move: prod/web pause {a}..{a} 4/4")), had("a", 4));
        assert_eq!(after(format!("Muster-Move: prod/web rollback {b}..{a} 4/4")), had("a", 4));
        assert_eq!(after(format!("Muster-Move: prod/web follow {a}..none 4/4")), None);
    }
}
