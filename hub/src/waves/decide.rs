//! What follows for one track from what is known of it now?

use std::collections::BTreeSet;

use jiff::Timestamp;
use muster_spec::{
    ClusterName, Duration, Evidence, Judgement, Moment, Note, OnFailure, Revision, WaveGate, WavePinSpec,
};

use super::approval::asked_of;
use super::facts::{Facts, Place, Track};
use super::gates::{self, GateCheck};
use super::moves::{Action, Move};
use super::outlook::{Outlook, Stage, State};
use super::tally::{Tally, short};

/// Seconds from a pin in which a failure may still be of what was there before, since agents have yet to
/// say that they have the new revision.
const GRACE_SECONDS: i64 = 10;
/// Rejections that are kept in a pin.
const REJECTIONS_MAX: usize = 20;

/// What was decided about one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where it stands.
    pub outlook: Outlook,
    /// What is to be committed.
    pub moves: Vec<Move>,
    /// What gates are to be asked, now and again.
    pub checks: Vec<GateCheck>,
}

/// What a wave lets through to the next.
#[derive(Clone, Debug)]
struct Offer {
    revision: Revision,
    evidence: Vec<Evidence>,
}

/// Decides about one track at `now`.
#[must_use]
pub fn decide(track: &Track<'_>, facts: &dyn Facts, now: Timestamp) -> Decision {
    let mut decision = Decision {
        outlook: Outlook { track: track.name.clone(), stages: Vec::new() },
        moves: Vec::new(),
        checks: Vec::new(),
    };
    let mut offer = None;
    for (number, place) in track.places.iter().enumerate() {
        let at = At { track, facts, now, number, place };
        let (stage, next, moved) = if number == 0 { at.first() } else { at.later(offer.as_ref()) };
        decision.checks.extend(at.checks(&stage, decision.outlook.stages.last()));
        decision.outlook.stages.push(stage);
        decision.moves.extend(moved);
        offer = next;
    }
    decision
}

/// One wave, while it is decided about.
pub(super) struct At<'a> {
    pub(super) track: &'a Track<'a>,
    pub(super) facts: &'a dyn Facts,
    pub(super) now: Timestamp,
    pub(super) number: usize,
    pub(super) place: &'a Place<'a>,
}

type Step = (Stage, Option<Offer>, Option<Move>);

impl At<'_> {
    /// The first wave follows the head by itself, unless it was pinned by a person.
    fn first(&self) -> Step {
        let pin = &self.place.pin;
        let head = &self.track.head;
        let running = pin.revision.as_ref().unwrap_or(head);
        let tally = self.tally(running, &None);
        let mut stage = self.stage(Some(running), tally);
        if self.place.members.is_empty() {
            let detail = empty(&mut stage);
            let offer = Offer { revision: running.clone(), evidence: vec![evidence("health", detail)] };
            return (stage, Some(offer), None);
        }
        let offer = self.prove(&mut stage, running, None);
        let mut moved = None;
        if pin.revision.is_some() {
            stage.candidate = Some(head.clone()).filter(|head| head != running);
            if let Some(hold) = &pin.hold {
                paused(&mut stage, hold);
            } else if let Some(rejection) = self.rejection(head) {
                stage.state = State::Rejected;
                stage.detail = rejection;
            } else {
                let mut next = pin.clone();
                (next.revision, next.previous_revision, next.clusters) = (None, pin.revision.clone(), None);
                moved = Some(self.moved(Action::Follow, next, Some(head), Vec::new()));
            }
        }
        (stage, offer, moved)
    }

    fn later(&self, incoming: Option<&Offer>) -> Step {
        let pin = &self.place.pin;
        let candidate = incoming.filter(|incoming| {
            let is_same = |pinned| self.track.is_same(self.facts, self.number, pinned, &incoming.revision);
            !pin.revision.as_ref().is_some_and(is_same)
        });
        let (mut stage, offer) = match &pin.revision {
            Some(revision) => {
                let mut stage = self.stage(Some(revision), self.tally(revision, &pin.clusters));
                let offer = self.prove(&mut stage, revision, incoming.filter(|_| candidate.is_none()));
                (stage, offer)
            }
            None => {
                let mut stage = self.stage(None, Tally::default());
                stage.state = State::Waiting;
                "Nothing has come from the wave before yet.".clone_into(&mut stage.detail);
                (stage, None)
            }
        };
        if self.place.members.is_empty() {
            empty(&mut stage);
            return (stage, incoming.cloned(), None);
        }
        stage.candidate = candidate.map(|offer| offer.revision.clone());
        if let Some(hold) = &pin.hold {
            paused(&mut stage, hold);
            return (stage, offer, None);
        }
        if let Some(rejection) = self.turn_away(&mut stage) {
            return (stage, offer, Some(rejection));
        }
        let is_rolling = pin.clusters.is_some() && pin.revision.is_some();
        let moved = match candidate {
            // What goes well is finished first; what does not is overtaken.
            Some(candidate) if !is_rolling || stage.state == State::Halted => {
                self.enter(&mut stage, candidate)
            }
            _ if stage.state == State::Halted => self.give_up(&stage),
            _ if is_rolling => self.go_on(&mut stage),
            _ => None,
        };
        (stage, offer, moved)
    }

    fn stage(&self, revision: Option<&Revision>, tally: Tally) -> Stage {
        let reached = self.reached(&self.place.pin.clusters).count();
        Stage {
            wave: self.place.wave.name.clone(),
            revision: revision.cloned(),
            previous: self.place.pin.previous_revision.clone(),
            candidate: None,
            state: State::Progressing,
            detail: tally.sentence(),
            tally,
            reached: if revision.is_some() { reached } else { 0 },
            clusters: self.place.members.len(),
        }
    }

    fn reached<'s>(
        &'s self,
        clusters: &'s Option<Vec<ClusterName>>,
    ) -> impl Iterator<Item = &'s super::facts::Member> {
        let is_in =
            move |cluster: &ClusterName| clusters.as_ref().is_none_or(|clusters| clusters.contains(cluster));
        self.place.members.iter().filter(move |member| is_in(&member.cluster))
    }

    fn tally(&self, revision: &Revision, clusters: &Option<Vec<ClusterName>>) -> Tally {
        Tally::of(self.track, self.facts, self.number, revision, self.reached(clusters))
    }

    fn pinned_at(&self) -> Option<Timestamp> {
        self.place.pin.pinned_at.as_ref().map(Moment::timestamp)
    }

    fn is_late(&self) -> bool {
        let timeout = std::time::Duration::from(self.place.wave.timeout);
        let end = self.pinned_at().and_then(|at| at.checked_add(timeout).ok());
        end.is_some_and(|end| self.now > end)
    }

    /// How the revision fares that is here, and what may go on from here: it, or what renders the same.
    fn prove(&self, stage: &mut Stage, revision: &Revision, same: Option<&Offer>) -> Option<Offer> {
        let wave = self.place.wave;
        let tally = &stage.tally;
        let is_new = self
            .pinned_at()
            .is_some_and(|at| self.now.as_second() < at.as_second().saturating_add(GRACE_SECONDS));
        if tally.has_failed() && !is_new {
            stage.state = State::Halted;
            stage.detail = format!("Halted at {}: {}.", short(revision), tally.sentence());
            return None;
        }
        if !tally.suffices() || tally.has_failed() {
            if self.is_late() {
                stage.state = State::Halted;
                stage.detail = format!(
                    "Halted at {}: it is not well after {}: {}.",
                    short(revision),
                    wave.timeout,
                    tally.sentence()
                );
            } else {
                stage.state = State::Progressing;
                stage.detail = format!("{}.", tally.sentence());
            }
            return None;
        }
        if self.place.pin.clusters.is_some() && self.place.pin.revision.is_some() {
            stage.state = State::Progressing;
            stage.detail = format!("{} in the batches so far.", tally.sentence());
            return None;
        }
        let goes_on = same.map_or(revision, |same| &same.revision);
        let well_for = tally.well_for(self.now, self.pinned_at());
        let urgent = self.track.urgent(self.facts, self.number, goes_on);
        if well_for < wave.soak && urgent.is_none() {
            stage.state = State::Soaking;
            stage.detail = format!("Well for {well_for} of {}.", wave.soak);
            return None;
        }
        stage.state = State::Current;
        stage.detail = format!("{}.", tally.sentence());
        let place = format!("{} at {}", wave.name, short(revision));
        let mut evidence = vec![evidence("health", format!("{place}: {}", tally.sentence()))];
        if let Some(since) = tally.well_since.filter(|since| *since > Timestamp::MIN) {
            evidence.push(evidence_of_soak(wave.soak, well_for, since, urgent.is_some()));
        }
        if let Some(verdict) = urgent {
            let reason = verdict.reason.as_deref().unwrap_or_default();
            evidence.push(self::evidence("hotfix", format!("urgent by {}: {reason}", verdict.author)));
        }
        if goes_on != revision {
            let what = format!("{} gives the wave {} nothing new", short(goes_on), wave.name);
            evidence.push(self::evidence("unchanged", what));
        }
        Some(Offer { revision: goes_on.clone(), evidence })
    }

    fn check(&self, gate: &WaveGate, revision: &Revision) -> GateCheck {
        let (wave, track) = (self.place.wave.name.clone(), self.track.name.clone());
        GateCheck { wave, gate: gate.name.clone(), track, revision: revision.clone() }
    }

    /// What gates are asked about: what wants to enter or may soon, and what has not reached all clusters yet.
    fn checks(&self, stage: &Stage, before: Option<&Stage>) -> Vec<GateCheck> {
        let pin = &self.place.pin;
        let coming = before.and_then(|before| before.revision.as_ref());
        let coming = coming.filter(|coming| Some(*coming) != pin.revision.as_ref());
        let rolling = pin.revision.as_ref().filter(|_| pin.clusters.is_some());
        let asked: BTreeSet<_> = [stage.candidate.as_ref(), coming, rolling].into_iter().flatten().collect();
        let gates = self.place.wave.gates.iter();
        asked.into_iter().flat_map(|revision| gates.clone().map(|gate| self.check(gate, revision))).collect()
    }

    /// The evidence of the gates, or why they let a revision not pass.
    pub(super) fn gates(&self, revision: &Revision) -> Result<Vec<Evidence>, String> {
        let place = self.place;
        gates::pass(&place.wave.gates, |gate| self.check(gate, revision), &place.answers, self.now)
    }

    fn rejection(&self, revision: &Revision) -> Option<String> {
        let verdicts = self.track.verdicts(self.facts, self.number, revision);
        let verdict = verdicts.iter().find(|verdict| verdict.verdict == Judgement::Rejected)?;
        let reason = verdict.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{} was rejected by {}{reason}.", short(revision), verdict.author))
    }

    /// Whether what wants to enter may, and the move if so.
    fn enter(&self, stage: &mut Stage, offer: &Offer) -> Option<Move> {
        let (pin, wave) = (&self.place.pin, self.place.wave);
        let halted = (stage.state == State::Halted).then(|| stage.detail.clone());
        let mut say = |state, detail: String| {
            stage.state = if halted.is_some() { State::Halted } else { state };
            stage.detail = halted.iter().cloned().chain([detail]).collect::<Vec<_>>().join(" ");
        };
        let to = &offer.revision;
        if let Some(why) = self.step_back(to) {
            say(State::Refused, why);
            return None;
        }
        if let Some(why) = self.rejection(to) {
            say(State::Rejected, why);
            return None;
        }
        let mut evidence = offer.evidence.clone();
        if let Some(approval) = &wave.approval {
            let approved = self.track.approvers(self.facts, self.number, to);
            if approved.len() < usize::try_from(approval.required).unwrap_or(usize::MAX) {
                let asked_of = if approval.users.is_empty() && approval.groups.is_empty() {
                    String::new()
                } else {
                    format!(", of {}", asked_of(approval))
                };
                let (count, required) = (approved.len(), approval.required);
                let detail = format!("{count} of {required} approvals for {}{asked_of}.", short(to));
                say(State::AwaitingApproval, detail);
                return None;
            }
            evidence.push(self::evidence("approval", format!("approved by {}", approved.join(", "))));
        }
        match self.gates(to) {
            Ok(passed) => evidence.extend(passed),
            Err(why) => {
                say(State::Gated, format!("{} waits: {why}.", short(to)));
                return None;
            }
        }
        if let Some(why) = &self.place.frozen {
            say(State::Frozen, format!("{} waits: {why}.", short(to)));
            return None;
        }
        let clusters = match &pin.clusters {
            Some(clusters) if pin.revision.is_some() && !clusters.is_empty() => Some(clusters.clone()),
            _ => self.first_batch(),
        };
        let previous = if pin.clusters.is_some() { &pin.previous_revision } else { &pin.revision };
        let mut next = pin.clone();
        next.previous_revision.clone_from(previous);
        next.revision = Some(to.clone());
        next.clusters = clusters;
        self.track.settle(self.facts, self.number, to, &mut next);
        let excess = next.verdicts.len().saturating_sub(REJECTIONS_MAX);
        next.verdicts.drain(..excess);
        let moved = self.moved(Action::Promote, next, pin.revision.as_ref(), evidence);
        stage.detail = format!("{} enters.", short(to));
        Some(moved)
    }

    /// Why a revision may not follow the one that is here.
    fn step_back(&self, to: &Revision) -> Option<String> {
        let Some(position) = self.facts.position(to) else {
            return Some(format!("{} is not on the branch.", short(to)));
        };
        let pinned = self.place.pin.revision.as_ref()?;
        match self.facts.position(pinned) {
            Some(here) if here < position => None,
            Some(_) => Some(format!(
                "{} is older than {}, and a wave goes back only when somebody says so: roll it back.",
                short(to),
                short(pinned)
            )),
            None => Some(format!(
                "{} is here, which is not on the branch any more, so it is not known what is newer: promote or roll \
                 back by hand.",
                short(pinned)
            )),
        }
    }

    /// The next batch of a revision that is on its way through the wave.
    fn go_on(&self, stage: &mut Stage) -> Option<Move> {
        let pin = &self.place.pin;
        if !stage.tally.suffices() {
            return None;
        }
        let revision = pin.revision.as_ref()?;
        if let Some(why) = self.rejection(revision) {
            stage.state = State::Rejected;
            stage.detail = why;
            return None;
        }
        if let Some(why) = &self.place.frozen {
            stage.state = State::Frozen;
            stage.detail = format!("The next batch waits: {why}.");
            return None;
        }
        let mut evidence = vec![evidence("health", stage.tally.sentence())];
        match self.gates(revision) {
            Ok(passed) => evidence.extend(passed),
            Err(why) => {
                stage.state = State::Gated;
                stage.detail = format!("The next batch waits: {why}.");
                return None;
            }
        }
        let mut next = pin.clone();
        next.clusters = self.batch_after(stage.reached);
        Some(self.moved(Action::Extend, next, Some(revision), evidence))
    }

    /// A wave that is to undo by itself what it halted with.
    fn give_up(&self, stage: &Stage) -> Option<Move> {
        let (pin, wave) = (&self.place.pin, self.place.wave);
        let (bad, previous) = (pin.revision.as_ref()?, pin.previous_revision.as_ref()?);
        // What has proved itself long ago is not the cause.
        let trial = std::time::Duration::from(wave.timeout).saturating_add(wave.soak.into());
        let end = self.pinned_at().and_then(|at| at.checked_add(trial).ok());
        if wave.on_failure != OnFailure::Rollback || end.is_none_or(|end| self.now > end) {
            return None;
        }
        let mut next = pin.clone();
        next.verdicts.push(muster_spec::Verdict {
            revision: bad.clone(),
            verdict: Judgement::Rejected,
            author: "muster-hub".to_owned(),
            groups: Vec::new(),
            at: moment(self.now),
            reason: Some("spec.waves[].onFailure".to_owned()),
        });
        (next.revision, next.previous_revision, next.clusters) =
            (Some(previous.clone()), Some(bad.clone()), None);
        Some(self.moved(Action::Rollback, next, Some(bad), vec![evidence("health", stage.detail.clone())]))
    }

    fn first_batch(&self) -> Option<Vec<ClusterName>> {
        let first = *self.place.wave.batches.first()?;
        self.take(first.of(self.place.members.len()).max(1), &[])
    }

    fn batch_after(&self, reached: usize) -> Option<Vec<ClusterName>> {
        let total = self.place.members.len();
        let targets = self.place.wave.batches.iter().map(|batch| batch.of(total));
        let next = targets.filter(|target| *target > reached).min()?;
        self.take(next, self.place.pin.clusters.as_deref().unwrap_or_default())
    }

    /// So many clusters, those that have the revision first; `None` when that is all.
    fn take(&self, count: usize, having: &[ClusterName]) -> Option<Vec<ClusterName>> {
        let members = || self.place.members.iter().map(|member| &member.cluster);
        if count >= self.place.members.len() {
            return None;
        }
        let kept = members().filter(|cluster| having.contains(cluster));
        let new = members().filter(|cluster| !having.contains(cluster));
        let mut taken: Vec<ClusterName> = kept.chain(new).take(count).cloned().collect();
        taken.sort();
        Some(taken)
    }

    fn moved(
        &self,
        action: Action,
        mut pin: WavePinSpec,
        from: Option<&Revision>,
        evidence: Vec<Evidence>,
    ) -> Move {
        pin.pinned_at = Some(moment(self.now));
        pin.author = None;
        pin.reason = None;
        pin.evidence = evidence;
        let reached = self.reached(&pin.clusters).count();
        Move { action, from: from.cloned(), reached, clusters: self.place.members.len(), pin, author: None }
    }
}

fn empty(stage: &mut Stage) -> String {
    stage.state = State::Empty;
    stage.detail = format!("No cluster of {} has an app of the track.", stage.wave);
    stage.detail.clone()
}

fn paused(stage: &mut Stage, hold: &Note) {
    stage.state = State::Paused;
    let reason = hold.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    stage.detail = format!("Held by {} since {}{reason}.", hold.author, hold.at);
}

fn evidence(gate: &str, detail: String) -> Evidence {
    Evidence { gate: gate.to_owned(), detail }
}

fn evidence_of_soak(soak: Duration, well_for: Duration, since: Timestamp, urgent: bool) -> Evidence {
    let since = moment(since);
    let detail = match (soak.is_zero(), urgent && well_for < soak) {
        (true, _) => format!("none asked for, well since {since}"),
        (_, true) => format!("{well_for} of {soak}, well since {since}; not waited for"),
        _ => format!("{well_for} of {soak}, well since {since}"),
    };
    evidence("soak", detail)
}

/// A time as documents have it, to the second.
pub(super) fn moment(time: Timestamp) -> Moment {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    Moment::try_from(whole.to_string()).expect("a timestamp is written as RFC 3339 writes it")
}
