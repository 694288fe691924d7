//! Hubs in the config file, and as whom they are asked.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// All of them
    List,
    /// Makes one the one that is meant where none is named
    Use {
        /// Its name
        name: String,
    },
    /// Adds one, or puts another in its place
    Add {
        /// Its name
        name: String,
        /// An operator.yaml, as `muster-hub init` and `muster-hub operator` write it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Certificate of the hub's CA, with --hub, to log in afterwards
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        ca: Option<PathBuf>,
    },
    /// Takes one out
    Remove {
        /// Its name
        name: String,
    },
}

/// Where the token comes from; without anything from standard input.
#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// File with a user token, or an ID token
    #[arg(long, value_name = "FILE", conflicts_with = "issuer")]
    pub(crate) token_file: Option<PathBuf>,
    /// An OpenID Connect issuer: a code is to be confirmed in a browser, on this machine or another
    #[arg(long, value_name = "URL", requires = "client_id")]
    pub(crate) issuer: Option<String>,
    /// As whom the issuer knows this program
    #[arg(long, value_name = "ID", requires = "issuer")]
    pub(crate) client_id: Option<String>,
    /// Certificates to trust for the issuer, in place of the system's
    #[arg(long, value_name = "FILE", requires = "issuer")]
    pub(crate) issuer_ca: Option<PathBuf>,
}
