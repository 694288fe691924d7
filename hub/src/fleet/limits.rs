//! How much may an agent say?
//!
//! Names must be valid, or the stream ends: no agent of ours sends others. Texts and lists that are too
//! long are cut, so that one long error message does not hide a whole app.

use std::collections::BTreeMap;

use muster_spec::{AppName, ClusterName};
use muster_wire::v1;
use prost::Message as _;
use ring::digest;

use super::Report;
use crate::{clock::from_proto, record::Digest};

/// Apps one cluster may have.
pub const APPS_MAX: usize = 5_000;
/// Events kept of one cluster.
pub(super) const EVENTS_PER_CLUSTER_MAX: usize = 500;
/// Events kept in all.
pub(super) const EVENTS_MAX: usize = 20_000;
/// Events one answer holds when the caller names no number.
pub const EVENTS_LISTED_DEFAULT: u32 = 100;
/// Events one answer holds at most.
pub const EVENTS_LISTED_MAX: u32 = 1_000;

const OBJECTS_MAX: usize = 1_000;
const DRIFTS_MAX: usize = 100;
const FIELDS_MAX: usize = 100;
const ERRORS_MAX: usize = 100;
const LABELS_MAX: usize = 64;
/// A sentence for a person.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// A name, path, revision or address.
const TEXT_BYTES_MAX: usize = 1_024;
/// A value of a drifted field, as the protocol has it.
const VALUE_BYTES_MAX: usize = 256;
const EVENT_ID_BYTES_MAX: usize = 128;

/// Why something an agent said is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// More apps than one cluster may have.
    #[error("the cluster has more than {APPS_MAX} apps; the app {0} is not kept")]
    Apps(AppName),
    /// Hello lists more apps than one cluster may have.
    #[error("Hello lists {0} apps; a cluster may have {APPS_MAX}")]
    Hello(usize),
    /// A name that is none.
    #[error("{0}")]
    Name(String),
    /// A digest of the wrong length.
    #[error("the digest of app {0} has {1} bytes; it must have 16")]
    Digest(AppName, usize),
    /// An event without an id, or with one that is too long.
    #[error("an event id must have 1 to {EVENT_ID_BYTES_MAX} bytes; this one has {0}")]
    EventId(usize),
    /// A message with nothing in it, such as from a newer agent.
    #[error("the message is of a kind this hub does not know")]
    Unknown,
    /// Something that belongs to the beginning of a stream alone.
    #[error("Hello was said a second time")]
    SecondHello,
    /// Something without which the message says nothing.
    #[error("the report has no status")]
    NoStatus,
}

fn app_name(text: &str) -> Result<AppName, Excess> {
    text.parse().map_err(|error: muster_spec::NameError| Excess::Name(error.to_string()))
}

/// Reads Hello: the cluster name the agent was started with, and its apps.
///
/// # Errors
/// When a name or digest is not valid, or there are too many apps.
pub fn admit_hello(hello: &v1::Hello) -> Result<(ClusterName, BTreeMap<AppName, Digest>), Excess> {
    if hello.apps.len() > APPS_MAX {
        return Err(Excess::Hello(hello.apps.len()));
    }
    let cluster =
        hello.cluster.parse().map_err(|error: muster_spec::NameError| Excess::Name(error.to_string()))?;
    let mut apps = BTreeMap::new();
    for entry in &hello.apps {
        let app = app_name(&entry.app)?;
        let digest = Digest::try_from(entry.digest.as_slice())
            .map_err(|_| Excess::Digest(app.clone(), entry.digest.len()))?;
        apps.insert(app, digest);
    }
    Ok((cluster, apps))
}

/// Brings a message that is not Hello within the limits.
///
/// # Errors
/// When a name is not valid or the message says nothing.
pub fn admit_report(message: v1::AgentMessage) -> Result<Report, Excess> {
    use v1::agent_message::Body;
    Ok(match message.body.ok_or(Excess::Unknown)? {
        Body::Hello(_) => return Err(Excess::SecondHello),
        Body::Cluster(mut status) => {
            clip_cluster(&mut status);
            Report::Cluster(status)
        }
        Body::App(report) => {
            let mut status = report.status.ok_or(Excess::NoStatus)?;
            let app = app_name(&status.app)?;
            let digest = digest_of(&status);
            clip_app(&mut status);
            Report::App { app, sequence: report.sequence, digest, status }
        }
        Body::Removed(removed) => {
            Report::Removed { app: app_name(&removed.app)?, sequence: removed.sequence }
        }
        Body::Event(mut event) => {
            if event.id.is_empty() || event.id.len() > EVENT_ID_BYTES_MAX {
                return Err(Excess::EventId(event.id.len()));
            }
            if !event.app.is_empty() {
                app_name(&event.app)?;
            }
            clip(&mut event.revision, TEXT_BYTES_MAX);
            clip(&mut event.message, MESSAGE_BYTES_MAX);
            event.cluster.clear();
            Report::Event(event)
        }
        Body::Heartbeat(heartbeat) => {
            Report::Heartbeat { sent_at: heartbeat.sent_at.as_ref().and_then(from_proto) }
        }
        Body::Trusted(_) => return Err(Excess::Unknown), // taken before it comes here
    })
}

/// First 16 bytes of the SHA-256 of the status as encoded.
pub(crate) fn digest_of(status: &v1::AppStatus) -> Digest {
    let full = digest::digest(&digest::SHA256, &status.encode_to_vec());
    let mut digest = Digest::default();
    digest.copy_from_slice(&full.as_ref()[..16]);
    digest
}

/// Cuts a text at a character's edge and says so.
fn clip(text: &mut String, bytes_max: usize) {
    const CUT: &str = "…";
    if text.len() > bytes_max {
        let mut end = bytes_max - CUT.len();
        while !text.is_char_boundary(end) {
            end -= 1; // ends at the latest at 0, which is a boundary
        }
        text.truncate(end);
        text.push_str(CUT);
    }
}

fn clip_list<T>(list: &mut Vec<T>, length_max: usize, each: impl FnMut(&mut T)) {
    list.truncate(length_max);
    list.shrink_to_fit();
    list.iter_mut().for_each(each);
}

fn clip_errors(errors: &mut Vec<v1::StatusError>) {
    clip_list(errors, ERRORS_MAX, |error| {
        clip(&mut error.place, TEXT_BYTES_MAX);
        clip(&mut error.message, MESSAGE_BYTES_MAX);
    });
}

fn clip_object(object: &mut Option<v1::ObjectRef>) {
    if let Some(object) = object {
        for text in [
            &mut object.group,
            &mut object.version,
            &mut object.kind,
            &mut object.namespace,
            &mut object.name,
        ] {
            clip(text, TEXT_BYTES_MAX);
        }
    }
}

fn clip_cluster(status: &mut v1::ClusterStatus) {
    while status.labels.len() > LABELS_MAX {
        status.labels.pop_last();
    }
    let too_long =
        |(key, value): (&String, &String)| key.len() > TEXT_BYTES_MAX || value.len() > TEXT_BYTES_MAX;
    status.labels.retain(|key, value| !too_long((key, value)));
    for text in [
        &mut status.kubernetes_version,
        &mut status.agent_version,
        &mut status.leader,
        &mut status.repository,
        &mut status.head_revision,
    ] {
        clip(text, TEXT_BYTES_MAX);
    }
    clip_errors(&mut status.errors);
}

fn clip_app(status: &mut v1::AppStatus) {
    clip(&mut status.message, MESSAGE_BYTES_MAX);
    for text in [&mut status.revision, &mut status.wanted_revision, &mut status.path] {
        clip(text, TEXT_BYTES_MAX);
    }
    clip_list(&mut status.objects, OBJECTS_MAX, |object| {
        clip_object(&mut object.object);
        clip(&mut object.message, MESSAGE_BYTES_MAX);
    });
    clip_list(&mut status.drifts, DRIFTS_MAX, |drift| {
        clip_object(&mut drift.object);
        clip(&mut drift.field_manager, TEXT_BYTES_MAX);
        clip_list(&mut drift.fields, FIELDS_MAX, |field| {
            clip(&mut field.path, TEXT_BYTES_MAX);
            clip(&mut field.wanted, VALUE_BYTES_MAX);
            clip(&mut field.found, VALUE_BYTES_MAX);
        });
    });
    clip_errors(&mut status.errors);
}

#[cfg(test)]
mod tests {
    use v1::agent_message::Body;

    use super::*;

    fn admit(body: Body) -> Result<Report, Excess> {
        admit_report(v1::AgentMessage { body: Some(body) })
    }

    #[test]
    fn long_texts_and_lists_are_cut_and_the_digest_is_of_what_was_sent() {
        let status = v1::AppStatus {
            app: "web".into(),
            message: "ä".repeat(5_000),
            objects: vec![v1::ObjectStatus::default(); 1_500],
            object_count: 1_500,
            drifts: vec![
                v1::Drift {
                    fields: vec![v1::FieldDrift { wanted: "x".repeat(300), ..Default::default() }; 200],
                    ..Default::default()
                };
                200
            ],
            errors: vec![v1::StatusError { place: "p".repeat(2_000), ..Default::default() }; 200],
            ..Default::default()
        };
        let sent = digest_of(&status);
        let report = v1::AppReport { sequence: 7, status: Some(status) };
        let Report::App { app, sequence, digest, status } = admit(Body::App(report)).unwrap() else {
            panic!("not an app");
        };
        assert_eq!((app.as_str(), sequence, digest), ("web", 7, sent));
        assert!(status.message.len() <= MESSAGE_BYTES_MAX && status.message.ends_with("ä…"));
        assert_eq!((status.objects.len(), status.object_count), (1_000, 1_500));
        assert_eq!((status.drifts.len(), status.drifts[0].fields.len()), (100, 100));
        assert!(status.drifts[0].fields[0].wanted.len() <= 256);
        assert_eq!(status.errors.len(), 100);
        assert!(status.errors[0].place.len() <= 1_024);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let app = |app: &str| v1::AppStatus { app: app.into(), ..Default::default() };
        let report = |status| admit(Body::App(v1::AppReport { sequence: 1, status }));
        assert!(matches!(report(Some(app("Not_A_Name"))), Err(Excess::Name(_))));
        assert!(matches!(report(Some(app(""))), Err(Excess::Name(_))));
        assert_eq!(report(None).unwrap_err(), Excess::NoStatus);
        assert_eq!(admit(Body::Hello(v1::Hello::default())).unwrap_err(), Excess::SecondHello);
        assert_eq!(admit(Body::Event(v1::Event::default())).unwrap_err(), Excess::EventId(0));
        let long = v1::Event { id: "x".repeat(200), ..Default::default() };
        assert_eq!(admit(Body::Event(long)).unwrap_err(), Excess::EventId(200));
        assert_eq!(admit_report(v1::AgentMessage { body: None }).unwrap_err(), Excess::Unknown);
    }

    #[test]
    fn hello_is_read_or_refused() {
        let digest = |app: &str, length| v1::AppDigest { app: app.into(), digest: vec![1; length] };
        let hello = |apps| v1::Hello { cluster: "prod".into(), apps, ..Default::default() };
        let (cluster, apps) = admit_hello(&hello(vec![digest("a", 16), digest("b", 16)])).unwrap();
        assert_eq!((cluster.as_str(), apps.len()), ("prod", 2));
        assert!(matches!(admit_hello(&hello(vec![digest("a", 15)])), Err(Excess::Digest(_, 15))));
        assert!(matches!(admit_hello(&hello(vec![digest("A", 16)])), Err(Excess::Name(_))));
        let many = vec![digest("a", 16); APPS_MAX + 1];
        assert!(matches!(admit_hello(&hello(many)), Err(Excess::Hello(_))));
        assert!(matches!(admit_hello(&v1::Hello::default()), Err(Excess::Name(_))));
    }

    #[test]
    fn an_agent_cannot_say_which_cluster_an_event_is_of() {
        let event = v1::Event { id: "1".into(), cluster: "other".into(), ..Default::default() };
        let Ok(Report::Event(event)) = admit(Body::Event(event)) else { panic!("not an event") };
        assert_eq!(event.cluster, "");
    }
}
