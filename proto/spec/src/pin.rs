//! What does a WavePin document say?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    GitReference, Metadata, PinName, RepositoryUrl, Revision, TrackName, WaveName,
    path::{Check, Problems},
};

/// The revision a track runs in the clusters of a wave. Kept at `waves/WAVE/TRACK.yaml` on the
/// branch of pins; each change of it is a commit, and the log of that file is the history.
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
    /// The commit of the fleet repository that the wave's clusters run.
    pub revision: Revision,
    /// The commit that this one replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<Revision>,
    /// What the references of other repositories meant when the revision was pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<PinnedSource>,
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

/// The revision of another repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub struct PinnedSource {
    /// The repository.
    pub repo: RepositoryUrl,
    /// The reference an app asked for; its default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "ref")]
    pub reference: Option<GitReference>,
    /// The commit it was.
    pub revision: Revision,
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
        for (index, source) in self.spec.sources.iter().enumerate() {
            let same =
                |other: &&PinnedSource| (&other.repo, &other.reference) == (&source.repo, &source.reference);
            if self.spec.sources[..index].iter().any(|other| same(&other)) {
                problems.at(&["spec".into(), "sources".into(), index.into()], "this source is listed twice");
            }
        }
    }
}
