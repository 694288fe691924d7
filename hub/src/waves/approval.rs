//! Whose word lets a revision enter a wave?

use muster_spec::{Approval, Judgement, Revision, WavePinSpec};

use super::facts::{Facts, Track};
use super::tally::short;

impl Track<'_> {
    /// Who approved of a revision for a wave, of those whose word counts there. Nobody where none is asked for.
    pub(super) fn approvers(&self, facts: &dyn Facts, wave: usize, revision: &Revision) -> Vec<String> {
        let Some(approval) = self.places.get(wave).and_then(|place| place.wave.approval.as_ref()) else {
            return Vec::new();
        };
        let said = self.verdicts(facts, wave, revision).into_iter();
        let yes = said.filter(|verdict| verdict.verdict == Judgement::Approved);
        let counts = |user: &str, groups: &[String]| counts(approval, facts, revision, user, groups).is_ok();
        yes.filter(|verdict| counts(&verdict.author, &verdict.groups))
            .map(|verdict| verdict.author.clone())
            .collect()
    }

    /// Leaves of the verdicts in a pin those that count when a revision has entered: who rejected this one has changed
    /// their mind, or was overruled.
    pub(super) fn settle(&self, facts: &dyn Facts, wave: usize, entered: &Revision, pin: &mut WavePinSpec) {
        pin.verdicts.retain(|verdict| {
            verdict.verdict == Judgement::Rejected && !self.is_same(facts, wave, &verdict.revision, entered)
        });
    }
}

/// Whether the word of a user in these groups counts for a revision; a sentence says why not.
pub(super) fn counts(
    approval: &Approval,
    facts: &dyn Facts,
    revision: &Revision,
    user: &str,
    groups: &[String],
) -> Result<(), String> {
    if !approval.is_asked_of(user, groups) {
        return Err(format!(
            "the approval of {user} does not count here, but that of {}",
            asked_of(approval)
        ));
    }
    if !approval.not_by_author {
        return Ok(());
    }
    match facts.author(revision) {
        Some(author) if !author.is(user) => Ok(()),
        Some(_) => {
            Err(format!("{} is of {user}, and the approval of somebody else is needed", short(revision)))
        }
        None => Err(format!("who made {} is not known, so no approval counts", short(revision))),
    }
}

/// Whose approval is asked for, in words.
pub(super) fn asked_of(approval: &Approval) -> String {
    let (users, groups) = (approval.users.join(", "), approval.groups.join(", "));
    match (approval.users.is_empty(), approval.groups.is_empty()) {
        (true, true) => "any promoter".to_owned(),
        (false, true) => users,
        (true, false) => format!("members of {groups}"),
        (false, false) => format!("{users} and members of {groups}"),
    }
}
