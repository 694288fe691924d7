//! Promotion: looks at waves, decides about them, tells what was decided.

use std::time::Duration;

use jiff::Timestamp;
use muster_wire::v1::{DecideRequest, DecisionVerb};
use serde::Serialize;

use super::{Verdict, is_since};
use crate::{
    args::Command,
    failure::Failure,
    hub::Hub,
    output::{Printer, write},
    show,
    text::{Page, clean},
    waves::Decision,
};

#[derive(Serialize)]
struct Decisions<'a> {
    time: Timestamp,
    decisions: &'a [Decision],
}

pub(super) async fn show(
    hub: &mut Hub,
    printer: Printer,
    track: Option<&str>,
    explain: bool,
) -> Result<Verdict, Failure> {
    let waves = hub.waves(track).await?;
    let time = Timestamp::now();
    printer.print(&waves, |screen| show::waves(&waves, explain, time, screen))?;
    Ok(Verdict::of(waves.well()))
}

pub(super) async fn history(
    hub: &mut Hub,
    printer: Printer,
    (track, wave): (Option<&str>, Option<&str>),
    since: Option<Duration>,
    limit: u32,
) -> Result<Verdict, Failure> {
    let mut decisions = hub.decisions(track, wave, limit).await?;
    let time = Timestamp::now();
    decisions.retain(|decision| is_since(decision.time, since, time));
    printer.print(&Decisions { time, decisions: &decisions }, |screen| {
        show::decisions(&decisions, time, screen)
    })?;
    Ok(Verdict::Well)
}

/// Decides, and says with which commit.
pub(super) async fn decide(hub: &mut Hub, printer: Printer, command: Command) -> Result<Verdict, Failure> {
    let Some(request) = request(command) else { return Ok(Verdict::Well) };
    let decided = hub.decide(request).await?;
    if printer.is_for_people() {
        write(&format!(
            "{}\n",
            clean(&format!("{}  {}", crate::model::short(&decided.commit), decided.subject))
        ))?;
    } else {
        printer.print(&decided, |_| Page::new())?;
    }
    Ok(Verdict::Well)
}

/// What a command asks the hub for; `None` for a command that decides nothing.
fn request(command: Command) -> Option<DecideRequest> {
    let (verb, track, wave, revision, reason) = match command {
        Command::Promote(of) => (DecisionVerb::Promote, Some(of.track), of.to, of.revision, of.reason),
        Command::Approve(of) => (DecisionVerb::Approve, Some(of.track), of.wave, of.revision, of.reason),
        Command::Reject(of) => (DecisionVerb::Reject, Some(of.track), of.wave, of.revision, of.reason),
        Command::Pause(of) => (DecisionVerb::Pause, Some(of.track), of.wave, None, of.reason),
        Command::Resume(of) => (DecisionVerb::Resume, Some(of.track), of.wave, None, of.reason),
        Command::Rollback(of) => (DecisionVerb::Rollback, Some(of.track), of.wave, of.to, of.reason),
        Command::Hotfix(of) => (DecisionVerb::Hotfix, of.track, None, Some(of.revision), Some(of.reason)),
        _ => return None,
    };
    Some(DecideRequest {
        verb: verb.into(),
        track: track.unwrap_or_default(),
        wave: wave.unwrap_or_default(),
        revision: revision.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
    })
}
