//! Do the messages of earlier versions still mean what they meant, and are those of later ones no harm?
#![allow(clippy::unwrap_used, reason = "tests")]

use muster_wire::v1::{AgentMessage, HubMessage, SyncStatus, agent_message, hub_message};
use prost::Message;

/// The messages of a recorded stream.
fn stream(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// Reads all, and checks that nothing of them was lost: a field with another number or type would be.
fn whole<T: Message + Default + std::fmt::Debug>(text: &str) -> Vec<T> {
    let read = |bytes: Vec<u8>| {
        let message = T::decode(bytes.as_slice()).unwrap();
        assert_eq!(message.encode_to_vec(), bytes, "{message:?}");
        message
    };
    stream(text).into_iter().map(read).collect()
}

#[test]
fn what_agents_of_version_0_say_is_understood_in_full() {
    use agent_message::Body;
    let said: Vec<AgentMessage> = whole(include_str!("streams/agent-0.txt"));
    let bodies: Vec<Body> = said.into_iter().map(|message| message.body.unwrap()).collect();
    let [hello, cluster, web, api, event, removed, heartbeat] = <[Body; 7]>::try_from(bodies).unwrap();
    let (Body::Hello(hello), Body::Cluster(cluster), Body::App(web)) = (hello, cluster, web) else {
        panic!("another order")
    };
    assert_eq!((hello.cluster.as_str(), hello.apps.len(), hello.protocol), ("prod", 2, 0));
    assert_eq!((cluster.labels["env"].as_str(), cluster.errors.len()), ("prod", 1));
    let status = web.status.unwrap();
    assert_eq!((status.app.as_str(), status.sync(), status.object_count), ("web", SyncStatus::OutOfSync, 1));
    assert_eq!(status.drifts[0].fields[0].found, "5");
    assert!(status.syncing && status.errors.len() == 1);
    assert!(matches!(api, Body::App(report) if report.sequence == 2));
    assert!(matches!(event, Body::Event(event) if event.message == "Synced 3 objects."));
    assert!(matches!(removed, Body::Removed(removed) if removed.app == "web" && removed.sequence == 3));
    assert!(matches!(heartbeat, Body::Heartbeat(_)));
}

#[test]
fn what_hubs_of_version_0_say_is_understood_in_full() {
    use hub_message::Body;
    let said: Vec<HubMessage> = whole(include_str!("streams/hub-0.txt"));
    let bodies: Vec<Body> = said.into_iter().map(|message| message.body.unwrap()).collect();
    let [Body::Welcome(welcome), Body::Ack(ack)] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!(
        (welcome.heartbeat_seconds, welcome.protocol, welcome.send_apps.as_slice()),
        (10, 0, &["api".to_owned()][..])
    );
    assert_eq!((ack.apps.len(), ack.event_ids.as_slice(), ack.cluster), (2, &["1".to_owned()][..], true));
}

#[test]
fn what_is_not_known_is_passed_over() {
    use agent_message::Body;
    let said = stream(include_str!("streams/agent-later.txt"));
    let said: Vec<Option<Body>> =
        said.iter().map(|bytes| AgentMessage::decode(bytes.as_slice()).unwrap().body).collect();
    let [Some(Body::Hello(hello)), None, Some(Body::App(report)), None, Some(Body::Heartbeat(_))] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((hello.cluster.as_str(), hello.protocol, hello.capabilities.len()), ("prod", 99, 1));
    assert_eq!(report.status.as_ref().unwrap().app, "api");
}
