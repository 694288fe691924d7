//! What follows from what a person asks for?

use jiff::Timestamp;
use muster_spec::{Evidence, Judgement, Note, Revision, Verdict, WaveName, WavePinSpec};

use super::approval::counts;
use super::decide::{At, decide, moment};
use super::facts::{Facts, Place, Track};
use super::moves::{Action, Move};
use super::outlook::{Outlook, Stage};
use super::tally::{Tally, short};

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A revision is to enter a wave now, without soaking in the one before.
    Promote,
    /// It may enter a wave that needs approval.
    Approve,
    /// It may not enter a wave.
    Reject,
    /// Nothing is to move into a wave, or all waves, by itself.
    Pause,
    /// It may again.
    Resume,
    /// An earlier revision is to come back to a wave, or to all that have the newest.
    Rollback,
    /// No wave is to wait for a revision to soak.
    Hotfix,
}

/// What a person asks for, about one track.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What.
    pub verb: Verb,
    /// Where; what it means to name none is up to the verb.
    pub wave: Option<WaveName>,
    /// Which revision; what it means to name none is up to the verb.
    pub revision: Option<Revision>,
    /// Why.
    pub reason: Option<String>,
    /// Who asks, as the hub knows them.
    pub author: String,
    /// Groups they are in.
    pub groups: Vec<String>,
}

/// Why it is not done, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

fn refuse<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal(why))
}

/// The pins that change for a wish.
///
/// # Errors
/// Nothing is changed, and why.
pub fn wish(track: &Track<'_>, facts: &dyn Facts, wish: &Wish, now: Timestamp) -> Result<Vec<Move>, Refusal> {
    let outlook = decide(track, facts, now).outlook;
    let asked = Asked { track, facts, wish, now, outlook: &outlook };
    match wish.verb {
        Verb::Approve => asked.approve(),
        Verb::Reject => asked.reject(),
        Verb::Hotfix => asked.hotfix(),
        Verb::Pause => asked.pause(),
        Verb::Resume => asked.resume(),
        Verb::Promote => asked.promote(),
        Verb::Rollback => asked.roll_back(),
    }
}

struct Asked<'a> {
    track: &'a Track<'a>,
    facts: &'a dyn Facts,
    wish: &'a Wish,
    now: Timestamp,
    outlook: &'a Outlook,
}

impl Asked<'_> {
    /// The wave that was named.
    fn named(&self) -> Result<Option<usize>, Refusal> {
        let Some(name) = &self.wish.wave else { return Ok(None) };
        let found = self.track.places.iter().position(|place| place.wave.name == *name);
        match found {
            Some(number) => Ok(Some(number)),
            None => {
                let all: Vec<&str> = self.track.places.iter().map(|place| place.wave.name.as_str()).collect();
                refuse(format!("There is no wave {name}; there are {}.", all.join(", ")))
            }
        }
    }

    fn place(&self, number: usize) -> &Place<'_> {
        &self.track.places[number]
    }

    fn stage(&self, number: usize) -> &Stage {
        &self.outlook.stages[number]
    }

    /// The wave that was named, or the first that something wants to enter.
    fn entrance(&self) -> Result<usize, Refusal> {
        if let Some(number) = self.named()? {
            return Ok(number);
        }
        let waits = |stage: &Stage| stage.candidate.is_some();
        match self.outlook.stages.iter().skip(1).position(waits) {
            Some(found) => Ok(found + 1),
            None => refuse(format!(
                "Nothing of {} waits for a wave; name the wave with --wave, or look with `muster waves`.",
                self.track.name
            )),
        }
    }

    /// The revision that was named, or the one that wants to enter.
    fn revision(&self, number: usize) -> Result<Revision, Refusal> {
        let revision = match &self.wish.revision {
            Some(revision) => revision.clone(),
            None => match &self.stage(number).candidate {
                Some(candidate) => candidate.clone(),
                None => {
                    return refuse(format!(
                        "Nothing of {} waits for {}; name the revision.",
                        self.track.name,
                        self.place(number).wave.name
                    ));
                }
            },
        };
        match self.facts.position(&revision) {
            Some(_) => Ok(revision),
            None => refuse(format!("The revision {revision} is not on the branch.")),
        }
    }

    fn verdict(&self, number: usize, revision: Revision, verdict: Judgement, action: Action) -> Move {
        let mut pin = self.place(number).pin.clone();
        pin.verdicts.push(Verdict {
            revision,
            verdict,
            author: self.wish.author.clone(),
            groups: self.groups(number),
            at: moment(self.now),
            reason: self.wish.reason.clone(),
        });
        self.said(number, action, pin)
    }

    fn said(&self, number: usize, action: Action, pin: WavePinSpec) -> Move {
        let stage = self.stage(number);
        Move {
            action,
            from: self.place(number).pin.revision.clone(),
            reached: stage.reached,
            clusters: stage.clusters,
            pin,
            author: Some(self.wish.author.clone()),
        }
    }

    fn approve(&self) -> Result<Vec<Move>, Refusal> {
        let number = self.entrance()?;
        let revision = self.revision(number)?;
        let place = self.place(number);
        if place.wave.approval.is_none() {
            return refuse(format!("The wave {} needs no approval.", place.wave.name));
        }
        self.check_approver(number, &revision)?;
        let said = self.track.verdicts(self.facts, number, &revision);
        let is_own = |verdict: &&&Verdict| verdict.author == self.wish.author;
        if said.iter().find(is_own).is_some_and(|own| own.verdict == Judgement::Approved) {
            return refuse(format!(
                "{} has approved {} for {} already; somebody else has to.",
                self.wish.author,
                short(&revision),
                place.wave.name
            ));
        }
        Ok(vec![self.verdict(number, revision, Judgement::Approved, Action::Approve)])
    }

    /// Whether the word of who asks counts for a revision.
    fn check_approver(&self, number: usize, revision: &Revision) -> Result<(), Refusal> {
        let wave = self.place(number).wave;
        let Some(approval) = &wave.approval else { return Ok(()) };
        let counted = counts(approval, self.facts, revision, &self.wish.author, &self.wish.groups);
        counted.or_else(|why| refuse(format!("{} may not enter {} so: {why}.", short(revision), wave.name)))
    }

    /// The groups of who asks that the wave asks for approval.
    fn groups(&self, number: usize) -> Vec<String> {
        let approval = self.place(number).wave.approval.as_ref();
        let asked = approval.map(|approval| approval.groups.as_slice()).unwrap_or_default();
        asked.iter().filter(|group| self.wish.groups.contains(group)).cloned().collect()
    }

    fn reject(&self) -> Result<Vec<Move>, Refusal> {
        let number = self.entrance()?;
        if number == 0 {
            return refuse(
                "The first wave follows the branch: revert the commit, or roll the track back.".into(),
            );
        }
        let revision = self.revision(number)?;
        Ok(vec![self.verdict(number, revision, Judgement::Rejected, Action::Reject)])
    }

    fn hotfix(&self) -> Result<Vec<Move>, Refusal> {
        let Some(revision) = self.wish.revision.clone() else {
            return refuse("Name the revision that is urgent.".to_owned());
        };
        if self.wish.reason.is_none() {
            return refuse("Say why it is urgent: --reason.".to_owned());
        }
        if self.facts.position(&revision).is_none() {
            return refuse(format!("The revision {revision} is not on the branch."));
        }
        Ok(vec![self.verdict(0, revision, Judgement::Urgent, Action::Hotfix)])
    }

    fn pause(&self) -> Result<Vec<Move>, Refusal> {
        let named = self.named()?;
        let numbers = named.map_or(0..self.track.places.len(), |number| number..number + 1);
        let hold =
            Note { author: self.wish.author.clone(), at: moment(self.now), reason: self.wish.reason.clone() };
        let mut moves = Vec::new();
        for number in numbers {
            let mut pin = self.place(number).pin.clone();
            if pin.hold.is_some() {
                continue;
            }
            pin.hold = Some(hold.clone());
            // The first wave would follow the branch on.
            if number == 0 && pin.revision.is_none() {
                pin.revision = Some(self.track.head.clone());
                pin.pinned_at = Some(moment(self.now));
            }
            moves.push(self.said(number, Action::Pause, pin));
        }
        if moves.is_empty() { refuse(format!("{} is paused already.", self.track.name)) } else { Ok(moves) }
    }

    fn resume(&self) -> Result<Vec<Move>, Refusal> {
        let named = self.named()?;
        let numbers = named.map_or(0..self.track.places.len(), |number| number..number + 1);
        let mut moves = Vec::new();
        for number in numbers {
            let mut pin = self.place(number).pin.clone();
            if pin.hold.take().is_some() {
                moves.push(self.said(number, Action::Resume, pin));
            }
        }
        if moves.is_empty() { refuse(format!("{} is not paused.", self.track.name)) } else { Ok(moves) }
    }

    fn promote(&self) -> Result<Vec<Move>, Refusal> {
        let named = self.named()?;
        let behind = |number: &usize| {
            let (before, here) = (&self.stage(number - 1).revision, &self.stage(*number).revision);
            match (before, here) {
                (Some(before), Some(here)) => !self.track.is_same(self.facts, *number, before, here),
                (before, _) => before.is_some(),
            }
        };
        let number = match named {
            Some(0) => return refuse("The first wave follows the branch by itself.".to_owned()),
            Some(number) => number,
            None => match (1..self.track.places.len()).find(behind) {
                Some(number) => number,
                None => {
                    return refuse(format!("Every wave has what the one before has of {}.", self.track.name));
                }
            },
        };
        let (place, before) = (self.place(number), self.stage(number - 1));
        let Some(revision) = self.wish.revision.clone().or_else(|| before.revision.clone()) else {
            return refuse(format!("The wave {} has no revision of {} yet.", before.wave, self.track.name));
        };
        self.check_health(number, &revision)?;
        self.check_order(number, &revision)?;
        if let Some(why) = &place.frozen {
            return refuse(format!("{} is frozen: {why}.", place.wave.name));
        }
        let approvers = self.approvers(number, &revision)?;
        let passed = self.gates(number, &revision)?;
        let mut pin = place.pin.clone();
        if pin.clusters.is_none() {
            pin.previous_revision.clone_from(&pin.revision);
        }
        self.track.settle(self.facts, number, &revision, &mut pin);
        pin.revision = Some(revision);
        let first = place.wave.batches.first().map(|first| first.of(place.members.len()).max(1));
        pin.clusters = first.filter(|count| *count < place.members.len()).map(|count| {
            let mut clusters: Vec<_> =
                place.members.iter().take(count).map(|member| member.cluster.clone()).collect();
            clusters.sort();
            clusters
        });
        pin.hold = None;
        pin.evidence = vec![Evidence {
            gate: "health".to_owned(),
            detail: format!("{}: {}; not waited for to soak", before.wave, before.tally.sentence()),
        }];
        if !approvers.is_empty() {
            let detail = format!("approved by {}", approvers.join(", "));
            pin.evidence.push(Evidence { gate: "approval".to_owned(), detail });
        }
        pin.evidence.extend(passed);
        Ok(vec![self.decided(number, Action::Promote, pin)])
    }

    /// Nor the gates.
    fn gates(&self, number: usize, revision: &Revision) -> Result<Vec<Evidence>, Refusal> {
        let at =
            At { track: self.track, facts: self.facts, now: self.now, number, place: self.place(number) };
        at.gates(revision).or_else(|why| {
            refuse(format!("{} may not enter {} yet: {why}.", short(revision), self.place(number).wave.name))
        })
    }

    /// A person may skip the soak, not the health.
    fn check_health(&self, number: usize, revision: &Revision) -> Result<(), Refusal> {
        let before = number - 1;
        let stage = self.stage(before);
        let tally = Tally::of(self.track, self.facts, before, revision, self.place(before).members.iter());
        if tally.suffices() && !tally.has_failed() {
            return Ok(());
        }
        refuse(format!("{} is not well in {}: {}.", short(revision), stage.wave, tally.sentence()))
    }

    fn check_order(&self, number: usize, revision: &Revision) -> Result<(), Refusal> {
        let place = self.place(number);
        let Some(position) = self.facts.position(revision) else {
            return refuse(format!("The revision {revision} is not on the branch."));
        };
        let pinned = place.pin.revision.as_ref();
        if pinned == Some(revision) && place.pin.clusters.is_none() {
            return refuse(format!("{} has {} already.", place.wave.name, short(revision)));
        }
        match pinned.and_then(|pinned| self.facts.position(pinned)) {
            Some(here) if here > position => refuse(format!(
                "{} is older than what {} has; use `muster rollback {} --wave {} --to {revision}`.",
                short(revision),
                place.wave.name,
                self.track.name,
                place.wave.name
            )),
            _ => Ok(()),
        }
    }

    /// Who agrees, the one who asks included; an error when they are too few.
    fn approvers(&self, number: usize, revision: &Revision) -> Result<Vec<String>, Refusal> {
        let place = self.place(number);
        let Some(approval) = &place.wave.approval else { return Ok(Vec::new()) };
        let said = self.track.verdicts(self.facts, number, revision);
        if let Some(no) = said
            .iter()
            .find(|verdict| verdict.verdict == Judgement::Rejected && verdict.author != self.wish.author)
        {
            return refuse(format!(
                "{} was rejected by {} for {}.",
                short(revision),
                no.author,
                place.wave.name
            ));
        }
        let mut approvers = self.track.approvers(self.facts, number, revision);
        if self.check_approver(number, revision).is_ok() && !approvers.contains(&self.wish.author) {
            approvers.push(self.wish.author.clone());
        }
        let required = usize::try_from(approval.required).unwrap_or(usize::MAX);
        if approvers.len() < required {
            return refuse(format!(
                "{} needs {required} approvals, and has {} with yours; use `muster approve {} --wave {}`.",
                place.wave.name,
                approvers.len(),
                self.track.name,
                place.wave.name
            ));
        }
        Ok(approvers)
    }

    fn roll_back(&self) -> Result<Vec<Move>, Refusal> {
        let numbers = match self.named()? {
            Some(number) => vec![number],
            None => self.newest(),
        };
        // What a later wave had before it is what an earlier one goes back to, too.
        let earlier = numbers.iter().rev().find_map(|number| self.stage(*number).previous.clone());
        let below = numbers.last().and_then(|last| self.outlook.stages.get(last + 1));
        let to =
            self.wish.revision.clone().or(earlier).or_else(|| below.and_then(|stage| stage.revision.clone()));
        let Some(to) = to else {
            return refuse(format!(
                "It is not known what {} was before; name it with --to.",
                self.track.name
            ));
        };
        if self.facts.position(&to).is_none() {
            return refuse(format!("The revision {to} is not on the branch."));
        }
        let mut moves = Vec::new();
        for number in numbers {
            let mut pin = self.place(number).pin.clone();
            let from = self.stage(number).revision.clone();
            if from.as_ref() == Some(&to) && pin.clusters.is_none() {
                continue;
            }
            if let Some(bad) = &from {
                pin.verdicts.retain(|verdict| verdict.revision != *bad);
                pin.verdicts.push(Verdict {
                    revision: bad.clone(),
                    verdict: Judgement::Rejected,
                    author: self.wish.author.clone(),
                    groups: Vec::new(),
                    at: moment(self.now),
                    reason: Some(self.wish.reason.clone().unwrap_or_else(|| "rolled back".to_owned())),
                });
            }
            pin.previous_revision.clone_from(&from);
            pin.revision = Some(to.clone());
            pin.clusters = None;
            let mut moved = self.decided(number, Action::Rollback, pin);
            moved.from = from;
            moved.reached = moved.clusters;
            moves.push(moved);
        }
        if moves.is_empty() {
            return refuse(format!("{} is at {} already.", self.track.name, short(&to)));
        }
        Ok(moves)
    }

    /// The waves that have the newest revision of the track.
    fn newest(&self) -> Vec<usize> {
        let position =
            |stage: &Stage| stage.revision.as_ref().and_then(|revision| self.facts.position(revision));
        let newest = self
            .outlook
            .stages
            .iter()
            .filter_map(|stage| Some((position(stage)?, stage)))
            .max_by_key(|(at, _)| *at);
        let Some(newest) = newest.and_then(|(_, stage)| stage.revision.clone()) else { return Vec::new() };
        let has = |number: &usize| {
            let revision = self.stage(*number).revision.as_ref();
            revision.is_some_and(|revision| self.track.is_same(self.facts, *number, revision, &newest))
        };
        (0..self.track.places.len()).filter(has).collect()
    }

    fn decided(&self, number: usize, action: Action, mut pin: WavePinSpec) -> Move {
        pin.pinned_at = Some(moment(self.now));
        pin.author = Some(self.wish.author.clone());
        pin.reason.clone_from(&self.wish.reason);
        if action == Action::Rollback {
            pin.evidence = Vec::new();
        }
        let reached = pin.clusters.as_ref().map_or(self.place(number).members.len(), Vec::len);
        Move { reached, ..self.said(number, action, pin) }
    }
}
