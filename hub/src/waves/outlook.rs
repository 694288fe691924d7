//! Where does a track stand, wave by wave?

use muster_spec::{Revision, TrackName, WaveName};

use super::Tally;

/// Where a track stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Which.
    pub track: TrackName,
    /// One for each wave.
    pub stages: Vec<Stage>,
}

/// Where a track stands in one wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub wave: WaveName,
    /// What its clusters run, or are to run.
    pub revision: Option<Revision>,
    /// What the clusters ran before, and those outside of the first batches still run.
    pub previous: Option<Revision>,
    /// What wants to enter.
    pub candidate: Option<Revision>,
    /// What it does or waits for.
    pub state: State,
    /// A sentence that says more.
    pub detail: String,
    /// How the clusters fare that have the revision.
    pub tally: Tally,
    /// Clusters that are to have the revision at the moment.
    pub reached: usize,
    /// Clusters of the wave with apps of the track.
    pub clusters: usize,
}

/// What a track does in a wave, or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No cluster of the wave has an app of the track.
    Empty,
    /// It is well, and has proved itself.
    Current,
    /// Its clusters become Synced and Healthy.
    Progressing,
    /// They are, and have to stay so for a while.
    Soaking,
    /// Nothing has come from the wave before yet.
    Waiting,
    /// What wants to enter needs somebody's approval.
    AwaitingApproval,
    /// What wants to enter was rejected.
    Rejected,
    /// What wants to enter would be a step back, or is not on the branch.
    Refused,
    /// A gate has not let it pass.
    Gated,
    /// No change is made at this time.
    Frozen,
    /// Somebody holds it.
    Paused,
    /// Too many clusters failed, or it took too long.
    Halted,
}

impl State {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Current => "Current",
            Self::Progressing => "Progressing",
            Self::Soaking => "Soaking",
            Self::Waiting => "Waiting",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Rejected => "Rejected",
            Self::Refused => "Refused",
            Self::Gated => "Gated",
            Self::Frozen => "Frozen",
            Self::Paused => "Paused",
            Self::Halted => "Halted",
        }
    }
}
