//! Who did what, when, from where, and with which result?
//!
//! ```text
//! change  --Log::record--> entry, kept in the same write as the change itself
//! refusal --Log::refuse--> entry, or counted when the same was refused a moment ago (Repeats)
//! ```
//! Each entry holds the hash of the one before (see [`muster_wire::audit`]), so one that is changed, removed
//! or moved shows. Entries are never changed; the oldest go when there are more than [`ROWS_MAX`], and the
//! first that is left still names the hash of the last that is gone. Hubs that share a store write a log each, and
//! every one of them shows all.

mod repeats;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use muster_wire::{
    audit::{self, Chain, Fault, GENESIS, hash},
    v1::AuditRow,
};

use self::repeats::Repeats;
use crate::{
    clock::{Now, from_proto, to_proto},
    pattern,
    record::{Change, Key, Record},
};

/// Entries kept; at about 400 bytes each this is 40 MB.
pub const ROWS_MAX: usize = 100_000;
/// Entries in one answer when the caller names no number.
pub const LISTED_DEFAULT: usize = 100;
/// Entries in one answer at most.
pub const LISTED_MAX: usize = 1_000;
/// Longest text of an entry, in bytes: callers may choose some of it.
const TEXT_BYTES_MAX: usize = 512;
/// The result of what was done.
pub const OK: &str = "ok";
/// The result of what an entry says was done, and another hub's act came before.
pub const NOT_KEPT: &str = "not-kept";
/// The actor of what the hub does by itself.
pub const HUB: &str = "hub";

/// What is to be remembered; see the fields of [`AuditRow`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Who.
    pub actor: String,
    /// IP address.
    pub source: String,
    /// Method.
    pub action: String,
    /// To what.
    pub target: String,
    /// [`OK`], or the name of a reason.
    pub result: String,
    /// More, for people.
    pub detail: String,
}

/// Which entries to show. Empty texts take everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As [`AuditRow::actor`], also with `*`.
    pub actor: String,
    /// As [`AuditRow::action`], also with `*`.
    pub action: String,
    /// As [`AuditRow::target`], also with `*`.
    pub target: String,
    /// As [`AuditRow::result`], also with `*`.
    pub result: String,
    /// Only what was refused.
    pub only_refused: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// In which order, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the newest back.
    NewestFirst,
    /// From the oldest on that has a higher number.
    OldestFirst {
        /// That number.
        after: u64,
    },
}

impl Filter {
    fn takes(&self, row: &AuditRow) -> bool {
        let matches = |wanted: &str, text: &str| wanted.is_empty() || pattern::matches(wanted, text);
        let time = row.time.as_ref().and_then(from_proto);
        matches(&self.actor, &row.actor)
            && matches(&self.action, &row.action)
            && matches(&self.target, &row.target)
            && matches(&self.result, &row.result)
            && !(self.only_refused && row.result == OK)
            && self.since.is_none_or(|since| time >= Some(since))
            && self.until.is_none_or(|until| time < Some(until))
    }
}

/// The audit log.
#[derive(Debug, Default)]
pub struct Log {
    /// Of all hubs that share the store, by number.
    rows: BTreeMap<u64, Arc<AuditRow>>,
    /// Which log this hub writes.
    own: u64,
    repeats: Repeats,
}

impl Log {
    /// The entries a store gave back, in any order, and what is wrong with them. Hubs that share a store have a
    /// slot each.
    #[must_use]
    pub fn restore(mut rows: Vec<Arc<AuditRow>>, slot: Option<u8>) -> (Self, Option<Fault>) {
        rows.sort_unstable_by_key(|row| row.number);
        let mut chain = Chain::default();
        let fault = rows.iter().try_for_each(|row| chain.follow(row)).err();
        let rows = rows.into_iter().map(|row| (row.number, row)).collect();
        let own = slot.map_or(0, |slot| u64::from(slot) + 1);
        (Self { rows, own, repeats: Repeats::default() }, fault)
    }

    /// Takes in an entry that was kept elsewhere.
    pub fn learn(&mut self, row: Arc<AuditRow>) {
        self.rows.insert(row.number, row);
    }

    /// Takes in that another hub let go of an entry.
    pub fn forget(&mut self, number: u64) {
        self.rows.remove(&number);
    }

    /// What to keep of the entry of an act that was not done since another hub was faster: the entry, which later
    /// ones follow already, and one that says so.
    #[must_use]
    pub fn take_back(&mut self, row: &Arc<AuditRow>, now: Now) -> Vec<Change> {
        self.learn(Arc::clone(row));
        let row = AuditRow::clone(row);
        let detail = format!("entry {} was not done: another hub was faster", audit::name(row.number));
        let (result, target) = (NOT_KEPT.to_owned(), row.target.clone());
        let entry = Entry {
            actor: row.actor.clone(),
            source: row.source.clone(),
            action: row.action.clone(),
            target,
            result,
            detail,
        };
        let mut changes = vec![Change::Put(Record::Audit(Arc::new(row)))];
        changes.extend(self.push(entry, 1, now));
        changes
    }

    /// Adds an entry; the changes are what to keep.
    #[must_use]
    pub fn record(&mut self, entry: Entry, now: Now) -> Vec<Change> {
        self.push(entry, 1, now)
    }

    /// Adds an entry for a refusal, or counts it.
    #[must_use]
    pub fn refuse(&mut self, entry: Entry, now: Now) -> Vec<Change> {
        match self.repeats.note(entry, now.uptime) {
            Some(entry) => self.push(entry, 1, now),
            None => Vec::new(),
        }
    }

    /// Lets time pass: what was only counted gets its entry.
    #[must_use]
    pub fn tick(&mut self, now: Now) -> Vec<Change> {
        let counted = self.repeats.settle(now.uptime);
        counted.into_iter().flat_map(|(entry, count)| self.push(entry, count, now)).collect()
    }

    /// Number of the newest entry; 0 when there is none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.rows.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// At most `limit` entries.
    #[must_use]
    pub fn list(&self, filter: &Filter, order: Order, limit: usize) -> Vec<AuditRow> {
        let shown = |row: &&Arc<AuditRow>| filter.takes(row);
        let rows: Vec<&Arc<AuditRow>> = match order {
            Order::OldestFirst { after } => self
                .rows
                .range(after.saturating_add(1)..)
                .map(|(_, row)| row)
                .filter(shown)
                .take(limit)
                .collect(),
            Order::NewestFirst => {
                let mut rows: Vec<_> =
                    self.newest_of_each().flat_map(|rows| rows.filter(shown).take(limit)).collect();
                let time = |row: &AuditRow| row.time.map(|time| (time.seconds, time.nanos));
                rows.sort_by_key(|row| std::cmp::Reverse((time(row), row.number)));
                rows.truncate(limit);
                rows
            }
        };
        rows.into_iter().map(|row| AuditRow::clone(row)).collect()
    }

    /// The entries of each log from the newest back.
    fn newest_of_each(&self) -> impl Iterator<Item = impl Iterator<Item = &Arc<AuditRow>>> {
        let mut next = self.rows.last_key_value().map(|(number, _)| audit::log(*number));
        std::iter::from_fn(move || {
            let log = next?;
            next = self.rows.range(..audit::first(log)).next_back().map(|(number, _)| audit::log(*number));
            Some(self.of(log).rev())
        })
    }

    fn of(&self, log: u64) -> impl DoubleEndedIterator<Item = &Arc<AuditRow>> {
        self.rows.range(audit::first(log)..audit::first(log + 1)).map(|(_, row)| row)
    }

    fn push(&mut self, entry: Entry, count: u32, now: Now) -> Vec<Change> {
        let last = self.of(self.own).next_back();
        let mut row = AuditRow {
            number: last.map_or(audit::first(self.own), |last| last.number + 1),
            time: Some(to_proto(now.wall)),
            actor: clipped(entry.actor),
            source: clipped(entry.source),
            action: clipped(entry.action),
            target: clipped(entry.target),
            result: clipped(entry.result),
            detail: clipped(entry.detail),
            count,
            previous: last.map_or_else(|| GENESIS.to_vec(), |last| last.hash.clone()),
            hash: Vec::new(),
        };
        row.hash = hash(&row).to_vec();
        let row = Arc::new(row);
        self.rows.insert(row.number, Arc::clone(&row));
        let kept = row.number;
        let mut changes = vec![Change::Put(Record::Audit(row))];
        // Numbers have no gaps, so the oldest says how many there are.
        loop {
            let oldest = self.of(self.own).next().map_or(kept, |row| row.number);
            if kept - oldest < ROWS_MAX as u64 {
                return changes;
            }
            self.rows.remove(&oldest);
            changes.push(Change::Delete(Key::Audit(oldest)));
        }
    }
}

/// The beginning of a text, as much of it as is kept.
fn clipped(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Now {
        let wall = Timestamp::from_second(1_800_000_000 + i64::try_from(seconds).unwrap()).unwrap();
        Now { wall, uptime: Duration::from_secs(seconds) }
    }

    fn entry(actor: &str, result: &str) -> Entry {
        Entry {
            actor: actor.into(),
            source: "192.0.2.1".into(),
            action: "muster.v1.TokenService/CreateToken".into(),
            target: "token/1".into(),
            result: result.into(),
            detail: String::new(),
        }
    }

    fn kept(changes: Vec<Change>) -> impl Iterator<Item = Arc<AuditRow>> {
        changes.into_iter().filter_map(|change| match change {
            Change::Put(Record::Audit(row)) => Some(row),
            _ => None,
        })
    }

    #[test]
    fn what_is_kept_is_a_whole_log_across_restarts() {
        let mut log = Log::default();
        let mut disk = Vec::new();
        for number in 1..=10 {
            disk.extend(kept(log.record(entry("operator/admin", OK), at(number))));
            if number == 5 {
                let (restored, fault) = Log::restore(disk.clone(), None);
                assert_eq!(fault, None);
                log = restored;
            }
        }
        disk.reverse();
        let (log, fault) = Log::restore(disk.clone(), None);
        assert_eq!((log.head(), fault), (10, None));
        disk.remove(4);
        assert_eq!(Log::restore(disk, None).1, Some(Fault::Gap { after: 5, found: 7 }));
    }

    #[test]
    fn the_oldest_go_and_the_rest_stays_whole() {
        let mut log = Log::default();
        let mut deleted = 0;
        for _ in 0..ROWS_MAX + 3 {
            let changes = log.record(entry("a", OK), at(1));
            deleted += changes.iter().filter(|change| matches!(change, Change::Delete(_))).count();
        }
        assert_eq!((deleted, log.rows.len()), (3, ROWS_MAX));
        let rows: Vec<_> = log.rows.values().cloned().collect();
        assert_eq!(Log::restore(rows, None).1, None);
    }

    #[test]
    fn entries_are_found() {
        let mut log = Log::default();
        for (second, actor, result) in
            [(1, "operator/ada", OK), (2, "cluster/prod", "certificate-revoked"), (3, "operator/eve", OK)]
        {
            assert_eq!(log.record(entry(actor, result), at(second)).len(), 1);
        }
        let found = |filter: Filter, order, limit| -> Vec<u64> {
            log.list(&filter, order, limit).iter().map(|row| row.number).collect()
        };
        let newest = Order::NewestFirst;
        assert_eq!(found(Filter::default(), newest, 10), [3, 2, 1]);
        assert_eq!(found(Filter::default(), newest, 2), [3, 2]);
        assert_eq!(found(Filter::default(), Order::OldestFirst { after: 1 }, 10), [2, 3]);
        assert_eq!(found(Filter { actor: "operator/*".into(), ..Filter::default() }, newest, 10), [3, 1]);
        assert_eq!(found(Filter { only_refused: true, ..Filter::default() }, newest, 10), [2]);
        assert_eq!(found(Filter { since: Some(at(2).wall), ..Filter::default() }, newest, 10), [3, 2]);
        assert_eq!(found(Filter { until: Some(at(2).wall), ..Filter::default() }, newest, 10), [1]);
    }

    #[test]
    fn the_same_refusal_again_and_again_is_one_entry_and_a_count() {
        let mut log = Log::default();
        let mut rows: Vec<Arc<AuditRow>> = Vec::new();
        for second in 0..30 {
            rows.extend(kept(log.refuse(entry("anonymous", "token-unknown"), at(second))));
            rows.extend(kept(log.tick(at(second))));
        }
        assert_eq!(rows.len(), 1);
        for second in 30..200 {
            rows.extend(kept(log.tick(at(second))));
        }
        let counts: Vec<u32> = rows.iter().map(|row| row.count).collect();
        assert_eq!(counts, [1, 29], "none of them is lost");
    }

    #[test]
    fn long_texts_are_cut() {
        let mut log = Log::default();
        let long = Entry { target: "ä".repeat(5_000), ..entry("a", OK) };
        let row = kept(log.record(long, at(1))).next().unwrap();
        assert!(row.target.len() <= TEXT_BYTES_MAX + '…'.len_utf8(), "{}", row.target.len());
    }
    #[test]
    fn hubs_that_share_a_store_write_a_log_each_and_show_all() {
        let mut hubs = [0, 1].map(|slot| Log::restore(Vec::new(), Some(slot)).0);
        let mut disk = Vec::new();
        for second in 0..6 {
            let writer = usize::try_from(second % 2).unwrap();
            for row in kept(hubs[writer].record(entry(&format!("user/{second}"), OK), at(second))) {
                hubs[1 - writer].learn(Arc::clone(&row));
                disk.push(row);
            }
        }
        let actors = |log: &Log, limit| -> Vec<String> {
            let rows = log.list(&Filter::default(), Order::NewestFirst, limit);
            rows.into_iter().map(|row| row.actor).collect()
        };
        for hub in &hubs {
            assert_eq!(actors(hub, 3), ["user/5", "user/4", "user/3"]);
        }
        let (restored, fault) = Log::restore(disk, Some(1));
        assert_eq!((fault, actors(&restored, 10).len()), (None, 6));
        let after = hubs[0].list(&Filter::default(), Order::OldestFirst { after: audit::first(1) }, 10);
        assert_eq!(after.len(), 5);
    }

    #[test]
    fn what_was_not_done_stays_in_the_log_with_a_word_that_it_was_not() {
        let mut log = Log::restore(Vec::new(), Some(0)).0;
        let mut rows: Vec<_> =
            [1, 2].iter().flat_map(|at_second| kept(log.record(entry("a", OK), at(*at_second)))).collect();
        let refused = rows.remove(0);
        rows.extend(kept(log.take_back(&refused, at(3))));
        let (restored, fault) = Log::restore(rows, Some(0));
        assert_eq!(fault, None);
        let newest = restored.list(&Filter::default(), Order::NewestFirst, 1).remove(0);
        assert_eq!(
            (newest.result.as_str(), newest.detail.contains("entry 1.1 was not done")),
            (NOT_KEPT, true)
        );
    }
}
