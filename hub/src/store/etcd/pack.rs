//! Which acts go into one transaction of etcd, and on what condition?
//!
//! ```text
//! token, enrolment    only if its key is as this hub knows it
//! cluster             only if its key is as this hub knows it; a claim: whatever it is
//! app                 only if its cluster's key is as this hub knows it: a claim by another hub changes that
//! history             always: no two hubs give the same number
//! as leader           only if the leader's key hangs on this hub's lease
//! ```
//! Pure: what is known goes in, a transaction comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rpc::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, compare, request_op};
use crate::{
    record::{Change, Record},
    store::{
        Transaction,
        encoding::{self, Kind},
    },
};

/// Operations and conditions in one transaction; etcd's own limit is 128 unless it is configured.
const OPERATIONS_MAX: usize = 120;
/// Bytes of all values in one; etcd takes 1.5 MiB in a request unless it is configured.
const BYTES_MAX: usize = 1_000_000;

/// Which revision of each key this hub knows.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Vec<u8>, Version>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    At(i64),
    /// Deleted; kept until the news of it has come round.
    Gone(i64),
}

impl Known {
    /// The revision to compare with; 0 where there is no such key.
    pub(super) fn revision(&self, key: &[u8]) -> i64 {
        match self.0.get(key) {
            Some(Version::At(revision)) => *revision,
            Some(Version::Gone(_)) | None => 0,
        }
    }

    /// Notes what a key is at a revision; false when that is known already.
    pub(super) fn note(&mut self, key: &[u8], revision: i64, exists: bool) -> bool {
        let (Version::At(before) | Version::Gone(before)) =
            self.0.get(key).copied().unwrap_or(Version::At(0));
        if revision < before {
            return false;
        }
        if exists {
            self.0.insert(key.to_vec(), Version::At(revision));
        } else {
            // Everything older has come before this, so nothing older can come any more.
            self.0.remove(key);
        }
        revision > before
    }

    fn keep(&mut self, key: &[u8], revision: i64, exists: bool) {
        let version = if exists { Version::At(revision) } else { Version::Gone(revision) };
        self.0.insert(key.to_vec(), version);
    }
}

/// A transaction in the making.
#[derive(Debug, Default)]
pub(super) struct Pack {
    /// How many acts it holds.
    pub(super) acts: usize,
    conditions: BTreeMap<Vec<u8>, i64>,
    operations: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    claimed: BTreeSet<Vec<u8>>,
    as_leader: bool,
}

impl Pack {
    /// Of as many acts from the first on as fit, at most this many. One that is too large for a transaction
    /// is alone in its pack.
    pub(super) fn of(transactions: &[Transaction], most: usize, known: &Known) -> Self {
        let mut pack = Self::default();
        for transaction in transactions.iter().take(most) {
            let steps: Vec<_> = transaction.changes.iter().map(|change| (change, step(change))).collect();
            let bytes: usize = steps.iter().map(|(_, (_, value))| value.as_ref().map_or(0, Vec::len)).sum();
            let operations = pack.operations.len().max(pack.conditions.len()) + 2 * steps.len();
            let full = operations > OPERATIONS_MAX || pack.bytes + bytes > BYTES_MAX;
            if pack.acts > 0 && (full || transaction.as_leader != pack.as_leader) {
                break;
            }
            pack.acts += 1;
            pack.bytes += bytes;
            pack.as_leader = transaction.as_leader;
            for change in &transaction.changes {
                if let Change::Claim(cluster) = change {
                    pack.claimed.insert(cluster_key(cluster.cluster.as_str()));
                }
            }
            for (change, (key, value)) in steps {
                if let Some(condition) = condition(change, &key)
                    && !pack.claimed.contains(&condition)
                    && !pack.operations.contains_key(&condition)
                {
                    let revision = known.revision(&condition);
                    pack.conditions.entry(condition).or_insert(revision);
                }
                pack.operations.insert(key, value);
            }
        }
        pack
    }

    /// What to ask of etcd: one transaction, or several for an act that is too large for one. Those are not
    /// one step: a crash between them leaves some of the act, which its agent then settles by its digests.
    pub(super) fn requests(&self, prefix: &str, lease: i64) -> Vec<TxnRequest> {
        let full = |key: &[u8]| [prefix.as_bytes(), key].concat();
        let operations: Vec<(&Vec<u8>, RequestOp)> = self
            .operations
            .iter()
            .map(|(key, value)| {
                let request = match value.clone() {
                    Some(value) => {
                        request_op::Request::RequestPut(PutRequest { key: full(key), value, lease: 0 })
                    }
                    None => {
                        let delete = DeleteRangeRequest { key: full(key), range_end: Vec::new() };
                        request_op::Request::RequestDeleteRange(delete)
                    }
                };
                (key, RequestOp { request: Some(request) })
            })
            .collect();
        let chunks = operations.chunks(OPERATIONS_MAX);
        let request = |chunk: &[(&Vec<u8>, RequestOp)]| {
            // Of an act in several parts each part has the conditions on its own keys; those on a cluster are
            // few and go with each.
            let own = |key: &Vec<u8>| chunk.iter().any(|(operation, _)| *operation == key);
            let conditions = self.conditions.iter().filter(|(key, _)| {
                self.operations.len() <= OPERATIONS_MAX || own(key) || !self.operations.contains_key(*key)
            });
            let mut compare: Vec<Compare> =
                conditions.map(|(key, revision)| at_revision(full(key), *revision)).collect();
            if self.as_leader {
                compare.push(Compare {
                    target: compare::CompareTarget::Lease.into(),
                    key: full(super::LEADER),
                    target_union: Some(compare::TargetUnion::Lease(lease)),
                    ..Compare::default()
                });
            }
            TxnRequest { compare, success: chunk.iter().map(|(_, operation)| operation.clone()).collect() }
        };
        chunks.map(request).collect()
    }

    /// Notes that it was done at this revision.
    pub(super) fn note(&self, known: &mut Known, revision: i64) {
        for (key, value) in &self.operations {
            known.keep(key, revision, value.is_some());
        }
    }

    /// Keys that it reads or writes.
    pub(super) fn keys(&self) -> BTreeSet<Vec<u8>> {
        self.operations.keys().chain(self.conditions.keys()).cloned().collect()
    }
}

/// The condition that a key is at this revision.
pub(super) fn at_revision(key: Vec<u8>, revision: i64) -> Compare {
    Compare {
        target: compare::CompareTarget::Mod.into(),
        key,
        target_union: Some(compare::TargetUnion::ModRevision(revision)),
        ..Compare::default()
    }
}

fn cluster_key(name: &str) -> Vec<u8> {
    [&[Kind::Cluster as u8], name.as_bytes()].concat()
}

/// The key that must be as it is known for this change to be made to `key`.
fn condition(change: &Change, key: &[u8]) -> Option<Vec<u8>> {
    match Kind::of(*key.first()?)? {
        Kind::Token | Kind::Enrolment | Kind::Revocation | Kind::Silence => Some(key.to_vec()),
        Kind::Cluster if matches!(change, Change::Claim(_)) => None,
        Kind::Cluster | Kind::App => change.cluster().map(|name| cluster_key(name.as_str())),
        // Each hub numbers its own; alerts and their rules are the leader's.
        Kind::Event | Kind::Audit | Kind::Alert | Kind::AlertRules => None,
    }
}

/// Key and value of a change. An app's status that etcd would not take loses its objects and drifts;
/// `object_count` has the true number of the first.
fn step(change: &Change) -> (Vec<u8>, Option<Vec<u8>>) {
    let ((_, key), value) = encoding::step(change);
    match (change, &value) {
        (Change::Put(Record::App(app)), Some(value)) if value.len() > BYTES_MAX => {
            let mut app = app.clone();
            let mut status = muster_wire::v1::AppStatus::clone(&app.status);
            status.objects.clear();
            status.drifts.clear();
            app.status = status.into();
            let value = encoding::encode(&key, &Record::App(app));
            (key, Some(value))
        }
        _ => (key, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Key, store::encoding::tests::samples};

    fn transaction(changes: Vec<Change>) -> Transaction {
        Transaction { changes, as_leader: false }
    }

    fn put(index: usize) -> Change {
        Change::Put(samples().remove(index))
    }

    fn claim() -> Change {
        let Record::Cluster(cluster) = samples().remove(2) else { panic!("the third is a cluster") };
        Change::Claim(cluster)
    }

    fn conditions(pack: &Pack) -> Vec<(String, i64)> {
        let text = |key: &Vec<u8>| String::from_utf8(key.clone()).unwrap();
        pack.conditions.iter().map(|(key, revision)| (text(key), *revision)).collect()
    }

    #[test]
    fn each_kind_has_its_condition() {
        let mut known = Known::default();
        known.note(b"cprod", 7, true);
        known.note(b"nprod", 3, true);
        let own = |key: &str, revision| vec![(key.to_owned(), revision)];
        for (change, expected) in [
            (put(0), own("t0123456789abcdef", 0)),
            (put(1), own("nprod", 3)),
            (put(2), own("cprod", 7)),
            (put(3), own("cprod", 7)),
            (Change::Delete(Key::App("prod".parse().unwrap(), "web".parse().unwrap())), own("cprod", 7)),
            (put(4), vec![]),
            (claim(), vec![]),
        ] {
            let pack = Pack::of(&[transaction(vec![change.clone()])], 9, &known);
            assert_eq!(conditions(&pack), expected, "{change:?}");
        }
    }

    #[test]
    fn what_comes_with_or_after_a_claim_needs_no_condition_and_what_comes_before_does() {
        let known = Known::default();
        let after = Pack::of(&[transaction(vec![claim(), put(3)]), transaction(vec![put(3)])], 9, &known);
        assert_eq!((after.acts, conditions(&after)), (2, vec![]));
        let before = Pack::of(&[transaction(vec![put(3)]), transaction(vec![claim()])], 9, &known);
        assert_eq!(conditions(&before), [("cprod".to_owned(), 0)]);
    }

    #[test]
    fn a_key_changed_twice_is_written_once_and_compared_with_what_was_before() {
        let mut known = Known::default();
        known.note(b"t0123456789abcdef", 5, true);
        let Record::Token(mut token) = samples().remove(0) else { panic!("the first is a token") };
        token.uses_left = 1;
        let second = Change::Put(Record::Token(token));
        let pack = Pack::of(&[transaction(vec![put(0)]), transaction(vec![second])], 9, &known);
        assert_eq!(conditions(&pack), [("t0123456789abcdef".to_owned(), 5)]);
        let requests = pack.requests("/muster/", 1);
        assert_eq!((requests.len(), requests[0].success.len()), (1, 1));
        pack.note(&mut known, 9);
        assert_eq!(known.revision(b"t0123456789abcdef"), 9);
    }

    #[test]
    fn packs_are_bounded_and_a_large_act_is_split() {
        let known = Known::default();
        let one = |number: u64| transaction(vec![Change::Delete(Key::Event(number))]);
        let many: Vec<Transaction> = (0..500).map(one).collect();
        let pack = Pack::of(&many, usize::MAX, &known);
        assert!(pack.acts > 50 && pack.operations.len() <= OPERATIONS_MAX);
        let large = transaction((0..500).map(|number| Change::Delete(Key::Event(number))).collect());
        let pack = Pack::of(&[large, one(1)], usize::MAX, &known);
        assert_eq!(pack.acts, 1);
        let requests = pack.requests("", 1);
        assert_eq!(requests.iter().map(|request| request.success.len()).sum::<usize>(), 500);
        assert!(requests.iter().all(|request| request.success.len() <= OPERATIONS_MAX));
        let led = Transaction { as_leader: true, ..one(1) };
        assert_eq!(Pack::of(&[one(1), led.clone()], 9, &known).acts, 1);
        assert_eq!(Pack::of(&[led], 9, &known).requests("", 4)[0].compare.len(), 1);
    }

    #[test]
    fn what_this_hub_wrote_is_no_news_in_whatever_order_it_comes_round() {
        let mut known = Known::default();
        known.keep(b"a", 5, true);
        known.keep(b"a", 6, false);
        assert!(!known.note(b"a", 5, true), "the echo of the first");
        assert_eq!(known.revision(b"a"), 0);
        assert!(!known.note(b"a", 6, false), "the echo of the deletion");
        assert!(known.note(b"a", 8, true), "another hub's");
        assert!(known.note(b"a", 9, false));
    }

    #[test]
    fn a_status_etcd_would_not_take_loses_its_objects() {
        let Record::App(mut app) = samples().remove(3) else { panic!("the fourth is an app") };
        let mut status = muster_wire::v1::AppStatus::clone(&app.status);
        let object = muster_wire::v1::ObjectStatus { message: "x".repeat(2_000), ..Default::default() };
        status.objects = vec![object; 1_000];
        status.object_count = 1_000;
        app.status = status.into();
        let (key, value) = step(&Change::Put(Record::App(app)));
        let value = value.unwrap();
        assert!(value.len() < BYTES_MAX);
        let Ok(Record::App(kept)) = encoding::decode(&key, &value) else { panic!("it reads back") };
        assert_eq!((kept.status.objects.len(), kept.status.object_count), (0, 1_000));
    }
}
