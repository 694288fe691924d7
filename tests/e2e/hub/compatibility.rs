//! Is the hub there for agents of other versions? Recorded streams, byte for byte, against the running hub.

use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request};

use super::*;

/// Messages as the bytes they are.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = v1::HubMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = v1::HubMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<v1::HubMessage>, Status> {
        prost::Message::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Says all of a recorded stream, and hears what the hub answers for as long as `wants` more.
async fn replay(
    hub: &Hub,
    identity: &Identity,
    text: &str,
    mut wants: impl FnMut(&Heard) -> bool,
) -> Vec<Heard> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let said: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect();
    // The stream stays open: an agent that hangs up is told nothing more.
    let outbound = futures::StreamExt::chain(futures::stream::iter(said), futures::stream::pending());
    let mut grpc = tonic::client::Grpc::new(hub.channel(Some(identity)).await.unwrap());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/muster.v1.AgentService/Connect");
    let mut inbound = grpc.streaming(Request::new(outbound), path, Bytes).await.unwrap().into_inner();
    let mut heard = Vec::new();
    loop {
        let next = next(&mut inbound).await.unwrap().unwrap();
        let more = wants(&next);
        heard.push(next);
        if !more {
            return heard;
        }
    }
}

#[tokio::test]
async fn an_agent_of_protocol_version_0_is_served_as_before() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let text = include_str!("../../../proto/wire/tests/streams/agent-0.txt");
    let (mut apps, mut events, mut cluster) = (Vec::new(), Vec::new(), false);
    let heard = replay(&hub, &identity, text, |heard| {
        if let Heard::Ack(ack) = heard {
            apps.extend(ack.apps.iter().map(|ack| (ack.app.clone(), ack.sequence)));
            events.extend(ack.event_ids.clone());
            cluster |= ack.cluster;
        }
        !(apps.contains(&("web".to_owned(), 3))
            && apps.contains(&("api".to_owned(), 2))
            && cluster
            && !events.is_empty())
    })
    .await;
    let Heard::Welcome(welcome) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(welcome.send_apps, ["api", "web"]);
    let unknown = heard.iter().any(|heard| !matches!(heard, Heard::Welcome(_) | Heard::Ack(_)));
    assert!(!unknown, "it is sent only what it knows: {heard:?}");
    assert_eq!(hub.revisions("prod").await, [("api".to_owned(), "1a2b3c4d".to_owned())]);
    assert_eq!(hub.cluster("prod").await.status.unwrap().labels["zone"], "a");
}

#[tokio::test]
async fn an_agent_of_a_later_version_is_served_as_far_as_it_is_understood() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let text = include_str!("../../../proto/wire/tests/streams/agent-later.txt");
    let heard = replay(&hub, &identity, text, |heard| !matches!(heard, Heard::Ack(_))).await;
    let Some(Heard::Ack(ack)) = heard.last() else { panic!("{heard:?}") };
    assert_eq!((ack.apps[0].app.as_str(), ack.apps[0].sequence), ("api", 1));
    assert!(
        heard.iter().any(|heard| matches!(heard, Heard::TrustBundle(_))),
        "it says it knows of them: {heard:?}"
    );
}

#[tokio::test]
async fn a_method_that_is_not_known_is_answered() {
    let hub = Hub::start().await;
    let mut grpc = tonic::client::Grpc::new(hub.as_operator().await);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/muster.v1.FleetService/Teleport");
    let refused = grpc.unary(Request::new(Vec::new()), path, Bytes).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
    hub.audited("unknown-method").await;
}
