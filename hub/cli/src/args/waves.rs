//! What is decided about tracks in waves.

use clap::Args;

/// What is decided about a track.
#[derive(Debug, Args)]
pub(crate) struct VerdictArguments {
    /// The track: the name of an app, unless apps share one
    pub(crate) track: String,
    /// The wave; without it the one that something waits for
    #[arg(long, value_name = "NAME")]
    pub(crate) wave: Option<String>,
    /// The commit; without it the one that waits
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    /// The track: the name of an app, unless apps share one
    pub(crate) track: String,
    /// The wave; without it all
    #[arg(long, value_name = "NAME")]
    pub(crate) wave: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArguments {
    /// The track: the name of an app, unless apps share one
    pub(crate) track: String,
    /// The commit; without it the one of the wave before
    pub(crate) revision: Option<String>,
    /// The wave; without it the first that lacks what the one before has
    #[arg(long, value_name = "WAVE")]
    pub(crate) to: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// The track: the name of an app, unless apps share one
    pub(crate) track: String,
    /// Only in this wave
    #[arg(long, value_name = "NAME")]
    pub(crate) wave: Option<String>,
    /// The commit to go back to; without it the one before
    #[arg(long, value_name = "REV")]
    pub(crate) to: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HotfixArguments {
    /// The commit
    pub(crate) revision: String,
    /// Only for this track; without it for all that the commit changes
    #[arg(long, value_name = "NAME")]
    pub(crate) track: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
