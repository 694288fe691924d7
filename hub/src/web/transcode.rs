//! How does JSON become a message, and a message JSON?
//!
//! By the descriptors of the protocol, with the JSON mapping of Protocol Buffers: names in camel case, enums by name,
//! 64-bit integers as text, bytes as base64, fields with their default left out.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use muster_wire::{DESCRIPTORS, MESSAGE_BYTES_MAX};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions};

use super::answer::Refusal;

/// The package whose services are served.
const PACKAGE: &str = "muster.v1";
/// The services of agents, which speak gRPC.
const NOT_SERVED: [&str; 2] = ["AgentService", "EnrollmentService"];
/// Bytes before each message in gRPC: whether it is compressed, and its length.
const FRAME_HEAD: usize = 5;

/// The methods that can be called.
pub(super) struct Methods(BTreeMap<String, MethodDescriptor>);

impl Methods {
    /// All of the protocol that people use.
    pub(super) fn new() -> Self {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the protocol's own descriptors are whole");
        let services = pool
            .services()
            .filter(|service| service.package_name() == PACKAGE && !NOT_SERVED.contains(&service.name()));
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        Self(methods.map(|method| (path(&method), method)).collect())
    }

    /// Each, by its path `/SERVICE/METHOD`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &MethodDescriptor)> {
        self.0.iter()
    }

    fn find(&self, service: &str, method: &str) -> Result<&MethodDescriptor, Refusal> {
        let path = format!("/{service}/{method}");
        let unknown =
            || Refusal::unknown(format!("there is no method {path}; /api/openapi.json has all of them"));
        self.0.get(&path).ok_or_else(unknown)
    }

    /// One that answers once.
    pub(super) fn unary(&self, service: &str, method: &str) -> Result<MethodDescriptor, Refusal> {
        match self.find(service, method)? {
            found if found.is_server_streaming() => {
                Err(Refusal::invalid("this method streams: ask with GET and ?request=JSON"))
            }
            found => Ok(found.clone()),
        }
    }

    /// One that answers again and again.
    pub(super) fn stream(&self, service: &str, method: &str) -> Result<MethodDescriptor, Refusal> {
        match self.find(service, method)? {
            found if found.is_server_streaming() => Ok(found.clone()),
            _ => Err(Refusal::invalid("this method answers once: ask with POST")),
        }
    }
}

/// `/SERVICE/METHOD`.
pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// The request in a query: `request=` and JSON, percent-encoded; nothing stands for a request without fields.
pub(super) fn request_in_query(query: &str) -> Result<String, Refusal> {
    let mut request = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "request" {
            return Err(Refusal::invalid(format!("the query has {name:?}, and only `request` is known")));
        }
        request = Some(value.into_owned());
    }
    Ok(request.unwrap_or_else(|| "{}".to_owned()))
}

/// A gRPC frame with the message that the JSON describes.
pub(super) fn frame(kind: MessageDescriptor, json: &[u8]) -> Result<Bytes, Refusal> {
    let json = if json.iter().all(u8::is_ascii_whitespace) { b"{}" } else { json };
    let name = kind.name().to_owned();
    let wrong = |error: serde_json::Error| Refusal::invalid(format!("the body is no {name}: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(kind, &mut reader).map_err(wrong)?;
    reader.end().map_err(wrong)?;
    let bytes = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEAD + bytes);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(bytes).map_err(|_| Refusal::invalid("the request is too long"))?);
    message.encode(&mut frame).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(frame.freeze())
}

/// The JSON of a message.
pub(super) fn json(kind: MessageDescriptor, message: Bytes) -> Result<String, Refusal> {
    let unreadable =
        |error: &dyn std::fmt::Display| Refusal::internal(format!("the answer cannot be told: {error}"));
    let message = DynamicMessage::decode(kind, message).map_err(|error| unreadable(&error))?;
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut text);
    message
        .serialize_with_options(&mut writer, &SerializeOptions::new())
        .map_err(|error| unreadable(&error))?;
    String::from_utf8(text).map_err(|error| unreadable(&error))
}

/// Cuts a stream of bytes into messages.
#[derive(Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    /// Takes more bytes in.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next message, if all of it has come.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some((head, _)) = self.0.split_first_chunk::<FRAME_HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != 0 || length > MESSAGE_BYTES_MAX {
            return Err(Refusal::internal("a service answered with something that is no message"));
        }
        if self.0.len() < FRAME_HEAD + length {
            return Ok(None);
        }
        self.0.advance(FRAME_HEAD);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}
