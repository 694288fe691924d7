//! How does every call come before the gate? As a layer around all services.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty};

use super::Gate;
use crate::{audit::Entry, listener::Peer, traces};

/// Longest request that is read although it is refused, in bytes; and for how long.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
const DRAIN_MAX: Duration = Duration::from_millis(100);

/// Puts a [`Gate`] before a service.
#[derive(Clone)]
pub(crate) struct GuardLayer(pub(crate) Arc<Gate>);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { gate: Arc::clone(&self.0), inner }
    }
}

/// A service with a [`Gate`] before it.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Guard<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Buf, Error: Send> + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // The one that is ready serves this call; its copy gets ready for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let gate = Arc::clone(&self.gate);
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let span = tracing::debug_span!("call", otel.name = method, otel.kind = "server", actor = Empty);
        traces::follow(&span, request.headers());
        let call = async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let path = request.uri().path().to_owned();
            match gate.admit(&path, peer.as_ref(), request.headers()).await {
                Ok(admitted) => {
                    Span::current().record("actor", admitted.principal.actor());
                    // Whoever looks for a token in a log or an error must not find one.
                    request.headers_mut().remove(http::header::AUTHORIZATION);
                    request.extensions_mut().insert(admitted);
                    let asked_at = Instant::now();
                    let answer = inner.call(request).await;
                    gate.metrics.answered(path.trim_start_matches('/'), asked_at.elapsed());
                    answer
                }
                Err(refused) => {
                    let source =
                        peer.map(|peer| peer.address().ip().to_canonical().to_string()).unwrap_or_default();
                    let action = path.trim_start_matches('/').to_owned();
                    let (actor, result) = (refused.actor.clone(), refused.reason.to_owned());
                    let detail = refused.status.message().to_owned();
                    gate.refused(Entry { actor, source, action, target: String::new(), result, detail })
                        .await;
                    let _ = timeout(DRAIN_MAX, drain(request.into_body())).await;
                    Ok(refused.into_status().into_http())
                }
            }
        };
        Box::pin(call.instrument(span))
    }
}

/// Reads what there is of a request that is refused. One that is answered before it was read is reset, and a
/// connection with many resets is cut (as a defence, RFC 9113 10.5): with it the other calls on it.
async fn drain<B: http_body::Body<Data: Buf>>(body: B) {
    let mut body = std::pin::pin!(body);
    let mut left = DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Buf::remaining));
        if left == 0 {
            return;
        }
    }
}
