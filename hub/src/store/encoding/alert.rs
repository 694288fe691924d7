//! How are alerts and silences written as bytes?

use std::{collections::BTreeMap, time::Duration};

use prost::Message;

use super::{Damage, time};
use crate::{
    alerts::{Alert, AlertKey, AlertRules, Matcher, Policy, Silence, SilenceId, Told},
    clock::to_proto,
};

#[derive(Clone, PartialEq, Message)]
struct StoredAlert {
    #[prost(string, tag = "1")]
    cause: String,
    #[prost(string, tag = "2")]
    revision: String,
    #[prost(message, optional, tag = "3")]
    started_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "4")]
    fired_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "5")]
    well_since: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "6")]
    resolved_at: Option<prost_types::Timestamp>,
    #[prost(btree_map = "string, message", tag = "7")]
    told: BTreeMap<String, StoredTold>,
    #[prost(string, tag = "8")]
    author: String,
    #[prost(message, optional, tag = "9")]
    ended_at: Option<prost_types::Timestamp>,
    #[prost(uint32, tag = "10")]
    flaps: u32,
    /// Empty in what was written before there were rules.
    #[prost(string, tag = "11")]
    severity: String,
    #[prost(uint64, optional, tag = "12")]
    after_millis: Option<u64>,
    #[prost(string, repeated, tag = "13")]
    receivers: Vec<String>,
    #[prost(string, tag = "14")]
    muted: String,
    #[prost(string, repeated, tag = "15")]
    telling: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTold {
    #[prost(message, optional, tag = "1")]
    at: Option<prost_types::Timestamp>,
    #[prost(bool, tag = "2")]
    resolved: bool,
    #[prost(string, tag = "3")]
    reference: String,
    #[prost(string, tag = "4")]
    revision: String,
}

/// As it is kept.
pub(super) fn encode(alert: &Alert) -> Vec<u8> {
    let told = |told: &Told| StoredTold {
        at: Some(to_proto(told.at)),
        resolved: told.resolved,
        reference: told.reference.clone(),
        revision: told.revision.clone(),
    };
    let Policy { severity, after, receivers, muted } = &alert.policy;
    let stored = StoredAlert {
        cause: alert.cause.clone(),
        revision: alert.revision.clone(),
        started_at: Some(to_proto(alert.started_at)),
        fired_at: alert.fired_at.map(to_proto),
        well_since: alert.well_since.map(to_proto),
        resolved_at: alert.resolved_at.map(to_proto),
        told: alert.told.iter().map(|(name, one)| (name.clone(), told(one))).collect(),
        author: alert.author.clone(),
        ended_at: alert.ended_at.map(to_proto),
        flaps: alert.flaps,
        severity: severity.word().to_owned(),
        after_millis: after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        receivers: receivers.clone(),
        muted: muted.as_ref().map(ToString::to_string).unwrap_or_default(),
        telling: alert.telling.iter().cloned().collect(),
    };
    stored.encode_to_vec()
}

/// Reads back what [`encode`] wrote.
pub(super) fn decode(key: AlertKey, message: &[u8]) -> Result<Alert, Damage> {
    let stored = StoredAlert::decode(message).map_err(|_| Damage::Field("message"))?;
    let maybe = |at: Option<prost_types::Timestamp>, field| at.map(|at| time(Some(at), field)).transpose();
    let mut told = BTreeMap::new();
    for (name, one) in stored.told {
        let at = time(one.at, "told")?;
        let StoredTold { resolved, reference, revision, .. } = one;
        told.insert(name, Told { at, resolved, reference, revision });
    }
    let policy = Policy {
        severity: given(&stored.severity, "severity")?.unwrap_or_else(|| key.kind.severity()),
        after: stored.after_millis.map(Duration::from_millis),
        receivers: stored.receivers,
        muted: given(&stored.muted, "muted")?,
    };
    Ok(Alert {
        key,
        cause: stored.cause,
        revision: stored.revision,
        started_at: time(stored.started_at, "started_at")?,
        fired_at: maybe(stored.fired_at, "fired_at")?,
        well_since: maybe(stored.well_since, "well_since")?,
        resolved_at: maybe(stored.resolved_at, "resolved_at")?,
        author: stored.author,
        ended_at: maybe(stored.ended_at, "ended_at")?,
        flaps: stored.flaps,
        policy,
        told,
        telling: stored.telling.into_iter().collect(),
    })
}

#[derive(Clone, PartialEq, Message)]
struct StoredSilence {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    cluster: String,
    #[prost(string, tag = "3")]
    app: String,
    #[prost(string, tag = "4")]
    wave: String,
    #[prost(string, tag = "5")]
    author: String,
    #[prost(string, tag = "6")]
    reason: String,
    #[prost(message, optional, tag = "7")]
    created_at: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "8")]
    ends_at: Option<prost_types::Timestamp>,
}

/// As it is kept.
pub(super) fn encode_silence(silence: &Silence) -> Vec<u8> {
    let Matcher { kind, cluster, app, wave } = &silence.matcher;
    let text = |pattern: &Option<crate::pattern::Pattern>| {
        pattern.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let stored = StoredSilence {
        kind: kind.map(|kind| kind.word().to_owned()).unwrap_or_default(),
        cluster: text(cluster),
        app: text(app),
        wave: text(wave),
        author: silence.author.clone(),
        reason: silence.reason.clone(),
        created_at: Some(to_proto(silence.created_at)),
        ends_at: Some(to_proto(silence.ends_at)),
    };
    stored.encode_to_vec()
}

/// Reads back what [`encode_silence`] wrote.
pub(super) fn decode_silence(id: SilenceId, message: &[u8]) -> Result<Silence, Damage> {
    let stored = StoredSilence::decode(message).map_err(|_| Damage::Field("message"))?;
    let matcher = Matcher {
        kind: given(&stored.kind, "kind")?,
        cluster: given(&stored.cluster, "cluster")?,
        app: given(&stored.app, "app")?,
        wave: given(&stored.wave, "wave")?,
    };
    let (created_at, ends_at) = (time(stored.created_at, "created_at")?, time(stored.ends_at, "ends_at")?);
    Ok(Silence { id, matcher, author: stored.author, reason: stored.reason, created_at, ends_at })
}

fn given<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<Option<T>, Damage> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Damage::Field(field))
}

/// As they are kept: as JSON, in the form that documents have.
pub(super) fn encode_rules(rules: &AlertRules) -> Vec<u8> {
    // Names, words and lists of them can always be written.
    serde_json::to_vec(rules).unwrap_or_default()
}

/// Reads back what [`encode_rules`] wrote.
pub(super) fn decode_rules(message: &[u8]) -> Result<AlertRules, Damage> {
    serde_json::from_slice(message).map_err(|_| Damage::Field("message"))
}
