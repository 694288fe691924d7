//! Promotion waves as the CLI shows and prints them.

use jiff::Timestamp;
use muster_wire::v1;
use serde::Serialize;

use crate::model::time;

/// Where every track stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waves {
    pub(crate) waves: Vec<String>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) head_revision: String,
    pub(crate) fetched_at: Option<Timestamp>,
    pub(crate) problems: Vec<String>,
    pub(crate) mismatches: Vec<Mismatch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Track {
    pub(crate) track: String,
    pub(crate) stages: Vec<Stage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stage {
    pub(crate) wave: String,
    pub(crate) state: State,
    pub(crate) revision: String,
    pub(crate) previous_revision: String,
    pub(crate) candidate_revision: String,
    pub(crate) detail: String,
    pub(crate) clusters: u32,
    pub(crate) reached: u32,
    pub(crate) well: u32,
}

/// A cluster that Git and the hub see differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mismatch {
    pub(crate) cluster: String,
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    Unknown,
    Empty,
    Current,
    Progressing,
    Soaking,
    Waiting,
    AwaitingApproval,
    Rejected,
    Refused,
    Gated,
    Frozen,
    Paused,
    Halted,
}

/// One change of one pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decision {
    pub(crate) commit: String,
    pub(crate) time: Option<Timestamp>,
    pub(crate) wave: String,
    pub(crate) track: String,
    pub(crate) action: String,
    pub(crate) from_revision: String,
    pub(crate) to_revision: String,
    pub(crate) reached: String,
    pub(crate) author: String,
    pub(crate) evidence: Vec<String>,
}

/// What was just decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Decided {
    pub(crate) commit: String,
    pub(crate) subject: String,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Unknown => "Unknown",
            State::Empty => "Empty",
            State::Current => "Current",
            State::Progressing => "Progressing",
            State::Soaking => "Soaking",
            State::Waiting => "Waiting",
            State::AwaitingApproval => "AwaitingApproval",
            State::Rejected => "Rejected",
            State::Refused => "Refused",
            State::Gated => "Gated",
            State::Frozen => "Frozen",
            State::Paused => "Paused",
            State::Halted => "Halted",
        }
    }
}

impl Waves {
    /// True when nothing halted and nothing keeps the hub from its work.
    pub(crate) fn well(&self) -> bool {
        let stages = self.tracks.iter().flat_map(|track| &track.stages);
        self.problems.is_empty()
            && stages.into_iter().all(|stage| !matches!(stage.state, State::Halted | State::Unknown))
    }
}

impl From<v1::StageState> for State {
    fn from(state: v1::StageState) -> Self {
        match state {
            v1::StageState::Unspecified => State::Unknown,
            v1::StageState::Empty => State::Empty,
            v1::StageState::Current => State::Current,
            v1::StageState::Progressing => State::Progressing,
            v1::StageState::Soaking => State::Soaking,
            v1::StageState::Waiting => State::Waiting,
            v1::StageState::AwaitingApproval => State::AwaitingApproval,
            v1::StageState::Rejected => State::Rejected,
            v1::StageState::Refused => State::Refused,
            v1::StageState::Gated => State::Gated,
            v1::StageState::Frozen => State::Frozen,
            v1::StageState::Paused => State::Paused,
            v1::StageState::Halted => State::Halted,
        }
    }
}

impl From<v1::GetWavesResponse> for Waves {
    fn from(waves: v1::GetWavesResponse) -> Self {
        let mismatch = |mismatch: v1::Mismatch| Mismatch { cluster: mismatch.cluster, what: mismatch.what };
        Waves {
            waves: waves.waves,
            tracks: waves.tracks.into_iter().map(Track::from).collect(),
            head_revision: waves.head_revision,
            fetched_at: time(waves.fetched_at.as_ref()),
            problems: waves.problems,
            mismatches: waves.mismatches.into_iter().map(mismatch).collect(),
        }
    }
}

impl From<v1::TrackStages> for Track {
    fn from(track: v1::TrackStages) -> Self {
        Track { track: track.track, stages: track.stages.into_iter().map(Stage::from).collect() }
    }
}

impl From<v1::Stage> for Stage {
    fn from(stage: v1::Stage) -> Self {
        Stage {
            state: stage.state().into(),
            wave: stage.wave,
            revision: stage.revision,
            previous_revision: stage.previous_revision,
            candidate_revision: stage.candidate_revision,
            detail: stage.detail,
            clusters: stage.clusters,
            reached: stage.reached,
            well: stage.well,
        }
    }
}

impl From<v1::Decision> for Decision {
    fn from(decision: v1::Decision) -> Self {
        Decision {
            time: time(decision.time.as_ref()),
            commit: decision.commit,
            wave: decision.wave,
            track: decision.track,
            action: decision.action,
            from_revision: decision.from_revision,
            to_revision: decision.to_revision,
            reached: decision.reached,
            author: decision.author,
            evidence: decision.evidence,
        }
    }
}
