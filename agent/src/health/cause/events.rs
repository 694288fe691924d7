//! Which Event says why? Events are told apart by their reason; the newest that tells counts.
use serde_json::Value;

use super::Cause;
use crate::health::conditions::brief;
use crate::object::text;

type Reading = fn(String) -> Cause;

/// What a Pod's Events say beyond its status.
const OF_PODS: &[(&str, Reading)] = &[
    ("FailedMount", |said| Cause::failing(format!("a volume cannot be mounted: {said}"))),
    ("FailedAttachVolume", |said| Cause::slow(format!("a volume cannot be attached: {said}"))),
    ("FailedCreatePodSandBox", |said| Cause::slow(format!("its sandbox cannot be made: {said}"))),
    ("NetworkNotReady", |said| Cause::slow(format!("the network of its node is not ready: {said}"))),
    ("FailedScheduling", |said| Cause::slow(format!("it cannot be scheduled: {said}"))),
    ("Unhealthy", |said| Cause::slow(format!("its probe fails: {said}"))),
];

/// What the Events of a workload say.
const OF_WORKLOADS: &[(&str, Reading)] = &[
    ("FailedCreate", |said| Cause::failing(format!("Pods cannot be created: {said}"))),
    ("ReplicaSetCreateError", |said| Cause::failing(format!("its ReplicaSet cannot be created: {said}"))),
];

/// What the Events of a claim say.
const OF_CLAIMS: &[(&str, Reading)] = &[
    ("ProvisioningFailed", |said| Cause::failing(format!("its volume cannot be made: {said}"))),
    ("FailedBinding", Cause::failing),
    ("ExternalProvisioning", Cause::slow),
    ("WaitForPodScheduled", Cause::slow),
    ("WaitForFirstConsumer", Cause::idle),
];

pub(super) fn of_pod(events: &[Value]) -> Option<Cause> {
    newest(events, OF_PODS)
}

pub(super) fn of_workload(events: &[Value]) -> Option<Cause> {
    newest(events, OF_WORKLOADS)
}

pub(super) fn of_claim(events: &[Value]) -> Option<Cause> {
    newest(events, OF_CLAIMS)
}

fn newest(events: &[Value], readings: &[(&str, Reading)]) -> Option<Cause> {
    let telling = events.iter().filter_map(|event| {
        let reason = text(event, &["reason"]);
        let (_, reading) = readings.iter().find(|(name, _)| *name == reason)?;
        Some((event, reading))
    });
    let (event, reading) = telling.max_by_key(|(event, _)| time(event))?;
    Some(reading(brief(text(event, &["message"])).trim_end_matches('.').to_owned()))
}

/// When an Event was last seen, to the second. Which field says so depends on what wrote it.
fn time(event: &Value) -> &str {
    let times =
        [&["series", "lastObservedTime"][..], &["lastTimestamp"], &["eventTime"], &["firstTimestamp"]];
    let time = times.iter().map(|path| text(event, path)).find(|time| !time.is_empty()).unwrap_or_default();
    time.get(..SECOND).unwrap_or(time)
}

/// Length of a time such as `2026-01-31T12:34:56`; fractions differ in length and would not compare.
const SECOND: usize = 19;
