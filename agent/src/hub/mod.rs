//! The link to the hub: how does the rest of the fleet hear of this cluster?
//!
//! ```text
//! Secret or token --Session--> identity --connect--> stream --Link (decides)--> messages
//!                                 ^-- renew at two thirds of its life --'
//! ```
//!
//! The agent never waits for any of this: it writes on the board of [`Reports`], and the link tells the
//! hub what is on it whenever there is a hub. Nothing the hub sends can change what is applied: it may say that Git has news, and Git alone
//! says which.

mod connect;
mod enrol;
mod identity;
mod link;
mod pin;
mod problem;
mod retry;
mod secret;
mod session;
mod size;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::report::Reports;

/// What the link needs to know.
#[derive(Clone, Debug)]
pub(crate) struct HubConfig {
    /// `HOST:PORT` of the hub.
    pub(crate) address: String,
    /// Name of this cluster; the certificate must name the same.
    pub(crate) cluster: String,
    /// File with the enrolment token, read anew whenever one is needed. Once enrolled none is.
    pub(crate) token_file: Option<PathBuf>,
    /// Namespace of the agent, where the Secret with the identity is kept.
    pub(crate) namespace: String,
}

/// Links the agent to its hub until `shutdown`; `hints` is told when the hub says that Git has news. It never fails: whatever is wrong is logged once for
/// each cause, and tried again for ever.
pub(crate) async fn run(
    config: HubConfig,
    reports: Reports,
    hints: Arc<Notify>,
    client: kube::Client,
    shutdown: CancellationToken,
) {
    session::Session::new(config, reports, hints, client).run(&shutdown).await;
}
