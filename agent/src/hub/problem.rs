//! Why is the agent not linked to the hub, and how soon is another try worth it?

use std::path::PathBuf;

use thiserror::Error;

/// What stands between the agent and the hub. None of these stops the agent: it goes on with Git.
#[derive(Debug, Error)]
pub(super) enum Problem {
    #[error("the address of the hub, `{address}`, is not HOST:PORT; correct --hub")]
    Address { address: String },
    #[error("cannot reach the hub at {hub}: {message}")]
    Unreachable { hub: String, message: String },
    /// This side does not trust the hub.
    #[error(
        "the hub at {hub} cannot be trusted: {message}; check --hub, or give a token of this hub in the \
         token file to enrol anew"
    )]
    HubNotTrusted { hub: String, message: String },
    /// The hub does not trust this side.
    #[error(
        "the hub at {hub} refuses this cluster's certificate: {message}; give a new token in the token file \
         (`muster token create {cluster}`) to enrol anew"
    )]
    CertificateRefused { hub: String, cluster: String, message: String },
    #[error(
        "cluster {cluster} cannot enrol, since {why}; put a token (`muster token create {cluster}`) in the \
         token file"
    )]
    NoToken { cluster: String, why: String },
    #[error("the token file {} cannot be read: {message}", path.display())]
    TokenFile { path: PathBuf, message: String },
    /// The hub says how to make one it takes.
    #[error("the hub at {hub} refuses the token in the token file for cluster {cluster}: {message}")]
    TokenRefused { hub: String, cluster: String, message: String },
    #[error("the hub at {hub} gave a certificate that is not as it should be: {message}")]
    BadCertificate { hub: String, message: String },
    #[error("the Secret {secret}, which holds this cluster's certificate, cannot be {verb}: {message}")]
    Secret { secret: String, verb: &'static str, message: String },
    #[error(
        "another agent has connected as cluster {cluster}; stop one of the two, or give it a name and token \
         of its own"
    )]
    Replaced { cluster: String },
    #[error("the hub at {hub} failed: {message}")]
    Failed { hub: String, message: String },
    #[error("a key could not be made: {0}")]
    Key(String),
}

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It may be over any moment.
    Soon,
    /// Somebody has to do something first.
    Slow,
}

impl Problem {
    /// How soon another try is worth it.
    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Unreachable { .. } | Self::Secret { .. } | Self::Failed { .. } | Self::Key(_) => Pace::Soon,
            Self::Address { .. }
            | Self::HubNotTrusted { .. }
            | Self::CertificateRefused { .. }
            | Self::NoToken { .. }
            | Self::TokenFile { .. }
            | Self::TokenRefused { .. }
            | Self::BadCertificate { .. }
            | Self::Replaced { .. } => Pace::Slow,
        }
    }

    /// True when a new token in the token file ends it at once.
    pub(super) fn is_over_with_a_token(&self) -> bool {
        let waits_for_one =
            matches!(self, Self::NoToken { .. } | Self::TokenFile { .. } | Self::TokenRefused { .. });
        waits_for_one || self.is_about_identity()
    }

    /// True when another certificate might help.
    pub(super) fn is_about_identity(&self) -> bool {
        matches!(self, Self::HubNotTrusted { .. } | Self::CertificateRefused { .. })
    }
}
