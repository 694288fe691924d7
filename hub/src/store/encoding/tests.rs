use super::*;
use crate::alerts::{Alert, AlertKind, AlertRules, Matcher, Mute, Policy, Severity, Silence, Told};

/// One record of each kind.
pub(in crate::store) fn samples() -> Vec<Record> {
    let now: Timestamp = "2026-11-23T10:00:00.5Z".parse().unwrap();
    let status = v1::AppStatus { app: "web".into(), revision: "abc".into(), ..Default::default() };
    let event = v1::Event { id: "1".into(), cluster: "prod".into(), ..Default::default() };
    vec![
        Record::Token(Token {
            id: "0123456789abcdef".parse().unwrap(),
            hash: SecretHash([7; 32]),
            cluster: "prod".parse().unwrap(),
            created_at: now,
            expires_at: now,
            uses_left: 2,
            revoked: true,
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            created_by: "operator/admin".into(),
            scoped: true,
        }),
        Record::Enrolment(Enrolment {
            cluster: "prod".parse().unwrap(),
            enrolled_at: now,
            certificate_expires_at: now,
            serial: "ab12".into(),
            generation: 2,
            labels: [("env".to_owned(), "prod".to_owned())].into(),
        }),
        Record::Cluster(ClusterRecord {
            cluster: "prod".parse().unwrap(),
            last_seen: now,
            holder: Some(Holder { replica: ReplicaId(3), stream: StreamId(4) }),
            status: Some(Arc::default()),
        }),
        Record::App(AppRecord {
            cluster: "prod".parse().unwrap(),
            app: "web".parse().unwrap(),
            digest: [3; 16],
            reported_at: now,
            status: Arc::new(status),
        }),
        Record::Event(EventRecord { number: 77, event: Arc::new(event) }),
        Record::Revocation(Revocation { cluster: "prod".parse().unwrap(), generation: 3, revoked_at: now }),
        Record::Audit(Arc::new(v1::AuditRow { number: 7, actor: "hub".into(), ..Default::default() })),
        Record::Alert(Box::new(Alert {
            key: "Degraded/prod/web".parse().unwrap(),
            cause: "it crashes".into(),
            revision: "abc".into(),
            author: "Ada".into(),
            started_at: now,
            fired_at: Some(now),
            well_since: None,
            resolved_at: None,
            ended_at: Some(now),
            flaps: 3,
            policy: Policy {
                severity: Severity::Info,
                after: Some(std::time::Duration::from_millis(1_500)),
                receivers: vec!["ops".into()],
                muted: Some(Mute::Rule(2)),
            },
            told: [(
                "ops".to_owned(),
                Told { at: now, resolved: false, revision: "abc".into(), reference: "C1/1.2".into() },
            )]
            .into(),
            telling: ["chat".to_owned()].into(),
        })),
        Record::Silence(Box::new(Silence {
            id: "0123456789abcdef".parse().unwrap(),
            matcher: Matcher {
                kind: Some(AlertKind::Degraded),
                cluster: Some("prod-*".parse().unwrap()),
                app: None,
                wave: None,
            },
            author: "operator/admin".into(),
            reason: "maintenance".into(),
            created_at: now,
            ends_at: now,
        })),
        Record::AlertRules(Box::new(AlertRules {
            alerts: vec![muster_spec::AlertRule { mute: true, ..Default::default() }],
            waves: vec![("canary".parse().unwrap(), muster_spec::Selector::default())],
        })),
    ]
}

#[test]
fn records_read_back_as_written() {
    for record in samples() {
        let (_, key) = place(&record);
        assert_eq!(decode(&key, &encode(&key, &record)), Ok(record));
    }
}

#[test]
fn a_place_tells_the_key_of_what_can_be_deleted() {
    let keys = [
        Key::Token("0123456789abcdef".parse().unwrap()),
        Key::App("prod".parse().unwrap(), "web".parse().unwrap()),
        Key::Event(u64::MAX),
        Key::Alert("Unreachable/prod/".parse().unwrap()),
        Key::Alert("PromotionHalted/canary/web".parse().unwrap()),
        Key::Silence("0123456789abcdef".parse().unwrap()),
    ];
    for key in keys {
        assert_eq!(key_at(&key_place(&key).1), Some(key));
    }
    for place in ["", "nprod", "cprod", "aprod", "e123", "t123", "x"] {
        assert_eq!(key_at(place.as_bytes()), None, "{place}");
    }
}

#[test]
fn any_changed_bit_or_cut_is_noticed() {
    for record in samples() {
        let (kind, key) = place(&record);
        let value = encode(&key, &record);
        for index in 0..value.len() {
            let mut changed = value.clone();
            changed[index] ^= 1;
            assert!(decode(&key, &changed).is_err(), "{kind:?} changed at {index}");
            assert!(decode(&key, &value[..index]).is_err(), "{kind:?} cut at {index}");
        }
        let mut other = key;
        other[0] ^= 1;
        assert_eq!(decode(&other, &value), Err(Damage::Checksum));
    }
}
