//! How is a record written as bytes, and is what was read still what was written?
//!
//! ```text
//! value = version (1 byte) | CRC-32 of key and message (4 bytes, big endian) | message (protobuf)
//! ```
//! The checksum covers the key, so a value that turns up under another key is noticed too.

mod alert;
#[cfg(test)]
pub(super) mod tests;

use std::{collections::BTreeMap, fmt::Display, str::FromStr, sync::Arc};

use jiff::Timestamp;
use muster_wire::v1;
use prost::Message;

use crate::{
    clock::{from_proto, to_proto},
    fleet::StreamId,
    record::{
        AppRecord, Change, ClusterRecord, Enrolment, EventRecord, Holder, Key, Record, ReplicaId, Revocation,
    },
    tokens::{SecretHash, Token},
};

/// Version of the layout of all values.
pub(super) const VERSION: u8 = 1;
/// Bytes before the message.
const HEADER: usize = 5;

/// What a record is; the number is the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Token = b't',
    Enrolment = b'n',
    Cluster = b'c',
    App = b'a',
    Event = b'e',
    Revocation = b'r',
    Audit = b'u',
    Alert = b'w',
    Silence = b's',
    AlertRules = b'l',
}

impl Kind {
    /// The kind whose keys begin with this byte.
    pub(super) fn of(first: u8) -> Option<Self> {
        use Kind::{Alert, AlertRules, App, Audit, Cluster, Enrolment, Event, Revocation, Silence, Token};
        let all = [Token, Enrolment, Cluster, App, Event, Revocation, Audit, Alert, Silence, AlertRules];
        all.into_iter().find(|kind| *kind as u8 == first)
    }

    /// The key of a record of this kind.
    fn key(self, name: &[u8]) -> Place {
        let mut key = Vec::with_capacity(1 + name.len());
        key.push(self as u8);
        key.extend(name);
        (self, key)
    }
}

/// What a record is, and its key.
pub(super) type Place = (Kind, Vec<u8>);

#[derive(Clone, PartialEq, Message)]
struct StoredToken {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(string, tag = "2")]
    cluster: String,
    #[prost(message, optional, tag = "3")]
    created_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "4")]
    expires_at: Option<prost_types::Timestamp>,
    #[prost(uint32, tag = "5")]
    uses_left: u32,
    #[prost(bool, tag = "6")]
    revoked: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    labels: BTreeMap<String, String>,
    #[prost(string, tag = "8")]
    created_by: String,
    #[prost(bool, tag = "9")]
    scoped: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEnrolment {
    #[prost(message, optional, tag = "1")]
    enrolled_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "2")]
    certificate_expires_at: Option<prost_types::Timestamp>,
    #[prost(string, tag = "3")]
    serial: String,
    #[prost(btree_map = "string, string", tag = "4")]
    labels: BTreeMap<String, String>,
    #[prost(uint32, tag = "5")]
    generation: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRevocation {
    #[prost(uint32, tag = "1")]
    generation: u32,
    #[prost(message, optional, tag = "2")]
    revoked_at: Option<prost_types::Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCluster {
    #[prost(message, optional, tag = "1")]
    last_seen: Option<prost_types::Timestamp>,
    /// All that 0.1 wrote of a holder.
    #[prost(bool, tag = "2")]
    connected: bool,
    #[prost(message, optional, tag = "3")]
    status: Option<v1::ClusterStatus>,
    #[prost(uint64, tag = "4")]
    replica: u64,
    #[prost(uint64, tag = "5")]
    stream: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredApp {
    #[prost(bytes = "vec", tag = "1")]
    digest: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    reported_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "3")]
    status: Option<v1::AppStatus>,
}

/// Where a record belongs.
pub(super) fn place(record: &Record) -> Place {
    match record {
        Record::Token(token) => key_place(&Key::Token(token.id.clone())),
        Record::Enrolment(enrolment) => Kind::Enrolment.key(enrolment.cluster.as_str().as_bytes()),
        Record::Cluster(cluster) => Kind::Cluster.key(cluster.cluster.as_str().as_bytes()),
        Record::App(app) => key_place(&Key::App(app.cluster.clone(), app.app.clone())),
        Record::Event(event) => key_place(&Key::Event(event.number)),
        Record::Revocation(revocation) => Kind::Revocation.key(revocation.cluster.as_str().as_bytes()),
        Record::Audit(row) => key_place(&Key::Audit(row.number)),
        Record::Alert(alert) => key_place(&Key::Alert(alert.key.clone())),
        Record::Silence(silence) => key_place(&Key::Silence(silence.id.clone())),
        Record::AlertRules(_) => Kind::AlertRules.key(b""),
    }
}

/// What a change does to which key.
pub(super) fn step(change: &Change) -> (Place, Option<Vec<u8>>) {
    let put = |place: Place, record: &Record| {
        let value = encode(&place.1, record);
        (place, Some(value))
    };
    match change {
        Change::Put(record) => put(place(record), record),
        Change::Claim(cluster) => {
            let record = Record::Cluster(cluster.clone());
            put(place(&record), &record)
        }
        Change::Delete(key) => (key_place(key), None),
    }
}

/// What key has this place, where only its deletion is known; `None` for kinds that are never deleted.
pub(super) fn key_at(place: &[u8]) -> Option<Key> {
    let (first, name) = place.split_first()?;
    let name_text = std::str::from_utf8(name).ok();
    match Kind::of(*first)? {
        Kind::Token => name_text?.parse().ok().map(Key::Token),
        Kind::App => {
            let (cluster, app) = name_text?.split_once('/')?;
            Some(Key::App(cluster.parse().ok()?, app.parse().ok()?))
        }
        Kind::Event => Some(Key::Event(u64::from_be_bytes(name.try_into().ok()?))),
        Kind::Audit => Some(Key::Audit(u64::from_be_bytes(name.try_into().ok()?))),
        Kind::Alert => name_text?.parse().ok().map(Key::Alert),
        Kind::Silence => name_text?.parse().ok().map(Key::Silence),
        Kind::Enrolment | Kind::Cluster | Kind::Revocation | Kind::AlertRules => None,
    }
}

/// Where a key belongs.
pub(super) fn key_place(key: &Key) -> Place {
    match key {
        Key::Token(id) => Kind::Token.key(id.as_ref().as_bytes()),
        // Neither name may have a slash in it.
        Key::App(cluster, app) => Kind::App.key(format!("{cluster}/{app}").as_bytes()),
        Key::Event(number) => Kind::Event.key(&number.to_be_bytes()),
        Key::Audit(number) => Kind::Audit.key(&number.to_be_bytes()),
        Key::Alert(key) => Kind::Alert.key(key.to_string().as_bytes()),
        Key::Silence(id) => Kind::Silence.key(id.to_string().as_bytes()),
    }
}

/// The value to keep under `key`.
pub(super) fn encode(key: &[u8], record: &Record) -> Vec<u8> {
    let message = match record {
        Record::Token(token) => StoredToken {
            hash: token.hash.0.into(),
            cluster: token.cluster.to_string(),
            created_at: Some(to_proto(token.created_at)),
            expires_at: Some(to_proto(token.expires_at)),
            uses_left: token.uses_left,
            revoked: token.revoked,
            labels: token.labels.clone(),
            created_by: token.created_by.clone(),
            scoped: token.scoped,
        }
        .encode_to_vec(),
        Record::Enrolment(enrolment) => StoredEnrolment {
            enrolled_at: Some(to_proto(enrolment.enrolled_at)),
            certificate_expires_at: Some(to_proto(enrolment.certificate_expires_at)),
            serial: enrolment.serial.clone(),
            labels: enrolment.labels.clone(),
            generation: enrolment.generation,
        }
        .encode_to_vec(),
        Record::Revocation(revocation) => StoredRevocation {
            generation: revocation.generation,
            revoked_at: Some(to_proto(revocation.revoked_at)),
        }
        .encode_to_vec(),
        Record::Audit(row) => row.encode_to_vec(),
        Record::Cluster(cluster) => StoredCluster {
            last_seen: Some(to_proto(cluster.last_seen)),
            connected: cluster.holder.is_some(),
            status: cluster.status.as_deref().cloned(),
            replica: cluster.holder.map_or(0, |holder| holder.replica.0),
            stream: cluster.holder.map_or(0, |holder| holder.stream.0),
        }
        .encode_to_vec(),
        Record::App(app) => StoredApp {
            digest: app.digest.into(),
            reported_at: Some(to_proto(app.reported_at)),
            status: Some(v1::AppStatus::clone(&app.status)),
        }
        .encode_to_vec(),
        Record::Event(event) => event.event.encode_to_vec(),
        Record::Alert(alert) => alert::encode(alert),
        Record::Silence(silence) => alert::encode_silence(silence),
        Record::AlertRules(rules) => alert::encode_rules(rules),
    };
    let mut value = Vec::with_capacity(HEADER + message.len());
    value.push(VERSION);
    value.extend(checksum(key, &message).to_be_bytes());
    value.extend(message);
    value
}

fn checksum(key: &[u8], message: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(message);
    hasher.finalize()
}

/// Why a value is not what was written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Damage {
    #[error("its checksum does not match")]
    Checksum,
    #[error("it has layout version {0}, and {VERSION} is the only one known")]
    Version(u8),
    #[error("its {0} cannot be read")]
    Field(&'static str),
}

fn time(time: Option<prost_types::Timestamp>, field: &'static str) -> Result<Timestamp, Damage> {
    time.as_ref().and_then(from_proto).ok_or(Damage::Field(field))
}

fn parsed<T: FromStr<Err: Display>>(text: &str, field: &'static str) -> Result<T, Damage> {
    text.parse().map_err(|_| Damage::Field(field))
}

fn text(key: &[u8]) -> Result<&str, Damage> {
    std::str::from_utf8(key).map_err(|_| Damage::Field("key"))
}

fn number(key: &[u8]) -> Result<u64, Damage> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| Damage::Field("key"))
}

/// Reads back what [`encode`] wrote.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Record, Damage> {
    let (header, message) = value.split_at_checked(HEADER).ok_or(Damage::Checksum)?;
    let (version, sum) = (header[0], &header[1..]);
    if sum != checksum(key, message).to_be_bytes() {
        return Err(Damage::Checksum);
    }
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let (first, key) = key.split_first().ok_or(Damage::Field("key"))?;
    let kind = Kind::of(*first).ok_or(Damage::Field("key"))?;
    let message_field = |_| Damage::Field("message");
    Ok(match kind {
        Kind::Token => {
            let stored = StoredToken::decode(message).map_err(message_field)?;
            Record::Token(Token {
                id: parsed(text(key)?, "key")?,
                hash: SecretHash(stored.hash.try_into().map_err(|_| Damage::Field("hash"))?),
                cluster: parsed(&stored.cluster, "cluster")?,
                created_at: time(stored.created_at, "created_at")?,
                expires_at: time(stored.expires_at, "expires_at")?,
                uses_left: stored.uses_left,
                revoked: stored.revoked,
                labels: stored.labels,
                created_by: stored.created_by,
                scoped: stored.scoped,
            })
        }
        Kind::Enrolment => {
            let stored = StoredEnrolment::decode(message).map_err(message_field)?;
            Record::Enrolment(Enrolment {
                cluster: parsed(text(key)?, "key")?,
                enrolled_at: time(stored.enrolled_at, "enrolled_at")?,
                certificate_expires_at: time(stored.certificate_expires_at, "certificate_expires_at")?,
                serial: stored.serial,
                labels: stored.labels,
                generation: stored.generation,
            })
        }
        Kind::Cluster => {
            let stored = StoredCluster::decode(message).map_err(message_field)?;
            Record::Cluster(ClusterRecord {
                cluster: parsed(text(key)?, "key")?,
                last_seen: time(stored.last_seen, "last_seen")?,
                holder: stored.connected.then_some(Holder {
                    replica: ReplicaId(stored.replica),
                    stream: StreamId(stored.stream),
                }),
                status: stored.status.map(Arc::new),
            })
        }
        Kind::App => {
            let stored = StoredApp::decode(message).map_err(message_field)?;
            let (cluster, app) = text(key)?.split_once('/').ok_or(Damage::Field("key"))?;
            Record::App(AppRecord {
                cluster: parsed(cluster, "key")?,
                app: parsed(app, "key")?,
                digest: stored.digest.try_into().map_err(|_| Damage::Field("digest"))?,
                reported_at: time(stored.reported_at, "reported_at")?,
                status: Arc::new(stored.status.ok_or(Damage::Field("status"))?),
            })
        }
        Kind::Event => Record::Event(EventRecord {
            number: number(key)?,
            event: Arc::new(v1::Event::decode(message).map_err(message_field)?),
        }),
        Kind::Revocation => {
            let stored = StoredRevocation::decode(message).map_err(message_field)?;
            Record::Revocation(Revocation {
                cluster: parsed(text(key)?, "key")?,
                generation: stored.generation,
                revoked_at: time(stored.revoked_at, "revoked_at")?,
            })
        }
        Kind::Audit => {
            let row = v1::AuditRow::decode(message).map_err(message_field)?;
            if row.number != number(key)? {
                return Err(Damage::Field("number"));
            }
            Record::Audit(Arc::new(row))
        }
        Kind::Alert => Record::Alert(Box::new(alert::decode(parsed(text(key)?, "key")?, message)?)),
        Kind::Silence => {
            Record::Silence(Box::new(alert::decode_silence(parsed(text(key)?, "key")?, message)?))
        }
        Kind::AlertRules => Record::AlertRules(Box::new(alert::decode_rules(message)?)),
    })
}
