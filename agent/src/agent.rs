//! What runs when, and what ends what?
//!
//! ```text
//! run: election for as long as the process lives
//!   term: while this agent leads --> poller, reconciler, link to the hub
//! ```
//!
//! Everything a term has learnt ends with it: a later term starts from the cluster again.
use std::sync::Arc;
use std::time::Duration;

use muster_wire::v1::ClusterStatus;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Fence};
use crate::config::Config;
use crate::hub::{self, HubConfig};
use crate::identity::Identity;
use crate::lease::{Election, Leadership};
use crate::metrics::Metrics;
use crate::object::text;
use crate::reconcile::Reconciler;
use crate::report::Reports;
use crate::serve::{self, Standing};
use crate::source::{Poller, PollerConfig};

/// Snapshots waiting for the reconciler: it takes each at once, and the newest is what counts.
const UPDATES_MAX: usize = 1;

/// How long the API server may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the agent until `stop`, then lets go of the Lease.
///
/// # Errors
/// A sentence: the port cannot be had.
pub(crate) async fn run(
    config: Config,
    client: kube::Client,
    identity: Identity,
    stop: CancellationToken,
) -> Result<(), String> {
    let (leadership, mut led) = watch::channel(Leadership::Unknown);
    let standing = Standing::new(led.clone());
    let metrics = Metrics::new(standing.clone());
    let server = match &config.listen {
        Some(address) => {
            let listener = serve::bind(address).await?;
            Some(tokio::spawn(serve::run(listener, standing.clone(), metrics.clone())))
        }
        None => None,
    };
    let fence = Fence::closed();
    let api = Api::new(client.clone(), fence.clone(), metrics);
    // The Lease is let go last, when nothing is written any more.
    let release = CancellationToken::new();
    let election =
        Election::new(api.clone(), fence, config.namespace.clone(), identity.name.clone(), leadership);
    let election = tokio::spawn(election.run(release.clone()));
    while !stop.is_cancelled() {
        let leading = led.borrow_and_update().clone() == Leadership::Leading;
        if leading {
            let over = stop.child_token();
            let term = term(&config, &api, &client, &identity.name, &standing, over.clone());
            tokio::pin!(term);
            tokio::select! {
                () = &mut term => {}
                _ = led.wait_for(|state| *state != Leadership::Leading) => {
                    over.cancel();
                    term.await;
                }
            }
        } else {
            tokio::select! {
                changed = led.changed() => if changed.is_err() { break },
                () = stop.cancelled() => {}
            }
        }
    }
    release.cancel();
    if let Err(error) = election.await {
        tracing::error!(%error, "The election ended in an unexpected way.");
    }
    if let Some(server) = server {
        server.abort();
    }
    Ok(())
}

/// One time of leading, until `over`.
async fn term(
    config: &Config,
    api: &Api,
    client: &kube::Client,
    identity: &str,
    standing: &Standing,
    over: CancellationToken,
) {
    let reports = Reports::new();
    standing.begin(reports.clone());
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let hints = Arc::new(Notify::new());
    let poller = Poller::new(
        PollerConfig {
            remote: config.remote.clone(),
            directory: config.data_dir.join("git"),
            branches: config.branches.clone(),
            cluster: config.cluster.clone(),
            interval: config.interval,
            metrics: api.metrics().clone(),
            hints: Arc::clone(&hints),
        },
        sender,
    );
    let poller = tokio::spawn(poller.run());
    let link = config.hub.clone().map(|address| {
        let hub = HubConfig {
            address,
            cluster: config.cluster.to_string(),
            token_file: config.token_file.clone(),
            namespace: config.namespace.clone(),
        };
        tokio::spawn(hub::run(hub, reports.clone(), hints, client.clone(), over.clone()))
    });
    let cluster = ClusterStatus {
        kubernetes_version: version(api).await,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        leader: identity.to_owned(),
        repository: config.remote.url.to_string(),
        ..ClusterStatus::default()
    };
    let reconciler = Reconciler {
        api: api.clone(),
        home: config.namespace.clone(),
        reach: config.reach.clone(),
        full_check_interval: config.full_check_interval,
        reports,
        standing: standing.clone(),
        cluster,
    };
    reconciler.run(updates, over).await;
    standing.end();
    poller.abort();
    // Aborted, or ended by its own: either way it is over.
    let _ = poller.await;
    if let Some(link) = link
        && let Err(error) = link.await
    {
        tracing::error!(%error, "The link to the hub ended in an unexpected way.");
    }
}

/// The API server's version; empty when it does not say.
async fn version(api: &Api) -> String {
    let asked = tokio::time::timeout(VERSION_TIMEOUT, api.get_path("/version")).await;
    match asked {
        Ok(Ok(version)) => text(&version, &["gitVersion"]).to_owned(),
        _ => String::new(),
    }
}
