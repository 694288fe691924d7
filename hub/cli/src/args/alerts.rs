//! What is wrong, and who does not want to hear of it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AlertsArguments {
    /// Only what receivers are told of: neither pending nor resolved nor silenced
    #[arg(long)]
    pub(crate) firing: bool,
    #[command(subcommand)]
    pub(crate) command: Option<AlertsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Sends a test message to a receiver of alerts, and says whether it took it
    Test {
        /// Name of the receiver in the hub's config.yaml
        receiver: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SilenceCommand {
    /// Nobody is told of alerts for a while: of all for which everything holds that is given
    Add(SilenceArguments),
    /// All silences
    List,
    /// Ends a silence: what is wrong still is told then
    End {
        /// The silence's id, as `muster silence list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SilenceArguments {
    /// Of this kind, such as Degraded or OutOfSync
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// In these clusters: a name, or a pattern such as `edge-*`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) cluster: Option<String>,
    /// About these apps or tracks: a name, or a pattern
    #[arg(long, value_name = "PATTERN")]
    pub(crate) app: Option<String>,
    /// In these waves: a name, or a pattern
    #[arg(long, value_name = "PATTERN")]
    pub(crate) wave: Option<String>,
    /// For how long, up to 90d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasts: Duration,
    /// Why; it is kept with the silence, and in the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
