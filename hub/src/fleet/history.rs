//! What happened lately, in the order in which the hub learned of it?
//!
//! Bounded per cluster, so that a busy one does not push out the others' past, and in all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use muster_spec::ClusterName;
use muster_wire::v1;

use super::limits::{EVENTS_MAX, EVENTS_PER_CLUSTER_MAX};
use crate::record::{Change, EventRecord, Key, Record};

/// The history of the fleet.
#[derive(Debug, Default)]
pub(super) struct History {
    events: BTreeMap<u64, Arc<v1::Event>>,
    clusters: BTreeMap<ClusterName, Numbers>,
    next: u64,
    /// The last eight bits of all numbers given here; `None` where one hub alone gives numbers.
    slot: Option<u8>,
}

/// The events of one cluster.
#[derive(Debug, Default)]
struct Numbers {
    numbers: BTreeSet<u64>,
    ids: BTreeSet<String>,
}

impl History {
    /// The events a store gave back, in any order. Hubs that share a store have a slot each, so that no
    /// two give the same number; numbers go on from the highest that is known, so they keep the order in
    /// which one hub learned of another's events.
    pub(super) fn restore(events: Vec<EventRecord>, slot: Option<u8>) -> Self {
        let mut history = Self { slot, ..Self::default() };
        let ordered: BTreeMap<u64, Arc<v1::Event>> =
            events.into_iter().map(|record| (record.number, record.event)).collect();
        for (number, event) in ordered {
            if let Ok(cluster) = event.cluster.parse() {
                history.insert(&cluster, number, event);
            }
        }
        history
    }

    fn insert(&mut self, cluster: &ClusterName, number: u64, event: Arc<v1::Event>) {
        let numbers = self.clusters.entry(cluster.clone()).or_default();
        numbers.numbers.insert(number);
        numbers.ids.insert(event.id.clone());
        self.events.insert(number, event);
        self.next = self.next.max(number.saturating_add(1));
    }

    /// The number of the next event.
    fn number(&self) -> u64 {
        match self.slot {
            None => self.next,
            Some(slot) => (self.next | 0xff).saturating_add(1) | u64::from(slot),
        }
    }

    /// Takes in an event another hub numbered; `None` when it is known.
    pub(super) fn learn(&mut self, record: EventRecord) -> Option<Arc<v1::Event>> {
        let cluster = record.event.cluster.parse().ok()?;
        if self.events.contains_key(&record.number) {
            return None;
        }
        self.insert(&cluster, record.number, Arc::clone(&record.event));
        Some(record.event)
    }

    /// Adds an event of this cluster; `None` when it has it already. The changes are what to keep.
    pub(super) fn push(
        &mut self,
        cluster: &ClusterName,
        mut event: v1::Event,
    ) -> Option<(Arc<v1::Event>, Vec<Change>)> {
        if self.clusters.get(cluster).is_some_and(|numbers| numbers.ids.contains(&event.id)) {
            return None;
        }
        event.cluster = cluster.to_string();
        let (number, event) = (self.number(), Arc::new(event));
        self.insert(cluster, number, Arc::clone(&event));
        let mut changes = vec![Change::Put(Record::Event(EventRecord { number, event: Arc::clone(&event) }))];
        let numbers = self.clusters.get(cluster).map(|numbers| &numbers.numbers);
        let of_cluster = numbers.filter(|numbers| numbers.len() > EVENTS_PER_CLUSTER_MAX);
        let oldest = of_cluster.and_then(BTreeSet::first).copied();
        let of_all = || self.events.keys().next().copied().filter(|_| self.events.len() > EVENTS_MAX);
        if let Some(oldest) = oldest.or_else(of_all) {
            self.forget(oldest);
            changes.push(Change::Delete(Key::Event(oldest)));
        }
        Some((event, changes))
    }

    pub(super) fn forget(&mut self, number: u64) {
        let Some(event) = self.events.remove(&number) else { return };
        if let Some(numbers) = self.clusters.get_mut(event.cluster.as_str()) {
            numbers.numbers.remove(&number);
            numbers.ids.remove(&event.id);
        }
    }

    /// Events, newest first, of one cluster or all.
    pub(super) fn newest<'a>(
        &'a self,
        cluster: Option<&str>,
    ) -> Box<dyn Iterator<Item = &'a Arc<v1::Event>> + 'a> {
        match cluster {
            None => Box::new(self.events.values().rev()),
            Some(cluster) => {
                let numbers = self.clusters.get(cluster).into_iter();
                let numbers = numbers.flat_map(|numbers| numbers.numbers.iter().rev());
                Box::new(numbers.filter_map(|number| self.events.get(number)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: usize) -> v1::Event {
        v1::Event { id: id.to_string(), ..Default::default() }
    }

    fn cluster(name: &str) -> ClusterName {
        name.parse().unwrap()
    }

    fn ids(history: &History, cluster: Option<&str>) -> Vec<String> {
        history.newest(cluster).map(|event| event.id.clone()).collect()
    }

    #[test]
    fn the_same_event_is_kept_once_per_cluster() {
        let mut history = History::default();
        assert!(history.push(&cluster("a"), event(1)).is_some());
        assert!(history.push(&cluster("a"), event(1)).is_none());
        assert!(history.push(&cluster("b"), event(1)).is_some());
        assert_eq!(ids(&history, None).len(), 2);
    }

    #[test]
    fn a_busy_cluster_pushes_out_its_own_past_alone() {
        let mut history = History::default();
        history.push(&cluster("quiet"), event(0));
        for id in 0..EVENTS_PER_CLUSTER_MAX + 10 {
            history.push(&cluster("busy"), event(id)).unwrap();
        }
        assert_eq!(ids(&history, Some("quiet")), ["0"]);
        let busy = ids(&history, Some("busy"));
        assert_eq!(busy.len(), EVENTS_PER_CLUSTER_MAX);
        assert_eq!((busy[0].as_str(), busy[EVENTS_PER_CLUSTER_MAX - 1].as_str()), ("509", "10"));
    }

    #[test]
    fn the_whole_is_bounded_and_what_is_kept_equals_what_is_remembered() {
        let mut history = History::default();
        let mut kept: BTreeMap<u64, Arc<v1::Event>> = BTreeMap::new();
        for id in 0..EVENTS_MAX + 50 {
            let (_, changes) = history.push(&cluster(&format!("c{}", id % 100)), event(id)).unwrap();
            for change in changes {
                match change {
                    Change::Put(Record::Event(record)) => drop(kept.insert(record.number, record.event)),
                    Change::Delete(Key::Event(number)) => drop(kept.remove(&number)),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(history.events.len(), EVENTS_MAX);
        assert_eq!(history.events, kept);
        let records = kept.into_iter().map(|(number, event)| EventRecord { number, event }).collect();
        let mut restored = History::restore(records, None);
        assert_eq!(ids(&restored, None), ids(&history, None));
        assert!(restored.push(&cluster("c0"), event(EVENTS_MAX)).is_none(), "still known after a restart");
        assert_eq!(restored.next, history.next);
    }

    #[test]
    fn hubs_that_share_a_store_never_give_the_same_number() {
        let mut hubs = [0, 1, 255].map(|slot| History::restore(Vec::new(), Some(slot)));
        let mut given = BTreeSet::new();
        for round in 0..30_usize {
            let (event, changes) = hubs[round % 3].push(&cluster("a"), event(round)).unwrap();
            let Change::Put(Record::Event(record)) = &changes[0] else { panic!("{changes:?}") };
            assert!(given.insert(record.number));
            if round % 2 == 0 {
                let next = &mut hubs[(round + 1) % 3];
                let before = next.number();
                assert!(next.learn(EventRecord { number: record.number, event }).is_some());
                assert!(next.learn(record.clone()).is_none());
                assert!(next.number() > record.number && next.number() >= before);
            }
        }
    }
}
