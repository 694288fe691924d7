//! How do browsers and curl see the fleet?
//!
//! ```text
//! GET  /                           the dashboard: files that are part of the program
//! POST /api/SERVICE/METHOD         any method of muster.v1 for people, JSON in and out
//! GET  /api/SERVICE/METHOD         one that streams, as server-sent events; ?request=JSON
//! POST /api/session                a token for a cookie; DELETE forgets it
//! GET  /api/openapi.json           all of it, described
//! POST /hooks/git                  a Git server says that it has news
//! ```
//! A call goes through the same gate and the same services as one over gRPC, in this process: who may do what,
//! limits and the audit log are in one place. The descriptors of the protocol say how messages look in JSON
//! (the mapping of Protocol Buffers), so nothing here knows any method by name.

mod answer;
mod assets;
mod call;
mod hook;
mod listen;
mod openapi;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod transcode;

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

pub(crate) use self::hook::Hook;
pub use self::settings::{DashboardFlags, DashboardSettings};
use self::{
    answer::Refusal,
    call::Caller,
    listen::{Doors, Source},
    transcode::Methods,
};

/// Longest request body, in bytes: what the services take.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Streams to browsers at once.
const STREAMS_MAX: usize = 1_024;

/// The services behind the gate, as HTTP requests reach them.
pub(crate) type Grpc =
    BoxCloneSyncService<http::Request<Body>, http::Response<tonic::body::Body>, std::convert::Infallible>;

/// What every request needs.
struct Web {
    methods: Methods,
    openapi: Bytes,
    grpc: Grpc,
    streams: Arc<Semaphore>,
    hook: Option<Hook>,
    /// Whether cookies may only travel over TLS.
    is_secure: bool,
    stop: CancellationToken,
}

/// Something that listens, and what it does from then on.
pub(crate) struct Listening {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Serves until the hub stops.
    pub(crate) serve: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Begins to listen. Requests are answered once the result's `serve` runs.
///
/// # Errors
/// When the address is taken, or the certificate cannot be used.
pub(crate) async fn listen(
    settings: &DashboardSettings,
    grpc: Grpc,
    hook: Option<Hook>,
    stop: CancellationToken,
) -> io::Result<Listening> {
    let doors = Doors::open(settings, stop.clone()).await?;
    let address = doors.address();
    let methods = Methods::new();
    let web = Arc::new(Web {
        openapi: openapi::document(&methods).to_string().into(),
        methods,
        grpc,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        hook,
        is_secure: settings.tls.is_some(),
        stop: stop.clone(),
    });
    let serve = Box::pin(async move {
        let service = router(web).into_make_service_with_connect_info::<Source>();
        let serving = axum::serve(doors, service).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the dashboard is no longer served");
        }
    });
    Ok(Listening { address, serve })
}

fn router(web: Arc<Web>) -> Router {
    Router::new()
        .route("/api/openapi.json", get(describe))
        .route("/api/session", post(log_in).delete(log_out))
        .route("/api/{service}/{method}", post(unary).get(stream))
        .route("/hooks/git", post(hook::git).layer(DefaultBodyLimit::max(hook::BODY_BYTES_MAX)))
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::map_response(answer::with_headers))
        .with_state(web)
}

async fn describe(State(web): State<Arc<Web>>) -> Response {
    answer::json(StatusCode::OK, web.openapi.clone())
}

/// Who sends a request: by a header, or by the cookie of a page of ours.
fn caller(web: &Web, address: SocketAddr, headers: &HeaderMap) -> Result<Caller, Refusal> {
    if let Some(authorization) = headers.get(http::header::AUTHORIZATION) {
        return Ok(Caller { address, authorization: Some(authorization.clone()) });
    }
    let Some(token) = session::token(web.is_secure, headers) else {
        return Ok(Caller { address, authorization: None });
    };
    session::check_origin(headers)?;
    Ok(Caller { address, authorization: Some(session::bearer(&token)?) })
}

async fn unary(
    State(web): State<Arc<Web>>,
    ConnectInfo(Source(address)): ConnectInfo<Source>,
    Path((service, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    session::check_json(&headers)?;
    let caller = caller(&web, address, &headers)?;
    let method = web.methods.unary(&service, &method)?;
    let answer = call::unary(&web.grpc, &method, &caller, &body).await?;
    Ok(answer::json(StatusCode::OK, answer.into()))
}

async fn stream(
    State(web): State<Arc<Web>>,
    ConnectInfo(Source(address)): ConnectInfo<Source>,
    Path((service, method)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = caller(&web, address, &headers)?;
    let method = web.methods.stream(&service, &method)?;
    let place = Arc::clone(&web.streams).try_acquire_owned().map_err(|_| Refusal::busy())?;
    let request = transcode::request_in_query(query.as_deref().unwrap_or_default())?;
    let events = call::stream(&web.grpc, &method, &caller, request.as_bytes(), place).await?;
    Ok(answer::events(events, web.stop.clone().cancelled_owned()))
}

async fn log_in(
    State(web): State<Arc<Web>>,
    ConnectInfo(Source(address)): ConnectInfo<Source>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    session::check_json(&headers)?;
    session::check_origin(&headers)?;
    let token = session::token_in(&body)?;
    let caller = Caller { address, authorization: Some(session::bearer(&token)?) };
    let method = web.methods.unary("muster.v1.AccessService", "WhoAmI")?;
    let who = call::unary(&web.grpc, &method, &caller, b"{}").await?;
    let cookie = session::cookie(web.is_secure, &token);
    Ok(([(http::header::SET_COOKIE, cookie)], answer::json(StatusCode::OK, who.into())).into_response())
}

async fn log_out(State(web): State<Arc<Web>>, headers: HeaderMap) -> Result<Response, Refusal> {
    session::check_origin(&headers)?;
    let cookie = session::no_cookie(web.is_secure);
    Ok(([(http::header::SET_COOKIE, cookie)], answer::json(StatusCode::OK, "{}".into())).into_response())
}
