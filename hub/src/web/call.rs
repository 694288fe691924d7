//! How does a request reach a service?

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use bytes::{Buf as _, Bytes};
use futures::{Stream, stream};
use http_body_util::BodyExt as _;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tower::ServiceExt as _;

use super::{
    Grpc,
    answer::Refusal,
    transcode::{self, Frames},
};
use crate::listener::Peer;

/// Who calls.
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    pub(super) authorization: Option<HeaderValue>,
}

/// A method that answers once. The answer is JSON.
pub(super) async fn unary(
    grpc: &Grpc,
    method: &MethodDescriptor,
    caller: &Caller,
    json: &[u8],
) -> Result<String, Refusal> {
    let mut answer = Answer::to(grpc, method, caller, json).await?;
    let message = answer.next().await?;
    // A message alone is not enough: what follows may say that it all failed.
    while answer.next().await?.is_some() {}
    transcode::json(method.output(), message.unwrap_or_default())
}

/// A method that answers again and again, each time with JSON.
pub(super) async fn stream(
    grpc: &Grpc,
    method: &MethodDescriptor,
    caller: &Caller,
    json: &[u8],
    place: OwnedSemaphorePermit,
) -> Result<impl Stream<Item = Result<String, Refusal>> + Send + use<>, Refusal> {
    let answer = Answer::to(grpc, method, caller, json).await?;
    let state = Some((answer, method.output(), place));
    Ok(stream::unfold(state, |state| async {
        let (mut answer, kind, place) = state?;
        match answer.told(&kind).await {
            Ok(None) => None,
            Ok(Some(json)) => Some((Ok(json), Some((answer, kind, place)))),
            Err(refusal) => Some((Err(refusal), None)),
        }
    }))
}

/// What a service says.
struct Answer {
    body: tonic::body::Body,
    frames: Frames,
    is_over: bool,
}

impl Answer {
    async fn to(
        grpc: &Grpc,
        method: &MethodDescriptor,
        caller: &Caller,
        json: &[u8],
    ) -> Result<Self, Refusal> {
        let frame = transcode::frame(method.input(), json)?;
        let mut request = Request::post(transcode::path(method))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Body::from(frame))
            .map_err(|error| Refusal::internal(error.to_string()))?;
        if let Some(authorization) = &caller.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        request.extensions_mut().insert(Peer::without_certificate(caller.address));
        let response = match grpc.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        check(response.headers())?;
        Ok(Self { body: response.into_body(), frames: Frames::default(), is_over: false })
    }

    /// The next message, or the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(message) = self.frames.next()? {
                return Ok(Some(message));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.body.frame().await {
                None => self.is_over = true,
                Some(Err(status)) => return Err(status.into()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        let bytes = data.copy_to_bytes(data.remaining());
                        self.frames.add(&bytes);
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            check(&trailers)?;
                        }
                    }
                },
            }
        }
    }

    async fn told(&mut self, kind: &MessageDescriptor) -> Result<Option<String>, Refusal> {
        match self.next().await? {
            None => Ok(None),
            Some(message) => transcode::json(kind.clone(), message).map(Some),
        }
    }
}

/// Fails if the headers or trailers say that the call did.
fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status.into()),
        _ => Ok(()),
    }
}
