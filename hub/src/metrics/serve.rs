//! Who may ask for metrics and probes, and what is answered?
//!
//! Whoever reaches the port: there is nothing secret in them, and nothing can be changed by them.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{Metrics, standing::Snapshot};
use crate::service::Hub;

#[derive(Clone)]
struct Asked {
    hub: Arc<Hub>,
    metrics: Metrics,
    /// False while the store cannot be written.
    writable: watch::Receiver<bool>,
}

/// Listens. Gives where, and what answers until `stop`.
///
/// # Errors
/// When the address cannot be had.
pub(crate) async fn listen(
    address: SocketAddr,
    hub: Arc<Hub>,
    metrics: Metrics,
    writable: watch::Receiver<bool>,
    stop: CancellationToken,
) -> io::Result<(SocketAddr, impl Future<Output = ()> + Send + 'static)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/healthz", get(async || "the process works\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .fallback(async || (StatusCode::NOT_FOUND, "There are /healthz, /readyz and /metrics.\n"))
        .with_state(Asked { hub, metrics, writable });
    let serve = async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "metrics and probes are no longer served");
        }
    };
    Ok((address, serve))
}

/// Whether calls are worth while.
async fn ready(State(asked): State<Asked>) -> Response {
    if asked.hub.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the hub stops\n").into_response();
    }
    if !*asked.writable.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written\n").into_response();
    }
    let role = if *asked.hub.leader.borrow() { "leading\n" } else { "serving; another hub leads\n" };
    role.into_response()
}

async fn scrape(State(asked): State<Asked>) -> Response {
    let hub = &asked.hub;
    let (counts, alerts) = {
        let fleet = hub.fleet.read().await;
        (fleet.state.counts(), fleet.alerts.counts())
    };
    let snapshot = Snapshot {
        leads: *hub.leader.borrow(),
        writable: *asked.writable.borrow(),
        streams: hub.streams.count(),
        fleet: counts,
        alerts,
        picture: hub.promotion.as_ref().map(|promotion| promotion.picture()),
    };
    match asked.metrics.encode(snapshot) {
        Ok(text) => ([(header::CONTENT_TYPE, muster_metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
