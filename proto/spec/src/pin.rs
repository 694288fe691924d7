//! What does a WavePin document say?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ClusterName, Metadata, Moment, PinName, Revision, TrackName, WaveName,
    path::{Check, Problems},
};

/// The revision a track runs in the clusters of a wave, and what people decided about it. Kept at
/// `waves/WAVE/TRACK.yaml` on the branch of pins; each change of it is a commit, and the log of that
/// file is the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct WavePin {
    /// The name of the pin, which is `WAVE.TRACK`.
    pub metadata: Metadata<PinName>,
    /// What is pinned.
    pub spec: WavePinSpec,
}

/// The fields under `spec` of the kind WavePin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct WavePinSpec {
    /// The wave.
    pub wave: WaveName,
    /// The track.
    pub track: TrackName,
    /// The commit of the fleet repository that the wave's clusters run. Without it those of the first
    /// wave follow the head of the branch, and all others stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The commit that this one replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<Revision>,
    /// While a revision comes to the wave in batches: the clusters that have it. The others stay at
    /// `previousRevision`. Without it all have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<ClusterName>>,
    /// When `revision`, or its last batch, was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Moment>,
    /// While this is here the hub moves nothing into the wave by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Note>,
    /// What people said about revisions that want to enter the wave. The last one of an author about a
    /// revision counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// Who pinned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What let the revision through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// Who decided something, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Note {
    /// Who.
    pub author: String,
    /// When.
    pub at: Moment,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a person said about a revision that wants to enter a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Verdict {
    /// The revision.
    pub revision: Revision,
    /// What they said.
    pub verdict: Judgement,
    /// Who says so.
    pub author: String,
    /// Groups they were in when they said so, of those that the wave asks for approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When.
    pub at: Moment,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What somebody says about a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "one of `approved`, `rejected`, `urgent`")]
pub enum Judgement {
    /// It may enter the wave.
    Approved,
    /// It may not enter the wave, whatever else speaks for it.
    Rejected,
    /// No wave waits for it to soak. It must be healthy all the same.
    Urgent,
}

/// Why a gate opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct Evidence {
    /// The gate: `health`, `soak`, `approval`, ...
    pub gate: String,
    /// What was seen, for people to read.
    pub detail: String,
}

impl Check for WavePin {
    fn check(&self, problems: &mut Problems) {
        let expected = format!("{}.{}", self.spec.wave, self.spec.track);
        if self.metadata.name.as_str() != expected {
            let message = format!("the name of this pin is `{expected}`, after its wave and track");
            problems.at(&["metadata".into(), "name".into()], message);
        }
        if self.spec.revision.is_none() && self.spec.clusters.is_some() {
            problems.at(&["spec".into(), "clusters".into()], "clusters have a revision only if there is one");
        }
    }
}

impl WavePinSpec {
    /// The pin of a wave and track about which nothing was decided yet.
    pub fn new(wave: WaveName, track: TrackName) -> WavePinSpec {
        WavePinSpec {
            wave,
            track,
            revision: None,
            previous_revision: None,
            clusters: None,
            pinned_at: None,
            hold: None,
            verdicts: Vec::new(),
            author: None,
            reason: None,
            evidence: Vec::new(),
        }
    }

    /// The revision a cluster of the wave runs; `None` when it stays as it is, or in the first wave follows
    /// the head.
    pub fn revision_of(&self, cluster: &ClusterName) -> Option<&Revision> {
        match &self.clusters {
            Some(clusters) if !clusters.contains(cluster) => self.previous_revision.as_ref(),
            _ => self.revision.as_ref(),
        }
    }
}
