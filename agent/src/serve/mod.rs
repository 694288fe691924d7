//! What can be asked of a running agent over HTTP?
//!
//! `/healthz`, `/readyz` and `/metrics`, on one port, read only. Nothing in them is secret, and nothing
//! can be changed by them.
mod standing;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use standing::{BEAT_EVERY, Standing};

use crate::metrics::Metrics;

/// Connections served at the same time; others wait to be accepted. A kubelet and two Prometheus servers
/// need three.
const CONNECTIONS_MAX: usize = 32;

/// How long a request and its answer may take together.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest request head read, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Wait after a connection could not be accepted: usually all file descriptors are in use.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Takes the port. An address without a host, such as `:8080`, is all addresses of this machine.
///
/// # Errors
/// A sentence: the address makes no sense, or cannot be had.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, String> {
    let wrong = |error: std::io::Error| format!("The setting `listen`: {address} cannot be used: {error}");
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await.map_err(wrong);
    };
    let port: u16 =
        port.parse().map_err(|_| format!("The setting `listen`: `{address}` has no port number"))?;
    // One socket serves both families where the kernel has IPv6.
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await.map_err(wrong),
    }
}

/// Answers until its task is aborted.
pub(crate) async fn run(listener: TcpListener, standing: Standing, metrics: Metrics) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (standing, metrics) = (standing.clone(), metrics.clone());
                connections.spawn(async move {
                    serve(stream, standing, metrics).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "A connection to the port of `listen` could not be accepted.");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, standing: Standing, metrics: Metrics) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &standing, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that sends nonsense or goes away is no concern of ours.
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

fn answer(method: &Method, path: &str, standing: &Standing, metrics: &Metrics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Only GET is answered here.\n".to_owned());
    }
    match path {
        "/healthz" => check(standing.live()),
        "/readyz" => check(standing.ready()),
        "/metrics" => match metrics.encode() {
            Ok(text) => response(StatusCode::OK, muster_metrics::CONTENT_TYPE, text),
            Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        _ => {
            let message = "There are /healthz, /readyz and /metrics.\n".to_owned();
            response(StatusCode::NOT_FOUND, TEXT, message)
        }
    }
}

fn check(result: Result<&str, &str>) -> Response<Full<Bytes>> {
    let (status, text) = match result {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    response(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Leadership;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn the_three_pages_are_served_and_nothing_else() {
        let (leadership, led) = tokio::sync::watch::channel(Leadership::Unknown);
        let standing = Standing::new(led);
        let metrics = Metrics::new(standing.clone());
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(run(listener, standing, metrics));
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(ask(address, &get("/readyz")).await.starts_with("HTTP/1.1 503"));
        leadership.send_replace(Leadership::Standby { leader: "other".to_owned() });
        assert!(ask(address, &get("/readyz")).await.ends_with("standby\n"));
        assert!(ask(address, &get("/healthz")).await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, &get("/metrics")).await.contains("muster_agent_leader 0"));
        assert!(ask(address, &get("/")).await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        server.abort();
    }

    #[tokio::test]
    async fn an_address_may_leave_the_host_out_and_not_the_port() {
        assert!(bind(":0").await.unwrap().local_addr().unwrap().ip().is_unspecified());
        assert!(bind(":http").await.unwrap_err().contains("no port number"));
        assert!(bind("nowhere").await.unwrap_err().contains("`listen`"));
    }
}
