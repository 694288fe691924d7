//! What of the waves is to be told?

use std::sync::Arc;

use super::{AlertKey, AlertKind, Conditions, Reading, Subject};
use crate::{
    repository::Picture,
    waves::{Stage, State},
};

/// Adds what is wrong with waves and with the repository, and what that says about alerts. `None` where the hub
/// follows none.
pub(crate) fn add(conditions: &mut Conditions, picture: Option<&Picture>) {
    let Some(picture) = picture else {
        conditions.reading = Some(Arc::new(Reading::nothing()));
        return;
    };
    conditions.reading.clone_from(&picture.alerts);
    conditions.is_early = picture.head.is_none() && picture.problems.is_empty();
    if !picture.problems.is_empty() {
        let key = AlertKey { kind: AlertKind::GitFailing, subject: Subject::Git };
        conditions.seen.insert(key, (picture.problems.join(" "), String::new()));
    }
    // Before the first look it is not known what became of those that are known.
    conditions.waves_unknown = picture.head.is_none();
    for outlook in &picture.outlooks {
        for stage in &outlook.stages {
            if let Some(kind) = wrong(stage) {
                let subject = Subject::Stage(stage.wave.clone(), outlook.track.clone());
                let revision = stage.candidate.as_ref().filter(|_| kind != AlertKind::PromotionHalted);
                let revision = revision.or(stage.revision.as_ref()).map(ToString::to_string);
                let said = (stage.detail.clone(), revision.unwrap_or_default());
                conditions.seen.insert(AlertKey { kind, subject }, said);
            }
        }
    }
}

fn wrong(stage: &Stage) -> Option<AlertKind> {
    match stage.state {
        State::Halted => Some(AlertKind::PromotionHalted),
        State::Gated | State::Refused => Some(AlertKind::PromotionStalled),
        State::AwaitingApproval => Some(AlertKind::ApprovalWaiting),
        _ => None,
    }
}
