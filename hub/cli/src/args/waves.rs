//! What is decided about tracks in waves.

use std::path::PathBuf;

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
    /// Promotes images in place of a commit: the overlay of the wave --to gets those of the wave --from, as a commit
    #[arg(long, requires = "from", requires = "to", conflicts_with = "revision", help_heading = "Images")]
    pub(crate) images: bool,
    /// The wave whose images are taken
    #[arg(long, value_name = "WAVE", requires = "images", help_heading = "Images")]
    pub(crate) from: Option<String>,
    /// Only the image of this name; may be given several times
    #[arg(long, value_name = "NAME", requires = "images", help_heading = "Images")]
    pub(crate) image: Vec<String>,
    /// Shows what would change, and changes nothing
    #[arg(long, requires = "images", help_heading = "Images")]
    pub(crate) dry_run: bool,
    /// The branch that gets the commit: a new one, or one to go on with [default: promote/APP-to-WAVE]
    #[arg(long, value_name = "NAME", requires = "images", help_heading = "Images")]
    pub(crate) branch: Option<String>,
    /// Pushes the branch there
    #[arg(long, value_name = "REMOTE", requires = "images", num_args = 0..=1, default_missing_value = "origin", help_heading = "Images")]
    pub(crate) push: Option<String>,
    /// Root of the fleet's repository
    #[arg(long, value_name = "PATH", default_value = ".", help_heading = "Images")]
    pub(crate) dir: PathBuf,
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
