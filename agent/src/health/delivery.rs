//! Health of what rolls out step by step: Argo Rollouts and Flagger.
use serde_json::Value;

use super::Health;
use super::conditions::{brief, condition};
use crate::object::text;

/// The phase, with the message that goes with it.
fn phase<'a>(object: &'a Value, message: &str) -> (&'a str, String) {
    let phase = text(object, &["status", "phase"]);
    let said = match brief(message) {
        said if said.is_empty() => format!("Its phase is {phase}."),
        said => format!("{phase}: {said}"),
    };
    (phase, said)
}

/// Argo Rollouts writes what it makes of a Rollout into its status since version 1.0.
pub(super) fn rollout(object: &Value) -> Health {
    let (phase, said) = phase(object, text(object, &["status", "message"]));
    match phase {
        "Healthy" => Health::healthy(),
        "Degraded" => Health::degraded(said),
        "Paused" => Health::suspended(said),
        "" => Health::progressing("Argo Rollouts has not seen it yet."),
        _ => Health::progressing(said),
    }
}

/// AnalysisRuns and Experiments, which end by themselves.
pub(super) fn analysis(object: &Value) -> Health {
    let (phase, said) = phase(object, text(object, &["status", "message"]));
    match phase {
        "Successful" => Health::healthy(),
        "Failed" | "Error" | "Inconclusive" => Health::degraded(said),
        "" => Health::progressing("Argo Rollouts has not seen it yet."),
        _ => Health::running(said),
    }
}

/// Flagger's Canary: it rests as Initialized or Succeeded; some phases wait for somebody to say go on.
pub(super) fn canary(object: &Value) -> Health {
    let promoted = condition(object, "Promoted");
    let (phase, said) = phase(object, promoted.map_or("", |promoted| promoted.message));
    match phase {
        "Initialized" | "Succeeded" => Health::healthy(),
        "Failed" => Health::degraded(said),
        "Waiting" | "WaitingPromotion" => Health::suspended(said),
        "" => Health::progressing("Flagger has not seen it yet."),
        "Initializing" => Health::progressing(said),
        // A canary takes as long as its analysis, which Flagger itself limits.
        _ => Health::running(said),
    }
}
