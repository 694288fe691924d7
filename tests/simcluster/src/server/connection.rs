//! What happens on one connection, and on the listener that takes them?

use crate::api::{self, Answer, BODY_BYTES_MAX, Reply, Request, Watch};
use crate::cluster::Shared;
use crate::status::Failure;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// How long a client may take over its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Lines a watch may be ahead of its client before it waits: a few, since history keeps the rest.
const LINES_AHEAD: usize = 16;

/// Counts up to cut all connections that are open.
pub(crate) type Connections = watch::Sender<u64>;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Takes connections until the task is aborted; all connections end with it.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let acceptor = TlsAcceptor::from(shared.authority.server.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), shared.clone()));
                }
                // Out of file descriptors, most likely: they come back as connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    // Small answers are not to wait for more to come.
    let _ = stream.set_nodelay(true);
    let mut cut = shared.connections.subscribe();
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let service = hyper::service::service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = serving => {}
        _ = cut.changed() => {}
    }
}

async fn respond(shared: &Arc<Shared>, request: http::Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let header = |name: header::HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let token = header(header::AUTHORIZATION);
    let Some(user) = token.strip_prefix("Bearer ").and_then(|token| shared.user_of(token)) else {
        return reply(Failure::unauthorized().into());
    };
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return reply(Failure::too_large(BODY_BYTES_MAX).into());
    };
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: decoded(parts.uri.path()),
        query: query(parts.uri.query().unwrap_or_default()),
        user,
        user_agent: header(header::USER_AGENT),
        content_type: header(header::CONTENT_TYPE),
        accept: header(header::ACCEPT),
        body: body.to_bytes(),
    };
    let answer = {
        let mut state = shared.lock();
        let before = state.store.version();
        let answer = api::handle(&mut state, &request, Timestamp::now());
        let after = state.store.version();
        drop(state);
        if before != after {
            shared.changed();
        }
        answer
    };
    match answer {
        Answer::Reply(answer) => reply(answer),
        Answer::Watch(watch) => stream(shared, *watch),
    }
}

fn reply(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Full::new(reply.body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(reply.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&reply.content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    for warning in reply.warnings {
        let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(header::WARNING, value);
        }
    }
    if let Some(seconds) = reply.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Sends a watch's lines until it ends or its client goes: then the channel's receiver is gone, and so is the task.
fn stream(shared: &Arc<Shared>, watch: Watch) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(feed(shared.clone(), watch, sender));
    let body = StreamBody::new(tokio_stream::StreamExt::map(ReceiverStream::new(receiver), |line| {
        Ok::<_, Infallible>(Frame::data(line))
    }));
    let mut response = Response::new(BodyExt::boxed_unsync(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn feed(shared: Arc<Shared>, mut watch: Watch, sender: mpsc::Sender<Bytes>) {
    let mut changes = shared.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let now = Timestamp::now();
        let poll = watch.poll(&shared.lock(), now);
        for line in poll.lines {
            if sender.send(line).await.is_err() {
                return;
            }
        }
        if poll.ended {
            return;
        }
        let wait = poll.again_at.map_or(Duration::from_secs(1), |due| until(due, now));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
            () = sender.closed() => return,
        }
    }
}

/// The time from now until `due`.
pub(crate) fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO)
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Resolves percent escapes; malformed ones stay as they are.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escape = bytes.get(index + 1..index + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[index], escape.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                result.push(byte);
                index += 3;
            }
            (byte, _) => {
                result.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&result).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decoded, query};

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(decoded("a%20b%2Fc%zz%4"), "a b/c%zz%4");
        let parsed = query("labelSelector=app+in+%28a%2Cb%29&watch=1&limit");
        assert_eq!(parsed["labelSelector"], "app in (a,b)");
        assert_eq!(parsed["watch"], "1");
        assert_eq!(parsed["limit"], "");
    }
}
