use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    alerts::Count as AlertCount,
    fleet::Counts,
    repository::Picture,
    waves::{Outlook, Stage, State, Tally},
};

fn snapshot() -> Snapshot {
    let stage = Stage {
        wave: "prod".parse().unwrap(),
        revision: None,
        previous: None,
        candidate: None,
        state: State::Halted,
        detail: String::new(),
        tally: Tally::default(),
        reached: 0,
        clusters: 1,
    };
    let outlook = Outlook { track: "web".parse().unwrap(), stages: vec![stage] };
    Snapshot {
        leads: true,
        writable: true,
        streams: 3,
        fleet: Counts {
            connections: BTreeMap::from([("connected", 2), ("unreachable", 1)]),
            up: vec![("a".to_owned(), true), ("b".to_owned(), false)],
            apps: BTreeMap::from([(("Synced", "Healthy"), 7)]),
        },
        alerts: BTreeMap::from([(AlertCount { kind: "Unreachable", state: "firing" }, 1)]),
        picture: Some(Arc::new(Picture {
            outlooks: vec![outlook],
            fetched_at: Some(jiff::Timestamp::UNIX_EPOCH),
            ..Picture::default()
        })),
    }
}

fn happened() -> Metrics {
    let metrics = Metrics::default();
    metrics.answered("muster.v1.FleetService/ListApps", Duration::from_millis(3));
    metrics.refused("no-credential");
    metrics.wrote(5, true, Duration::from_millis(2));
    metrics.wrote(5, false, Duration::from_millis(2));
    metrics.told("ops", true);
    metrics
}

#[test]
fn what_happened_and_how_things_stand_is_written() {
    let text = happened().encode(snapshot()).unwrap();
    for line in [
        "muster_hub_requests_total{method=\"muster.v1.FleetService/ListApps\"} 1",
        "muster_hub_requests_refused_total{reason=\"no-credential\"} 1",
        "muster_hub_store_changes_total 5",
        "muster_hub_store_writes_total{result=\"failure\"} 1",
        "muster_hub_alert_messages_total{receiver=\"ops\",result=\"success\"} 1",
        "muster_hub_leader 1",
        "muster_hub_clusters{connection=\"unreachable\"} 1",
        "muster_hub_cluster_up{cluster=\"b\"} 0",
        "muster_hub_apps{sync=\"Synced\",health=\"Healthy\"} 7",
        "muster_hub_alerts{kind=\"Unreachable\",state=\"firing\"} 1",
        "muster_hub_stages{wave=\"prod\",state=\"Halted\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

/// The page that lists the names is true.
#[test]
fn every_name_is_in_the_documentation() {
    let text = happened().encode(snapshot()).unwrap();
    let page = include_str!("../../../docs/metrics.md");
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> = names.filter(|name| !page.contains(name)).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    assert!(text.lines().filter(|line| line.starts_with("# TYPE muster_hub_")).count() > 15, "{text}");
}
